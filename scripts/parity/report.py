"""Writes the results of a comparison: report.json, and tables for docs/numerics.md."""
import json
import math
import pathlib

from entry import Entry

BEGIN, END = "<!-- scripts/parity.sh --accept writes from here -->", "<!-- to here -->"


def write_json(path, entries, versions):
    path.parent.mkdir(parents=True, exist_ok=True)
    records = [{key: _finite(value) for key, value in vars(e).items()} | {"holds": e.holds()}
               for e in entries]
    path.write_text(json.dumps({"versions": versions, "entries": records}, indent=1,
                               allow_nan=False) + "\n", encoding="utf-8")


def _finite(value):
    """Replaces NaN and infinity by null, since JSON has neither."""
    return value if not isinstance(value, float) or math.isfinite(value) else None


def table(entries, versions):
    """A Markdown table with a line for each case and side."""
    lines = ["By " + ", ".join(f"{k} {v}" for k, v in versions.items()) + ".", "",
             "| case | side | tensors | largest relative error | closest to its bound | of it |",
             "|---|---|---|---|---|---|"]
    groups = {}
    for e in entries:
        groups.setdefault((e.case, e.side), []).append(e)
    for (case, side), own in groups.items():
        relative = max(_relative(e) for e in own)
        worst = max(own, key=Entry.ratio)
        lines.append(f"| {case} | {side} | {len(own)} | {relative:.1e} | {short(worst.tensor)} | "
                     f"{worst.ratio():.2g} |")
    return "\n".join(lines) + "\n"


def _relative(e):
    """The relative error; 0 if a tensor is 0 except for rounding, where only the bound counts."""
    if math.isnan(e.error):
        return math.inf
    return e.error / e.norm if e.norm > e.bound else 0.0


def short(tensor):
    return "`" + tensor.replace("gradient.", "∂").replace("model.layers.", "") + "`"


def write_docs(text):
    """Writes the table between the marks in docs/numerics.md."""
    path = pathlib.Path(__file__).resolve().parents[2] / "docs/numerics.md"
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{text}{END}{after}", encoding="utf-8")
