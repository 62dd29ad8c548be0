#!/usr/bin/env bash
# Tests the CUDA kernels and their host code on the emulated device (docs/cuda.md), without a GPU or
# toolkit. The same tests run plain, under ASan and UBSan, and with the checker; the engine's stream
# plans run with the checker.
#
#   ./scripts/cuda_emulated.sh [GOOGLETEST OPTION …]       e.g. --gtest_filter='CudaRmsNorm.*'
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

export ASAN_OPTIONS=strict_string_checks=1
export UBSAN_OPTIONS=print_stacktrace=1

install_packages build test
quietly "build release" build release -DBIRKHOFF_TESTS=ON -- test_cuda test_cuda_checked \
  test_cuda_planned
quietly "build asan" build asan -DBIRKHOFF_TESTS=ON -- test_cuda
phase "emulated" build/release/tests/test_cuda --gtest_brief=1 "$@"
phase "emulated, ASan and UBSan" build/asan/tests/test_cuda --gtest_brief=1 "$@"
phase "emulated, checker" build/release/tests/test_cuda_checked --gtest_brief=1 "$@"
phase "stream plans, checker" build/release/tests/test_cuda_planned --gtest_brief=1 "$@"
