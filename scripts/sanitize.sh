#!/usr/bin/env bash
# Runs tests under the sanitizers:
#
#   ./scripts/sanitize.sh asan | tsan [--all]
#
# asan (with undefined behaviour): the unit tests; with --all also the integration tests.
# tsan: tests of code with threads (team, loader, ranks, some operators); with --all every test.
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

preset=${1:-}
all=${2:-}
[[ $preset =~ ^(asan|tsan)$ && $all =~ ^(--all)?$ ]] ||
  die "usage: scripts/sanitize.sh asan|tsan [--all]"

# detect_stack_use_after_return stays off: with it GCC 12 puts 64-byte vectors on a separate stack
# that is not aligned for them (GCC bug 110027), and every AVX-512 body faults.
export ASAN_OPTIONS=strict_string_checks=1
export UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1

# GCC 12's TSan does not support the address layouts of newer kernels with more randomisation.
fixed=()
if [ "$preset" = tsan ] && setarch -R true 2>/dev/null; then fixed=(setarch -R); fi

threaded='*Thread*:*Loader*:*Communicator*:*Watchdog*:*SideChannel*:RmsNorm*:Linear*:GroupSum*'
threaded+=':Ranks.*'
threaded_suites='base data kernels comm parallel train'

run_threaded() {
  local target
  for target in $threaded_suites; do
    echo "--- test_$target $threaded"
    "${fixed[@]}" "build/tsan/tests/test_$target" --gtest_brief=1 --gtest_filter="$threaded" ||
      return
  done
}


install_packages build test
if [ "$preset" = tsan ] && [ -z "$all" ]; then
  read -ra suites <<<"$threaded_suites"
  quietly "build tsan" build tsan -DBIRKHOFF_TESTS=ON -- "${suites[@]/#/test_}"
  run_threaded
else
  quietly "build $preset" build "$preset" -DBIRKHOFF_TESTS=ON
  run_tests() {
    "${fixed[@]}" ctest --test-dir "build/$preset" --output-on-failure -j "$jobs" \
      --no-tests=error "$@"
  }
  run_tests -LE '^(integration|scripts)$'
  if [ -n "$all" ]; then
    # Open MPI leaks in modules that it has unloaded by the time of the leak check, so suppressions
    # cannot name them. The unit tests have already checked for our own leaks.
    ASAN_OPTIONS+=:detect_leaks=0
    run_tests -L '^integration$'
  fi
fi
