#!/usr/bin/env bash
# Fuzzes every parser of untrusted bytes, two at a time:
#
#   ./scripts/fuzz.sh [SECONDS [TARGET…]]        30 seconds each; targets: tests/fuzz/targets.h
#
# Starts from tests/fuzz/corpus/TARGET and seeds made by the formats' own writers. An input that
# breaks a property is stored in build/fuzz/finds/, and the command that runs it again is printed;
# other new inputs stay in build/fuzz/corpus/TARGET. Inputs that take over 5 seconds, an allocation
# over 256 MiB and a process over 2 GiB are finds as well.
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

seconds=${1:-30}
[[ $seconds =~ ^[1-9][0-9]*$ ]] || die "usage: scripts/fuzz.sh [SECONDS [TARGET…]]"
shift $(($# > 0))
install_packages build fuzz
quietly "build fuzz" build fuzz

out=build/fuzz
mkdir -p $out/finds $out/log
$out/write_seeds $out/corpus
targets=("$@")
[ ${#targets[@]} != 0 ] || mapfile -t targets < <(ls tests/fuzz/corpus)

export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
run_again="-timeout=5 -rss_limit_mb=2048 -malloc_limit_mb=256"

fuzz() { # TARGET
  local dictionary=json longest=16384
  # yaml-cpp takes a millisecond for 5 KiB, ten under the sanitizers.
  [ "$1" != config ] || { dictionary=config && longest=4096; }
  # shellcheck disable=SC2086
  $out/tests/fuzz/fuzz_"$1" -max_total_time="$seconds" -max_len=$longest -print_final_stats=1 \
    $run_again -dict=tests/fuzz/dictionaries/$dictionary.dict -artifact_prefix=$out/finds/"$1"- \
    $out/corpus/"$1" tests/fuzz/corpus/"$1" >$out/log/"$1" 2>&1
}

report() { # TARGET STATUS
  local runs coverage
  runs=$(sed -nE 's/^stat::number_of_executed_units: *//p' $out/log/"$1")
  coverage=$(sed -nE 's/.* cov: ([0-9]+) .*/\1/p' $out/log/"$1" | tail -n 1)
  say "$1: ${runs:-0} inputs, $coverage edges$([ "$2" = 0 ] || echo ", FOUND SOMETHING")"
  [ "$2" != 0 ] || return 0
  grep -E -m 3 'ERROR|what\(\)|runtime error|SUMMARY' $out/log/"$1" || tail -n 20 $out/log/"$1"
  echo "    to reproduce: $out/tests/fuzz/fuzz_$1 $run_again \\"
  echo "      $(sed -nE 's/.*Test unit written to (.*)/\1/p' $out/log/"$1" | tail -n 1)"
}

failed=0
for ((i = 0; i < ${#targets[@]}; i += 2)); do
  pair=("${targets[@]:i:2}")
  pids=()
  for target in "${pair[@]}"; do
    [ -x "$out/tests/fuzz/fuzz_$target" ] ||
      die "unknown target $target; tests/fuzz/corpus has a folder for each target"
    fuzz "$target" &
    pids+=($!)
  done
  for j in "${!pair[@]}"; do
    status=0
    wait "${pids[j]}" || status=$?
    report "${pair[j]}" $status
    [ $status = 0 ] || failed=$((failed + 1))
  done
done
[ $failed = 0 ] || die "$failed targets failed; see $out/log"
