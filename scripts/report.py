#!/usr/bin/env python3
"""Plots one or several runs over each other, from their metrics.jsonl:

    build/venv/bin/python3 scripts/report.py RUN… [--baseline RUN] [--out DIR]

--out is <first RUN>/report by default. Pictures of an earlier report are replaced, other files
never.

    overview.png  loss.png  grad_norm.png  lr.png  tokens_per_second.png  expert_load.png
    streams.png   gains of the residual path by sublayer over time, two rows of panels per run
    gains.png     the worst composite gains of all runs over time, and by sublayer at the end
    comparison.png   with --baseline: loss minus the baseline's, gradient norm, the largest gain of
                     a sublayer, and of the path from a sublayer to the end

Training lines have `step` and `loss`, evaluations `step` and `eval_loss`; either may have
`expert_load`, the tokens by MoE layer and expert. Other keys are plotted if they exist. A torn last
line (the run is writing, or was killed) is left out.
"""
import sys

if __name__ == "__main__":
    # scripts/tokenize.py would shadow the standard library's module.
    sys.path.append(sys.path.pop(0))
import argparse
import json
import math
import pathlib
from typing import NamedTuple

from birkhoff_data.pictures import (check_output, is_old_picture, is_picture, output_folder,
                                    read_regular, report_folder, write_picture)

# Okabe and Ito's colours, which people with colour blindness can distinguish.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
INK, FAINT = "#333333", "#DDDDDD"


class Run(NamedTuple):
    name: str
    training: list  # records sorted by step
    evaluations: list


def read_run(directory, warn=print):
    """Reads the run's records; the last one for a step counts. Raises SystemExit with one clear
    line if it cannot."""
    path = pathlib.Path(directory) / "metrics.jsonl"
    try:
        lines = read_regular(path).decode(errors="replace").split("\n")
    except OSError as error:
        raise SystemExit(f"report.py: cannot read {path}: {error.strerror}") from None
    training, evaluations = {}, {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            step = int(record["step"])
        except (ValueError, KeyError, TypeError):
            if number != len(lines):
                raise SystemExit(f"report.py: {path}:{number}: is not a record of a step") from None
            warn(f"report.py: {path}:{number}: the last line is incomplete and is ignored")
            continue
        if "loss" in record:
            training[step] = record
        elif "eval_loss" in record:
            evaluations[step] = record
    if not training:
        raise SystemExit(f"report.py: {path} has no training step yet")

    def by_step(records):
        return [records[step] for step in sorted(records)]

    return Run(pathlib.Path(directory).resolve().name, by_step(training), by_step(evaluations))


def series(records, key):
    """(steps, values) of the records that have a finite number under `key`."""
    pairs = [(r["step"], r[key]) for r in records if isinstance(r.get(key), (int, float))]
    pairs = [(s, v) for s, v in pairs if math.isfinite(v)]
    return [s for s, _ in pairs], [v for _, v in pairs]


def smoothed(values):
    """The mean over a window of a thirtieth of the run. The window is centred, so that the mean
    does not lag; it is narrower at the beginning, which is steep, and cut at the end."""
    half, last = len(values) // 60, len(values) - 1
    sums = [0.0]
    for v in values:
        sums.append(sums[-1] + v)
    out = []
    for i in range(len(values)):
        reach = min(i, half)
        begin, end = i - reach, min(last, i + reach) + 1
        out.append((sums[end] - sums[begin]) / (end - begin))
    return out


def loads(record):
    """{layer: load of each expert}, 1 = its even share; {} if the record has none."""
    counts = record.get("expert_load") or {}
    items = counts.items() if isinstance(counts, dict) else enumerate(counts)
    shares = {}
    for layer, row in items:
        total = sum(row)
        if total:
            shares[str(layer)] = [len(row) * c / total for c in row]
    return dict(sorted(shares.items(), key=lambda kv: (len(kv[0]), kv[0])))


def loaded(run):
    """(step, loads) of the records that have loads, in order."""
    pairs = [(r["step"], load) for r in run.training + run.evaluations if (load := loads(r))]
    return sorted(pairs, key=lambda pair: pair[0])


def worst_load(run):
    """(steps, largest load of any expert of any layer); 1 = perfectly even."""
    pairs = [(step, max(max(row) for row in load.values())) for step, load in loaded(run)]
    return [s for s, _ in pairs], [v for _, v in pairs]


def mean_load(run):
    """(layers, layer × expert mean load) of the last tenth of the records that have loads."""
    have = [load for _, load in loaded(run)]
    have = have[-max(1, len(have) // 10):]
    if not have:
        return [], []
    layers = list(have[-1])
    return layers, [[sum(load[layer][e] for load in have if layer in load) /
                     sum(layer in load for load in have) for e in range(len(have[-1][layer]))]
                    for layer in layers]


def dress(axes, title, log=False):
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold", color=INK)
    axes.grid(True, color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=8, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.margins(x=0.01)
    axes.set_xlabel("step", fontsize=8, color=INK)
    if log:
        axes.set_yscale("log")
        import matplotlib.ticker as ticker

        class Locator(ticker.LogLocator):
            """1, 2 and 5 of each decade, or only 1 if there are many decades."""

            def tick_values(self, vmin, vmax):
                self.set_params(subs=(1, 2, 5) if vmax < 1e4 * vmin else (1,))
                return super().tick_values(vmin, vmax)

        axes.yaxis.set_major_locator(Locator())
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(ticker.NullLocator())


def legend(axes):
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8, labelcolor=INK)


def draw_loss(axes, runs):
    dress(axes, "Loss, nats a token")
    for colour, run in zip(COLOURS * len(runs), runs):
        steps, values = series(run.training, "loss")
        axes.plot(steps, values, color=colour, alpha=0.22, linewidth=0.8)
        name = "training" if len(runs) == 1 else run.name
        axes.plot(steps, smoothed(values), color=colour, linewidth=1.6, label=name)
        steps, values = series(run.evaluations, "eval_loss")
        if not values:
            continue
        bits = series(run.evaluations, "eval_bits_per_byte")[1]
        last = f"{values[-1]:.3f}" + (f", {bits[-1]:.3f} bits a byte" if bits else "")
        name = f"held out: {last}" if len(runs) == 1 else f"{run.name}, held out: {last}"
        axes.plot(steps, values, "o--", color=colour, markersize=4, linewidth=1, label=name,
                  markerfacecolor="white")
    values = [v for run in runs for v in series(run.training, "loss")[1]]
    # The first steps would flatten the rest, so the axis leaves out the highest hundredth.
    if len(values) > 200:
        top = sorted(values)[int(0.99 * len(values))]
        axes.set_ylim(top=top + 0.05 * (top - min(values)) or None)
    legend(axes)


def draw_series(key, title, log=False, smooth=False):
    def draw(axes, runs):
        for colour, run in zip(COLOURS * len(runs), runs):
            steps, values = series(run.training, key)
            if smooth:
                axes.plot(steps, values, color=colour, alpha=0.22, linewidth=0.8)
                values = smoothed(values)
            axes.plot(steps, values, color=colour, linewidth=1.4, label=run.name)
        dress(axes, title, log and any(v > 0 for r in runs for v in series(r.training, key)[1]))
        if key != "lr" and not log:
            axes.set_ylim(bottom=0)
        if len(runs) > 1:
            legend(axes)

    return draw


def draw_worst_load(axes, runs):
    dress(axes, "Busiest expert of all layers, 1 = even")
    for colour, run in zip(COLOURS * len(runs), runs):
        steps, values = worst_load(run)
        few = "o-" if len(values) < 50 else "-"
        axes.plot(steps, values, color=colour, alpha=0.22, linewidth=0.8)
        axes.plot(steps, smoothed(values), few, color=colour, linewidth=1.4, markersize=4,
                  markerfacecolor="white", label=run.name)
    axes.set_ylim(bottom=1)
    if len(runs) > 1:
        legend(axes)


def draw_heat(axes, run, several):
    layers, rows = mean_load(run)
    dress(axes, "Load of experts, 1 = even" + (f": {run.name}" if several else ""))
    axes.grid(False)
    most = max(0.25, *(abs(load - 1) for row in rows for load in row))
    image = axes.imshow(rows, aspect="auto", cmap="RdBu_r", vmin=1 - most, vmax=1 + most)
    if len(rows) * len(rows[0]) <= 100:
        for i, row in enumerate(rows):
            for j, load in enumerate(row):
                axes.text(j, i, f"{load:.2f}", ha="center", va="center", fontsize=6.5,
                          color="white" if abs(load - 1) > 0.7 * most else INK)
    axes.set_xlabel("expert", fontsize=8, color=INK)
    axes.set_ylabel("MoE layer", fontsize=8, color=INK)
    stride = math.ceil(len(layers) / 12)
    axes.set_yticks(range(0, len(layers), stride), layers[::stride])
    bar = axes.figure.colorbar(image, ax=axes, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=INK, labelsize=8, length=0)


# Keys of `streams` (docs/formats/run_directory.md): title, whether it is a gain.
STREAMS = {
    "gain_forward": ("Forward gain of a sublayer", True),
    "gain_backward": ("Backward gain of a sublayer", True),
    "composite_forward": ("Forward gain from a sublayer to the end", True),
    "composite_backward": ("Backward gain from a sublayer to the end", True),
    "column_error": ("Largest |column sum − 1|", False),
    "cosine": ("Likeness of streams (cosine)", False),
}


def streams(run, key):
    """(steps, step × sublayer values) of the records that have them; nan for a non-finite
    value."""
    have = [(r["step"], r["streams"][key]) for r in run.training
            if isinstance(r.get("streams"), dict) and r["streams"].get(key)]
    return [s for s, _ in have], [[math.nan if v is None else v for v in row] for _, row in have]


def worst(row):
    """The largest value; inf if one is not finite, since it overflowed."""
    return max(row) if all(math.isfinite(v) for v in row) else math.inf


def draw_sublayers(axes, run, key, several):
    """Draws values as colours, with sublayers from bottom to top and time to the right. Gains have
    a log scale that is white at 1."""
    import matplotlib.colors as colors

    title, gain = STREAMS[key]
    steps, rows = streams(run, key)
    dress(axes, title + (f": {run.name}" if several else ""))
    axes.grid(False)
    finite = [v for row in rows for v in row if math.isfinite(v)] or [1.0]
    edges = [(a + b) / 2 for a, b in zip(steps, steps[1:])]
    edges = [steps[0] - 0.5, *edges, steps[-1] + 0.5]
    if gain:
        most = max(1.25, *finite, *(1 / max(v, 1e-6) for v in finite))
        style = {"cmap": "RdBu_r", "norm": colors.LogNorm(1 / most, most)}
    else:
        style = {"cmap": "viridis", "vmin": min(0.0, *finite), "vmax": max(1e-3, *finite)}
    cells = [list(column) for column in zip(*rows)]
    image = axes.pcolormesh(edges, [i - 0.5 for i in range(len(cells) + 1)], cells, **style)
    axes.set_facecolor(INK)  # shows non-finite values
    axes.set_ylabel("sublayer", fontsize=8, color=INK)
    bar = axes.figure.colorbar(image, ax=axes, pad=0.02, format="{x:.3g}")
    bar.outline.set_visible(False)
    if gain:
        bar.set_ticks([1 / most, 1, most])
    bar.ax.minorticks_off()
    bar.ax.tick_params(colors=INK, labelsize=8, length=0)


def at_least_twofold(axes):
    """Widens the axis, so that a gain of 1 with its rounding looks like a flat line."""
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.8), max(high, 2))
    legend(axes)


def draw_worst_gain(key):
    def draw(axes, runs):
        dress(axes, f"{STREAMS[key][0]}, the largest", log=True)
        for colour, run in zip(COLOURS * len(runs), runs):
            steps, rows = streams(run, key)
            if rows:
                values = [worst(row) for row in rows]
                axes.plot(steps, values, color=colour, linewidth=1.4,
                          label=f"{run.name}, in the end {values[-1]:.3g}")
        at_least_twofold(axes)

    return draw


def draw_last_gain(key):
    def draw(axes, runs):
        dress(axes, f"{STREAMS[key][0]}, by sublayer, last record", log=True)
        for colour, run in zip(COLOURS * len(runs), runs):
            rows = streams(run, key)[1]
            if rows:
                axes.plot(range(len(rows[-1])), rows[-1], color=colour, label=run.name,
                          linewidth=1.4)
        axes.set_xlabel("sublayer", fontsize=8, color=INK)
        at_least_twofold(axes)

    return draw


def gap(ours, theirs, key):
    """(steps, differences) of the steps that both have. Both see the same text there, so most of
    its noise cancels."""
    ours, theirs = dict(zip(*series(ours, key))), dict(zip(*series(theirs, key)))
    steps = [step for step in ours if step in theirs]
    return steps, [ours[step] - theirs[step] for step in steps]


def loss_gap(run, baseline):
    """Smooths after the subtraction, since a run that ended early has a narrower window."""
    steps, values = gap(run.training, baseline.training, "loss")
    return steps, smoothed(values)


def held_out_gap(run, baseline):
    return gap(run.evaluations, baseline.evaluations, "eval_loss")


def ending(run, runs):
    """The label of a run that ended before another one, for example because it diverged."""
    last = run.training[-1]["step"]
    return f", ended at step {last}" if last < max(r.training[-1]["step"] for r in runs) else ""


def draw_gap(baseline):
    def draw(axes, runs):
        dress(axes, f"Loss minus that of {baseline.name}, nats; points: on held-out text")
        late = []
        for colour, run in zip(COLOURS * len(runs), runs):
            steps, values = loss_gap(run, baseline)
            points, held_out = held_out_gap(run, baseline)
            label = run.name
            if run is not baseline:
                label += f", in the end {values[-1]:+.4f}" if values else ""
                if held_out:
                    label += f", held out {held_out[-1]:+.4f} at step {points[-1]}"
                axes.plot(points, held_out, "o", color=colour, markersize=4,
                          markerfacecolor="white")
            axes.plot(steps, values, color=colour, linewidth=1.4, label=label + ending(run, runs))
            # The first steps, where losses fall by nats, would flatten the rest.
            late += values[len(values) // 10:] + held_out[len(held_out) // 10:]
        if late:
            room = 0.1 * (max(late) - min(late)) + 1e-3
            axes.set_ylim(min(late) - room, max(late) + room)
        legend(axes)

    return draw


def comparison(pyplot, runs, baseline):
    """Draws figures 2 and 3 of the paper (arXiv 2512.24880) for these runs."""
    panels = [draw_gap(baseline), PANELS["grad_norm"]]
    if any(streams(run, "cosine")[0] for run in runs):
        panels += [draw_worst_gain(key) for key in STREAMS if STREAMS[key][1]]
    figure, grid = pyplot.subplots(len(panels) // 2, 2, figsize=(12, 3.5 * (len(panels) // 2)),
                                   layout="constrained", squeeze=False)
    for axes, panel in zip(grid.flat, panels):
        panel(axes, runs)
    return figure


PANELS = {
    "grad_norm": draw_series("grad_norm", "Gradient norm", log=True, smooth=True),
    "lr": draw_series("lr", "Learning rate"),
    "tokens_per_second": draw_series("tokens_per_second", "Tokens a second", smooth=True),
}


def draw(runs, out, baseline=None, is_ours=is_picture):
    """Writes the pictures; returns their paths. `is_ours` says by a file's bytes whether it may be
    replaced."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    for name in (*PANELS, "overview", "loss", "expert_load", "streams", "gains", "comparison"):
        check_output(out / f"{name}.png", is_ours)
    written = []

    def save(figure, name):
        written.append(out / name)
        write_picture(figure, written[-1], is_ours, dpi=150, facecolor="white")
        pyplot.close(figure)

    def single(name, panel):
        figure, axes = pyplot.subplots(figsize=(7.5, 4), layout="constrained")
        panel(axes, runs)
        save(figure, name)

    panels = {k: p for k, p in PANELS.items() if any(series(r.training, k)[1] for r in runs)}
    routed = [r for r in runs if mean_load(r)[0]]
    single("loss.png", draw_loss)
    for key, panel in panels.items():
        single(f"{key}.png", panel)
    if routed:
        figure, axes = pyplot.subplots(1, 1 + len(routed), figsize=(4.5 * (1 + len(routed)), 3.6),
                                       layout="constrained")
        draw_worst_load(axes[0], routed)
        for place, run in zip(axes[1:], routed):
            draw_heat(place, run, len(runs) > 1)
        save(figure, "expert_load.png")
    wide = [r for r in runs if streams(r, "cosine")[0]]
    if wide:
        figure, grid = pyplot.subplots(2 * len(wide), 3, figsize=(14, 6 * len(wide)),
                                       layout="constrained", squeeze=False)
        for i, run in enumerate(wide):
            for axes, key in zip(grid[2 * i: 2 * i + 2].flat, STREAMS):
                draw_sublayers(axes, run, key, len(wide) > 1)
        save(figure, "streams.png")
        figure, grid = pyplot.subplots(2, 2, figsize=(12, 7), layout="constrained")
        for axes, key in zip(grid, ("composite_forward", "composite_backward")):
            draw_worst_gain(key)(axes[0], runs)
            draw_last_gain(key)(axes[1], runs)
        save(figure, "gains.png")
    if baseline:
        save(comparison(pyplot, runs, baseline), "comparison.png")
    save(overview(pyplot, runs, panels, routed), "overview.png")
    return written


def overview(pyplot, runs, panels, routed):
    """Draws a large panel of the loss, and up to four others next to it and below."""
    small = list(panels.values())
    if routed:
        small[2:] = [draw_worst_load] + small[2:]
    if len(routed) == 1:
        small[3:] = [lambda axes, runs: draw_heat(axes, routed[0], False)]
    small = small[:4]
    rows = math.ceil((len(small) + 2) / 3) if small else 1
    figure = pyplot.figure(figsize=(12, 3.1 * max(rows, 1)), layout="constrained")
    grid = figure.add_gridspec(rows, 3)
    draw_loss(figure.add_subplot(grid[0, : 2 if small else 3]), runs)
    for place, panel in enumerate(small, 2):
        panel(figure.add_subplot(grid[place // 3, place % 3]), routed if
              panel is draw_worst_load else runs)
    return figure


def main():
    parser = argparse.ArgumentParser(description="Draws curves of runs from their metrics.jsonl.")
    parser.add_argument("runs", nargs="+", type=pathlib.Path, metavar="RUN", help="run directory")
    parser.add_argument("--baseline", type=pathlib.Path, metavar="RUN",
                        help="run to subtract from the others; one of the given runs")
    parser.add_argument("--out", type=pathlib.Path,
                        help="directory for the pictures (default: <first RUN>/report)")
    args = parser.parse_args()
    runs = [read_run(r, lambda text: print(text, file=sys.stderr)) for r in args.runs]
    if args.baseline and args.baseline not in args.runs:
        raise SystemExit(f"report.py: the baseline {args.baseline} is not one of the runs")
    baseline = runs[args.runs.index(args.baseline)] if args.baseline else None
    # In a run's own folder, pictures without our mark are from an earlier version.
    written = (draw(runs, output_folder(args.out), baseline) if args.out else
               draw(runs, report_folder(args.runs[0]), baseline, is_old_picture))
    print(f"report.py: {len(written)} pictures in {written[0].parent}")


if __name__ == "__main__":
    main()
