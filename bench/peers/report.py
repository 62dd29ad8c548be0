"""What was measured, as JSON, Markdown and a picture. Needs no PyTorch."""
import json
import pathlib
import statistics

ROOT = pathlib.Path(__file__).resolve().parents[2]
COLOURS = {"birkhoff": "#0072B2", "torch": "#D55E00"}  # Okabe and Ito's
GIB = 2 ** 30


def median(pairs, key):
    return statistics.median(p[key] for p in pairs)


def write(out, result):
    (out / "report.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    draw(out / "pairs.png", result["variants"])
    (out / "report.md").write_text(text(result, "pairs.png"), encoding="utf-8")


def accept(result, out):
    """Into the documentation."""
    folder = ROOT / "docs/performance"
    folder.mkdir(parents=True, exist_ok=True)
    (ROOT / "docs/images/peers.png").write_bytes((out / "pairs.png").read_bytes())
    (folder / "peers.md").write_text(text(result, "../images/peers.png"), encoding="utf-8")


def text(result, picture):
    lines = ["# Beside PyTorch on a CPU", "", "<!-- scripts/peers.sh --accept writes this file -->",
             "", "Birkhoff's whole training step (forward, backward, clipping, AdamW, balancing of "
             "experts) and the same model in", "PyTorch as its users would write it "
             "(bench/peers/model.py), from the same weights, on the same tokens, with the", "same "
             "number of threads, by turns in the same minutes.", "", *_setup(result)]
    if result["variants"]:
        lines += ["", "## Tokens a second", "", *_summary(result["variants"]), "",
                  f"![Seconds of a step, pair by pair, and their ratios]({picture})", "",
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
        f"| of its cores in use by others before the start | {100 * m['busy']:.0f} % |",
        f"| date | {m['date']} |", f"| versions | {versions} |",
        f"| threads of either | {m['cores']} |", f"| command | `{result['command'].strip()}` |"]


def _summary(variants):
    lines = ["| model | tokens a step | Birkhoff | PyTorch, its best | ratio, median (all pairs) | "
             "peak memory, GiB: Birkhoff, PyTorch |", "|---|---|---|---|---|---|"]
    for v in variants:
        pairs, tokens = v["pairs"], v["tokens"]
        ratios = [p["ratio"] for p in pairs]
        memory = [v["memory"][side] / GIB for side in ("birkhoff", "torch")]
        lines.append(
            f"| {v['name']} | {tokens} | {tokens / median(pairs, 'birkhoff'):.0f} | "
            f"{tokens / median(pairs, 'torch'):.0f} ({v['best']}) | "
            f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f} to {max(ratios):.2f}) | "
            f"{memory[0]:.1f}, {memory[1]:.1f} |")
    return lines + [
        "", "Medians. The setting is the best of the first model's, for all. Birkhoff keeps "
        "weights, their gradients and moments in fp32", "and rounds for its products, which is "
        "PyTorch's \"autocast\"; its \"bf16\" keeps weights and moments in bf16, which is less",
        "work and less exact. Compiling is not counted. Memory is VmHWM, which for a compiled "
        "model includes the compiler's."]


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
    return lines + [
        "", "Each in a process of its own, one after the other, the median of its steps; a setting "
        "that is far behind after one step", "is given up. Until warm: compiling, where "
        "nothing of it was in the compiler's cache, and the first steps.", "`loop`: one expert "
        "after the other; `grouped`: `F.grouped_mm`. Compiled block by block if nothing else is "
        "said; AdamW is", "`fused`; `pinned`: OMP_PROC_BIND=close, OMP_PLACES=cores."]


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
        + ", ".join(f"{r:.2f}" for r in ratios) + "). Birkhoff's is the time of its mHC operators "
        "in a", "training step, where other operators have had the caches; PyTorch's is alone, "
        "again and again on the same rows.", "`matmul`, `broadcast`, `unrolled`: three ways to "
        "write the streams' mixing (bench/peers/model.py). The package", "`hyper-connections` has "
        "another form of mHC (norm and coefficients by stream), so it is no pair."]


def _checks(variants):
    lines = ["| model | precision | Birkhoff's loss | PyTorch's against it | gradient norm | "
             "PyTorch's against it |", "|---|---|---|---|---|---|"]
    for v in variants:
        for key, precision in (("exact", "fp32"), ("check", "bf16")):
            if key in v:
                c = v[key]
                lines.append(f"| {v['name']} | {precision} | {c['birkhoff_loss']:.6f} | "
                             f"{c['loss']:+.1e} | {c['birkhoff_norm']:.6f} | {c['norm']:+.1e} |")
    return lines + [
        "", "Of the first step behind a checkpoint of Birkhoff's, whose six steps leave no "
        "parameter at its initial value. Bounds", "(bench/peers/compare.py): 1e-5 of the loss and "
        "1e-3 of the norm in fp32, 3e-3 and 5e-2 in bf16; broken, nothing is", "reported as "
        "compared. docs/numerics.md has the exact comparison."]


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
