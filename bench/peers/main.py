"""Birkhoff's whole training step against the same model in PyTorch; scripts/peers.sh calls it.

    main.py PROGRAM OUT [--quick | --warm] [--only TEXT] [--accept]

PROGRAM is the binary. The results are OUT/report.json, report.md and pairs.png. Exit code 1 if
PyTorch's loss or gradient norm differs from Birkhoff's.
"""
import argparse
import dataclasses
import pathlib
import signal
import statistics
import sys

import birkhoff
import compare
import machine
import report
import settings
import sublayer
from peer import Failed, Worker

GIVE_UP = 1.2  # a setting's first warm step may take this many times the best so far
STEPS = 5  # per setting
BUSY = 0.15  # share of all cores that others may use; with more, results are not accepted
LIMIT = 150  # seconds until a setting must be compiled and warm
PATIENT = 1800  # the same if there is no alternative, or when filling the compiler's cache


@dataclasses.dataclass(frozen=True)
class Variant:
    name: str
    config: str = "configs/bench/cpu-65m.yaml"
    residual: str = "mhc"
    batch: int = 4
    sequence: int = 512
    pairs: int = 8
    vocab: int = 8192
    exact: bool = False  # whether it is also compared in fp32
    smaller: tuple = ()

    def overrides(self):
        return [f"model.residual={self.residual}", f"train.global_batch={self.batch}",
                f"train.micro_batch={self.batch}", f"train.sequence={self.sequence}",
                *self.smaller]

    def tokens(self):
        return self.batch * self.sequence


VARIANTS = [
    Variant("cpu-65m, mHC", exact=True),
    Variant("cpu-65m, plain residual", residual="plain", exact=True),
    Variant("cpu-65m, mHC, sequences of 2048", batch=1, sequence=2048, pairs=3),
    Variant("cpu-65m, mHC, sequences of 4096", batch=1, sequence=4096, pairs=3),
    Variant("block-3b, mHC", config="configs/bench/block-3b.yaml", batch=1, sequence=2048, pairs=3),
]
SMALLER = ("model.layers=2", "model.dim=64", "model.vocab=256", "model.heads=2")
QUICK = [dataclasses.replace(v, pairs=3, smaller=SMALLER, vocab=256, sequence=v.sequence // 8)
         for v in VARIANTS[:3]]
QUICK_SETTINGS = [s for s in settings.SETTINGS
                  if s.name in ("eager bf16, grouped", settings.EXACT.name)]


class Comparison:
    """The comparison of one variant."""

    def __init__(self, own, variant, states):
        self.own, self.variant = own, variant
        self.tokens = birkhoff.write_tokens(
            own.scratch / f"tokens-{variant.vocab}-{variant.tokens()}", variant.tokens(),
            variant.vocab)
        name = f"{pathlib.Path(variant.config).stem}-{variant.residual}"
        if name not in states:
            states[name] = own.state(name, variant.config, self.tokens, variant.overrides())
        self.checkpoint = states[name]

    def run(self, precision):
        overrides = [*self.variant.overrides(), f"train.precision={precision}"]
        return birkhoff.Run(self.own, self.checkpoint, self.variant.config, self.tokens,
                            overrides)

    def worker(self, setting, run, limit=LIMIT):
        job = {"setting": dataclasses.asdict(setting), "threads": self.own.threads,
               "config": str(run.config), "tokens": str(self.tokens.with_suffix(".bin")),
               "parts": [str(p) for p in self.checkpoint.glob("*.safetensors")]}
        return Worker(self.own.scratch, job, setting.environment, limit)

    def exact(self):
        """Checks that both compute the same function in fp32, or no figure has any meaning."""
        with self.run("fp32") as run, self.worker(settings.EXACT, run, PATIENT) as worker:
            check = compare.check(worker.ready, run.first, "fp32")
        if not check["holds"]:
            raise SystemExit(f"peers: {self.variant.name}: PyTorch computes another function: "
                             f"{check}")
        return check

    def warm(self, candidates):
        """Fills the compiler's cache."""
        with self.run("bf16") as run:
            for setting in candidates:
                if setting.mode:
                    with self.worker(setting, run, PATIENT) as worker:
                        say(f"{self.variant.name}: {setting.name}: {worker.ready['warm']:.0f} s, "
                            f"{compare.check(worker.ready, run.first, setting.precision)}")

    def measure(self, candidates):
        """Returns the variant's record and the best of the candidates, which is compared."""
        record = {"name": self.variant.name, "config": self.variant.config,
                  "overrides": self.variant.overrides(), "tokens": self.variant.tokens()}
        if self.variant.exact:
            record["exact"] = self.exact()
        with self.run("bf16") as run:
            record["settings"] = []
            if len(candidates) > 1:
                for setting in candidates:
                    record["settings"].append(self.probe(setting, run, record["settings"]))
            best = best_of(candidates, record["settings"])
            record["best"] = best.name
            say(f"{self.variant.name}: pairs with {best.name}")
            with self.worker(best, run, PATIENT) as worker:
                record["check"] = compare.check(worker.ready, run.first, best.precision)
                record["load"] = worker.ready["load"]
                record["pairs"] = compare.pairs(
                    lambda: run.run(1)[0], lambda: worker.run(1)["seconds"][0],
                    self.variant.pairs)
                record["memory"] = {"birkhoff": run.memory(), "torch": worker.run(0)["memory"]}
        return record, best

    def probe(self, setting, run, others):
        record = {"name": setting.name, "outcome": "measured"}
        best = min((statistics.median(o["seconds"]) for o in others if o["outcome"] == "measured"),
                   default=float("inf"))
        try:
            with self.worker(setting, run) as worker:
                record |= {"warm": worker.ready["warm"], "seconds": worker.run(1)["seconds"]}
                if record["seconds"][0] > GIVE_UP * best:
                    record["outcome"] = "given up: too far behind"
                else:
                    record["seconds"] += worker.run(STEPS - 1)["seconds"]
                record["memory"] = worker.run(0)["memory"]
                if setting.precision != "fp32":
                    record["check"] = compare.check(worker.ready, run.first, setting.precision)
                    if not record["check"]["holds"]:
                        record["outcome"] = "wrong: its loss differs from Birkhoff's"
        except Failed as error:
            record["outcome"] = f"failed: {error}"
        say(f"{self.variant.name}: {setting.name}: {record['outcome']}" +
            (f", {statistics.median(record['seconds']):.2f} s a step" if "seconds" in record
             else ""))
        return record


def best_of(candidates, records):
    if not records:
        return candidates[0]
    seconds = {r["name"]: statistics.median(r["seconds"]) for r in records
               if r["outcome"] == "measured"}
    if not seconds:
        raise SystemExit("peers: no setting of PyTorch works; see build/peers/worker.log")
    return next(s for s in candidates if s.name == min(seconds, key=seconds.get))


def measure(own, variants, candidates):
    records, states = [], {}
    for variant in variants:
        record, best = Comparison(own, variant, states).measure(candidates)
        records.append(record)
        candidates = [best]  # the first variant's best setting is used for the others
    return records


def warm(own, variants, sublayers):
    states, candidates = {}, settings.SETTINGS
    for variant in variants:
        Comparison(own, variant, states).warm(candidates)
        candidates = candidates[:1]
    for path in sublayer.PATHS if sublayers else []:
        if path["compiled"]:
            with Worker(own.scratch, {"path": path, "threads": own.threads}, {}, PATIENT) as worker:
                say(f"sublayer: {path['maker']}: {worker.ready['warm']:.0f} s")


def measure_sublayer(own, paths, pairs):
    """Times every form of one sublayer's mHC path, then the fastest in pairs with Birkhoff."""
    record = {"paths": [], "tokens": sublayer.TOKENS, "dim": sublayer.DIM}

    def worker(path):
        return Worker(own.scratch, {"path": path, "threads": own.threads}, {}, LIMIT)

    for path in paths:
        entry = dict(path)
        try:
            with worker(path) as w:
                entry["seconds"] = w.run(9)["seconds"]
        except Failed as error:
            entry["failed"] = str(error)
        record["paths"].append(entry)
        say(f"sublayer: {path['maker']}, {'compiled' if path['compiled'] else 'eager'}: "
            f"{entry.get('failed') or '%.2f ms' % (1e3 * statistics.median(entry['seconds']))}")
    best = min((e for e in record["paths"] if "seconds" in e and e["maker"] in sublayer.FORMS),
               key=lambda e: statistics.median(e["seconds"]))
    record["best"] = {key: best[key] for key in ("maker", "compiled")}
    tokens = birkhoff.write_tokens(own.scratch / "tokens-sublayer", sublayer.TOKENS, 256)
    with worker(record["best"]) as w:
        record["pairs"] = compare.pairs(
            lambda: own.mhc_seconds("configs/bench/cpu-65m.yaml", tokens, sublayer.LITTLE_ELSE),
            lambda: statistics.median(w.run(9)["seconds"]), pairs)
    return record


def say(text):
    print(f"[peers] {text}", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="scripts/peers.sh")
    parser.add_argument("program")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true",
                        help="check that everything works: small models, two settings, three pairs")
    parser.add_argument("--warm", action="store_true",
                        help="only fill the compiler's cache, without measuring")
    parser.add_argument("--only", default="",
                        help="run only the variants whose name contains this text")
    parser.add_argument("--accept", action="store_true", help="rewrite docs/performance/peers.md")
    args = parser.parse_args()
    if args.accept and (args.quick or args.warm or args.only):
        parser.error("--accept needs all variants in their own sizes, so give no other option")
    args.out.mkdir(parents=True, exist_ok=True)
    out = args.out.resolve()
    own = birkhoff.Birkhoff(str(pathlib.Path(args.program).resolve()), out, machine.cores())
    variants = [v for v in (QUICK if args.quick else VARIANTS) if args.only in v.name]
    if args.warm:
        warm(own, variants, args.only in "sublayer")
        return
    result = {"machine": machine.facts(), "versions": machine.versions(),
              "command": "scripts/peers.sh " + " ".join(sys.argv[3:])}
    busy = result["machine"]["busy"]
    if args.accept and busy > BUSY:
        raise SystemExit(f"peers: other programs keep {100 * busy:.0f} % of the machine busy; "
                         f"--accept needs at most {100 * BUSY:.0f} %, so end them first")
    result["variants"] = measure(own, variants, QUICK_SETTINGS if args.quick else settings.SETTINGS)
    if args.only in "sublayer":
        paths = [p for p in sublayer.PATHS if not (args.quick and p["compiled"])]
        result["sublayer"] = measure_sublayer(own, paths, 3 if args.quick else 5)
    report.write(out, result)
    say(f"{out / 'report.md'}")
    broken = [v["name"] for v in result["variants"] if not v["check"]["holds"]]
    if broken or not (result["variants"] or "sublayer" in result):
        raise SystemExit("peers: these variants were not compared, or computed another function: "
                         f"{broken}")
    if args.accept:
        report.accept(result, out)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends child processes too
    try:
        main()
    except Failed as error:
        raise SystemExit(f"peers: a worker failed: {error}") from None
