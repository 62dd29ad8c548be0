#!/usr/bin/env python3
"""Carries the faults of tests/mutants over a change of the lines around them.

    scripts/refit_mutants.py COMMIT [PATCH…]      default: the patches that no longer apply

COMMIT is one to which the patches apply. The fault is planted in the files of that commit and
merged with those of the work tree; git finds files that were moved since. If changed comments
prevent this, the lines are found by their code alone. A patch whose own code has changed, or whose
file is gone, is named and left unchanged, and must be rewritten by hand. Exit code 0 only if every
patch was carried over.
"""
import sys

if __name__ == "__main__":
    sys.path.append(sys.path.pop(0))
import argparse
import pathlib
import re
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
MUTANTS = ROOT / "tests" / "mutants"
FILE = re.compile(r"^--- a/(\S+)", re.MULTILINE)


def git(*arguments, cwd=ROOT):
    return subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, text=True, check=False)


def applies(patch):
    return git("apply", "--check", str(patch)).returncode == 0


def moved_since(commit):
    """{old name: new name} of renamed files."""
    lines = git("diff", "--name-status", "-M50%", "--diff-filter=R", commit).stdout.splitlines()
    return {old: new for _, old, new in (line.split("\t") for line in lines)}


def code_of(line):
    """The line without its comment and indentation."""
    return re.sub(r"(^|\s)(//|#(?!include|if|endif|else|pragma)).*", "", line).strip()


def planted_by_code(hunks, now):
    """`now` with one file's hunks applied where their code is found; None if it is not found."""
    lines = now.split("\n")
    code = [(i, code_of(line)) for i, line in enumerate(lines) if code_of(line)]
    edits = []  # (index of a line, text to insert before it, or None to delete it)
    for first, body in hunks:
        old = [line for line in body if line[:1] in (" ", "-") and code_of(line[1:])]
        wanted = [code_of(line[1:]) for line in old]
        places = [k for k in range(len(code) - len(wanted) + 1)
                  if [c for _, c in code[k:k + len(wanted)]] == wanted]
        if not places or not wanted:
            return None
        at = min(places, key=lambda k: abs(code[k][0] - first))
        k = at
        for line in body:
            if line[:1] == "+":
                before = code[k - 1][0] + 1 if k > at else code[at][0]
                edits.append((before, line[1:]))
            elif code_of(line[1:]):
                if line[:1] == "-":
                    edits.append((code[k][0], None))
                k += 1
    gone = {i for i, text in edits if text is None}
    result = []
    for i in range(len(lines) + 1):
        result += [text for j, text in edits if j == i and text is not None]
        if i < len(lines) and i not in gone:
            result.append(lines[i])
    return "\n".join(result)


def hunks_of(text, file):
    """[(number of the first line, lines with their marks)] for a file in the patch."""
    found, inside = [], False
    for line in text.split("\n"):
        if line.startswith("--- "):
            inside = line == f"--- a/{file}"
        elif inside and (match := re.match(r"@@ -(\d+)", line)):
            found.append((int(match[1]), []))
        elif inside and found and line[:1] in (" ", "-", "+") and not line.startswith("+++ "):
            found[-1][1].append(line)
    return found


def refit(patch, commit, moved):
    """The patch's new text; None if it must be rewritten by hand."""
    text = patch.read_text(encoding="utf-8")
    head = text[:re.search(r"^(diff |--- )", text, re.MULTILINE).start()]
    diffs = []
    with tempfile.TemporaryDirectory() as scratch:
        place = pathlib.Path(scratch)
        files = FILE.findall(text)
        for file in files:
            before = git("show", f"{commit}:{file}")
            if before.returncode:
                return None
            for tree in ("before", "planted"):
                target = place / tree / file
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(before.stdout, encoding="utf-8")
        if git("apply", "--unsafe-paths", f"--directory={place / 'planted'}", str(patch),
               cwd=place).returncode:
            return None
        for file in files:
            now = ROOT / moved.get(file, file)
            if not now.exists():
                return None
            merged = git("merge-file", "-p", str(now), str(place / "before" / file),
                         str(place / "planted" / file))
            unplanted, planted = now.read_text(encoding="utf-8"), merged.stdout
            if merged.returncode:
                planted = planted_by_code(hunks_of(text, file), unplanted)
            if planted is None:
                return None
            name = now.relative_to(ROOT)
            for tree, content in (("a", unplanted), ("b", planted)):
                target = place / tree / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(content, encoding="utf-8")
            diff = git("diff", "--no-index", "--no-prefix", "-U3", f"a/{name}", f"b/{name}",
                       cwd=place).stdout
            diffs.append(re.sub(r"^(index|diff --git) .*\n", "", diff, flags=re.MULTILINE))
    return head + "".join(diffs) if all(diffs) else None


def main():
    parser = argparse.ArgumentParser(description="Carries planted faults over a change.")
    parser.add_argument("commit")
    parser.add_argument("patches", nargs="*", type=pathlib.Path)
    args = parser.parse_args()
    patches = args.patches or [p for p in sorted(MUTANTS.glob("*.patch")) if not applies(p)]
    moved = moved_since(args.commit)
    lost = []
    for patch in patches:
        text = refit(patch.resolve(), args.commit, moved)
        if text is None:
            lost.append(patch.name)
        else:
            patch.write_text(text, encoding="utf-8")
    print(f"refit_mutants.py: {len(patches) - len(lost)} of {len(patches)} carried over")
    for name in lost:
        print(f"refit_mutants.py: write anew: {name}", file=sys.stderr)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
