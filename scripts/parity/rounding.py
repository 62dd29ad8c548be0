"""Simulates the effect of rounding to 24 bits; docs/numerics.md has the derivation.

    with Rounding(seed):
        …                       # PyTorch in fp64, forward and backward

The result of every operation that PyTorch runs in this context, also in the backward pass, is
perturbed at random by as much as f32 may round it. Operations that this file does not know are
refused, so that none is exact by accident. With Rounding(seed, BF16), values marked by storage.py
are also perturbed by as much as storage in bf16 may round them.
"""
import math

import torch
from torch.utils._python_dispatch import TorchDispatchMode

UNIT = 2.0 ** -24  # half the distance between neighbours in [1, 2)

# Operations that move or choose elements, compute on integers, or are exact in binary.
EXACT = set("""
_local_scalar_dense _record_function_enter_new _record_function_exit _to_copy _unsafe_view alias
amax arange bincount cat clamp clone detach eq expand gather ge gt index lift_fresh masked_fill neg
new_zeros ones ones_like permute select select_backward sign slice slice_backward sort
split_with_sizes squeeze stack t transpose triu unsqueeze view zeros_like
""".split())
# Operations with one rounding. scatter_add is gather's gradient, and gathers each element once.
ONCE = set("add sub mul div add_ mul_ reciprocal sqrt scatter_add".split())
# Functions with several roundings and up to an ulp in the last step: they count as four.
FUNCTIONS = set("exp sin cos tanh sigmoid rsqrt pow".split())


class Rounding(TorchDispatchMode):
    def __init__(self, seed, storage=0.0):
        super().__init__()
        self.storage = storage
        self.random = torch.Generator().manual_seed(seed)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        exact = name in EXACT or (name == "store" and not self.storage)
        scale = None if exact else self._scale(name, args, kwargs or {})
        out = func(*args, **(kwargs or {}))
        if exact or not isinstance(out, torch.Tensor) or not out.is_floating_point():
            return out
        if scale is None:  # relative to the result itself
            scale = out.abs() * (UNIT if name in ONCE else 4 * UNIT)
        noise = scale * (2 * torch.rand(out.shape, generator=self.random, dtype=out.dtype) - 1)
        noise = torch.where(out.isfinite(), noise, 0.0)
        return out.add_(noise) if name.endswith("_") else out + noise

    def _scale(self, name, args, kwargs):
        if name in ONCE or name in FUNCTIONS:
            return None
        if name == "store":
            return self.storage * args[0].abs()
        if name not in SUMS:
            raise NotImplementedError(f"the rounding of {name} is not known")
        return UNIT * SUMS[name](*args, **kwargs)


def _sum_of(terms, squares, result):
    """A sequential sum of `terms` numbers, where each partial sum is rounded."""
    return math.sqrt(terms) * torch.sqrt(squares + result * result)


def _mm(a, b):
    return _sum_of(a.shape[-1], (a * a) @ (b * b), a @ b)


def _dims(x, dim):
    if dim is None or dim == []:
        return list(range(x.dim()))
    return [dim] if isinstance(dim, int) else dim


def _sum(x, dim=None, keepdim=False, dtype=None):
    if not x.is_floating_point():
        return torch.zeros(())
    dims = _dims(x, dim)
    terms = math.prod(x.shape[d] for d in dims)
    return _sum_of(terms, (x * x).sum(dims, keepdim), x.sum(dims, keepdim))


def _mean(x, dim=None, keepdim=False, dtype=None):
    dims = _dims(x, dim)
    return _sum(x, dims, keepdim) / math.prod(x.shape[d] for d in dims)


def _logsumexp(x, dim, keepdim=False):
    """The relative error of the sum of exponentials, plus the logarithm's own."""
    dims = _dims(x, dim)
    terms = math.prod(x.shape[d] for d in dims)
    return 4 * math.sqrt(terms) + 4 * x.logsumexp(dims, keepdim).abs()


def _softmax(x, dim, half):
    y = x.softmax(dim)
    return 4 * math.sqrt(x.shape[dim]) * y


def _softmax_backward(g, y, dim, dtype):
    inner = g * y
    pull = inner.sum(dim, keepdim=True)
    spread = _sum_of(y.shape[dim], (inner * inner).sum(dim, keepdim=True), pull)
    return y * (spread + 2 * (g.abs() + pull.abs()))


def _index_put(into, indices, values, accumulate=False):
    """With `accumulate`, the gradient of rows that were read: a sum over the readers of a row."""
    assert accumulate
    squares = torch.zeros_like(into).index_put(indices, values * values, accumulate=True)
    result = into.index_put(indices, values, accumulate=True)
    return _sum_of(len(values), squares, result)


SUMS = {
    "mm": _mm,
    "bmm": _mm,
    "mv": lambda a, b: _mm(a, b.unsqueeze(1)).squeeze(1),
    "sum": _sum,
    "mean": _mean,
    "logsumexp": _logsumexp,
    "_softmax": _softmax,
    "_softmax_backward_data": _softmax_backward,
    # y·(1 − y)·g; if y is near 1, 1 − y has the absolute error of y.
    "sigmoid_backward": lambda g, y: 4 * (g * y).abs(),
    "tanh_backward": lambda g, y: 4 * g.abs(),
    "index_put": _index_put,
    # AdamW's a·x + (1 − a)·y and x ± a·y·z, in place: each product and the sum is rounded once.
    "lerp_": lambda x, y, a: 3 * torch.maximum(x.abs(), a * y.abs()),
    "addcmul_": lambda x, y, z, value=1: 3 * (x.abs() + abs(value) * (y * z).abs()),
    "addcdiv_": lambda x, y, z, value=1: x.abs() + 3 * abs(value) * (y / z).abs(),
}
