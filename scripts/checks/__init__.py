"""The checks of scripts/check. Each module has findings(tree), which returns a list of Finding."""
import pathlib
import subprocess
from typing import NamedTuple

CPP = (".h", ".cpp", ".cu", ".cuh")


class Finding(NamedTuple):
    path: str
    line: int
    text: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.text}"


class Tree:
    """The text files of a repository: maps each path, relative to the root, to its text."""

    def __init__(self, files, others=()):
        self.files = dict(sorted(files.items()))
        self.others = set(others)  # paths of files that are not text

    def has(self, path):
        """Whether such a file or folder exists."""
        return path in self.files or path in self.others or any(
            p.startswith(path + "/") for p in (*self.files, *self.others))

    @classmethod
    def of(cls, root):
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=root, capture_output=True, text=True, check=True,
        )
        files, others = {}, set()
        for path in filter(None, listed.stdout.split("\0")):
            full = pathlib.Path(root, path)
            if not full.is_file():  # deleted, but not committed yet
                continue
            data = full.read_bytes()
            if b"\0" in data:
                others.add(path)
            else:
                files[path] = data.decode("utf-8", "replace")
        return cls(files, others)

    def cpp(self):
        return {p: t for p, t in self.files.items() if p.endswith(CPP)}
