#!/usr/bin/env bash
# Birkhoff's whole training step beside the same model in PyTorch as its users would write it, on
# this CPU:
#
#   ./scripts/peers.sh [--quick | --warm] [--only TEXT] [--accept]
#
# Ten settings of PyTorch, the best of them by turns with Birkhoff, longer sequences,
# other residual, a block of the 3B model, the mHC path of a sublayer alone. Nothing else should run
# meanwhile. Results are build/peers/report.md, report.json and pairs.png. Exit code 1 where PyTorch
# does not compute what Birkhoff does.
#
# --warm        compile everything, measure nothing: the cache stays, for a later run. Without, the
#               first run takes about ten minutes longer. Needs no quiet machine
# --quick       small models and two settings: whether all of it works, no measurement
# --only TEXT   models whose name has TEXT, or "sublayer"
# --accept      write docs/performance/peers.md and its picture anew
#
# PARITY_VENV   environment: where PyTorch is, or is to be installed (default build/parity-venv):
#               that of scripts/parity.sh. About 5 GB.
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
