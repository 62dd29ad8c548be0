"""An fp64 result and, by tensor, how far rounding to f32, or to bf16 where that is stored, may take
another's from it.

docs/numerics.md derives the bounds; here is their arithmetic.
"""
import math

import torch

from entry import Entry
from rounding import UNIT, Rounding

SAMPLES = 16
# Deviations of the error's size from its root mean square over SAMPLES. Where a tensor is one
# number the quotient has Student's t with 16 degrees of freedom: beyond 8 once in 2 million.
COVER = 8
F64 = math.sqrt(2) * 2.0 ** -53 / UNIT  # both sides round, to 53 bits


class Oracle:
    """compute() → ({name: tensor}, [choices of routing]); active: experts of a token; storage: unit
    of what is stored, where that is not f32."""

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
        """A choice of experts is no continuous function: a near tie would compare two models."""
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
        """Entries of every tensor of either; one that only one of them has has the error NaN."""
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
