#!/usr/bin/env python3
"""Plots the results of `birkhoff bench --json FILE`: each operator under the machine's roofs.

    build/venv/bin/python3 scripts/roofline.py FILE [--out PICTURE]

PICTURE, a PNG, is FILE with the ending .png by default; an earlier picture is replaced, other files
never. A point is the median of an operator at one shape: its x axis is flops per byte, its y axis
flops per second, its area its share of the step. Roofs are the limits measured in the same run, the
better of before and after the steps: bandwidths, and the peaks of f32 and of pairs of bf16. A point
above the slope found its data in a cache. Operators without flops, or with less than a thousandth
of the step, are left out; the title gives their share.
"""
import sys

if __name__ == "__main__":
    # scripts/tokenize.py would shadow the standard library's module.
    sys.path.append(sys.path.pop(0))
import argparse
import json
import pathlib

from birkhoff_data.pictures import check_output, write_picture

# Okabe and Ito's colours, which people with colour blindness can distinguish.
KINDS = (("products of bf16", "#0072B2"), ("other products and arithmetic", "#56B4E9"),
         ("attention", "#009E73"), ("residual streams", "#D55E00"), ("optimizer", "#CC79A7"),
         ("the rest", "#999999"))
INK, FAINT = "#333333", "#DDDDDD"
FORMAT = "birkhoff bench 1"
LABELLED = 10  # labelled operators, each at its largest point
LEAST = 1e-3  # smallest share of the step that is shown


def read(path):
    """Reads the measurement. Raises SystemExit with one clear line if it cannot."""
    try:
        data = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SystemExit(f"roofline.py: cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise SystemExit(f"roofline.py: {path} is not valid JSON: {error}") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise SystemExit(f"roofline.py: {path} is not of the format {FORMAT!r}; make it with "
                         "birkhoff bench CONFIG --json FILE")
    return data


def kind_of(operator):
    name = operator["operator"]
    if operator["streams"]:
        return "residual streams"
    if name.startswith("attention"):
        return "attention"
    if "linear" in name:
        return KINDS[0 if operator["peak"] == "bf16" else 1][0]
    return "optimizer" if name in ("adamw", "squared_sum", "clip_scale") else "the rest"


def points(data):
    """[(flops per byte, flops per second, share of the step, kind, label)], largest share first."""
    found = [(o["flops"] / o["bytes"], o["flops"] / o["median"], o["share"], kind_of(o),
              o["operator"])
             for o in data["operators"] if placed(o)]
    return sorted(found, key=lambda p: -p[2])


def placed(operator):
    return (operator["flops"] > 0 and operator["bytes"] > 0 and operator["median"] > 0 and
            operator["share"] >= LEAST)


def unplaced(data):
    """The share of the step taken by operators without a point."""
    return sum(o["share"] for o in data["operators"] if not placed(o))


def roofs(limits):
    """([(name, bytes per second)], [(name, flops per second)]) as measured, largest first."""
    slopes = [(name, limits[key]) for name, key in
              (("read and write in place", "sweep"), ("copy, streaming", "copy_streaming"),
               ("copy", "copy"), ("read", "read"))]
    peaks = [("f32", limits["f32_flops"])]
    if limits.get("bf16_flops"):
        peaks.append(("bf16", limits["bf16_flops"]))
    return sorted(slopes, key=lambda r: -r[1]), sorted(peaks, key=lambda r: -r[1])


def draw_roofs(axes, limits, low, high):
    slopes, peaks = roofs(limits)
    top = peaks[0][1]
    for i, (name, rate) in enumerate(slopes):
        end = min(high, top / rate)
        axes.plot([low, end], [low * rate / 1e9, end * rate / 1e9], color=INK,
                  linewidth=1.4 if i == 0 else 0.6, linestyle="-" if i == 0 else ":",
                  label=f"{name}: {rate / 1e9:.1f} GB/s")
    for i, (name, rate) in enumerate(peaks):
        axes.plot([rate / slopes[0][1], high], [rate / 1e9] * 2, color=INK,
                  linewidth=1.4 if i == 0 else 0.9, linestyle="-" if i == 0 else "--",
                  label=f"{name}: {rate / 1e9:.0f} GFLOP/s")


def add_labels(axes, shown):
    """Labels the largest operators; moves each label up until it covers no other."""
    names, taken = {}, []
    for point in shown:
        names.setdefault(point[4], point)
    for x, y, _, _, name in list(names.values())[:LABELLED]:
        across, up = axes.transData.transform((x, y / 1e9))
        lift = 0
        while any(abs(across - a) < 250 and abs(up + lift - u) < 14 for a, u in taken):
            lift += 2
        taken.append((across, up + lift))
        axes.annotate(f"{name} {100 * sum(p[2] for p in shown if p[4] == name):.0f} %",
                      (x, y / 1e9), fontsize=7, color=INK, va="center",
                      xytext=(14, lift * 72 / axes.figure.dpi), textcoords="offset points",
                      arrowprops={"arrowstyle": "-", "color": INK, "linewidth": 0.3})


def title(data):
    machine, model = data["machine"], data["model"]
    return (f"{pathlib.PurePath(data['config_file']).name}, {machine['threads']} threads, "
            f"{machine['cpu']}\n{data['step']['median']:.3f} s a step, "
            f"{100 * model['share_of_peak']:.0f} % of the {model['peak']} peak by the model's "
            f"flops; not shown: {100 * unplaced(data):.0f} % of the step")


def draw(data, out):
    """Writes the picture; returns the points shown."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = points(data)
    if not shown:
        raise SystemExit("roofline.py: no operator can be drawn")
    figure, axes = pyplot.subplots(figsize=(9, 6), layout="constrained")
    axes.set_xscale("log")
    axes.set_yscale("log")
    low, high = min(p[0] for p in shown) / 2, max(p[0] for p in shown) * 2
    draw_roofs(axes, data["limits"]["used"]["all_threads"], low, high)
    for kind, colour in KINDS:
        own = [p for p in shown if p[3] == kind]
        share = sum(p[2] for p in own)
        if own:
            axes.scatter([p[0] for p in own], [p[1] / 1e9 for p in own], color=colour, alpha=0.7,
                         s=[8 + 4000 * p[2] for p in own], linewidths=0,
                         label=f"{kind}: {100 * share:.0f} % of the step")
    add_labels(axes, shown)
    axes.set_title(title(data), loc="left", fontsize=10, fontweight="bold", color=INK)
    axes.set_xlabel("flops a byte", fontsize=8, color=INK)
    axes.set_ylabel("GFLOP/s", fontsize=8, color=INK)
    axes.grid(True, color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", colors=INK, labelsize=8, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    legend = axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="upper left",
                         bbox_to_anchor=(1, 1))
    for handle in legend.legend_handles:
        if hasattr(handle, "set_sizes"):
            handle.set_sizes([40])
    write_picture(figure, out, dpi=150, facecolor="white")
    pyplot.close(figure)
    return shown


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("file", type=pathlib.Path, help="result of birkhoff bench --json FILE")
    parser.add_argument("--out", type=pathlib.Path,
                        help="PNG picture to write (default: FILE with the ending .png)")
    options = parser.parse_args()
    out = options.out or options.file.with_suffix(".png")
    if out.suffix.lower() != ".png":
        sys.exit(f"roofline.py: {out} is not the name of a PNG picture; end it in .png")
    check_output(out)
    try:
        draw(read(options.file), out)
    except ImportError:
        sys.exit("roofline.py: needs matplotlib; run it with build/venv/bin/python3, which "
                 "scripts/test.sh or scripts/train.sh creates")
    print(out)


if __name__ == "__main__":
    main()
