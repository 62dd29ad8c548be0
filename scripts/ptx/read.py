"""Parses the output of ptxas -v and nvdisasm for a cubin."""
import re
from typing import NamedTuple


MOST_THREADS = 1024  # per block, for any kernel


class Kernel(NamedTuple):
    file: str
    name: str  # as in the source, with template arguments
    architecture: str  # "80", "90a", …
    bound: int  # most threads per block it is compiled for: __launch_bounds__
    registers: int  # per thread
    barriers: int
    shared: int  # bytes of static shared memory
    stack: int  # bytes per thread, for arrays indexed at run time, calls and spills
    spills: int  # bytes, stored and loaded
    opcodes: frozenset  # with their suffixes, as "LDG.E.128.CONSTANT"

    def __str__(self):
        return f"{self.file}: {self.name} for sm_{self.architecture}"


class Resources:
    def __init__(self):
        self.registers = self.barriers = self.shared = self.stack = self.spills = 0


_ENTRY = re.compile(r"Compiling entry function '([^']+)' for")
_FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"Used (\d+) registers")
_BARRIERS = re.compile(r"used (\d+) barriers")
_SHARED = re.compile(r"(\d+) bytes smem")


def resources(log):
    """Mangled name → Resources. A kernel's include those of the functions it calls."""
    found, current = {}, None
    for line in log.split("\n"):
        if entry := _ENTRY.search(line):
            current = found.setdefault(entry[1], Resources())
        elif current and (frame := _FRAME.search(line)):
            current.stack = max(current.stack, int(frame[1]))
            current.spills += int(frame[2]) + int(frame[3])
        elif current and (used := _USED.search(line)):
            current.registers = int(used[1])
            for field, pattern in (("barriers", _BARRIERS), ("shared", _SHARED)):
                said = pattern.search(line)
                setattr(current, field, int(said[1]) if said else 0)
    return found


_SECTION = re.compile(r'^\s*\.section\s+(\.text\.|\.nv\.info\.|)([^\s,"]+)')
_INSTRUCTION = re.compile(r"^\s*/\*[0-9a-f]{4,}\*/\s+(@!?U?P\w+\s+)?([A-Z][\w.]*)")


def opcodes(sass):
    """Mangled name → opcodes of the kernel and of the functions it calls, which are in its section.
    Instructions that never run (@!PT: padding for the hardware) are left out."""
    found, current = {}, None
    for line in sass.split("\n"):
        if section := _SECTION.match(line):
            current = found.setdefault(section[2], set()) if section[1] == ".text." else None
        elif current is not None and (said := _INSTRUCTION.match(line)):
            if (said[1] or "").strip() not in ("@!PT", "@!UPT"):
                current.add(said[2])
    return found


def bounds(sass):
    """Mangled name → most threads per block, for kernels with a bound: the product of three
    words."""
    found, current, words = {}, None, None
    for line in sass.split("\n"):
        if section := _SECTION.match(line):
            current, words = section[2] if section[1] == ".nv.info." else None, None
        elif "nvinfo : " in line:
            words = [] if line.endswith("EIATTR_MAX_THREADS") else None
        elif words is not None and (word := re.search(r"\.word\s+0x([0-9a-f]+)", line)):
            words.append(int(word[1], 16))
            if current and len(words) == 3:
                found[current] = words[0] * words[1] * words[2]
    return found


def short(demangled):
    """The name without return type, namespaces and parameters: rms_norm_rows<1> for "void
    birkhoff::cuda::(anonymous namespace)::rms_norm_rows<1>(birkhoff::cuda::RmsNormArgs, long)"."""
    text = demangled.replace("(anonymous namespace)::", "")
    if text.endswith(")"):  # drops the parameters, from the ( that matches the last )
        depth, end = 0, len(text)
        while end > 0:
            end -= 1
            depth += (text[end] == ")") - (text[end] == "(")
            if depth == 0:
                break
        text = text[:end]
    text = re.sub(r"\b(?:\w+::)+", "", text)
    return text.split("<")[0].split(" ")[-1] + text[len(text.split("<")[0]):]


def kernels(file, architecture, log, sass, demangle):
    """The Kernels of a cubin. demangle: maps a list of mangled names to demangled ones."""
    used, said, bound = resources(log), opcodes(sass), bounds(sass)
    if set(used) != set(said):
        odd = ", ".join(sorted(set(used) ^ set(said)))
        raise SystemExit(f"ptx_check: {file} for sm_{architecture}: ptxas and nvdisasm name "
                         f"different kernels: {odd}; check whether their output format changed")
    names = sorted(used)
    return [Kernel(file, short(name), architecture, bound.get(m, MOST_THREADS), used[m].registers,
                   used[m].barriers, used[m].shared, used[m].stack, used[m].spills,
                   frozenset(said[m]))
            for m, name in zip(names, demangle(names))]
