#!/usr/bin/env bash
# Adds streams to a trained plain model: trains a config plain, imports that run with each residual,
# trains each further, and plots the runs over each other. Each starts from the loss that the plain
# model had reached.
#
#   ./scripts/grow.sh [CONFIG] [key=value …]             default: configs/tiny.yaml
#
# BEFORE, AFTER   environment: steps of the plain model, and of each imported one (default 300).
# RANKS           environment: number of processes that share a training (default 2).
# OUT             environment: directory of the runs (default runs/grow-<CONFIG's name>); existing
#                 runs are resumed. Ctrl-C saves, with exit code 75.
# Paths are relative to the directory in which the script is called.
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

overrides=()
read_study configs/tiny.yaml "run.dir|model.residual|train.steps" "OUT, BEFORE, AFTER" "$@"
out=$(from_caller "${OUT:-runs/grow-$(basename "$config" .yaml)}")

train() { # CONFIG RUN [key=value…]
  local config=$1 run=$2
  shift 2
  say "training $run"
  train_run --log "$run.log" "$config" run.dir="$run" "$@" ||
    die "training $run failed with exit code $?; see $run.log"
}

scripts/train.sh --prepare "$config" "${overrides[@]}"
locate_data
mkdir -p "$out"
# Keeps the full learning rate to the end, so that there is something left to learn.
train "$config" "$out/plain" "${overrides[@]}" model.residual=plain optim.schedule=constant \
  train.steps="${BEFORE:-300}"
runs=()
for residual in plain hc mhc; do
  run=$out/as-$residual
  runs+=("$run")
  [ -d "$run" ] || in_caller "$birkhoff" import "$out/plain" --out "$run" --residual $residual \
    train.steps="${AFTER:-300}"
  train "$run/config.yaml" "$run"
done
[ -f $venv/requirements.txt ] || die "cannot draw curves: pip could not install matplotlib"
$venv/bin/python3 scripts/report.py "${runs[@]}" --baseline "$out/as-plain" --out "$out/report"
first_loss() { sed -nE '1s/.*"loss":([0-9.e-]+).*/\1/p' "$1/metrics.jsonl"; }
for run in "${runs[@]}"; do say "$(basename "$run"): first loss $(first_loss "$run")"; done
say "the comparison is in $out/report/comparison.png"
