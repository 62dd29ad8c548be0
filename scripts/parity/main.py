"""Runs every case and compares; scripts/parity.sh calls it.

    main.py PROGRAM OUT [--only TEXT] [--accept]

PROGRAM is the executable of tests/programs/parity.cpp. The results are OUT/report.json and
OUT/report.md. --only runs only cases whose name contains TEXT. --accept rewrites docs/numerics.md's
tables and tests/golden/parity. Exit code 1 if a bound is exceeded.
"""
import argparse
import pathlib
import sys
import time

import numpy
import torch
import transformers

import adamw
import cases
import engine
import golden
import imports
import public
import report
import training

VERSIONS = {"torch": torch.__version__, "transformers": transformers.__version__,
            "numpy": numpy.__version__}


def all_cases(residuals):
    """The cases to run; residuals that the binary lacks are left out."""
    streams = [r for r in residuals if r != "plain"]
    return (cases.PLAIN + [c for r in streams for c in cases.residual_cases(r)] +
            [c for form in ("paper", "v4") for c in cases.operator_cases(form)] +
            [c for r in residuals for c in cases.bf16_cases(r)] +
            imports.CASES +
            [c for r in residuals for c in training.training_cases(r)] + adamw.CASES)


def others(case):
    """Results of independent implementations in fp32: {side: tensors}."""
    if case in cases.PLAIN:
        return {"transformers f32": public.deepseek_v3(case.shape, *case.tensors())}
    if isinstance(case, imports.ImportCase):
        return {"transformers f32": case.transformers()}
    if isinstance(case, cases.OperatorCase) and case.sinkhorn == "v4":
        return {"transformers f32": public.hyper_connection(case.tensors(), case.n,
                                                            case.iterations, case.eps)}
    return {}


def compare(case, birkhoff):
    """Entries of all sides, and the data for goldens."""
    if isinstance(case, adamw.AdamWCase):
        sides = {"birkhoff f32": birkhoff.run(*case.case()), "torch f32": case.torch_fp32()}
        return case.compare(sides), None, sides
    if isinstance(case, cases.Together):
        return case.compare(birkhoff.run, "bf16"), None, {}
    oracle, sides, entries = case.oracle(), others(case), []
    for side, got in sides.items():
        entries += oracle.compare(case.name, side, got)
    for dtype in case.dtypes:
        got = birkhoff.run(*case.case(), dtype)
        if isinstance(case, imports.ImportCase):
            got = case.merged(got)
        entries += oracle.compare(case.name, f"birkhoff {dtype}", got, dtype)
    return entries, oracle, sides


def main():
    parser = argparse.ArgumentParser(prog="scripts/parity.sh")
    parser.add_argument("program")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--only", default="",
                        help="run only the cases whose name contains this text")
    parser.add_argument("--accept", action="store_true",
                        help="rewrite the tables of docs/numerics.md and the golden tensors")
    args = parser.parse_args()
    if args.accept and args.only:
        parser.error("--accept needs all cases, so it cannot be combined with --only")
    torch.set_num_threads(1)  # with two threads such small tensors are slower
    birkhoff = engine.Engine(args.program)
    entries, goldens = [], {}
    for case in all_cases(birkhoff.residuals()):
        if args.only not in case.name:
            continue
        start = time.monotonic()
        own, oracle, sides = compare(case, birkhoff)
        entries += own
        worst = max(own, key=lambda e: e.ratio())
        print(f"{case.name}: {len(own)} comparisons, error at most {worst.ratio():.2g} of its "
              f"bound ({worst.side}, {worst.tensor}), {time.monotonic() - start:.1f} s", flush=True)
        if case.name in golden.CASES:
            goldens[case.name] = golden.tensors(case, oracle, sides)
    report.write_json(args.out / "report.json", entries, VERSIONS)
    table = report.table(entries, VERSIONS)
    (args.out / "report.md").write_text(table, encoding="utf-8")
    broken = [e for e in entries if not e.holds()]
    for e in broken:
        print(f"BROKEN: {e.case}, {e.side}, {e.tensor}: error {e.error:.3g}, bound {e.bound:.3g}, "
              f"norm {e.norm:.3g}")
    print(f"{len(entries)} comparisons, {len(broken)} broken bounds")
    if broken or not entries:
        sys.exit(1)
    if args.accept:
        report.write_docs(table)
        golden.write(goldens, VERSIONS)


if __name__ == "__main__":
    main()
