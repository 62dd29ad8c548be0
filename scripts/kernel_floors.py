#!/usr/bin/env python3
"""Calculates the least time that mHC's kernels can take on a GPU, for the paper's shapes.

    scripts/kernel_floors.py [--accept]

Prints tables of the bytes that must move, the flops that must be done, and the larger of the two
times; --accept writes them to docs/performance/mhc-floors.md. No kernel is run.
"""
import sys

if __name__ == "__main__":
    sys.path.pop(0)  # scripts/tokenize.py would shadow the standard library's module
import argparse
import pathlib
import re
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "performance" / "mhc-floors.md"

BF16, F32 = 2, 4  # bytes
SPLITS = 8  # partial sums of dphi, at most


class Device(NamedTuple):
    name: str
    bandwidth: float  # bytes per second
    bf16: float  # dense flops per second on tensor cores; tf32 has half
    f32: float  # flops per second outside tensor cores


# From NVIDIA's data sheets of H100 SXM, H200 SXM and HGX B200; figures with sparsity are halved.
DEVICES = (Device("H100", 3.35e12, 989e12, 67e12), Device("H200", 4.8e12, 989e12, 67e12),
           Device("B200", 8.0e12, 2250e12, 75e12))


class Model(NamedTuple):
    name: str
    width: int  # C
    streams: int  # n
    layers: int
    tokens: int  # per micro-batch
    iterations: int  # of Sinkhorn
    active: int  # active parameters

    @property
    def sublayers(self):
        return 2 * self.layers

    @property
    def columns(self):
        return self.streams**2 + 2 * self.streams

    def step(self, device):
        """Seconds of a micro-batch's training step if only the model's flops took time."""
        return 6 * self.active * self.tokens / device.bf16


def keys_of(path):
    """The integer keys of a config and of those it extends, from lines "  key: number"."""
    text = path.read_text(encoding="utf-8")
    found = {}
    if base := re.search(r"^extends: (\S+)", text, re.MULTILINE):
        found = keys_of(path.parent / base[1])
    found.update({k: int(v) for k, v in re.findall(r"^  (\w+): (\d+)\s*$", text, re.MULTILINE)})
    return found


def model_of(name):
    k = keys_of(ROOT / "configs" / f"{name}.yaml")
    model = Model(name.upper(), k["dim"], k["streams"], k["layers"],
                  k["micro_batch"] * k["sequence"], k["sinkhorn_iterations"], 0)
    return model._replace(active=active_parameters(k, model))


def active_parameters(k, model):
    """The same as the model's own count: one vocabulary matrix, 6 routed and 2 shared experts."""
    c, heads = k["dim"], k["heads"]
    attention = (c * heads * (k["nope_dim"] + k["rope_dim"]) + c * (k["kv_rank"] + k["rope_dim"]) +
                 k["kv_rank"] + k["kv_rank"] * heads * (k["nope_dim"] + k["v_dim"]) +
                 heads * k["v_dim"] * c)
    mhc = model.streams * c * model.columns + model.columns + 3
    ffn = 3 * c * k["expert_dim"]
    experts = (k["active"] + k["shared"]) * ffn + c * k["experts"]
    dense = 8 * ffn  # dense_ffn_dim: 0
    return (k["layers"] * (attention + 2 * c + 2 * mhc) + k["dense_layers"] * dense +
            (k["layers"] - k["dense_layers"]) * experts + k["vocab"] * c + c)


class Kernel(NamedTuple):
    name: str
    what: str
    reads: int  # rows of C bf16 elements per token
    writes: int
    floats: int  # coefficients and saved values per token, read and written
    phi: int  # how often phi is read
    partials: int  # how often SPLITS partial sums of dphi are written and read
    products: int  # tf32 flops per token on tensor cores
    vector: int  # f32 flops per token

    @property
    def streams(self):
        return self.reads + self.writes

    def bytes(self, m):
        """(streams, coefficients, phi and dphi) per launch."""
        matrix = m.streams * m.width * m.columns * F32
        return (self.streams * m.width * BF16 * m.tokens, self.floats * F32 * m.tokens,
                self.phi * matrix + self.partials * 2 * SPLITS * matrix)

    def times(self, m, device):
        """Seconds of a launch for its bytes, its products and its other flops."""
        return (sum(self.bytes(m)) / device.bandwidth, self.products * m.tokens / (device.bf16 / 2),
                self.vector * m.tokens / device.f32)

    def floor(self, m, device):
        return max(self.times(m, device))


def kernels(m):
    """By name. An addition, product, division or exp is one flop; sigmoids are not counted."""
    n, c = m.streams, m.width
    link = n + n * n  # floats: post and res
    saved = m.columns + 1  # floats: u and rho
    product = 2 * n * c * m.columns  # v·phi, and each of its two gradients
    mix = 2 * n * n * c  # n streams times res or its transpose; dres
    dots = 2 * n * c  # dot products of n streams with one vector, or their weighted sum
    sinkhorn = m.iterations * 4 * n * n
    # The forward again; then Σ dy·y and (dy − Σ)/S for each half iteration.
    sinkhorn_back = sinkhorn + m.iterations * 2 * 4 * n * n
    # Counts Σv², pre, and the mean square, rstd and gain of F's norm.
    a = Kernel("A", "project, Sinkhorn, pre, F's norm", n, 1, link + saved + 1, 1, 0, product,
               2 * dots + 4 * c + sinkhorn)
    close = Kernel("post+res", "x' from res, x, post and f", n + 1, n, link, 0, 0, 0, mix + dots)
    # x' stays on the chip.
    both = Kernel("B", "post+res of a sublayer and A of the next", n + 1, n + 1,
                  a.floats + close.floats, a.phi, 0, a.products, a.vector + close.vector)
    first = Kernel("a", "df, dpost, dres", 2 * n + 1, 1, n + link, 0, 0, 0, mix + 2 * dots)
    # Reads u, rho, dpost and dres; writes dz, ds, pre and res, which are as many.
    second = Kernel("b", "dpre, coefficients' backward", n + 1, 0, 2 * (saved + link), 0, 0, 0,
                    dots + sinkhorn_back)
    third = Kernel("c", "dx, dphi", 2 * n + 1, n, saved + link, 1, 1, 2 * product, mix + 2 * dots)
    # In two passes, b+c makes dres, since it reads x and dx' anyway. So a reads no link; its
    # coefficients are post, which it reads, and dpost, which it writes. b+c reads x, dx' and g
    # once, and u, rho and dpost. What b would write stays on the chip.
    alone = Kernel("a without link", "df, dpost", n + 1, 1, 2 * n, 0, 0, 0, 2 * dots)
    fused = third._replace(name="b+c", what="b and c in one pass, and dres", floats=saved + n,
                           partials=2, vector=second.vector + third.vector + mix)
    return {k.name: k for k in (a, close, both, first, second, third, alone, fused)}


class Calls(NamedTuple):
    kernel: str
    of_sublayer: int = 1  # launches per sublayer
    more: int = 0  # additional launches per model

    def launches(self, m):
        return self.of_sublayer * m.sublayers + self.more


FORWARD = [Calls("A"), Calls("post+res")]
# A sequence of B starts with an A and ends with a post+res.
FORWARD_B = [Calls("B", 1, -1), Calls("A", 0, 1), Calls("post+res", 0, 1)]
BACKWARD = [Calls("a"), Calls("b"), Calls("c")]
BACKWARD_BC = [Calls("a without link"), Calls("b+c")]
ROUNDS = (("A, post+res; a, b, c", FORWARD + BACKWARD),
          ("with the forward twice", FORWARD + BACKWARD + FORWARD),
          ("B; a without link, b+c", FORWARD_B + BACKWARD_BC),
          ("with the forward twice", FORWARD_B + BACKWARD_BC + FORWARD_B))


def elements(m, calls):
    """Rows of C elements per token and sublayer."""
    return sum(c.of_sublayer * kernels(m)[c.kernel].streams for c in calls)


def share(m, device, calls):
    """The floors of all launches of `calls`, as a share of the step's floor."""
    known = kernels(m)
    return sum(c.launches(m) * known[c.kernel].floor(m, device) for c in calls) / m.step(device)


def row(cells):
    return "| " + " | ".join(cells) + " |"


def rule(columns):
    return "|---" * columns + "|"


def kernels_table(m):
    lines = [row(["", "does", "reads", "writes", "coefficients, floats"]), rule(5)]
    return lines + [row([k.name, k.what, f"{k.reads}C", f"{k.writes}C", str(k.floats)])
                    for k in kernels(m).values()]


def model_table(m):
    lines = [f"### {m.name}: C = {m.width}, {m.sublayers} sublayers, {m.active:,} active "
             "parameters", "", "A step of {} tokens: {}.".format(
                 m.tokens, ", ".join(f"{1e3 * m.step(d):.1f} ms on {d.name}" for d in DEVICES)),
             "", row(["", "streams, MB", "coefficients", "phi, dphi", "tf32, GFLOP", "f32",
                      *(f"{d.name}, µs" for d in DEVICES), *(f"{d.name}, %" for d in DEVICES)]),
             rule(6 + 2 * len(DEVICES))]
    for k in kernels(m).values():
        calls = [Calls(k.name, 1, -1 if k.name == "B" else 0)]
        lines.append(row([
            k.name, *(f"{b / 1e6:.2f}" for b in k.bytes(m)),
            *(f"{f * m.tokens / 1e9:.2f}" for f in (k.products, k.vector)),
            *(f"{1e6 * k.floor(m, d):.1f}" for d in DEVICES),
            *(f"{100 * share(m, d, calls):.2f}" for d in DEVICES)]))
    return lines + [""]


def rounds_table(models):
    lines = [row(["", "per sublayer", *(f"{m.name}, {d.name}" for m in models for d in DEVICES)]),
             rule(2 + len(models) * len(DEVICES))]
    for what, calls in ROUNDS:
        lines.append(row([what, f"{elements(models[0], calls)}C",
                          *(f"{100 * share(m, d, calls):.1f} %" for m in models
                            for d in DEVICES)]))
    return lines + [""]


def worst(models, ratio):
    """The largest ratio(kernel, model, device), and where it occurs."""
    return max((ratio(k, m, d), f"{k.name} of {m.name} on {d.name}")
               for m in models for k in kernels(m).values() for d in DEVICES)


def flops_of_bytes(kernel, m, device):
    """The time of its flops, divided by the time of its bytes."""
    moving, *computing = kernel.times(m, device)
    return max(computing) / moving


def vector_alone(kernel, m, device):
    """Its time without tensor cores, divided by its floor."""
    return ((kernel.products + kernel.vector) * m.tokens / device.f32) / kernel.floor(m, device)


HEAD = """\
# The least time that mHC's kernels can take on a GPU

**These are calculated lower bounds. Nothing here is measured: no kernel has run on a GPU yet.**
`scripts/kernel_floors.py --accept` writes this file from the shapes in
[configs/](../../configs/27b.yaml); a test compares the two.

A floor is the larger of two times: the bytes that must move, divided by the memory bandwidth, and
the flops, divided by their peak rate. Bytes are counted once, as if everything that a kernel reads
again came from a cache: streams in bf16, coefficients in f32, phi once per launch, and dphi as
{splits} partial sums that are written and read, or {twice} if b and c are one kernel. F's gain,
alpha, b and their gradients are left out; they are less than 0.02 % of any row. Products (v·phi,
dz·phiᵀ, vᵀ·dz) are counted at the tensor cores' peak rate for tf32, which is half of bf16's,
everything else at the peak rate of f32.
"""

COEFFICIENTS = """\
These floats are the following. A writes post, res, u, rho and the rstd of F's norm; post+res reads
post and res; a reads post and writes dpost and dres; b reads u, rho, dpost and dres, and writes dz,
ds, pre and res for c. If b and c are one pass, b+c makes dres, and a has no link. This needs
clusters of blocks, so it is for sm_90 and above, and for widths of 1920 and more; 3B uses three
passes.
"""

FOOT = """\
No step runs at its own floor. If the rest of the step reaches a fraction p of the bf16 peak, mHC's
share relative to that rest is p times the figure in this table: at 40 %, four tenths.
"""


def document():
    models = [model_of(name) for name in ("3b", "9b", "27b")]
    most, where = worst(models, flops_of_bytes)
    alone, alone_where = worst(models, vector_alone)
    lines = [
        HEAD.format(splits=SPLITS, twice=2 * SPLITS),
        row(["", "bandwidth", "bf16, dense", "f32"]), rule(4),
        *(row([d.name, f"{d.bandwidth / 1e12:.2f} TB/s", f"{d.bf16 / 1e12:.0f} TFLOP/s",
               f"{d.f32 / 1e12:.0f} TFLOP/s"]) for d in DEVICES),
        "", "## Kernels", "", *kernels_table(models[0]), "", COEFFICIENTS,
        "## Launches", "",
        "µs: the floor of a launch over a micro-batch. %: the launches of all sublayers, relative",
        "to the step's own floor, which is 6 · active parameters · tokens at the bf16 peak.", "",
        *(line for m in models for line in model_table(m)),
        f"The time of the flops comes closest to that of the bytes in {where}: "
        f"{100 * most:.0f} %.",
        f"Without tensor cores {alone_where} would take {alone:.1f} times its floor.", "",
        "## All of mHC, as a share of the step's floor", "", *rounds_table(models), FOOT]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--accept", action="store_true",
                        help=f"write docs/performance/{DOCUMENT.name} instead of printing")
    if parser.parse_args().accept:
        DOCUMENT.write_text(document(), encoding="utf-8")
    else:
        print(document(), end="")


if __name__ == "__main__":
    main()
