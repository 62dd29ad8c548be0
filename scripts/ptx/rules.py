"""The rules for each kernel, and the table of the resources it uses (docs/cuda.md)."""
import csv
import io
import re
from typing import NamedTuple

FOLDER = "kernels/cuda/resources"
NEEDS, TABLE = f"{FOLDER}/needs.csv", f"{FOLDER}/table.csv"
ACCEPT = "scripts/ptx_check --accept"

_NEEDS = ("kernel", "threads", "dynamic", "wide", "tensor")
_TABLE = ("file", "kernel", "architecture", "registers", "shared", "blocks")
_WIDE = {"load": ("load",), "store": ("store",), "both": ("load", "store"), "none": ()}


class Need(NamedTuple):
    threads: int  # most threads per block
    dynamic: int  # most bytes of dynamic shared memory
    wide: str  # accesses of 16 bytes to global memory: load, store, both, none
    tensor: bool  # whether it uses tensor cores


class Row(NamedTuple):
    registers: int
    shared: int
    blocks: int  # per multiprocessor at a time

    def __str__(self):
        return (f"{self.registers} registers, {self.shared} bytes of shared memory, "
                f"{self.blocks} blocks on a multiprocessor")


class Finding(NamedTuple):
    kind: str
    kernel: str  # its name, or the file or line of the finding
    text: str

    def __str__(self):
        return f"{self.text} [{self.kind}]"


def _rows(text, path, columns):
    lines = [(n, line) for n, line in enumerate(text.split("\n"), 1)
             if line.strip() and not line.startswith("#")]
    if not lines or tuple(lines[0][1].split(",")) != columns:
        raise SystemExit(f"ptx_check: {path}: the first line must be {','.join(columns)}")
    for number, line in lines[1:]:
        fields = next(csv.reader([line]))
        if len(fields) != len(columns):
            raise SystemExit(f"ptx_check: {path}:{number}: has {len(fields)} fields "
                             f"instead of {len(columns)}: {', '.join(columns)}")
        yield number, fields


def read_needs(text):
    """Kernel → Need."""
    needs = {}
    for number, (kernel, threads, dynamic, wide, tensor) in _rows(text, NEEDS, _NEEDS):
        if not threads.isdigit() or not dynamic.isdigit() or int(threads) == 0:
            raise SystemExit(f"ptx_check: {NEEDS}:{number}: threads (at least 1) and dynamic "
                             f"(bytes) must be numbers, not {threads!r} and {dynamic!r}")
        if wide not in _WIDE or tensor not in ("yes", "no") or kernel in needs:
            raise SystemExit(f"ptx_check: {NEEDS}:{number}: wide must be one of "
                             f"{', '.join(_WIDE)}, tensor yes or no, and {kernel} must have one "
                             "line")
        needs[kernel] = Need(int(threads), int(dynamic), wide, tensor == "yes")
    return needs


def read_table(text):
    """(file, kernel, architecture) → Row."""
    table = {}
    for number, (file, kernel, architecture, *numbers) in _rows(text, TABLE, _TABLE):
        if not all(n.isdigit() for n in numbers) or (file, kernel, architecture) in table:
            raise SystemExit(f"ptx_check: {TABLE}:{number}: is not a valid row, or a duplicate; "
                             f"write the table anew: {ACCEPT}")
        table[file, kernel, architecture] = Row(*map(int, numbers))
    return table


def _number(architecture):
    return int(re.match(r"\d+", architecture)[0])


def write_table(table):
    out = io.StringIO()
    out.write(f"# What nvcc makes of each kernel (docs/cuda.md); written by {ACCEPT}.\n"
              "# registers: per thread. shared: bytes of static shared memory. blocks: per\n"
              "# multiprocessor at a time, according to cuda_occupancy.h.\n")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_TABLE)
    for key in sorted(table, key=lambda k: (k[0], k[1], _number(k[2]))):
        writer.writerow([*key, *table[key]])
    return out.getvalue()


def line_of(needs, kernel):
    """The key of a kernel in `needs`: the template's instance, the template, or None."""
    return next((n for n in (kernel.name, kernel.name.split("<")[0]) if n in needs), None)


def with_needs(kernels, needs):
    """[(kernel, its Need)], and findings: kernels without a need, and needs without a kernel."""
    missing, judged = {}, []
    for kernel in kernels:
        line = line_of(needs, kernel)
        if line:
            judged.append((kernel, needs[line]))
        else:
            name = kernel.name.split("<")[0]
            missing[name] = Finding("no need", name, f"{kernel.file}: {name} has no line in "
                                    f"{NEEDS}; add {','.join(_NEEDS)} for it, then run {ACCEPT}")
    lines = {line_of(needs, k) for k in kernels}
    found = list(missing.values())
    found += [Finding("stale need", n, f"{NEEDS}: no source has {n}; remove its line")
              for n in sorted(set(needs) - lines)]
    return judged, found


def _has(opcodes, bases, suffixes=()):
    """Whether an opcode has one of `bases`, and one of `suffixes` if any are given."""
    return any(base in bases and (not suffixes or not set(suffixes).isdisjoint(rest))
               for base, *rest in (o.split(".") for o in opcodes))


_ACCESSES = {"load": ("LDG", "LDGSTS"), "store": ("STG",)}
_WIDTHS = ("128", "256")  # bits; on sm_100 two accesses of 128 may be merged


def _broken(kernel, need):
    """(kind, text) of each broken rule that does not depend on the table."""
    if need.threads > kernel.bound:
        yield "threads", (f"is compiled for {kernel.bound} threads per block "
                          f"(__launch_bounds__), but {NEEDS} says {need.threads}")
    if kernel.stack:
        yield "stack", (f"uses {kernel.stack} bytes of stack; avoid arrays that are indexed at run "
                        "time, or use fewer registers")
    if kernel.spills:
        yield "spill", (f"spills {kernel.spills} bytes of registers; keep fewer values at a time, "
                        "or allow fewer threads in __launch_bounds__")
    if _has(kernel.opcodes, ("LDL", "STL")):
        yield "local", "uses local memory (LDL, STL)"
    for access in _WIDE[need.wide]:
        if not _has(kernel.opcodes, _ACCESSES[access], _WIDTHS):
            yield "narrow", (f"has no {access} of 16 bytes ({_ACCESSES[access][0]}.128); {access} "
                             f"a Pack of 16 bytes, or change wide in {NEEDS}")
    # HMMA, HGMMA and UTCHMMA use tensor cores; HFMA2.MMA does not.
    products = any(re.search("MMA$", o.split(".")[0]) for o in kernel.opcodes)
    if products != need.tensor:
        yield "tensor", (f"{'uses' if products else 'does not use'} tensor cores, but {NEEDS} says "
                         "otherwise")


def misplaced(architectures):
    """Finds files in a folder named sm_N that are compiled for an older architecture.
    architectures: the list for each file."""
    return [Finding("architecture", file, f"{file}: is compiled for sm_{a}, but CMake must "
                    f"compile a folder named sm_{least[1]} only for that and above")
            for file, of in sorted(architectures.items()) for a in of
            if (least := re.search(r"/sm_(\d+)/", file)) and _number(a) < int(least[1])]


def judge(judged, blocks, table, skipped=()):
    """Findings. judged: (kernel, need) pairs; blocks: per multiprocessor, for each; skipped: (file,
    architecture) pairs that were not compiled."""
    found, seen = [], set()
    for (kernel, need), fits in zip(judged, blocks):
        found += [Finding(kind, kernel.name, f"{kernel}: {text}")
                  for kind, text in _broken(kernel, need)]
        if not fits:
            found.append(Finding("launch", kernel.name, f"{kernel}: no block fits on a "
                                 f"multiprocessor with {need.threads} threads, {kernel.registers} "
                                 f"registers and {kernel.shared} + {need.dynamic} bytes of shared "
                                 "memory"))
        key, row = (kernel.file, kernel.name, kernel.architecture), row_of(kernel, fits)
        seen.add(key)
        if key not in table:
            found.append(Finding("new", kernel.name, f"{kernel}: is not in {TABLE}; run {ACCEPT}, "
                                 "check the difference and commit it"))
        elif table[key] != row:
            found.append(Finding("changed", kernel.name, f"{kernel}: has {row}; {TABLE} has "
                                 f"{table[key]}; find out why, and if it is right, "
                                 f"run {ACCEPT}"))
    found += [Finding("stale", key[1], f"{TABLE}: {key[1]} of {key[0]} for sm_{key[2]} no longer "
                      f"exists; run {ACCEPT}")
              for key in sorted(set(table) - seen) if (key[0], key[2]) not in skipped]
    return found


def row_of(kernel, blocks):
    return Row(kernel.registers, kernel.shared, blocks)
