#!/usr/bin/env bash
# The paper's comparison (arXiv 2512.24880, figures 2 and 3) on a config of choice: trains it with
# each residual from the same seed and data, one after the other, and draws them over each other.
#
#   ./scripts/compare.sh [CONFIG] [key=value …]        default: configs/deep.yaml
#
# A comparison that was stopped goes on where it was: the same command again.
#
# RESIDUALS   environment: which (default "plain hc mhc"); the first is the baseline.
# RANKS       environment: how many processes share a training (default 2).
# OUT         environment: where the runs go (default runs/compare-<CONFIG's name>).
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

overrides=()
read_study configs/deep.yaml "run.dir|model.residual" "OUT, RESIDUALS" "$@"
read -ra residuals <<<"${RESIDUALS:-plain hc mhc}"
out=${OUT:-runs/compare-$(basename "$config" .yaml)}

scripts/train.sh --prepare "$config" "${overrides[@]}"
runs=()
for residual in "${residuals[@]}"; do
  runs+=("$out/$residual")
  say "training $residual"
  status=0
  launch/mpirun.sh -np "${RANKS:-2}" build/release/birkhoff train "$config" "${overrides[@]}" \
    run.dir="$out/$residual" model.residual="$residual" || status=$?
  [ $status != 75 ] || die "stopped and saved; the same command goes on from there"
  # A residual that diverges is a result: what it wrote until then is drawn.
  [ $status != 8 ] || say "$residual ended with a number that is not finite"
  [ $status = 0 ] || [ $status = 8 ] || die "training $residual failed with exit code $status"
done
[ -f $venv/requirements.txt ] || die "no curves without matplotlib: pip cannot install it here"
$venv/bin/python3 scripts/report.py "${runs[@]}" --baseline "${runs[0]}" --out "$out/report"
say "the comparison is $out/report/comparison.png"
