#!/usr/bin/env bash
# The paper's comparison (arXiv 2512.24880, figures 2 and 3) for any config: trains it with each
# residual in turn, from the same seed and data, and plots the runs over each other.
#
#   ./scripts/compare.sh [CONFIG] [key=value …]        default: configs/deep.yaml
#
# The same command resumes a comparison that was stopped (Ctrl-C saves, exit code 75). Paths are
# relative to the directory in which the script is called.
#
# RESIDUALS   environment: residuals to train (default "plain hc mhc"); the first is the baseline.
# RANKS       environment: number of processes that share a training (default 2).
# OUT         environment: directory of the runs (default runs/compare-<CONFIG's name>).
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

overrides=()
read_study configs/deep.yaml "run.dir|model.residual" "OUT, RESIDUALS" "$@"
read -ra residuals <<<"${RESIDUALS:-plain hc mhc}"
out=$(from_caller "${OUT:-runs/compare-$(basename "$config" .yaml)}")

scripts/train.sh --prepare "$config" "${overrides[@]}"
locate_data
runs=()
for residual in "${residuals[@]}"; do
  runs+=("$out/$residual")
  say "training $residual"
  status=0
  train_run "$config" "${overrides[@]}" run.dir="$out/$residual" model.residual="$residual" ||
    status=$?
  # A residual that diverges is a result: its metrics up to then are plotted.
  [ $status != 8 ] || say "$residual diverged: a number was not finite"
  [ $status = 0 ] || [ $status = 8 ] || die "training $residual failed with exit code $status"
done
[ -f $venv/requirements.txt ] || die "cannot draw curves: pip could not install matplotlib"
$venv/bin/python3 scripts/report.py "${runs[@]}" --baseline "${runs[0]}" --out "$out/report"
say "the comparison is in $out/report/comparison.png"
