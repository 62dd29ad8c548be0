"""Checks nvcc's code of the kernels, for scripts/ptx_check: build.py compiles, read.py parses the
output of ptxas and nvdisasm, rules.py has the rules."""
