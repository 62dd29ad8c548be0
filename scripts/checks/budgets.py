"""Limits the size of files, headers, functions, parameter lists and the autograd core."""
import re

from . import CPP, Finding, cpp

FILE = 600
HEADER = 200
FUNCTION = 60
KERNEL = 120
PARAMETERS = 6
_FOREIGN = re.compile(r"cublasLt[A-Z]")  # functions of external interfaces are exempt
# Folders that must stay readable in an hour, with their limits in lines.
CORES = {"engine/autograd/": 700}

_CODE = CPP + (".py", ".sh", ".cmake", ".txt")


def findings(tree):
    found = []
    for path, text in tree.files.items():
        lines = text.count("\n")
        if path.endswith(_CODE) and lines > FILE:
            found.append(Finding(path, lines, f"{lines} lines; a file has at most {FILE}"))
        if path.endswith((".h", ".cuh")) and lines > HEADER:
            found.append(Finding(path, lines, f"{lines} lines; a header has at most {HEADER}"))
    for path, text in tree.cpp().items():
        found += _functions(path, text)
    for folder, budget in CORES.items():
        core = {p: t.count("\n") for p, t in tree.cpp().items() if p.startswith(folder)}
        if sum(core.values()) > budget:
            largest = max(core, key=core.get)
            found.append(Finding(largest, core[largest],
                                 f"{folder} has {sum(core.values())} lines; at most {budget}, so "
                                 "that it can be read in an hour"))
    return found


def _functions(path, text):
    found = []
    for f in cpp.functions(text):
        budget = KERNEL if f.kernel else FUNCTION
        if f.lines > budget:
            kind = "kernel" if f.kernel else "function"
            found.append(Finding(path, f.line,
                                 f"{f.name} has {f.lines} lines; a {kind} has at most {budget}"))
        if f.parameters > PARAMETERS and not (
                f.name.isupper() or _FOREIGN.match(f.name)):  # nor do macros count
            found.append(Finding(path, f.line,
                                 f"{f.name} takes {f.parameters} parameters; more than "
                                 f"{PARAMETERS} must become a struct"))
    return found
