#!/usr/bin/env bash
# Compiles and links CUDA's kernels and their tests by nvcc 13.0; a warning or a register spill is
# an error. The tests run where there is a GPU, and are skipped where there is none.
#
#   ./scripts/cuda_build.sh [ARCHITECTURE…]       default: 80; e.g. 80 90a 100a
#
# CUDA_HOME   environment: the toolkit, where it is not found by itself.
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

release=13.0

find_nvcc() {
  local place
  for place in ${CUDA_HOME:+"$CUDA_HOME/bin"} "$(dirname "$(command -v nvcc || echo /none/nvcc)")" \
    /usr/local/cuda-$release/bin /usr/local/cuda/bin; do
    if [ -x "$place/nvcc" ] && "$place/nvcc" --version | grep -q "release $release,"; then
      echo "$place/nvcc"
      return
    fi
  done
  return 1
}

nvcc=$(find_nvcc) ||
  die "CUDA $release is not installed; install its toolkit, or set CUDA_HOME to where it is"
architectures=("$@")
[ ${#architectures[@]} != 0 ] || architectures=(80)
list=$(printf '%s-real;' "${architectures[@]}")
install_packages build test
# CMake forgets the preset's variables when it is given another compiler than before.
grep -qs "^CMAKE_CUDA_COMPILER:[A-Z]*=$nvcc\$" build/cuda/CMakeCache.txt ||
  rm -rf build/cuda/CMakeCache.txt build/cuda/CMakeFiles
quietly "build cuda" build cuda -DBIRKHOFF_TESTS=ON -DCMAKE_CUDA_COMPILER="$nvcc" \
  -DCMAKE_CUDA_ARCHITECTURES="${list%;}" -- birkhoff_cuda test_cuda_hardware cuda_runtime_signatures
say "compiled for ${architectures[*]} by $nvcc"
phase "tests, on a GPU if there is one" build/cuda/tests/test_cuda_hardware --gtest_brief=1
