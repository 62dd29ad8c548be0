"""Reads tests/golden/checkpoint-v1 and -v2 by what docs/formats/checkpoint.md says, with the
standard library alone, and compares the values with those that
tests/engine/checkpoint/golden_test.cpp wrote.
Hashes are compared where PyPI's xxhash is installed."""
import itertools
import json
import math
import pathlib
import struct
import unittest

try:
    import xxhash
except ImportError:
    xxhash = None

GOLDEN = pathlib.Path(__file__).parent.parent / "golden"
FORMATS = {"f32": ("F32", "f"), "bf16": ("BF16", "H"), "i32": ("I32", "i"), "i64": ("I64", "q"),
           "f64": ("F64", "d")}


def shard(data):
    """{name: (dtype, shape, begin, end)} of a safetensors file, in bytes of the file."""
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + length])
    metadata = header.pop("__metadata__")
    places = {name: (e["dtype"], e["shape"], *(8 + length + at for at in e["data_offsets"]))
              for name, e in header.items()}
    return 8 + length, metadata, places


def indices(box):
    return list(itertools.product(*(range(begin, end) for begin, end in box)))


class VersionOne(unittest.TestCase):
    version, others = 1, []

    def setUp(self):
        self.path = GOLDEN / f"checkpoint-v{self.version}"
        self.raw = (self.path / "manifest.json").read_bytes()
        self.manifest = json.loads(self.raw)
        self.files = {f["name"]: (self.path / f["name"]).read_bytes()
                      for f in self.manifest["files"]}

    def test_version(self):
        self.assertEqual(self.manifest["format_version"], self.version)
        self.assertEqual("tokenizer" in self.manifest, self.version > 1)

    def tensor(self, stored):
        """{index: value}; each piece as the shard's own header has it."""
        entry, code = FORMATS[stored["dtype"]]
        values = {}
        for piece in stored["pieces"]:
            begin, end = piece["range"]
            flat = indices(piece["box"])[slice(*piece["flat"])]
            whole = len(flat) == len(indices(piece["box"]))
            shape = [e - b for b, e in piece["box"]] if whole else [len(flat)]
            _, _, places = shard(self.files[piece["file"]])
            self.assertEqual(places[stored["name"]], (entry, shape, begin, end))
            data = struct.unpack(f"<{len(flat)}{code}", self.files[piece["file"]][begin:end])
            for index, value in zip(flat, data, strict=True):
                self.assertNotIn(index, values)
                values[index] = value
        self.assertEqual(len(values), math.prod(stored["shape"]))
        return [values[index] for index in indices([[0, n] for n in stored["shape"]])]

    def test_values(self):
        tensors = {t["name"]: self.tensor(t) for t in self.manifest["tensors"]}
        f32 = [i / 4 - 3 for i in range(48)]
        self.assertEqual(tensors, {
            "adam.m.embedding.weight": f32[:33],
            "adam.step": [1 << 40],
            "embedding.weight": [0x3F80 + i for i in range(33)],
            "layers.0.bias": [1000003 * i - 7 for i in range(5)],
            "layers.0.none": [],
            "layers.0.w": f32,
            "sums": [i / 3 for i in range(7)]})

    def test_files(self):
        self.assertEqual(sorted(p.name for p in self.path.iterdir()),
                         ["manifest.json", *sorted(self.files), *self.others])
        ends = {name: [] for name in self.files}
        for t in self.manifest["tensors"]:
            for piece in t["pieces"]:
                ends[piece["file"]].append(piece["range"])
        for f in self.manifest["files"]:
            header_bytes, metadata, places = shard(self.files[f["name"]])
            self.assertEqual(metadata, {"birkhoff.shard": f["name"], "birkhoff.step": "12"})
            self.assertEqual(header_bytes, f["header_bytes"])
            self.assertEqual(len(self.files[f["name"]]), f["bytes"])
            self.assertEqual(len(places), len(ends[f["name"]]))
            at = header_bytes
            for begin, end in sorted(ends[f["name"]]):
                self.assertEqual(begin, at)
                at = end
            self.assertEqual(at, f["bytes"])

    @unittest.skipUnless(xxhash, "xxhash is not installed")
    def test_hashes(self):
        def digest(data):
            return xxhash.xxh3_128_hexdigest(data)
        body = self.raw[:self.raw.rindex(b'"manifest_hash"')]
        self.assertEqual(digest(body), self.manifest["manifest_hash"])
        for f in self.manifest["files"]:
            self.assertEqual(digest(self.files[f["name"]][:f["header_bytes"]]), f["header_hash"])
        chunk = self.manifest["chunk_bytes"]
        for t in self.manifest["tensors"]:
            for piece in t["pieces"]:
                data = self.files[piece["file"]][slice(*piece["range"])]
                self.assertEqual(piece["hashes"], [digest(data[i:i + chunk])
                                                   for i in range(0, len(data), chunk)])


class VersionTwo(VersionOne):
    version, others = 2, ["tokenizer.json"]

    def test_tokenizer(self):
        data = (self.path / "tokenizer.json").read_bytes()
        identity = self.manifest["tokenizer"]
        tree = json.loads(data)
        ids = [*tree["model"]["vocab"].values(), *(t["id"] for t in tree["added_tokens"])]
        self.assertEqual(identity["file"]["bytes"], len(data))
        if xxhash:
            self.assertEqual(identity["file"]["hash"], xxhash.xxh3_128_hexdigest(data))
        del identity["file"]
        self.assertEqual(identity, {"name": 'my "tokenizer".json', "vocab": max(ids) + 1,
                                    "bos": 1, "eos": [39, 2], "pad": None})


if __name__ == "__main__":
    unittest.main()
