"""Checks that includes point one way (docs/ARCHITECTURE.md, "Rooms"):

launch → engine → {comm, kernels} → base; inside engine, train → {execute, plan, schedule,
parallel, model, optim, data, checkpoint, exchange, metrics} → nn → autograd → tensor, and config is
a leaf. Third-party headers of a device, a transport or a file format are included only in the
folders that wrap them.
"""
import re

from . import Finding

# Rooms (top-level folders) by height: a room may include itself and lower rooms. comm and kernels
# may not include each other.
ROOMS = {"base": 0, "kernels": 1, "comm": 1, "engine": 2, "launch": 3, "tests": 4, "bench": 4}
# Parts of engine by height. Parts of equal height may include each other, but not in a circle.
PARTS = {"config": 0, "tensor": 1, "autograd": 2, "nn": 3, "execute": 4, "plan": 4, "schedule": 4,
         "parallel": 4, "model": 4, "optim": 4, "data": 4, "checkpoint": 4, "exchange": 4,
         "metrics": 4, "train": 5}
# Parsers of untrusted bytes: a separate library on top of base, so that each can be fuzzed alone.
FORMATS = ("config", "data", "checkpoint", "exchange", "metrics")
# Backend folders → folders that may include them (besides tests, which compare bodies): their own
# room, without its contracts in kernels/. The common base of all CUDA code may be included only
# from CUDA's folders, also in its own room.
BACKENDS = {
    "kernels/cpu/": ("kernels/",), "kernels/cuda/": ("kernels/",),
    "kernels/reference/": ("kernels/",), "comm/mpi/": ("comm/",), "comm/nccl/": ("comm/",),
    "base/cuda/": ("base/cuda/", "kernels/cuda/", "comm/nccl/"),
}
# Third-party headers → folders that may include them.
WRAPPED = [
    (r"(dnnl|oneapi/dnnl|mkldnn).*", ("kernels/cpu/",)),
    (r"hwy/.*", ("kernels/cpu/", "tests/kernels/")),  # tests choose the instruction set
    (r"mpi\.h", ("comm/mpi/",)),
    (r"nccl\.h", ("comm/nccl/",)),
    (r"(cuda|cublas|cutlass|cub/|nvrtc|nvtx).*",
     ("base/cuda/", "kernels/cuda/", "comm/nccl/", "tests/cuda/")),
    (r"omp\.h", ()),
    (r"yaml-cpp/.*", ("engine/config/",)),
    (r"CLI/.*", ("launch/",)),
    (r"g(test|mock)/.*", ("tests/",)),
    (r"benchmark/.*", ("bench/",)),
]

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)


def includes(text):
    """(line, name, quoted) of each #include."""
    for match in _INCLUDE.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, match[2], match[1] == '"'


def _part(path):
    """("engine", "nn") for engine/nn/mla.h; ("base", None) for base/log.h."""
    pieces = path.split("/")
    room = pieces[0] if pieces[0] in ROOMS and len(pieces) > 1 else None
    return room, pieces[1] if room == "engine" and len(pieces) > 2 else None


def findings(tree):
    found, edges = [], {}
    for path, text in tree.cpp().items():
        room, part = _part(path)
        if room is None:
            found.append(Finding(path, 1, f"is in none of the rooms {', '.join(ROOMS)}"))
            continue
        if room == "engine" and part not in PARTS:
            found.append(Finding(path, 1, f"is in none of engine's parts {', '.join(PARTS)}"))
            continue
        for line, name, quoted in includes(text):
            other = _part(name)
            if other[0] is None:
                wrong = _third_party(path, name, quoted)
            elif name not in tree.files and not name.endswith("-inl.h"):
                wrong = f"{name} does not exist; write includes from the repository's root"
            else:
                wrong = _wrong(path, (room, part), name, other)
            if wrong:
                found.append(Finding(path, line, wrong))
            elif room == other[0] == "engine" and part != other[1]:
                edges.setdefault((part, other[1]), Finding(path, line, name))
    return found + _circles(edges)


def _third_party(path, name, quoted):
    for pattern, folders in WRAPPED:
        if re.fullmatch(pattern, name) and not path.startswith(folders):
            return f"{name} belongs in {' or '.join(folders) or 'no room'} only"
    if quoted and not re.match(r"hwy/", name):
        return f'"{name}" is not a file of ours; write includes from the repository\'s root'
    return None


def _wrong(path, here, name, there):
    if ROOMS[there[0]] > ROOMS[here[0]] or (
            ROOMS[there[0]] == ROOMS[here[0]] and there[0] != here[0]):
        return f"{here[0]} must not include {there[0]} ({name})"
    for backend, sees in BACKENDS.items():
        room = backend.split("/")[0] + "/"
        contract = re.fullmatch(r"kernels/\w+\.\w+", path)
        if contract and name.startswith(backend):
            return f"{name} is a backend; a contract declares what it lists in kernels/bodies.h"
        if name.startswith(backend) and not path.startswith((*sees, "tests/", "bench/")):
            return f"{name} is a backend of {room}; include the contract"
        if path.startswith(backend) and any(
                name.startswith(other) for other in BACKENDS
                if other != backend and other.startswith(room)):
            return f"{name}: a backend must not share code with another"
    if here[0] == "engine":
        if here[1] in FORMATS and (there[0] not in ("base", "engine") or
                                   there[0] == "engine" and there[1] not in FORMATS):
            return (f"{name}: engine/{here[1]} parses untrusted bytes and may only include base "
                    "and other parts that do")
        if there[0] == "engine" and PARTS.get(there[1], 0) > PARTS[here[1]]:
            return f"engine/{here[1]} must not include engine/{there[1]} ({name})"
    return None


def _circles(edges):
    """One finding per circle of parts, at one of the includes that close it."""
    graph = {}
    for a, b in edges:
        graph.setdefault(a, set()).add(b)
    found, done = [], set()
    for first in sorted(graph):
        trail = _path_back(graph, first)
        if trail and not done & set(trail):
            done |= set(trail)
            where = edges[trail[-2], trail[-1]]
            circle = " → ".join(f"engine/{p}" for p in trail)
            found.append(Finding(where.path, where.line, f"circular includes: {circle}"))
    return found


def _path_back(graph, first):
    """The shortest path [first, …, first] along edges, or None."""
    trails = [[first]]
    seen = set()
    for trail in trails:
        for after in sorted(graph.get(trail[-1], ())):
            if after == first:
                return trail + [first]
            if after not in seen:
                seen.add(after)
                trails.append(trail + [after])
    return None
