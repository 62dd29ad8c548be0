#!/usr/bin/env bash
# The paper's comparison (arXiv 2512.24880, figures 2 and 3) on a config of choice: trains it with
# each residual from the same seed and data, one after the other, and draws them over each other.
#
#   ./scripts/compare.sh [CONFIG] [key=value …]        default: configs/deep.yaml
#
# A comparison that was stopped (Ctrl-C saves, exit code 75) goes on where it was: the same command
# again. Paths are relative to the directory in which it is called.
#
# RESIDUALS   environment: which (default "plain hc mhc"); the first is the baseline.
# RANKS       environment: how many processes share a training (default 2).
# OUT         environment: where the runs go (default runs/compare-<CONFIG's name>).
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
  # A residual that diverges is a result: what it wrote until then is drawn.
  [ $status != 8 ] || say "$residual diverged: a number was not finite"
  [ $status = 0 ] || [ $status = 8 ] || die "training $residual failed with exit code $status"
done
[ -f $venv/requirements.txt ] || die "cannot draw curves: pip could not install matplotlib"
$venv/bin/python3 scripts/report.py "${runs[@]}" --baseline "${runs[0]}" --out "$out/report"
say "the comparison is in $out/report/comparison.png"
