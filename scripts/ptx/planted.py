"""ptx_check's self-test: kernels that break its rules. It must find exactly those."""
from . import rules

FILE = "tests/cuda/static/planted.cu"

_NEED = rules.Need(threads=256, dynamic=0, wide="both", tensor=False)
_NEEDS = {
    **{name: _NEED for name in ("clean", "narrow", "narrow_store", "local_array", "calls",
                                "multiplies")},
    "unbounded": _NEED._replace(threads=1024),
    "bounded": _NEED._replace(threads=288),
    "spills": _NEED._replace(threads=1024),
    "no_products": _NEED,
    "too_large": _NEED._replace(dynamic=180 * 1024),
}
# The number of findings of each kind and kernel, on every architecture.
_EXPECTED = {
    ("threads", "bounded"): 1,
    ("narrow", "narrow"): 2,  # its load and its store
    ("narrow", "narrow_store"): 1,
    ("stack", "local_array"): 1, ("local", "local_array"): 1,
    ("stack", "calls"): 1, ("local", "calls"): 1,
    ("stack", "spills"): 1, ("spill", "spills"): 1, ("local", "spills"): 1,
    ("tensor", "multiplies"): 1,
    ("launch", "too_large"): 1,
}
# Worked out by hand from the limits in occupancy.cpp. A warp's registers are allocated in units of
# 256, from a quarter of the register file; each block takes 1 KiB more shared memory. With 80
# registers per thread 6 warps fit in a quarter, so 24 in all: 3 blocks of 8. 101 KiB fit once in
# 164 and twice in 228. 163 KiB are sm_80's maximum.
_BLOCKS = [((80, 256, 80, 1, 64, 0), 3), ((90, 256, 90, 1, 64, 0), 2), ((90, 1024, 32, 1, 0, 0), 2),
           ((80, 256, 32, 1, 0, 100 << 10), 1), ((90, 256, 32, 1, 0, 100 << 10), 2),
           ((100, 256, 32, 1, 100 << 10, 0), 2), ((80, 256, 32, 1, 0, 163 << 10), 1),
           ((80, 256, 32, 1, 0, (163 << 10) + 1), 0), ((90, 1024, 128, 1, 0, 0), 0)]


def _count(findings):
    counts = {}
    for f in findings:
        counts[f.kind, f.kernel] = counts.get((f.kind, f.kernel), 0) + 1
    return counts


def _expect(what, found, wanted):
    """The differences between `found` and `wanted`, as error lines."""
    return [f"{what}: {key}: {found.get(key, 0)}, not {wanted.get(key, 0)}"
            for key in sorted({*found, *wanted}, key=str) if found.get(key) != wanted.get(key)]


def errors(compiler, occupancy, architectures):
    found = _expect("blocks", dict(zip([b[0] for b in _BLOCKS],
                                       occupancy.blocks([b[0] for b in _BLOCKS]))), dict(_BLOCKS))
    found += _expect("folders", _count(rules.misplaced({"a/sm_90/b.cu": ["80", "90a", "100a"],
                                                        "a/b.cu": ["80"]})),
                     {("architecture", "a/sm_90/b.cu"): 1})
    for architecture in architectures:
        found += _errors_of(compiler, occupancy, architecture)
    return found


def _errors_of(compiler, occupancy, architecture):
    kernels = compiler.kernels([(FILE, architecture)])
    what = f"sm_{architecture}"
    judged, lines = rules.with_needs(kernels, _NEEDS)
    found = _expect(what, _count(lines), {("stale need", "no_products"): 1})
    blocks = occupancy.of(judged)
    table = {(FILE, k.name, k.architecture): rules.row_of(k, b)
             for (k, _), b in zip(judged, blocks)}
    found += _expect(what, _count(rules.judge(judged, blocks, table)), _EXPECTED)
    return found + _table_errors(what, judged, blocks, table, architecture)


def _table_errors(what, judged, blocks, table, architecture):
    """Checks that a changed number, a missing and a surplus row of the table, a wrong `tensor` and
    a missing need are found."""
    clean, narrow = ((FILE, name, architecture) for name in ("clean", "narrow"))
    table = dict(table)
    table[clean] = table[clean]._replace(registers=table[clean].registers + 1)
    table[FILE, "gone", architecture] = table.pop(narrow)
    table[FILE, "of another architecture", "1"] = table[clean]
    tensor = [(k, need._replace(tensor=True)) for k, need in judged]
    changed = {**_EXPECTED, ("changed", "clean"): 1, ("new", "narrow"): 1, ("stale", "gone"): 1}
    changed.update({("tensor", k.name): 1 for k, _ in judged})
    del changed["tensor", "multiplies"]
    found = _expect(what, _count(rules.judge(tensor, blocks, table, {(FILE, "1")})), changed)
    needs = {n: _NEED for n in _NEEDS if n != "clean"}
    return found + _expect(what, _count(rules.with_needs([k for k, _ in judged], needs)[1]),
                           {("no need", "clean"): 1, ("stale need", "no_products"): 1})
