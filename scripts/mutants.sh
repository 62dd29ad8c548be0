#!/usr/bin/env bash
# Plants known faults one by one and requires a named test to catch each:
#
#   ./scripts/mutants.sh [PATCH…]          default: tests/mutants/*.patch
#
# A patch begins with two lines, followed by a unified diff with a/ and b/ paths:
#
#   What: the mean of squares is not divided by the width
#   Test: test_kernels RmsNormOperators.*            an executable of tests/, a GoogleTest filter
#
# The sources are copied to build/mutants/tree and built in build/mutants/build: neither the work
# tree nor its builds are touched. A patch that does not apply or compile is an error, and so is
# a test that fails without the patch. Exit code 0 only if every fault is caught.
#
# A fault that was caught is not planted again until something relevant changes: the patch, the
# test's executable and the binary, both built without faults, or a file that is not compiled. So
# an interrupted run continues where it stopped. Results are in build/mutants/results/.
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

tree=$root/build/mutants/tree
built=$root/build/mutants/build
results=$root/build/mutants/results
caught=0 survived=0 errors=0
patches=()
for patch in "$@"; do patches+=("$(from_caller "$patch")"); done
[ ${#patches[@]} != 0 ] || patches=(tests/mutants/*.patch)

field() { sed -n "s/^$2: *//p;/^diff \|^--- /q" "$1" | head -n 1; }

# Copies only files that differ, with a new time stamp, so that ninja rebuilds only what a planted
# fault of the last run had changed.
copy_sources() {
  local file
  mkdir -p "$tree"
  git ls-files -z --cached --others --exclude-standard >"$built.files"
  while IFS= read -r -d '' file; do
    [ -f "$file" ] || continue
    cmp -s "$file" "$tree/$file" && continue
    mkdir -p "$tree/$(dirname "$file")" && cp "$file" "$tree/$file"
  done <"$built.files"
  (cd "$tree" && find . -type f -printf '%P\0') | while IFS= read -r -d '' file; do
    [ -f "$file" ] || rm "$tree/$file"
  done
}

# Without the ceiling, git would treat the tree as part of this repository and skip it.
apply() { GIT_CEILING_DIRECTORIES=$root/build/mutants git -C "$tree" apply "$@"; }

configure() {
  cmake -S "$tree" -B "$built" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBIRKHOFF_TESTS=ON \
    -DBIRKHOFF_WERROR=OFF  # a fault may leave something unused
}

# Runs a patch's test, with its output in $built.log. Returns 0 if it passed, 2 if no test ran.
run_test() { # EXECUTABLE FILTER
  timeout 300 "$built/tests/$1" --gtest_filter="$2" >"$built.log" 2>&1 </dev/null || return 1
  ! grep -q '^\[==========\] Running 0 tests' "$built.log" || return 2
}

build_executables() { cmake --build "$built" -j "$jobs" --target "$@"; }

# The executables are built before any patch is applied. Then each fault costs one build, which
# compiles its file and that of the previous fault, which is unpatched again.
declare -A unpatched=()       # "EXECUTABLE FILTER" → run_test's status without any fault
declare -A unpatched_hash=()  # executable → hash of it and of the binary, which it may run
build_unpatched() {
  local patch executable executables=()
  for patch in "${patches[@]}"; do
    [ -f "$patch" ] || die "no such patch: $patch"
    read -r executable _ <<<"$(field "$patch" Test)"
    [ -z "$executable" ] || executables+=("$executable")
  done
  [ ${#executables[@]} != 0 ] || return 0
  mapfile -t executables < <(printf '%s\n' "${executables[@]}" | sort -u)
  quietly "build without faults" build_executables "${executables[@]}"
  for executable in "${executables[@]}"; do
    unpatched_hash[$executable]=$(cat "$built/birkhoff" "$built/tests/$executable" | sha256sum)
  done
}

# Prints a hash of everything on which the verdict on PATCH depends.
dependencies() { # PATCH EXECUTABLE
  echo "${unpatched_hash[$2]:-} $files_hash" | cat - "$1" | sha256sum
}

was_caught() { # PATCH
  local executable
  read -r executable _ <<<"$(field "$1" Test)"
  [ -n "$executable" ] && [ -f "$results/$(basename "$1")" ] &&
    dependencies "$1" "$executable" | cmp -s - "$results/$(basename "$1")"
}

judge() { # PATCH: prints and counts its verdict
  local patch=$1 what test executable filter
  what=$(field "$patch" What)
  test=$(field "$patch" Test)
  read -r executable filter <<<"$test"
  if [ -z "$what" ] || [ -z "$filter" ]; then
    verdict ERROR "needs a What: line, and a Test: line with an executable and a filter"
  elif [ "${unpatched[$test]}" = 2 ]; then
    verdict ERROR "no test matches $test"
  elif [ "${unpatched[$test]}" != 0 ]; then
    verdict ERROR "$test fails even without the fault"
  elif ! apply "$patch" 2>"$built.log"; then
    verdict ERROR "no longer applies: $(head -n 1 "$built.log")"
  else
    if ! build_executables "$executable" >"$built.log" 2>&1; then
      mv "$built.log" "$built.error.log"
      verdict ERROR "does not compile (see $built.error.log)"
    elif run_test "$executable" "$filter"; then
      verdict SURVIVED "$what; $test still passed"
    else
      verdict caught "$what"
      dependencies "$patch" "$executable" >"$results/$(basename "$patch")"
    fi
    apply -R "$patch"
  fi
}

verdict() { # ERROR | SURVIVED | caught, TEXT
  case $1 in
    caught) caught=$((caught + 1)) ;;
    SURVIVED) survived=$((survived + 1)) ;;
    *) errors=$((errors + 1)) ;;
  esac
  say "$1: $(basename "$patch" .patch): $2"
}

mkdir -p "$built" "$results"
copy_sources
files_hash=$(cd "$tree" && find scripts configs launch tests/golden -type f -print0 | sort -z |
  xargs -0 sha256sum | sha256sum)
quietly "configure mutants" configure
build_unpatched
again=()
for patch in "${patches[@]}"; do
  if was_caught "$patch"; then
    caught=$((caught + 1))
  else
    again+=("$patch")
  fi
done
[ $caught = 0 ] || say "$caught of ${#patches[@]} were caught before, and nothing has changed since"
for patch in "${again[@]}"; do
  test=$(field "$patch" Test)
  if [ -z "$test" ] || [ -n "${unpatched[$test]:-}" ]; then continue; fi
  unpatched[$test]=0
  read -r executable filter <<<"$test"
  run_test "$executable" "$filter" || unpatched[$test]=$?
done
for patch in "${again[@]}"; do
  judge "$(realpath "$patch")"
done
say "score: $caught of ${#patches[@]} caught, $survived survived, $errors errors"
[ $caught = ${#patches[@]} ]
