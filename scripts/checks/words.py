"""Finds loose ends, paths of one machine, stray whitespace, long lines and dead links."""
import os
import re

from . import CPP, Finding

COLUMNS = 100
_CODE = CPP + (".py", ".sh", ".cmake", ".yaml", "CMakeLists.txt", "scripts/check", "scripts/tidy",
               ".ci/run")
# Exempt: patches have context lines that end in a blank, and the licence is verbatim.
_VERBATIM = (".patch", "LICENSE")
_HOSTILE = "tests/fuzz/corpus/"  # deliberately malformed input

_LOOSE = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b(?!\((?:issue |#)\d+\): \S)")
_MACHINE = re.compile(r"(?<![\w.])/(?:work|home|root|Users|mnt|scratch)/\w")
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)[^)]*\)")


def findings(tree):
    found = []
    for path, text in tree.files.items():
        if path.endswith(_VERBATIM) or path.startswith(_HOSTILE):
            continue
        if text and not text.endswith("\n"):
            found.append(Finding(path, text.count("\n") + 1, "does not end with a newline"))
        for number, line in enumerate(text.split("\n"), 1):
            found += [Finding(path, number, why) for why in _line(path, line, tree)]
    return found


def _line(path, line, tree):
    if line != line.rstrip():
        yield "has trailing blanks"
    if path.endswith(_CODE) and "\t" in line:
        yield "has a tab"
    if path.endswith(_CODE) and len(line) > COLUMNS:
        yield f"has {len(line)} columns; at most {COLUMNS}"
    if match := _LOOSE.search(line):
        yield f"{match[0]} has no issue; do it, or write {match[0]}(issue N): reason"
    if match := _MACHINE.search(line):
        yield f"{match[0]}… is a path that exists on one machine only"
    if path.endswith(".md"):
        for target in _LINK.findall(line):
            to = os.path.normpath(os.path.join(os.path.dirname(path), target))
            if not tree.has(to):
                yield f"links to {target}, which does not exist"
