"""Compiles kernels for ptx_check with CMake's flags, but only for the device."""
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess

from . import read

ROOT = pathlib.Path(__file__).resolve().parents[2]
PLACE = ROOT / "build" / "ptx"
_ARCHITECTURE = re.compile(r"--generate-code=arch=compute_(\w+)")
# Register spilling is reported as a finding that names the kernel, not as a compiler error.
_DROPPED = ("--generate-code", "-Xptxas=--warn-on-spills")


def run(command, **options):
    """Returns the command's output; raises SystemExit with its errors if it fails."""
    try:
        done = subprocess.run([str(c) for c in command], cwd=ROOT, text=True, check=False,
                              stdout=subprocess.PIPE, **options)
    except FileNotFoundError as error:
        raise SystemExit(f"ptx_check: {error.filename} is not installed; scripts/cuda_build.sh "
                         "installs it") from None
    if done.returncode:
        raise SystemExit(f"ptx_check: {shlex.join(map(str, command))}: failed (exit code "
                         f"{done.returncode})\n{done.stdout}{done.stderr or ''}".rstrip())
    return done.stdout


class Compiler:
    """nvcc, with the flags of the kernels' library in the preset cuda."""

    def __init__(self):
        self.toolkit = pathlib.Path(run(["scripts/cuda_toolkit.sh"]).strip())
        self.nvdisasm = run(["scripts/cuda_toolkit.sh", "--nvdisasm"]).strip()
        self._configure()
        entries = json.loads((PLACE / "compile_commands.json").read_text(encoding="utf-8"))
        of_file = {os.path.relpath(e["file"], ROOT): e["command"]
                   for e in entries if e["file"].endswith(".cu")}
        self.commands = {f: self._of_device(c) for f, c in of_file.items()}
        # The architectures for which CMake compiles each file: in folders named sm_90 not sm_80.
        self.architectures = {f: _ARCHITECTURE.findall(c) for f, c in of_file.items()}

    def _configure(self):
        nvcc = self.toolkit / "bin" / "nvcc"
        cache = PLACE / "CMakeCache.txt"
        # CMake drops the preset's variables when the compiler changes.
        if cache.exists() and f"={nvcc}\n" not in cache.read_text(encoding="utf-8"):
            shutil.rmtree(PLACE)
        run(["cmake", "--preset", "cuda", "-B", PLACE, "-DBIRKHOFF_TESTS=OFF", "-DBIRKHOFF_MPI=OFF",
             f"-DCMAKE_CUDA_COMPILER={nvcc}"], stderr=subprocess.PIPE)

    @staticmethod
    def _of_device(command):
        words = shlex.split(command)
        words = words[:words.index("-c")]  # drops -c, the file and -o, which come last
        return [w for w in words if not w.startswith(_DROPPED)]

    def kernels(self, jobs):
        """The Kernels of each (file, architecture), in the order of jobs."""
        cores = int(subprocess.check_output([ROOT / "scripts/cores"]))
        with concurrent.futures.ThreadPoolExecutor(cores) as pool:
            return [k for found in pool.map(lambda job: self._kernels_of(*job), jobs)
                    for k in found]

    def _kernels_of(self, file, architecture):
        flags = self.commands.get(file) or next(iter(self.commands.values()))
        cubin = PLACE / f"{file.replace('/', '-')}-{architecture}.cubin"
        compile_it = [*flags, f"--generate-code=arch=compute_{architecture},"
                      f"code=[sm_{architecture}]", "-Xptxas=-v", "-cubin", file, "-o", cubin]
        log = run(compile_it, stderr=subprocess.STDOUT)
        sass = run([self.nvdisasm, cubin], stderr=subprocess.PIPE)
        return read.kernels(file, architecture, log, sass, demangle)


def demangle(names):
    return run(["c++filt"], input="\n".join(names)).split("\n") if names else []


class Occupancy:
    """Computes blocks per multiprocessor with the toolkit's cuda_occupancy.h."""

    def __init__(self, toolkit):
        self.program = PLACE / "occupancy"
        run(["g++", "-std=c++20", "-O1", "-isystem", toolkit / "include",
             "tests/cuda/static/occupancy.cpp", "-o", self.program])

    def blocks(self, lines):
        """The blocks for each (architecture, threads, registers, barriers, static, dynamic)."""
        text = "".join(" ".join(str(x) for x in line) + "\n" for line in lines)
        return [int(n) for n in run([self.program], input=text).split()]

    def of(self, judged):
        return self.blocks([(k.architecture.rstrip("a"), need.threads, k.registers, k.barriers,
                             k.shared, need.dynamic) for k, need in judged])
