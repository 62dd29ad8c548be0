#!/usr/bin/env bash
# Everything that takes too long to run for each change: 300 kills, 100 requests to stop, all tests
# in debug and under both sanitizers, clang-tidy on every file, the planted faults, the comparison
# with PyTorch (which downloads 5 GB once), and the README's two commands in a fresh clone, as this
# user and, if this is root, also as an unprivileged one. Continues after a failure, and prints a
# table at the end.
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

table=()
failed=0
nightly() { # NAME MINUTES COMMAND…
  local start status=0
  start=$(now)
  stage "$@" || status=$?
  [ $status = 0 ] || failed=$((failed + 1))
  table+=("$(printf '%-24s %6.1f min  %s' "$1" \
    "$(awk -v s="$(since "$start")" 'BEGIN { print s / 60 }')" \
    "$([ $status = 0 ] && echo ok || echo "FAILED ($status)")")")
}

# Tests a clone of the last commit, without an existing build or data, with a short training.
try_clone() { # [COMMAND to become another user…]
  place=$(mktemp -d)
  trap 'rm -rf "$place"' EXIT
  git clone -q --no-local "$root" "$place/birkhoff"
  [ $# = 0 ] || chown -R 65534:65534 "$place"
  (cd "$place/birkhoff" && "$@" env HOME="$place" CCACHE_DISABLE=1 bash -c \
    './scripts/train.sh train.stop_at=20 && ./scripts/test.sh')
}

if [ "${1:-}" = --clone ]; then # how stage() runs try_clone
  shift
  try_clone "$@"
  exit
fi

install_packages build test data plot check fuzz cuda
make_venv
nightly "check" 2 scripts/check
nightly "tests" 12 scripts/test.sh
nightly "every file call" 15 env BIRKHOFF_FAULTS=all build/release/tests/test_faults --gtest_brief=1
nightly "torture" 30 scripts/torture.sh --kills 300
nightly "stops" 15 scripts/torture.sh --stops 100
nightly "tidy" 30 scripts/tidy
nightly "debug" 30 env PRESET=debug scripts/test.sh
nightly "asan" 40 scripts/sanitize.sh asan --all
nightly "tsan" 60 scripts/sanitize.sh tsan --all
nightly "emulated CUDA" 8 scripts/cuda_emulated.sh
nightly "nvcc" 20 scripts/cuda_build.sh --binary 80 90a 100a
nightly "nvcc's code, self-test" 2 scripts/ptx_check --self-test
nightly "nvcc's code" 4 scripts/ptx_check
nightly "parsers" 45 scripts/fuzz.sh 600
nightly "mutants" 60 scripts/mutants.sh
nightly "parity" 30 scripts/parity.sh
nightly "comparison" 10 env OUT="$(mktemp -d)" scripts/compare.sh configs/deep.yaml train.stop_at=60
nightly "fresh clone" 30 scripts/nightly.sh --clone
if [ "$(id -u)" = 0 ]; then
  nightly "fresh clone, no rights" 30 scripts/nightly.sh --clone \
    setpriv --reuid=65534 --regid=65534 --clear-groups
fi

printf '%s\n' "${table[@]}"
[ $failed = 0 ] || die "$failed stages failed"
say "all stages passed"
