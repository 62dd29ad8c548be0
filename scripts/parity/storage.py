"""Marks in the oracle's equations where Birkhoff stores bf16 (kernels/storage.h).

    rounded(x)        x is written as bf16: an activation, or a weight that is a factor of a product
    read(x)           the gradient that flows back to x from here is written as bf16
    stored(x)         both

In exact runs, and if f32 is compared, the marks are the identity. Under Rounding(seed, BF16) each
perturbs its value at random by as much as rounding to bf16 may. docs/numerics.md says where they
are used.
"""
import torch

BF16 = 2.0 ** -8  # half the distance between neighbours in [1, 2)


@torch.library.custom_op("parity::store", mutates_args=())
def _store(x: torch.Tensor) -> torch.Tensor:
    """rounding.py recognises this operation by its name."""
    return x.clone()


class _Rounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return _store(x)

    @staticmethod
    def backward(ctx, g):
        return g


class _Read(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, g):
        return _store(g)


rounded, read = _Rounded.apply, _Read.apply


def stored(x):
    return rounded(read(x))


class _Attended(torch.autograd.Function):
    @staticmethod
    def forward(ctx, o, log_sum):
        stored_o = _store(o)
        ctx.save_for_backward(stored_o - o)
        return stored_o

    @staticmethod
    def backward(ctx, g):
        off, = ctx.saved_tensors
        return g, -(g * off).sum(-1, keepdim=True)


def attended(o, log_sum):
    """Rounds attention's output o = Σ_j p_j·v_j. Birkhoff's gradient ds_j = p_j·(do·v_j − do·o)
    uses the rounded o, PyTorch's the exact one; log_sum, whose gradient is p, adds the
    difference."""
    return _Attended.apply(o, log_sum)
