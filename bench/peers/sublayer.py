"""The mHC path of one sublayer alone, forward and backward, without its F: the value that is read
is written back. One version is from model.py, and one from the package hyper-connections, which has
another form of mHC: norm and coefficients per stream, with the same traffic and fewer products."""
import functools

import torch

import model

TOKENS, STREAMS, DIM, ITERATIONS = 2048, 4, 512, 20


def ours(mix):
    hc = model.HyperConnection(STREAMS, DIM, 1e-20, ITERATIONS, mix)
    torch.nn.init.normal_(hc.phi, std=0.02)

    def path(x):
        h, post, res = hc.open(x)
        return hc.close(x, h, post, res)

    return path, (TOKENS, STREAMS, DIM)


def package(tokens=TOKENS):
    """From the package hyper-connections, where streams are part of the batch dimension."""
    from hyper_connections import mHC

    hc = mHC(STREAMS, dim=DIM, layer_index=0, sinkhorn_iters=ITERATIONS)
    torch.nn.init.normal_(hc.dynamic_alpha_fn, std=0.02)

    def path(x):
        h, close = hc(x)
        return close(h)

    return path, (STREAMS, tokens, DIM)


MAKERS = {mix: functools.partial(ours, mix) for mix in model.MIX} | {"hyper-connections": package}
PATHS = [{"maker": maker, "compiled": compiled} for compiled in (True, False) for maker in MAKERS]


FORMS = tuple(model.MIX)  # the forms that compute the same as Birkhoff
# A training whose mHC operators have the same sizes, with little else to compute.
LITTLE_ELSE = ["model.residual=mhc", "model.layers=4", "model.dense_layers=4", "model.heads=1",
               "model.vocab=256", "model.dense_ffn_dim=64", "train.telemetry_every=0",
               "train.global_batch=4", "train.micro_batch=4", "train.sequence=512",
               "train.stop_at=8"]


class Path:
    def __init__(self, maker, compiled):
        torch.manual_seed(1)
        path, shape = MAKERS[maker]()
        self.path = torch.compile(path) if compiled else path
        self.x = torch.randn(shape, dtype=torch.bfloat16, requires_grad=True)
        self.dy = torch.randn(shape, dtype=torch.bfloat16)

    def step(self):
        self.x.grad = None
        self.path(self.x).backward(self.dy)
        return {}
