"""Settings that users of PyTorch try on a CPU. All are measured and shown."""
import dataclasses

import torch
from torch import nn

import model

PINNED = {"OMP_PROC_BIND": "close", "OMP_PLACES": "cores"}


@dataclasses.dataclass(frozen=True)
class Setting:
    name: str
    precision: str = "bf16"  # bf16 weights; autocast: fp32 weights, bf16 products; fp32
    experts: str = "grouped"
    mode: str = ""  # of torch.compile; "" means eager
    mix: str = "matmul"  # how streams are mixed: model.py
    adam: str = "fused"
    environment: dict = dataclasses.field(default_factory=dict)


# Settings expected to be fast come first, since one far behind the best so far is given up early.
SETTINGS = [
    Setting("compiled bf16, grouped", mode="default", mix="unrolled"),
    Setting("compiled bf16, grouped, broadcast", mode="default", mix="broadcast"),
    Setting("compiled bf16, grouped, pinned", mode="default", mix="unrolled", environment=PINNED),
    Setting("compiled bf16, loop", mode="default", mix="unrolled", experts="loop"),
    Setting("compiled autocast, grouped", mode="default", mix="unrolled", precision="autocast"),
    Setting("eager bf16, grouped"),
    Setting("eager bf16, loop", experts="loop"),
    Setting("eager autocast, loop", precision="autocast", experts="loop"),
    Setting("eager fp32, loop, foreach AdamW", precision="fp32", experts="loop", adam="foreach"),
    Setting("max-autotune bf16, grouped", mode="max-autotune", mix="unrolled"),
]
EXACT = next(s for s in SETTINGS if s.precision == "fp32")  # compared with Birkhoff's fp32


class Training:
    """One model with its optimizer on one batch of tokens."""

    def __init__(self, setting, config, tensors, token, target):
        self.setting, self.token, self.target = setting, token, target
        self.model = model.Model(model.Shape(config), setting.experts, setting.mix,
                                 token.shape[1])
        model.load(self.model, tensors)
        self.dtype = torch.float32 if setting.precision == "fp32" else torch.bfloat16
        if setting.precision == "bf16":
            for name, p in self.model.named_parameters():
                if not model.keeps_fp32(name):
                    p.data = p.data.to(torch.bfloat16)
        self.parameters = list(self.model.parameters())
        optim = {key: float(config["optim"][key]) for key in
                 ("lr", "beta1", "beta2", "eps", "weight_decay", "clip_norm")}
        self.clip_norm = optim["clip_norm"]
        groups = [{"params": [p for name, p in self.model.named_parameters()
                              if model.decays(name) == decays],
                   "weight_decay": optim["weight_decay"] if decays else 0.0}
                  for decays in (True, False)]
        self.adam = torch.optim.AdamW(groups, lr=optim["lr"], eps=optim["eps"],
                                      betas=(optim["beta1"], optim["beta2"]),
                                      **{setting.adam: True})
        self._compile()

    def _compile(self):
        if not self.setting.mode:
            return
        torch._dynamo.config.capture_scalar_outputs = True  # number of tokens per expert
        mode = None if self.setting.mode == "default" else self.setting.mode
        # Compiling the whole model takes many times as long, and longer with every layer.
        for block in self.model.model.layers:
            block.compile(mode=mode)
        self.model.loss = torch.compile(self.model.loss, mode=mode)

    def step(self):
        """Takes a whole step; returns {loss, gradient norm, largest load of an expert}."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.setting.precision == "autocast"):
            loss = self.model(self.token, self.target, self.dtype)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.parameters, self.clip_norm, foreach=True)
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        self.model.balance()
        return {"loss": loss.item(), "norm": norm.item(), "load": self.model.largest_load()}
