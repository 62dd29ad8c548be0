#!/usr/bin/env python3
"""Compares runs in bf16 with runs in fp32, seed by seed: DIR holds fp32-SEED and bf16-SEED.

    build/venv/bin/python3 scripts/precision.py DIR

Prints a line per seed and the verdict, and plots DIR/precision.png. The difference of a pair is the
difference between the means of the last 50 training losses, in percent of fp32's. Exit code 1
unless the mean over the pairs is at most max(2 standard errors, 0.3 %), and the standard error is
at most 0.3 %.
"""
import sys

if __name__ == "__main__":
    # scripts/tokenize.py would shadow the standard library's module.
    sys.path.append(sys.path.pop(0))
import importlib.util
import math
import pathlib
import statistics

from birkhoff_data.pictures import check_output, write_picture

LAST = 50  # steps
LIMIT = 0.3  # percent


def load_report():
    path = pathlib.Path(__file__).resolve().parent / "report.py"
    spec = importlib.util.spec_from_file_location("report", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


report = load_report()


def end_of(run):
    """Mean of the last LAST losses."""
    losses = report.series(run.training, "loss")[1][-LAST:]
    if len(losses) < LAST:
        raise SystemExit(f"precision.py: {run.name} has {len(losses)} steps, but at least {LAST} "
                         "are needed")
    return statistics.fmean(losses)


def percent(fp32, bf16):
    """How much higher bf16 ends than fp32, in percent."""
    return 100 * (end_of(bf16) / end_of(fp32) - 1)


def verdict(differences):
    """(mean, standard error, whether both are small enough). REQUIRES at least two pairs."""
    count, mean = len(differences), statistics.fmean(differences)
    error = math.sqrt(sum((d - mean) ** 2 for d in differences) / (count - 1) / count)
    return mean, error, abs(mean) <= max(2 * error, LIMIT) and error <= LIMIT


def pairs_of(directory):
    """[(seed, fp32 run, bf16 run)], sorted by seed."""
    found = []
    for path in directory.glob("fp32-*"):
        seed = path.name.removeprefix("fp32-")
        if path.is_dir() and (directory / f"bf16-{seed}").is_dir():
            found.append((seed, report.read_run(path), report.read_run(directory / f"bf16-{seed}")))
    if len(found) < 2:
        raise SystemExit(f"precision.py: {directory} has {len(found)} pairs of runs fp32-SEED and "
                         "bf16-SEED, but a standard error needs at least two")
    return sorted(found, key=lambda pair: (len(pair[0]), pair[0]))


def draw(pairs, differences, path):
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, (losses, gaps, ends) = pyplot.subplots(
        1, 3, figsize=(13, 3.8), gridspec_kw={"width_ratios": (5, 5, 3)})
    report.dress(losses, "training loss")
    report.dress(gaps, "bf16 − fp32, % of fp32's loss, same seed and data")
    few = len(pairs) <= len(report.COLOURS)
    of_step = {}
    for i, (seed, fp32, bf16) in enumerate(pairs):
        steps, a = report.series(fp32.training, "loss")
        b = dict(zip(*report.series(bf16.training, "loss")))
        for run, colour in ((fp32, report.COLOURS[0]), (bf16, report.COLOURS[1])):
            x, y = report.series(run.training, "loss")
            losses.plot(x, report.smoothed(y), color=colour, linewidth=0.9,
                        label=run.name.split("-")[0] if i == 0 else None)
        gap = [(s, 100 * (b[s] / v - 1)) for s, v in zip(steps, a) if s in b]
        gaps.plot([s for s, _ in gap], report.smoothed([g for _, g in gap]), linewidth=0.9,
                  **(dict(color=report.COLOURS[i], label=f"seed {seed}") if few
                     else dict(color=report.COLOURS[2], alpha=0.35)))
        for step, value in gap:
            of_step.setdefault(step, []).append(value)
    mean_gap = [(s, statistics.fmean(v)) for s, v in sorted(of_step.items())]
    gaps.plot([s for s, _ in mean_gap], report.smoothed([g for _, g in mean_gap]),
              color=report.INK, linewidth=1.4, label=f"mean of {len(pairs)} seeds")
    report.legend(losses)
    report.legend(gaps)
    gaps.axhline(0, color=report.INK, linewidth=0.8)
    reach = 3 * max(max(map(abs, differences)), LIMIT)
    gaps.set_ylim(-reach, reach)
    report.dress(ends, f"last {LAST} steps, %")
    mean, error, _ = verdict(differences)
    ends.axhspan(-LIMIT, LIMIT, color=report.FAINT, alpha=0.6, linewidth=0)
    ends.axhline(0, color=report.INK, linewidth=0.8)
    ends.plot([seed for seed, _, _ in pairs], differences, "o", color=report.COLOURS[2])
    ends.errorbar(["mean"], [mean], yerr=[2 * error], fmt="D", color=report.INK, capsize=4)
    if not few:
        ends.set_xticks(["mean"])  # the labels of so many seeds would overlap
    ends.set_xlabel("seed; mean ± 2 standard errors; band ± 0.3 %", fontsize=8, color=report.INK)
    figure.tight_layout()
    write_picture(figure, path, dpi=110)


def main():
    if len(sys.argv) != 2:
        raise SystemExit("usage: precision.py DIR")
    directory = pathlib.Path(sys.argv[1])
    check_output(directory / "precision.png")
    pairs = pairs_of(directory)
    differences = [percent(fp32, bf16) for _, fp32, bf16 in pairs]
    for (seed, fp32, bf16), difference in zip(pairs, differences):
        print(f"seed {seed}: fp32 {end_of(fp32):.5f}, bf16 {end_of(bf16):.5f}, {difference:+.3f} %")
    mean, error, good = verdict(differences)
    print(f"mean difference {mean:+.3f} %, standard error {error:.3f} %: "
          f"{'bf16 trains as well as fp32' if good else 'NOT within bounds'}")
    draw(pairs, differences, directory / "precision.png")
    print(f"drawn in {directory / 'precision.png'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
