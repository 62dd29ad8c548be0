"""Compares AdamW alone, with equal gradients from 1 down to 1e-24 and eps 1e-20: Birkhoff and
PyTorch in fp32, each with the algorithm in fp64. docs/numerics.md derives each element's bound."""
import dataclasses
import math

import torch

import shape as shapes
from entry import Entry
from rounding import UNIT

STEPS = 8
SIZES = [10.0 ** -k for k in range(25)]
EACH = 7  # elements of each size
DENORMAL = 2.0 ** -149  # distance between neighbouring denormal numbers


@dataclasses.dataclass(frozen=True)
class AdamWCase:
    name: str
    eps: float = 1e-20
    weight_decay: float = 0.1
    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.95

    def case(self):
        keys = ("eps", "weight_decay", "lr", "beta1", "beta2")
        return {"run": "adamw"} | {k: getattr(self, k) for k in keys}, self.tensors()

    def tensors(self):
        """Gradients between ½ and 2 times their size, with either sign. Weights are so small that
        a step is not lost in their rounding: p starts at 0 except where decay is tested."""
        size = torch.tensor(SIZES).repeat_interleave(EACH)
        g = size * torch.exp2(shapes.normal(f"{self.name} g", (STEPS, len(size))).clamp(-1, 1))
        sign = shapes.normal(f"{self.name} sign", (len(size),)).sign()
        p = shapes.normal(f"{self.name} p", (len(size),)) if self.weight_decay else 0 * size
        return {"p": p, "g": g * sign}

    def torch_fp32(self):
        t = self.tensors()
        p = t["p"].clone().requires_grad_()
        adam = torch.optim.AdamW([p], lr=self.lr, betas=(self.beta1, self.beta2), eps=self.eps,
                                 weight_decay=self.weight_decay, foreach=False)
        steps = {"p": [], "m": [], "v": []}
        for g in t["g"]:
            p.grad = g.clone()
            adam.step()
            state = adam.state[p]
            for key, value in (("p", p), ("m", state["exp_avg"]), ("v", state["exp_avg_sq"])):
                steps[key].append(value.detach().clone())
        return {key: torch.stack(values) for key, values in steps.items()}

    def exact(self):
        """({p, m, v} in fp64, their bounds), [STEPS, N] each."""
        t = {name: value.double() for name, value in self.tensors().items()}
        p, m, v = t["p"], torch.zeros_like(t["p"]), torch.zeros_like(t["p"])
        dp, dm, dv = (torch.zeros_like(p) for _ in range(3))  # bounds of their errors
        largest = t["g"].abs().amax(0)
        values = {"p": [], "m": [], "v": []}
        bounds = {"p": [], "m": [], "v": []}
        for step, g in enumerate(t["g"], 1):
            m = self.beta1 * m + (1 - self.beta1) * g
            v = self.beta2 * v + (1 - self.beta2) * g * g
            c1, c2 = 1 / (1 - self.beta1 ** step), 1 / (1 - self.beta2 ** step)
            root = (v * c2).sqrt()
            update = m * c1 / (root + self.eps)
            p = p - self.lr * (update + self.weight_decay * p)

            dm = dm + 6 * UNIT * largest
            dv = dv + 6 * UNIT * v + 1.5 * DENORMAL
            low = ((v - dv).clamp(min=0) * c2).sqrt()
            droot = torch.maximum(root - low, ((v + dv) * c2).sqrt() - root) + \
                6 * UNIT * (root + self.eps)
            dupdate = (dm * c1 + update.abs() * droot) / (root + self.eps - droot) + \
                6 * UNIT * update.abs()
            dp = dp * (1 + self.lr * self.weight_decay) + self.lr * dupdate + 3 * UNIT * p.abs()
            for key, value, bound in (("p", p, dp), ("m", m, dm), ("v", v, dv)):
                values[key].append(value)
                bounds[key].append(bound)
        return ({key: torch.stack(x) for key, x in values.items()},
                {key: torch.stack(x) for key, x in bounds.items()})

    def compare(self, sides):
        """For each side, tensor and size, the element that comes closest to its bound."""
        want, bounds = self.exact()
        entries = []
        for side, got in sides.items():
            for key, value in want.items():
                error = (got[key].double().reshape(value.shape) - value).abs()
                for k, size in enumerate(SIZES):
                    own = slice(k * EACH, (k + 1) * EACH)
                    entries.append(_worst(f"{key} at g {size:.0e}", self.name, side,
                                          error[:, own], bounds[key][:, own], value[:, own]))
        return entries


def _worst(tensor, case, side, error, bound, value):
    ratio = error / bound
    at = torch.where(ratio.isnan(), math.inf, ratio).argmax()
    pick = [float(x.flatten()[at]) for x in (error, bound, value.abs())]
    return Entry(case, side, tensor, *pick)


CASES = [AdamWCase("adamw"), AdamWCase("adamw_from_zero", weight_decay=0.0),
         AdamWCase("adamw_eps_1e-8", eps=1e-8, beta2=0.999)]
