"""Checks that both sides compute the same, and times them side by side."""

# Bounds relative to the loss, or to 1 if it is less, and to the gradient's norm. (Errors of logits
# move the loss by an absolute amount, and the loss may be 0.01 after three steps that memorised a
# few tokens.)
#   fp32   Both round alike, and differ by 1e-7. A near tie of experts may be decided differently
#          for one or two tokens of thousands; that moves the loss by some 1e-6, the norm by 1e-5.
#          A transposed H_res moves the norm by 1e-3, missing RoPE by 3e-3, 18 Sinkhorn iterations
#          too few by 7e-4 (C = 64).
#   bf16   Every value is off by up to 2⁻⁸ and more tokens change an expert; a mean over thousands
#          of tokens retains little of it (docs/numerics.md: 0.3 % of the loss at most).
BOUNDS = {"fp32": (1e-5, 1e-4), "bf16": (3e-3, 5e-2), "autocast": (3e-3, 5e-2)}


def check(ready, first, precision):
    """Compares a worker's first step with Birkhoff's metrics, from the same state and tokens."""
    loss, norm = ready["loss"] / first["loss"] - 1, ready["norm"] / first["grad_norm"] - 1
    most = BOUNDS[precision]
    return {"loss": loss, "norm": norm, "birkhoff_loss": first["loss"],
            "birkhoff_norm": first["grad_norm"],
            "holds": (abs(ready["loss"] - first["loss"]) <= most[0] * max(first["loss"], 1)
                      and abs(norm) <= most[1])}  # false for NaN


def pairs(own, other, count):
    """Seconds of both sides. They alternate in going first, so that a machine that becomes slower
    favours neither."""
    found = []
    for i in range(count):
        sides = {"birkhoff": own, "torch": other}
        names = list(sides) if i % 2 == 0 else list(reversed(sides))
        pair = {name: sides[name]() for name in names}
        found.append({"birkhoff": pair["birkhoff"], "torch": pair["torch"],
                      "ratio": pair["torch"] / pair["birkhoff"]})
    return found
