"""Computes an fp64 result, and for each tensor how far another result may be from it through
rounding to f32, or to bf16 where that is stored.

docs/numerics.md derives the bounds; this file computes them.
"""
import math

import torch

from entry import Entry
from rounding import UNIT, Rounding

SAMPLES = 16
# The bound in units of the root mean square of the error over SAMPLES. For a tensor with one
# element the quotient has Student's t with 16 degrees of freedom, beyond 8 once in 2 million.
COVER = 8
F64 = math.sqrt(2) * 2.0 ** -53 / UNIT  # both sides round, to 53 bits


class Oracle:
    """compute() returns ({name: tensor}, [choices of routing]); `active` is the number of experts
    per token, `storage` the rounding unit of stored values if they are not f32."""

    def __init__(self, compute, active=0, samples=SAMPLES, storage=0.0):
        self.values, routing = compute()
        self.deviation = dict.fromkeys(self.values, 0.0)
        moved = [0.0] * len(routing)
        for seed in range(samples):
            with Rounding(seed, storage):
                values, choices = compute()
            for name, value in values.items():
                self.deviation[name] += float((value - self.values[name]).square().sum()) / samples
            moved = [max(m, float((a - b).abs().max()))
                     for m, a, b in zip(moved, choices, routing)]
        self.deviation = {name: math.sqrt(d) for name, d in self.deviation.items()}
        self._assert_margins(routing, active, moved)

    @staticmethod
    def _assert_margins(routing, active, moved):
        """Refuses near ties: choosing experts is not continuous, so the models could differ."""
        for number, (choice, by) in enumerate(zip(routing, moved)):
            if active == choice.shape[-1]:
                continue
            ranked = choice.sort(-1, descending=True)[0]
            margin = float((ranked[..., active - 1] - ranked[..., active]).min())
            if not margin > 2 * COVER * by:
                raise SystemExit(f"choice {number} of experts: margin {margin:.2g}, which rounding "
                                 f"moves by {by:.2g}; use another seed")

    def bound(self, name, dtype="f32"):
        return COVER * self.deviation[name] * (F64 if dtype == "f64" else 1)

    def compare(self, case, side, got, dtype="f32"):
        """Entries for every tensor of both; the error is NaN if only one of them has the tensor."""
        entries = []
        for name, want in self.values.items():
            error = math.nan
            if name in got and got[name].numel() == want.numel():
                off = got[name].detach().double().reshape(want.shape) - want
                error = float(torch.linalg.vector_norm(off))
            entries.append(Entry(case, side, name, error, self.bound(name, dtype),
                                 float(torch.linalg.vector_norm(want))))
        return entries + [Entry(case, side, name, math.nan, 0.0, 0.0)
                          for name in sorted(got.keys() - self.values.keys())]
