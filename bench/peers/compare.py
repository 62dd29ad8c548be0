"""Two sides: whether they compute the same, and how long they take side by side."""

# Of the loss, or of 1 where it is less (what is off are logits, and so a loss by itself, not by a
# part of it: it may be 0.01 where three steps have learnt a few tokens by heart), and of the
# gradient's norm.
#   fp32   Both round alike: 1e-7 is there. A near tie of experts may fall the other way for one or
#          two tokens of thousands: the loss moves by some 1e-6, the norm by 1e-5. H_res transposed
#          moves the norm by 1e-3, no RoPE by 3e-3, 18 Sinkhorn iterations too few by 7e-4 (C = 64).
#   bf16   Every value is off by up to 2⁻⁸ and more tokens change an expert; a mean over thousands
#          of tokens keeps little of it (docs/numerics.md: 0.3 % of the loss at most).
BOUNDS = {"fp32": (1e-5, 1e-4), "bf16": (3e-3, 5e-2), "autocast": (3e-3, 5e-2)}


def check(ready, first, precision):
    """A worker's first step against the line of Birkhoff's, from the same state and tokens."""
    loss, norm = ready["loss"] / first["loss"] - 1, ready["norm"] / first["grad_norm"] - 1
    most = BOUNDS[precision]
    return {"loss": loss, "norm": norm, "birkhoff_loss": first["loss"],
            "birkhoff_norm": first["grad_norm"],
            "holds": (abs(ready["loss"] - first["loss"]) <= most[0] * max(first["loss"], 1)
                      and abs(norm) <= most[1])}  # false for NaN


def pairs(own, other, count):
    """Seconds of both, side by side, by turns the one and the other first: a machine that becomes
    slower favours neither."""
    found = []
    for i in range(count):
        sides = {"birkhoff": own, "torch": other}
        names = list(sides) if i % 2 == 0 else list(reversed(sides))
        pair = {name: sides[name]() for name in names}
        found.append({"birkhoff": pair["birkhoff"], "torch": pair["torch"],
                      "ratio": pair["torch"] / pair["birkhoff"]})
    return found
