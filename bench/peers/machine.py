"""Describes the machine and the versions used."""
import datetime
import importlib.metadata
import pathlib
import platform
import re
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGES = ("torch", "hyper-connections", "numpy")


def cores():
    """The number of usable cores, limited by a container's CPU quota."""
    return int(subprocess.check_output([ROOT / "scripts/cores"]))


def facts():
    cpu = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
    memory = pathlib.Path("/proc/meminfo").read_text(encoding="utf-8")
    flags = re.search(r"^flags\s*: (.*)$", cpu, re.MULTILINE)
    flags = flags[1].split() if flags else []
    fields = [re.search(rf"^{key}\s*: (.*)$", cpu, re.MULTILINE)
              for key in ("model name", "cpu family", "model")]
    name, family, model = (f[1] if f else "unknown" for f in fields)
    return {"cpu": f"{name}, family {family}, model {model}",
            "cores": cores(),
            "bf16": [f for f in flags if f in ("avx512_bf16", "amx_bf16", "amx_tile")],
            "memory": int(re.search(r"MemTotal:\s+(\d+)", memory)[1]) * 1024,
            "kernel": platform.release(),
            "busy": busy(),
            "date": datetime.date.today().isoformat()}


def busy(seconds=2):
    """The share of all cores that is in use while this process waits."""
    def times():
        fields = pathlib.Path("/proc/stat").read_text(encoding="utf-8").split("\n", 1)[0].split()
        user = [int(x) for x in fields[1:9]]
        return sum(user), user[3] + user[4]  # idle and waiting for a disk

    before = times()
    time.sleep(seconds)
    total, idle = (b - a for a, b in zip(before, times()))
    return 1 - idle / total


def versions():
    def said(*command):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else "unknown"

    changed = said("git", "status", "--porcelain", "--untracked-files=no")
    return {"commit": said("git", "rev-parse", "--short=12", "HEAD") + (
                " with changes" if changed else ""),
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in PACKAGES}}
