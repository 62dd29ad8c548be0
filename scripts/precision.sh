#!/usr/bin/env bash
# Tests whether bf16 trains as well as fp32: trains a config in both with several seeds, compares
# the ends of the loss curves seed by seed, and plots them:
#
#   ./scripts/precision.sh [CONFIG] [key=value …]        default: configs/tiny.yaml, 500 steps
#
# Exit code 1 unless the mean difference of the last 50 losses is at most 0.3 % or two standard
# errors, whichever is more, and the standard error is at most 0.3 %. The same command resumes a
# study that was stopped (Ctrl-C saves, exit code 75). Paths are relative to the directory in which
# the script is called.
#
# SEEDS   environment: seeds (default "1 2 3 4 5").   RANKS: processes that share a training (2).
# OUT     environment: directory of the runs (default runs/precision-<CONFIG's name>).
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

overrides=(train.steps=500)
read_study configs/tiny.yaml "run.dir|seed|train.precision" "OUT, SEEDS" "$@"
read -ra seeds <<<"${SEEDS:-1 2 3 4 5}"
out=$(from_caller "${OUT:-runs/precision-$(basename "$config" .yaml)}")

scripts/train.sh --prepare "$config" "${overrides[@]}"
locate_data
runs=()
mkdir -p "$out"
for seed in "${seeds[@]}"; do
  for precision in fp32 bf16; do
    run=$out/$precision-$seed
    runs+=("$run")
    say "training $run"
    train_run --log "$run.log" "$config" "${overrides[@]}" run.dir="$run" seed="$seed" \
      train.precision="$precision" ||
      die "training $run failed with exit code $?; see $run.log"
  done
done
[ -f $venv/requirements.txt ] || die "cannot draw curves: pip could not install matplotlib"
$venv/bin/python3 scripts/precision.py "$out"
