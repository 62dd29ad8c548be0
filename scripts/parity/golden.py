"""Writes the few results that ordinary tests compare with to tests/golden/parity. Each file has a
case, the oracle's results (want.…), and how far f32, or bf16, may be from them (bound.…)."""
import json
import pathlib

import torch

import adamw
import engine
from oracle import COVER

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/parity"
CASES = ("plain_ragged", "plain_v3", "hc", "mhc", "mhc_v4_learned", "v4_n4_9x24", "bf16_mhc_moe",
         "training_mhc", "adamw_from_zero")


def tensors(case, oracle, sides):
    metadata, inputs = case.case()
    if isinstance(case, adamw.AdamWCase):
        _, bounds = case.exact()
        side, want = "torch f32", sides["torch f32"]
        bounds = {name: 2 * b for name, b in bounds.items()}  # both sides round
    else:
        side = next(iter(sides), "PyTorch f64")
        want = sides.get(side, oracle.values)
        factor = 2 if sides else 1
        bounds = {name: torch.tensor([factor * oracle.bound(name)], dtype=torch.float64)
                  for name in oracle.values}
    for name in bounds:
        inputs["want." + name] = want[name]
        inputs["bound." + name] = bounds[name].double()
    return metadata | {"oracle": side}, inputs


def sort_metadata(path):
    """Sorts the metadata, so that equal values give equal bytes: safetensors' order is random."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    path.write_bytes(data[:8] + text.ljust(size) + data[8 + size:])
    path.chmod(0o644)


def write(cases, versions):
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, (metadata, tensors_) in cases.items():
        path = FOLDER / f"{name}.safetensors"
        engine.save(path, metadata, tensors_)
        sort_metadata(path)
    lines = ", ".join(f"{name} {version}" for name, version in versions.items())
    (FOLDER / "README.md").write_text(f"""# Golden tensors

Written by `scripts/parity.sh --accept` with {lines}.
Random values are functions of the names and seeds of cases and the names of tensors
(scripts/parity/shape.py), so the same command gives the same inputs. The files are read by
[tests/engine/model/parity_test.cpp](../../engine/model/parity_test.cpp).

A file is a case of [tests/support/parity.h](../../support/parity.h). `want.NAME` is the result of
its `oracle`, and `bound.NAME` says how far f32 (bf16 in `bf16_…`) may be from it: the norm of the
difference, or each element's for AdamW. [docs/numerics.md](../../../docs/numerics.md) derives
the bounds ({COVER} deviations, twice where the oracle rounds too).
""", encoding="utf-8")
