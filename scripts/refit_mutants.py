#!/usr/bin/env python3
"""Carries the faults of tests/mutants over a change of the lines around them.

    scripts/refit_mutants.py COMMIT [PATCH…]      default: the patches that no longer apply

COMMIT is one to which the patches apply. The fault is planted in the files as they were there and
merged with the work tree's; files that were moved since are found by git. A patch whose own lines
have changed, or whose file is gone, is named and left as it is: write it anew. Exit code 0 only if
every patch was carried over.
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
    """New names of files that were renamed."""
    lines = git("diff", "--name-status", "-M50%", "--diff-filter=R", commit).stdout.splitlines()
    return {old: new for _, old, new in (line.split("\t") for line in lines)}


def refit(patch, commit, moved):
    """The patch's new text; None if it has to be written anew."""
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
            if merged.returncode:
                return None
            name = now.relative_to(ROOT)
            for tree, content in (("a", now.read_text(encoding="utf-8")), ("b", merged.stdout)):
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
