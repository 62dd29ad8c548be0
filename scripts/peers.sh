#!/usr/bin/env bash
# Times Birkhoff's whole training step against the same model in PyTorch, written as its users would
# write it, on this CPU:
#
#   ./scripts/peers.sh [--quick | --warm] [--only TEXT] [--accept]
#
# Measures ten settings of PyTorch, then the best of them alternating with Birkhoff; also longer
# sequences, another residual, a block of the 3B model, and the mHC path of one sublayer alone.
# Nothing else should run meanwhile. Results are in build/peers: report.md, report.json, pairs.png.
# Exit code 1 if PyTorch does not compute the same as Birkhoff.
#
# --warm        compiles everything and measures nothing. The cache is kept for a later run, whose
#               first use would otherwise take about ten minutes longer. Needs no quiet machine
# --quick       small models and two settings: checks that everything works, without measuring
# --only TEXT   runs only models whose name contains TEXT, or "sublayer"
# --accept      rewrites docs/performance/peers.md and its picture
#
# PARITY_VENV   environment: directory in which PyTorch is, or will be installed (default
#               build/parity-venv, as for scripts/parity.sh). About 5 GB.
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

torch_venv=${PARITY_VENV:+$(from_caller "$PARITY_VENV")}
torch_venv=${torch_venv:-build/parity-venv}
requirements=bench/peers/requirements.txt
installed=$torch_venv/requirements-peers.txt
install_torch() {
  { [ -x "$torch_venv/bin/pip" ] || python3 -m venv "$torch_venv"; } &&
    "$torch_venv/bin/pip" install --quiet --disable-pip-version-check -r $requirements &&
    cp $requirements "$installed"
}

install_packages build
cmp -s $requirements "$installed" || quietly "PyTorch" install_torch
quietly "build" build_binary
"$torch_venv/bin/python3" bench/peers/main.py build/release/birkhoff build/peers "$@"
