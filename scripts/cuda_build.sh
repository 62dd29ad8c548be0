#!/usr/bin/env bash
# Compiles and links the CUDA kernels and their tests with nvcc; a warning or a register spill is an
# error. The tests run if there is a GPU, and are skipped otherwise.
#
#   ./scripts/cuda_build.sh [--binary] [ARCHITECTURE…]       default: 80; e.g. 80 90a 100a
#
# --binary also builds the whole engine, which takes as long as everything else, and checks that it
# starts without CUDA.
#
# The compiler is the one that scripts/cuda_toolkit.sh finds or installs.
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

targets=(birkhoff_cuda test_cuda_hardware cuda_runtime_signatures)
binary=no
if [ "${1:-}" = --binary ]; then
  binary=yes
  targets+=(birkhoff)
  shift
fi
architectures=("$@")
[ ${#architectures[@]} != 0 ] || architectures=(80)
list=$(printf '%s-real;' "${architectures[@]}")
install_packages build test
toolkit=$(scripts/cuda_toolkit.sh)
nvcc=$toolkit/bin/nvcc
# CMake drops the preset's variables when the compiler changes.
grep -qs "^CMAKE_CUDA_COMPILER:[A-Z]*=$nvcc\$" build/cuda/CMakeCache.txt ||
  rm -rf build/cuda/CMakeCache.txt build/cuda/CMakeFiles
quietly "build cuda" build cuda -DBIRKHOFF_TESTS=ON -DCMAKE_CUDA_COMPILER="$nvcc" \
  -DCMAKE_CUDA_ARCHITECTURES="${list%;}" -- "${targets[@]}"
say "compiled for ${architectures[*]} by $nvcc"
if [ $binary = yes ]; then # it must start without any CUDA library, and say what it finds
  ! readelf -d build/cuda/birkhoff | grep -E 'NEEDED.*lib(cu|nccl|nvToolsExt)' ||
    die "build/cuda/birkhoff needs a CUDA library to start, but must start without"
  build/cuda/birkhoff --version
fi
quietly "tests on a GPU" build/cuda/tests/test_cuda_hardware --gtest_brief=1
grep -E '^\[ +(PASSED|SKIPPED)' build/log/tests-on-a-GPU.log
