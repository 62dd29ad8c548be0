"""The work of scripts/torture.sh: kill, resume, compare. Standard library only."""
import argparse
import collections
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
ENDED_WITHIN = 5.0  # seconds, as docs/reliability.md promises; slower ends are counted

# Epochs end within steps, the schedule has two joints, and a step has four groups of micro-batches.
CONFIG = """
run: {{dir: {run}, threads: 1}}
data: {{path: {data}, validation_fraction: 0.1}}
model: {{vocab: 257, dim: 32, layers: 3, dense_layers: 1, heads: 2, nope_dim: 8, rope_dim: 4,
        v_dim: 8, kv_rank: 16, residual: mhc, streams: 2}}
moe: {{experts: 4, active: 2, shared: 1, expert_dim: 16}}
train: {{steps: 60, global_batch: 15, micro_batch: 4, sequence: 32, precision: fp32,
        eval_every: 7, eval_batches: 4, reduction_groups: 4}}
optim: {{lr: 3e-3, schedule: step, step_points: [0.5, 0.8], step_factors: [0.5, 0.25],
        warmup_steps: 5}}
checkpoint: {{every: 3, keep: 2}}
"""


def text():
    """Short documents, drawn with a fixed seed."""
    draw = random.Random(1)
    words = "the stream of a river mixes and ends north stone light never again".split()
    return "\n\n".join(" ".join(draw.choices(words, k=draw.randint(20, 50)))
                       for _ in range(60)) + "\n"


def processes(mark):
    """Living processes with `mark` in their command line: pid → program."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            stat = (entry / "stat").read_text()
        except OSError:
            continue
        if mark in line and stat.rsplit(")", 1)[1].split()[0] != "Z":
            found[int(entry.name)] = stat[stat.index("(") + 1:stat.rindex(")")]
    return found


def results(run):
    """All that is a function of config and data: lines of metrics, and the last checkpoint."""
    lines = []
    for line in (run / "metrics.jsonl").read_text().splitlines():
        at = min(i for i in (line.find('"step_seconds"'), line.find('"eval_seconds"'), len(line))
                 if i >= 0)
        lines.append(line[:at])
    checkpoints = sorted((run / "checkpoints").iterdir())
    last = checkpoints[-1]
    manifest = json.loads((last / "manifest.json").read_text())
    return {"metrics": lines, "last": last.name,
            "manifest": {k: manifest[k] for k in ("step", "tokens", "state", "tensors", "files")},
            "bytes": {f.name: f.read_bytes() for f in last.glob("*.safetensors")}}


def default_signals():
    """Called in a child: signals ignored here (nohup, a shell's `&`) would stay ignored there."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)


class Torture:
    def __init__(self, binary, ranks, seed):
        self.binary, self.ranks = binary, ranks
        self.draw = random.Random(seed)
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="birkhoff-torture-"))
        (self.place / "text.txt").write_text(text())
        subprocess.run([binary, "data", "prepare", "--out", self.place / "data", "--split",
                        "blank-line", self.place / "text.txt"], check=True, capture_output=True)
        self.counts = collections.Counter()
        self.slowest = 0.0

    def command(self, config):
        return [ROOT / "launch/mpirun.sh", "-np", str(self.ranks), self.binary, "train", config]

    def start(self, run):
        config = self.place / f"{run.name}.yaml"
        config.write_text(CONFIG.format(run=run, data=self.place / "data"))
        with open(self.place / "output", "w", encoding="utf-8") as output:
            return subprocess.Popen(self.command(config), stdout=output,
                                    stderr=subprocess.STDOUT, start_new_session=True,
                                    preexec_fn=default_signals)

    def unbroken(self):
        run = self.place / "unbroken"
        start = time.monotonic()
        if self.start(run).wait(timeout=300) != 0:
            sys.exit((self.place / "output").read_text())
        self.seconds = time.monotonic() - start
        return results(run)

    def strike(self, started, mark):
        """Kills or signals something. Returns what, or None."""
        living = processes(mark)
        ranks = [p for p, name in living.items() if name == "birkhoff"]
        parents = [p for p, name in living.items() if name == "mpirun"]
        kind = self.draw.choices(["a rank", "mpirun", "all ranks at once", "SIGTERM", "SIGUSR1"],
                                 weights=[10, 4, 2, 3, 1])[0]
        try:
            if kind == "a rank" and ranks:
                os.kill(self.draw.choice(ranks), signal.SIGKILL)
            elif kind == "all ranks at once" and ranks:
                for pid in ranks:
                    os.kill(pid, signal.SIGKILL)
            elif kind == "mpirun" and parents:
                os.kill(parents[0], signal.SIGKILL)
            elif kind == "SIGTERM":
                started.send_signal(signal.SIGTERM)
            elif kind == "SIGUSR1":
                started.send_signal(signal.SIGUSR1)
            else:
                return None
        except ProcessLookupError:
            return None
        return kind

    def once(self, run, kill):
        """Starts the run once, and strikes it if `kill`. True if the run reached its end."""
        mark = str(self.place / f"{run.name}.yaml")
        started = self.start(run)
        kind = None
        if kill:
            try:
                started.wait(timeout=self.draw.random() * self.seconds)
            except subprocess.TimeoutExpired:
                kind = self.strike(started, mark)
        struck = time.monotonic()
        status = started.wait(timeout=300)
        while processes(mark):
            if time.monotonic() - struck > 60:
                sys.exit(f"torture: left behind a minute after {kind}: {processes(mark)}")
            time.sleep(0.02)
        if kind:
            self.counts[kind] += 1
            if kind not in ("SIGTERM", "SIGUSR1"):
                took = time.monotonic() - struck
                self.slowest = max(self.slowest, took)
                self.counts["ended too late"] += took > ENDED_WITHIN
        elif status != 0:
            sys.exit(f"torture: ended with {status}, unprovoked:\n"
                     + (self.place / "output").read_text())
        return status == 0


def main():
    parser = argparse.ArgumentParser(prog="scripts/torture.sh")
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--stops", type=int, help="instead: requests to stop (stops.py)")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    if options.stops:
        from stops import try_stops  # which imports this module
        sys.exit(not try_stops(options.binary.resolve(), options.ranks, options.seed,
                               options.stops))
    torture = Torture(options.binary.resolve(), options.ranks, options.seed)
    want = torture.unbroken()
    print(f"seed {options.seed}, {options.ranks} ranks, an unbroken run of {torture.seconds:.1f} s",
          flush=True)
    kinds = ("a rank", "mpirun", "all ranks at once", "SIGTERM", "SIGUSR1")
    kills = runs = wrong = 0
    shown = time.monotonic()
    while kills < options.kills:
        run = torture.place / f"run{runs}"
        while not torture.once(run, kill=kills < options.kills):
            kills = sum(torture.counts[k] for k in kinds)
            if time.monotonic() - shown > 30:
                shown = time.monotonic()
                print(f"{kills} of {options.kills} kills, {runs} runs at their end", flush=True)
        kills = sum(torture.counts[k] for k in kinds)
        got = results(run)
        runs += 1
        if got != want:
            wrong += 1
            print(f"run {runs} differs in {[k for k in want if got[k] != want[k]]}: {run}")
        else:
            shutil.rmtree(run)
    print(f"{kills} kills in {runs} runs: " +
          ", ".join(f"{torture.counts[k]} of {k}" for k in kinds))
    print(f"{wrong} runs differ from the unbroken one")
    print(f"after a kill all processes were gone within {torture.slowest:.1f} s; later than "
          f"{ENDED_WITHIN:.0f} s: {torture.counts['ended too late']}")
    if not wrong:
        shutil.rmtree(torture.place)
    sys.exit(1 if wrong or torture.counts["ended too late"] else 0)


if __name__ == "__main__":
    main()
