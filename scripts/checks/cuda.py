"""Checks that CUDA kernels use only the vocabulary of kernels/cuda/device/ (docs/cuda.md).

The emulated device implements only this vocabulary, so anything else would not be tested.
"""
import re

from . import Finding, cpp

DEVICE = "kernels/cuda/device/"
KERNELS = ("kernels/cuda/", "tests/cuda/kernels/")
# CUDA's own names with two underscores that every kernel needs.
_MARKS = ("__global__", "__device__", "__host__", "__launch_bounds__", "__restrict__")

_FORBIDDEN = [
    (r"<<<", "use launch() for a launch"),
    (r"\basm\b", "PTX belongs in kernels/cuda/device/nvidia/"),
    (r"\b(?:threadIdx|blockIdx|blockDim|gridDim|warpSize)\b", "use thread_index() and its like"),
    (r"\batomic[A-Z]\w*", "sums of floats must have a fixed order"),
    (r"\bcooperative_groups\b|\bcub::|\bwmma::|\bcute::", "kernels use the vocabulary, not "
     "libraries"),
    (r"\bvolatile\b", "use the vocabulary for waits"),
    (r"\b__nv_\w+|\b__half\w*|\bnv_bfloat\w*", "use bf16 of base/bf16.h"),
]
_BUILT_IN = re.compile(r"\b__[A-Za-z]\w*")
_INCLUDE = re.compile(r'#[ \t]*include[ \t]*[<"](cuda_(?!runtime_api\.h)|cooperative|cub/|mma\.h)')


def findings(tree):
    found = []
    for path, text in tree.cpp().items():
        if not path.startswith(KERNELS) or path.startswith(DEVICE):
            continue
        for number, line in enumerate(cpp.blank(text).split("\n"), 1):
            found += [Finding(path, number, f"{word}: {why}") for word, why in _words(line)]
        for number, line in enumerate(text.split("\n"), 1):
            if _INCLUDE.search(line):
                found.append(Finding(path, number, "include kernels/cuda/device/device.h instead"))
            if f'"{DEVICE}sm_90.h"' in line and "/sm_90/" not in path:
                found.append(Finding(path, number, "sm_80 does not have these words; move "
                                                   "this to a folder named sm_90"))
            if re.match(r"\s*#\s*if.*__CUDA", line):
                found.append(Finding(path, number, "kernels must be one text for every compiler"))
    return found


def _words(line):
    for pattern, why in _FORBIDDEN:
        if match := re.search(pattern, line):
            yield match[0], why
    for match in _BUILT_IN.finditer(line):
        if match[0] not in _MARKS and not re.match(_FORBIDDEN[-1][0], match[0]):
            yield match[0], "is not in the vocabulary (kernels/cuda/device/device.h)"
