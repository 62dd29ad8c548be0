#!/usr/bin/env python3
"""Reads a checkpoint with other people's code: PyPI's safetensors, numpy and xxhash.

    pip install safetensors numpy xxhash
    python3 tests/engine/checkpoint/peer_reader.py CHECKPOINT

Written from docs/formats/checkpoint.md, sharing nothing with the engine: every hash is computed
again, and every piece's bytes in the manifest's range are compared with what safetensors loads.
bf16 tensors, which numpy lacks, are compared by name, dtype and shape alone.
"""
import json
import math
import pathlib
import sys

import numpy
import safetensors
import xxhash

DTYPES = {"f32": ("F32", "<f4"), "bf16": ("BF16", None), "i32": ("I32", "<i4"),
          "i64": ("I64", "<i8"), "f64": ("F64", "<f8")}


def digest(data):
    return xxhash.xxh3_128_hexdigest(data)


def expect(holds, what):
    if not holds:
        raise SystemExit(f"peer_reader: {what}")


def main(directory):
    directory = pathlib.Path(directory)
    raw = (directory / "manifest.json").read_bytes()
    manifest = json.loads(raw)
    body = raw[:raw.rindex(b'"manifest_hash"')]
    expect(digest(body) == manifest["manifest_hash"], "the manifest's hash differs")
    for key in ("model", "data"):
        text, own = manifest[key]["text"], manifest[key]["hash"]
        expect(digest(text.encode()) == own, f"the hash of {key} differs")
    chunk, compared = manifest["chunk_bytes"], 0
    for file in manifest["files"]:
        data = (directory / file["name"]).read_bytes()
        expect(len(data) == file["bytes"], f"{file['name']} has {len(data)} bytes")
        expect(digest(data[:file["header_bytes"]]) == file["header_hash"],
               f"{file['name']}: the header's hash differs")
        mine = {t["name"]: (t, p) for t in manifest["tensors"] for p in t["pieces"]
                if p["file"] == file["name"]}
        with safetensors.safe_open(directory / file["name"], framework="numpy") as shard:
            expect(set(shard.keys()) == set(mine), f"{file['name']}: other tensors")
            for name, (t, piece) in mine.items():
                part = data[piece["range"][0]:piece["range"][1]]
                hashes = [digest(part[i:i + chunk]) for i in range(0, len(part), chunk)]
                expect(hashes == piece["hashes"], f"{name}: a hash differs")
                extents = [end - begin for begin, end in piece["box"]]
                first, last = piece["flat"]
                shape = extents if last - first == math.prod(extents) else [last - first]
                view = shard.get_slice(name)
                expect(view.get_dtype() == DTYPES[t["dtype"]][0], f"{name}: another dtype")
                expect(list(view.get_shape()) == shape, f"{name}: another shape")
                if DTYPES[t["dtype"]][1]:
                    wanted = numpy.frombuffer(part, DTYPES[t["dtype"]][1]).reshape(shape)
                    expect(shard.get_tensor(name).tobytes() == wanted.tobytes(), f"{name}: bytes")
                compared += 1
    expect(compared == sum(len(t["pieces"]) for t in manifest["tensors"]),
           "a piece lies in no file")
    print(f"{directory}: {compared} pieces in {len(manifest['files'])} files agree")


if __name__ == "__main__":
    main(sys.argv[1])
