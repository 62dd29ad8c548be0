"""Where Birkhoff stores bf16 (kernels/storage.h): marks in the oracle's equations.

    rounded(x)        x is written as bf16: an activation, or a weight as factor of a product
    read(x)           the gradient that comes back to x from here is written as bf16
    stored(x)         both

They are the identity, in exact runs and where f32 is compared. Under Rounding(seed, BF16) each
moves what it marks at random by as much as rounding to bf16 may. docs/numerics.md says where they
stand.
"""
import torch

BF16 = 2.0 ** -8  # half the distance of neighbours in [1, 2)


@torch.library.custom_op("parity::store", mutates_args=())
def _store(x: torch.Tensor) -> torch.Tensor:
    """What rounding.py knows by its name."""
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
    """Rounds what attention writes, o = Σ_j p_j·v_j. Its gradient takes ds_j = p_j·(do·v_j − do·o)
    from that o, where PyTorch has the exact one: log_sum, whose gradient p is, brings the rest."""
    return _Attended.apply(o, log_sum)
