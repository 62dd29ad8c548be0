"""Writes the results as JSON, Markdown and a picture. Needs no PyTorch."""
import json
import pathlib
import statistics

ROOT = pathlib.Path(__file__).resolve().parents[2]
COLOURS = {"birkhoff": "#0072B2", "torch": "#D55E00"}  # Okabe and Ito's
GIB = 2 ** 30

HEAD = """
# Comparison with PyTorch on a CPU

<!-- scripts/peers.sh --accept writes this file -->

Birkhoff's whole training step (forward, backward, clipping, AdamW, balancing of experts) is
compared with that of the same model in PyTorch, written as its users would write it
(bench/peers/model.py). Both use the same weights, tokens and number of threads, and alternate
within the same minutes. A pair is one step of each side, while the other side waits; the sides
alternate in going first. The ratio of a pair is PyTorch's seconds over Birkhoff's.
"""
SUMMARY = """
Figures are medians. All models use the setting that is best for the first one. Birkhoff keeps
weights, their gradients and moments in fp32 and rounds the factors of its products, like PyTorch's
"autocast"; PyTorch's "bf16" keeps weights and moments in bf16, which is less work and less
accurate. Compile time is not counted. Memory is VmHWM, which for a compiled model includes that of
the compiler.
"""
SETTINGS = """
Settings run one after the other, each in its own process; the figure is the median of its steps. A
setting that is far behind after one step is given up. "Until warm" is the time for compiling what
is not in the compiler's cache, and for the first steps. `loop` computes one expert after the other,
`grouped` uses `F.grouped_mm`. Blocks are compiled one by one. AdamW is `fused` unless the setting
says otherwise; `pinned` means OMP_PROC_BIND=close, OMP_PLACES=cores.
"""
SUBLAYER = """
Birkhoff's figure is the time of its mHC operators in a training step, where other operators have
used the caches in between; PyTorch's path runs alone, repeatedly on the same rows. `matmul`,
`broadcast` and `unrolled` are three ways to write the mixing of streams. The package
`hyper-connections` has another form of mHC (norm and coefficients per stream), so it is not used
for pairs.
"""
CHECKS = """
These figures are from the first step after a checkpoint of Birkhoff's whose state gives every part
of the model an effect (bench/peers/birkhoff.py). Bounds are 1e-5 of the loss (of 1 if it is less)
and 1e-4 of the norm in fp32, 3e-3 and 5e-2 in bf16; if one is exceeded, the script fails. An
expert's load is relative to an even share.
[Numerics](../numerics.md) has every gradient of small models.
"""


def median(pairs, key):
    return statistics.median(p[key] for p in pairs)


def write(out, result):
    (out / "report.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    draw(out / "pairs.png", result["variants"])
    (out / "report.md").write_text(text(result, "pairs.png"), encoding="utf-8")


def accept(result, out):
    """Writes the results into the documentation."""
    folder = ROOT / "docs/performance"
    folder.mkdir(parents=True, exist_ok=True)
    (ROOT / "docs/images/peers.png").write_bytes((out / "pairs.png").read_bytes())
    (folder / "peers.md").write_text(text(result, "../images/peers.png"), encoding="utf-8")


def text(result, picture):
    lines = [HEAD.strip(), "", *_setup(result)]
    if result["variants"]:
        lines += ["", "## Tokens per second", "", *_summary(result["variants"]), "",
                  f"![Tokens per second, pair by pair, and the ratios]({picture})", "",
                  "Ratios of each pair, in order:", "", *_ratios(result["variants"])]
    for variant in result["variants"]:
        if variant["settings"]:
            lines += ["", f"## Settings of PyTorch: {variant['name']}", "", *_settings(variant)]
    if "sublayer" in result:
        lines += ["", "## The mHC path of one sublayer", "", *_sublayer(result["sublayer"])]
    if result["variants"]:
        lines += ["", "## The same function", "", *_checks(result["variants"])]
    return "\n".join(lines) + "\n"


def _setup(result):
    m, v = result["machine"], result["versions"]
    versions = ", ".join(f"{name} {version}" for name, version in v.items())
    return [
        "| | |", "|---|---|",
        f"| machine | {m['cpu']}; {m['cores']} cores, {m['memory'] / GIB:.0f} GiB; "
        f"{', '.join(m['bf16']) or 'no bf16 instructions'}; Linux {m['kernel']} |",
        f"| share of its cores in use by others before the start | {100 * m['busy']:.0f} % |",
        f"| date | {m['date']} |", f"| versions | {versions} |",
        f"| threads, each side | {m['cores']} |", f"| command | `{result['command'].strip()}` |"]


def _summary(variants):
    lines = ["| model | tokens per step | Birkhoff | PyTorch, its best | ratio, median (all pairs) "
             "| peak memory, GiB: Birkhoff, PyTorch |", "|---|---|---|---|---|---|"]
    for v in variants:
        pairs, tokens = v["pairs"], v["tokens"]
        ratios = [p["ratio"] for p in pairs]
        memory = [v["memory"][side] / GIB for side in ("birkhoff", "torch")]
        lines.append(
            f"| {v['name']} | {tokens} | {tokens / median(pairs, 'birkhoff'):.0f} | "
            f"{tokens / median(pairs, 'torch'):.0f} ({v['best']}) | "
            f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f} to {max(ratios):.2f}) | "
            f"{memory[0]:.1f}, {memory[1]:.1f} |")
    return lines + [SUMMARY.rstrip()]


def _ratios(variants):
    return [f"- {v['name']}: " + ", ".join(f"{p['ratio']:.2f}" for p in v["pairs"])
            for v in variants]


def _settings(variant):
    def order(s):
        return statistics.median(s["seconds"]) if "seconds" in s else float("inf")

    lines = ["| setting | tokens/s | steps | until warm, s | peak memory, GiB | loss against "
             "Birkhoff's | |", "|---|---|---|---|---|---|---|"]
    for s in sorted(variant["settings"], key=order):
        if "seconds" not in s:
            lines.append(f"| {s['name']} | | | | | | {s['outcome']} |")
            continue
        loss = f"{s['check']['loss']:+.1e}" if "check" in s else "fp32: see below"
        outcome = "" if s["outcome"] == "measured" else s["outcome"]
        lines.append(f"| {s['name']} | {variant['tokens'] / order(s):.0f} | {len(s['seconds'])} | "
                     f"{s['warm']:.0f} | {s['memory'] / GIB:.1f} | {loss} | {outcome} |")
    return lines + [SETTINGS.rstrip()]


def _sublayer(sublayer):
    lines = [f"Coefficients with 20 Sinkhorn iterations, read and write of [{sublayer['tokens']}, "
             f"4, {sublayer['dim']}] in bf16, forward and backward, without F.", "",
             "| | ms |", "|---|---|"]
    for entry in sublayer["paths"]:
        name = ("compiled, " if entry["compiled"] else "eager, ") + entry["maker"]
        lines.append(f"| {name} | {entry['failed']} |" if "failed" in entry else
                     f"| {name} | {1e3 * statistics.median(entry['seconds']):.2f} |")
    pairs = sublayer["pairs"]
    ratios = [p["ratio"] for p in pairs]
    best = sublayer["best"]
    return lines + [
        f"| Birkhoff, in pairs with {'compiled' if best['compiled'] else 'eager'}, "
        f"{best['maker']} | {1e3 * median(pairs, 'birkhoff'):.2f} |", "",
        f"PyTorch's best takes {statistics.median(ratios):.2f} times as long (pairs: "
        + ", ".join(f"{r:.2f}" for r in ratios) + ").", SUBLAYER.rstrip()]


def _checks(variants):
    lines = ["| model | precision | Birkhoff's loss | PyTorch's against it | gradient norm | "
             "PyTorch's against it | largest load of an expert |", "|---|---|---|---|---|---|---|"]
    for v in variants:
        for key, precision in (("exact", "fp32"), ("check", "bf16")):
            if key in v:
                c = v[key]
                lines.append(f"| {v['name']} | {precision} | {c['birkhoff_loss']:.6f} | "
                             f"{c['loss']:+.1e} | {c['birkhoff_norm']:.6f} | {c['norm']:+.1e} | "
                             f"{v['load']:.2f} |")
    return lines + [CHECKS.rstrip()]


def draw(path, variants):
    if not variants:
        return
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, grid = pyplot.subplots(2, len(variants), squeeze=False, layout="constrained",
                                   figsize=(3.2 * len(variants) + 0.8, 5.2), sharex="col")
    for v, above, below in zip(variants, *grid):
        at = range(1, len(v["pairs"]) + 1)
        for side, label in (("birkhoff", "Birkhoff"), ("torch", "PyTorch")):
            above.plot(at, [v["tokens"] / p[side] for p in v["pairs"]], "o-", markersize=4,
                       linewidth=1, color=COLOURS[side], label=label)
        above.set_title(v["name"].replace(", seq", ",\nseq"), fontsize=9)
        below.plot(at, [p["ratio"] for p in v["pairs"]], "o", markersize=4, color="#333333")
        below.axhline(median(v["pairs"], "ratio"), color="#333333", linewidth=1)
        below.set_xlabel("pair", fontsize=8)
        for axes in (above, below):
            axes.set_ylim(bottom=0)
            axes.tick_params(labelsize=8)
            axes.grid(color="#DDDDDD", linewidth=0.6)
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)
    grid[0][0].set_ylabel("tokens a second", fontsize=8)
    grid[0][0].legend(fontsize=8, frameon=False)
    grid[1][0].set_ylabel("ratio", fontsize=8)
    figure.savefig(path, dpi=150, facecolor="white")
    pyplot.close(figure)
