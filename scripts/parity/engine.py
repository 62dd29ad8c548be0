"""Birkhoff's side: passes a case to tests/programs/parity.cpp as a file, and reads its results."""
import pathlib
import subprocess
import tempfile

from safetensors.torch import load_file, save_file


class Engine:
    def __init__(self, program):
        self.program = program

    def residuals(self):
        """The values of model.residual that the binary has."""
        return self._run("residuals").split()

    def run(self, metadata, tensors, dtype="f32"):
        """Runs a case with the metadata and tensors of tests/support/parity.h; returns fp64."""
        with tempfile.TemporaryDirectory() as scratch:
            case, result = pathlib.Path(scratch) / "case", pathlib.Path(scratch) / "result"
            save(case, metadata, tensors)
            self._run("run", case, result, dtype)
            return {name: t.double() for name, t in load_file(result).items()}

    def _run(self, *arguments):
        done = subprocess.run([self.program, *map(str, arguments)], capture_output=True, text=True,
                              check=False)
        if done.returncode != 0:
            raise SystemExit(f"{self.program} {arguments[0]}: {done.stderr.strip()}")
        return done.stdout


def save(path, metadata, tensors):
    tensors = {name: t.detach().contiguous().clone() for name, t in tensors.items()}
    save_file(tensors, path, {key: str(value) for key, value in metadata.items()})
