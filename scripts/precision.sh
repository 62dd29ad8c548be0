#!/usr/bin/env bash
# Does bf16 train as well as fp32? Trains a config with several seeds in both, compares the ends of
# the loss curves seed by seed, and draws them:
#
#   ./scripts/precision.sh [CONFIG] [key=value …]        default: configs/tiny.yaml, 500 steps
#
# Exit code 1 unless the mean difference of the last 50 losses is at most 0.3 % or two standard
# errors, whichever is more, and the standard error at most 0.3 %. A study that was stopped
# (Ctrl-C saves, exit code 75) goes on where it was. Paths are relative to the directory in which it
# is called.
#
# SEEDS   environment: which (default "1 2 3 4 5").   RANKS: processes that share a training (2).
# OUT     environment: where the runs go (default runs/precision-<CONFIG's name>).
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
