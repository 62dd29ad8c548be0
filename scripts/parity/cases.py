"""The list of cases and what each compares. A case runs in f32, and, if Birkhoff's reference bodies
can run it, in f64, where only real differences remain. bf16 has separate cases, in which the choice
of experts must be clear at 8 bits."""
import dataclasses
import math

import torch

import model
import residuals
import shape as shapes
from entry import Entry
from oracle import COVER, Oracle
from shape import Shape
from storage import BF16


@dataclasses.dataclass(frozen=True)
class ModelCase:
    name: str
    shape: Shape
    batch: tuple = (2, 5)
    train: dict = dataclasses.field(default_factory=dict)
    # Suffixes of tensor names that get a thousandth of the usual size, so that the eps of the norm
    # that reads them has an effect.
    small: tuple = ()
    seed: int = 1
    dtypes: tuple = ("f32", "f64")

    def config(self):
        sequences, sequence = self.batch
        return shapes.yaml(self.shape.sections() | {"train": {
            "global_batch": sequences, "micro_batch": sequences, "sequence": sequence,
            "telemetry_every": 0} | self.train})

    def tensors(self):
        key = f"{self.name} {self.seed}"
        token, target = shapes.random_batch(self.shape, key, self.batch)
        p = shapes.random_parameters(self.shape, key)
        p = {name: 1e-3 * t if name.endswith(self.small) else t for name, t in p.items()}
        return p, token, target

    def case(self):
        """Metadata and tensors in the form of tests/support/parity.h."""
        p, token, target = self.tensors()
        return ({"run": "model", "config": self.config()},
                {"parameter." + name: t for name, t in p.items()} |
                {"batch.token": token, "batch.target": target})

    def compute(self, tensors):
        s = self.shape
        p, token, target = tensors
        p = {name: t.double().requires_grad_(not name.endswith(shapes.BIAS))
             for name, t in p.items()}
        logits, routing = model.forward(p, token, s)
        loss = model.mean_loss(logits, target)
        loss.backward()
        values = {"loss": loss.detach().reshape(1), "logits": logits.detach().flatten(0, -2)}
        for name, t in p.items():
            if t.requires_grad:  # an expert that no token chose has no gradient
                values["gradient." + name] = torch.zeros_like(t) if t.grad is None else t.grad
        return values, routing

    def oracle(self):
        tensors = self.tensors()
        return Oracle(lambda: self.compute(tensors), self.shape.active,
                      storage=BF16 if "bf16" in self.dtypes else 0.0)


@dataclasses.dataclass(frozen=True)
class Together:
    """A model with several seeds. Besides each tensor's bound, all errors together have one."""
    name: str
    model: ModelCase
    seeds: int = 12

    def compare(self, run, dtype):
        """`run` maps (metadata, tensors, dtype) to tensors, as Engine.run does."""
        side, entries = f"birkhoff {dtype}", []
        for seed in range(1, self.seeds + 1):
            case = dataclasses.replace(self.model, name=self.name, seed=seed)
            entries += case.oracle().compare(self.name, side, run(*case.case(), dtype))
        squares = [(COVER * e.ratio()) ** 2 for e in entries]
        rms = math.sqrt(sum(squares) / len(squares))
        return entries + [Entry(self.name, side, "rms of error / d", rms, 1.0, 0.0)]


@dataclasses.dataclass(frozen=True)
class OperatorCase:
    """mHC alone, with a sublayer's output f as a separate input."""
    name: str
    n: int
    tokens: int
    width: int
    sinkhorn: str = "paper"
    spread: float = 1.0  # size of b and alpha, and so the spread of the logits
    eps: float = 1e-6
    size: float = 1.0  # size of x; at 1e-3 eps has an effect
    iterations: int = 20
    dtypes: tuple = ("f32", "f64")

    def tensors(self):
        n, t, c = self.n, self.tokens, self.width
        columns = n * n + 2 * n
        sizes = {"x": (t, n * c), "f": (t, c), "phi": (n * c, columns), "b": (columns,),
                 "dh": (t, c), "dy": (t, n * c)}
        deviations = {"x": self.size, "phi": (n * c) ** -0.5, "b": self.spread}
        tensors = {key: shapes.normal(f"{self.name} {key}", size, deviations.get(key, 1.0))
                   for key, size in sizes.items()}
        return tensors | {"alpha": shapes.normal(f"{self.name} alpha", (3,), 0.1, self.spread)}

    def case(self):
        return ({"run": "mhc", "n": self.n, "eps": self.eps, "iterations": self.iterations,
                 "sinkhorn": self.sinkhorn}, self.tensors())

    def compute(self, tensors):
        t = {name: value.double() for name, value in tensors.items()}
        inputs = {name: t[name].requires_grad_() for name in ("x", "f", "phi", "alpha", "b")}
        x = t["x"].unflatten(-1, (self.n, self.width))
        h, post, res = residuals.coefficients(x, t["phi"], t["alpha"], t["b"], self.eps,
                                              self.sinkhorn, self.iterations)
        y = residuals.mix(x, post, res, t["f"])
        ((h * t["dh"]).sum() + (y.flatten(-2) * t["dy"]).sum()).backward()
        values = {"h": h, "y": y, "post": post, "res": res}
        values = {name: value.detach() for name, value in values.items()}
        return values | {"d" + name: value.grad for name, value in inputs.items()}, []

    def oracle(self):
        tensors = self.tensors()
        return Oracle(lambda: self.compute(tensors))


RAGGED = {"vocab": 31, "dim": 13, "heads": 3, "nope_dim": 5, "rope_dim": 6, "v_dim": 7,
          "kv_rank": 3, "dense_ffn_dim": 11, "experts": 5, "active": 3, "shared": 2,
          "expert_dim": 3, "scaling": 2.5}

# Of five pairs, two keep their frequency, two are in between, and the last one is divided by 8.
YARN = {"rope_dim": 10, "rope_theta": 100.0, "rope_scaling": "yarn", "rope_factor": 8.0,
        "rope_original_positions": 1024, "rope_beta_slow": 8.0}

# Compared with DeepseekV3ForCausalLM and the model of model.py.
PLAIN = [
    ModelCase("plain_dense", Shape(layers=2, dense_layers=2)),
    ModelCase("plain_moe", Shape()),
    ModelCase("plain_ragged", Shape(**RAGGED, norm_eps=3e-6), (3, 7),
              small=("embed_tokens.weight", "kv_a_proj_with_mqa.weight")),
    ModelCase("plain_eps", Shape(norm_eps=1e-20, normalise=False, dense_layers=0), (4, 1)),
    ModelCase("plain_long", Shape(layers=2, rope_theta=100.0, active=1), (1, 37)),
    ModelCase("plain_groups", Shape(experts=9, active=3, groups=3, active_groups=2)),
    ModelCase("plain_v3", Shape(layers=2, q_rank=5, experts=8, active=3, groups=4, active_groups=2,
                                **YARN, rope_mscale=1.0, rope_mscale_all_dim=0.7, scaling=2.5,
                                norm_eps=3e-6), (2, 7), small=("q_a_proj.weight",)),
    ModelCase("plain_q_rank", Shape(q_rank=5, norm_eps=3e-6), small=("q_a_proj.weight",)),
    ModelCase("plain_yarn", Shape(layers=2, **YARN, rope_mscale=1.0, rope_mscale_all_dim=1.0),
              (1, 37)),
    ModelCase("plain_yarn_ends", Shape(layers=2, **YARN | {"rope_beta_slow": 32.0},
                                       rope_mscale_all_dim=0.7, rope_truncate=False), (1, 37)),
    ModelCase("plain_yarn_sizes", Shape(layers=2, **YARN, rope_mscale=0.7, rope_mscale_all_dim=1.5),
              (1, 9)),
    ModelCase("plain_yarn_factor", Shape(layers=2, **YARN, rope_attention_factor=0.8), (1, 9)),
]


BF16_SEEDS = {"plain": 199, "hc": 349, "mhc": 172}


def residual_cases(residual):
    """Models with streams, compared only with model.py, as no other implementation exists."""
    base = {"residual": residual, "norm_eps": 1e-20}
    cases = [
        ModelCase(residual, Shape(**base)),
        ModelCase(f"{residual}_learned", Shape(**base, readout="learned", shared=0)),
        ModelCase(f"{residual}_ragged", Shape(**base | {"streams": 2}, **RAGGED), (3, 7)),
        ModelCase(f"{residual}_n1", Shape(**base | {"streams": 1}, layers=2)),
        ModelCase(f"{residual}_n8", Shape(**base | {"streams": 8}, layers=2), (1, 4)),
        ModelCase(f"{residual}_recompute", Shape(**base, buffer_factor=0.45), (2, 6),
                  {"recompute": 2}),
    ]
    if residual == "mhc":
        v4 = base | {"sinkhorn": "v4", "norm_eps": 1e-6}
        cases += [ModelCase("mhc_v4", Shape(**v4)),
                  ModelCase("mhc_v4_learned", Shape(**v4, readout="learned"), (2, 6))]
    else:
        cases.append(ModelCase("hc_static", Shape(**base, hc="static")))
    return cases


def bf16_cases(residual):
    """With 8 bits most routing is a near tie. Models that choose one expert per token have few
    tokens, and a seed found among 400; in the others every token takes all experts."""
    base, learned = {"layers": 2}, {}
    if residual != "plain":
        base |= {"residual": residual, "norm_eps": 1e-20}
        learned = {"readout": "learned"}
    chosen = Shape(**base, experts=3, active=1, normalise=False)
    all_experts = Shape(**base, **learned, experts=3, active=3)
    latent = []
    if residual == "plain":
        shape = Shape(**base | {"dense_layers": 2}, q_rank=5, **YARN, rope_mscale_all_dim=1.0)
        latent = [ModelCase("bf16_plain_latent", shape, dtypes=("bf16",))]
    return [ModelCase(f"bf16_{residual}_dense", Shape(**base | {"dense_layers": 2}),
                      dtypes=("bf16",)), *latent,
            ModelCase(f"bf16_{residual}_moe", chosen, (1, 6), seed=BF16_SEEDS[residual],
                      dtypes=("bf16",)),
            Together(f"bf16_{residual}_together", ModelCase("", all_experts, dtypes=("bf16",)))]


def operator_cases(form):
    sizes = [(1, 5, 3), (2, 7, 13), (4, 9, 24), (4, 1, 1), (8, 3, 17)]
    cases = [OperatorCase(f"{form}_n{n}_{t}x{c}", n, t, c, form) for n, t, c in sizes]
    return cases + [OperatorCase(f"{form}_wide", 4, 11, 16, form, 4.0),
                    OperatorCase(f"{form}_small", 4, 5, 6, form, size=1e-3),
                    OperatorCase(f"{form}_3_iterations", 4, 6, 10, form, iterations=3)]
