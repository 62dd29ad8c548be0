"""Birkhoff's side of the comparison: makes the state of a model after some steps, and a run that
resumes from it and can be stopped while the other side uses the machine."""
import json
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import time

import numpy

# A state in which every part has an effect: after some steps no parameter has its initial value,
# phi is not 0 and the streams differ. Matrices of this size make attention and router selective.
GENERAL = ["model.alpha_init=4", "model.init_std=0.05"]
STATE = [*GENERAL, "train.stop_at=3", "optim.lr=1e-3", "optim.warmup_steps=1"]
# The timed run takes such small steps that it stays in that state.
TIMED = [*GENERAL, "train.steps=1000", "optim.lr=1e-6", "optim.warmup_steps=0",
         "run.allow_changes=true", "run.timeout=86400"]


def write_tokens(prefix, count, vocab):
    """Writes a dataset (docs/formats/dataset.md) with one document of count + 1 tokens. A step that
    takes all of its windows has the same loss in whatever order they come."""
    ids = numpy.random.default_rng(1).integers(vocab, size=count + 1, dtype=numpy.uint16)
    prefix.parent.mkdir(parents=True, exist_ok=True)
    ids.tofile(prefix.with_suffix(".bin"))
    index = b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, 8, 1, 2)
    index += struct.pack("<iqqq", len(ids), 0, 0, 1)
    prefix.with_suffix(".idx").write_bytes(index)
    return prefix


class Birkhoff:
    def __init__(self, program, scratch, threads):
        self.program, self.scratch, self.threads = program, scratch, threads

    def command(self, config, directory, tokens, overrides):
        return [self.program, "train", config, f"run.dir={directory}",
                f"run.threads={self.threads}", "data.source=files", f"data.path={tokens}",
                "data.validation_fraction=0", "checkpoint.every=0", *overrides]

    def state(self, name, config, tokens, overrides):
        """The checkpoint after the steps of STATE."""
        directory = self.scratch / name
        shutil.rmtree(directory, ignore_errors=True)
        complete(self.command(config, directory, tokens, STATE + overrides))
        return next((directory / "checkpoints").glob("step-*"))

    def mhc_seconds(self, config, tokens, overrides):
        """Seconds of the mHC operators per sublayer and step, forward and backward, from the
        profile of a short training."""
        directory = self.scratch / "profile"
        shutil.rmtree(directory, ignore_errors=True)
        said = complete([*self.command(config, directory, tokens, overrides), "--profile"])
        found = re.findall(r"info: mhc_open +(\d+) calls", said)
        seconds = [float(x) for x in re.findall(r"info: mhc_\w+ +\d+ calls +([\d.]+) s", said)]
        if not found:
            raise SystemExit(f"peers: the profile of {config} has no mhc_open")
        return sum(seconds) / int(found[0])


def complete(command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stderr + done.stdout


class Run:
    """A long training that resumes from a checkpoint; it is stopped except during run()."""

    def __init__(self, birkhoff, checkpoint, config, tokens, overrides):
        self.directory = birkhoff.scratch / "timed"
        shutil.rmtree(self.directory, ignore_errors=True)
        copy = self.directory / "checkpoints" / checkpoint.name
        shutil.copytree(checkpoint, copy, copy_function=os.link)
        command = birkhoff.command(config, self.directory, tokens, TIMED + overrides)
        self.log = open(birkhoff.scratch / "timed.log", "w+", encoding="utf-8")
        # A session of its own: when a shell exits, the stopped processes of its session continue.
        self.process = subprocess.Popen(list(map(str, command)), stdout=self.log, stderr=self.log,
                                        start_new_session=True)
        self.first = self._wait(1)[0]
        self._hold()

    @property
    def config(self):
        return self.directory / "config.yaml"

    def run(self, steps):
        """Seconds of each of `steps` steps. The step during which the run was stopped includes the
        pause and does not count."""
        before = len(self._records())
        self.process.send_signal(signal.SIGCONT)
        records = self._wait(before + 1 + steps)
        self._hold()
        return [r["step_seconds"] for r in records[before + 1:before + 1 + steps]]

    def memory(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024

    def close(self):
        """Kills the run, so that it does not save."""
        self.process.kill()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.directory)

    def _hold(self):
        self.process.send_signal(signal.SIGSTOP)

    def _records(self):
        path = self.directory / "metrics.jsonl"
        lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in lines]

    def _wait(self, count):
        while len(records := self._records()) < count:
            if self.process.poll() is not None:
                self.log.seek(0)
                raise SystemExit(f"peers: birkhoff ended: {self.log.read().strip()}")
            time.sleep(0.02)
        return records

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
