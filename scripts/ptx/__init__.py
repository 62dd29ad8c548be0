"""What nvcc makes of the kernels, for scripts/ptx_check: build.py compiles, read.py reads what
ptxas and nvdisasm say, rules.py judges it."""
