#!/usr/bin/env bash
# Builds the release preset with all tests and runs them; arguments are passed to ctest:
#
#   ./scripts/test.sh [CTEST OPTION …]       e.g. -R RmsNorm, --rerun-failed
#
# Without arguments it runs all tests except those of the CUDA kernels with the checker, which take
# two minutes and are run by scripts/cuda_emulated.sh.
#
# PRESET   environment: another preset, e.g. debug.
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

install_packages build test data plot check
make_tokenize_venv
preset=${PRESET:-release}
[ $# != 0 ] || set -- --label-exclude checker
quietly "build $preset with tests" build "$preset" -DBIRKHOFF_TESTS=ON \
  -DPython3_EXECUTABLE="$root/$venv/bin/python3"
ctest --test-dir "build/$preset" --output-on-failure -j "$jobs" --no-tests=error "$@"
