"""A PyTorch process for the duration of a comparison: compiles once, then takes steps on command.

    worker.py JOB        JOB: JSON, as peer.py writes it

Writes a line of JSON when it is ready, and one for each line it reads:

    {"loss": …, "norm": …, "load": …, "first": …, "warm": …, "memory": …}
            results of the first step; its seconds; seconds until everything is compiled
    5  →  {"seconds": [five numbers], "memory": …}                memory: VmHWM in bytes
"""
import json
import os
import sys
import time

import numpy
import torch
import yaml
from safetensors import safe_open

import settings
import sublayer

WARM = 6  # at most this many steps until everything is compiled


def tensors_of(parts):
    """The model's tensors in a checkpoint that one rank wrote."""
    found = {}
    for part in parts:
        with safe_open(part, "pt") as file:
            found |= {name: file.get_tensor(name) for name in file.keys()
                      if not name.startswith("adam_")}
    return found


def training(job):
    with open(job["config"], encoding="utf-8") as file:
        config = yaml.safe_load(file)
    ids = torch.from_numpy(numpy.fromfile(job["tokens"], numpy.uint16).astype(numpy.int64))
    token, target = (t.view(-1, config["train"]["sequence"]) for t in (ids[:-1], ids[1:]))
    return settings.Training(settings.Setting(**job["setting"]), config, tensors_of(job["parts"]),
                             token, target)


def memory():
    """Peak resident memory in bytes."""
    with open("/proc/self/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))


def graphs():
    return torch._dynamo.utils.counters["stats"]["unique_graphs"]


def timed(thing):
    start = time.perf_counter()
    result = thing.step()
    return result, time.perf_counter() - start


def main():
    # Libraries may print to stdout, so replies get a descriptor of their own.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(record):
        print(json.dumps(record), file=replies, flush=True)

    with open(sys.argv[1], encoding="utf-8") as file:
        job = json.load(file)
    torch.set_num_threads(job["threads"])
    thing = sublayer.Path(**job["path"]) if "path" in job else training(job)
    start = time.perf_counter()
    found, first = timed(thing)
    compiled, steps = 0, 1
    while compiled != graphs() and steps < WARM:
        compiled, steps = graphs(), steps + 1
        timed(thing)
    say(found | {"first": first, "warm": time.perf_counter() - start, "memory": memory()})
    for line in sys.stdin:
        say({"seconds": [timed(thing)[1] for _ in range(int(line))], "memory": memory()})


if __name__ == "__main__":
    main()
