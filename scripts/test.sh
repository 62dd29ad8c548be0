#!/usr/bin/env bash
# Builds the release preset with all tests and runs them; arguments go to ctest:
#
#   ./scripts/test.sh [CTEST OPTION …]       e.g. -R RmsNorm, --rerun-failed
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

install_packages build test data plot check
make_venv
quietly "build with tests" build release -DBIRKHOFF_TESTS=ON \
  -DPython3_EXECUTABLE="$root/$venv/bin/python3"
ctest --test-dir build/release --output-on-failure -j "$jobs" --no-tests=error "$@"
