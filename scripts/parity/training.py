"""Training steps in PyTorch: torch.optim.AdamW on the model of model.py, with everything else
(loss, clipping, schedule, decay groups, balancing) written from its definition."""
import dataclasses

import torch

import model
import shape as shapes
from oracle import Oracle
from shape import Shape

# Every group of tensors has its own decay rate, so that a tensor in the wrong group is noticed.
OPTIM = {"lr": 3e-3, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.1,
         "weight_decay_embedding": 0.05, "weight_decay_phi": 0.2, "weight_decay_static": 0.03,
         "weight_decay_norm": 0.01, "clip_norm": 1.0, "schedule": "step", "warmup_steps": 5,
         "step_points": [0.6, 0.8], "step_factors": [0.316, 0.1]}
STEPS = 50
# Seeds without a near tie of experts in 50 steps, which Oracle asserts.
SEEDS = {"plain": 1, "hc": 1, "mhc": 2}
SAMPLES = 8  # each is a whole training


@dataclasses.dataclass(frozen=True)
class TrainingCase:
    name: str
    shape: Shape
    optim: dict = dataclasses.field(default_factory=lambda: dict(OPTIM))
    speed: float = 1e-3  # speed of balancing
    batch: tuple = (4, 2, 6)  # global_batch, micro_batch, sequence
    seed: int = 1
    dtypes: tuple = ("f32",)

    def config(self):
        sequences, micro, sequence = self.batch
        sections = self.shape.sections()
        sections["moe"]["bias_speed"] = self.speed
        return shapes.yaml(sections | {
            "optim": self.optim,
            "train": {"steps": STEPS, "global_batch": sequences, "micro_batch": micro,
                      "sequence": sequence, "telemetry_every": 0}})

    def tensors(self):
        key = f"{self.name} {self.seed}"
        sequences, _, sequence = self.batch
        token, target = shapes.random_batch(self.shape, key, (STEPS, sequences, sequence))
        return shapes.random_parameters(self.shape, key, phi_sd=0.02), token, target

    def case(self):
        p, token, target = self.tensors()
        return ({"run": "training", "config": self.config()},
                {"parameter." + name: t for name, t in p.items()} |
                {"batch.token": token, "batch.target": target})

    def oracle(self):
        tensors = self.tensors()
        return Oracle(lambda: self.compute(tensors), self.shape.active, SAMPLES)

    def compute(self, tensors):
        start, tokens, targets = tensors
        s, o = self.shape, self.optim
        biases = {name: t.double() for name, t in start.items() if name.endswith(shapes.BIAS)}
        p = {name: t.double().requires_grad_() for name, t in start.items() if name not in biases}
        adam = torch.optim.AdamW(
            [{"params": [t], "weight_decay": o[decay_key(name)]} for name, t in p.items()],
            lr=1.0, betas=(o["beta1"], o["beta2"]), eps=o["eps"], foreach=False)
        history = {"loss": [], "grad_norm": [], "lr": []}
        choices = []
        for t in range(1, STEPS + 1):
            for parameter in p.values():  # so that an expert without tokens has the gradient 0
                parameter.grad = torch.zeros_like(parameter)
            logits, routing = model.forward(p | biases, tokens[t - 1], s)
            loss = model.mean_loss(logits, targets[t - 1])
            loss.backward()
            norm = clip([parameter.grad for parameter in p.values()], o["clip_norm"])
            rate = learning_rate(o, t)
            for group in adam.param_groups:
                group["lr"] = float(rate)
            adam.step()
            balance(biases, routing, s, self.speed)
            choices += routing
            for key, value in (("loss", loss.detach()), ("grad_norm", norm), ("lr", rate)):
                history[key].append(value)
        values = {key: torch.stack(series) for key, series in history.items()}
        values |= {"parameter." + name: t.detach() for name, t in (p | biases).items()}
        return values, choices


def decay_key(name):
    """The key of Birkhoff's config that gives a tensor's decay."""
    leaf = name.rsplit(".", 1)[-1]
    if "norm" in name:
        return "weight_decay_norm"
    if name in ("model.embed_tokens.weight", "lm_head.weight"):
        return "weight_decay_embedding"
    if leaf == "phi" or leaf.startswith("theta_") or name == "model.readout.w":
        return "weight_decay_phi"
    if leaf == "alpha" or leaf.startswith("b_") or name.startswith("model.readout."):
        return "weight_decay_static"
    return "weight_decay"


def clip(gradients, largest):
    """Scales the gradients to the norm `largest` if theirs is larger; returns their norm. (torch's
    own function adds 1e-6 to the norm.)"""
    norm = sum((g * g).sum() for g in gradients).sqrt()
    if norm > largest:
        for g in gradients:
            g.mul_(largest / norm)
    return norm


def learning_rate(o, step):
    """Linear warm-up, then lr times the factor of the last point passed."""
    base = torch.tensor(o["lr"], dtype=torch.float64)
    if step <= o["warmup_steps"]:
        return base * (step / o["warmup_steps"])
    factor = 1.0
    for point, then in zip(o["step_points"], o["step_factors"]):
        if step > round(point * STEPS):
            factor = then
    return base * factor


def balance(biases, routing, s, speed):
    """Loss-free balancing (arXiv 2408.15664), for each MoE layer in order."""
    for layer, choice in zip(range(s.dense_layers, s.layers), routing):
        chosen = choice.sort(-1, descending=True)[1][..., :s.active]
        load = torch.bincount(chosen.flatten(), minlength=s.experts)
        under = torch.sign(load.sum() - load * s.experts)
        biases[f"model.layers.{layer}.{shapes.BIAS}"] += speed * under


def training_cases(residual):
    # Uses few iterations, as the samples of 50 steps take long; 20 are compared in other cases.
    streams = {} if residual == "plain" else {
        "residual": residual, "readout": "learned", "sinkhorn_iterations": 4}
    return [TrainingCase(f"training_{residual}", Shape(layers=2, **streams), seed=SEEDS[residual])]
