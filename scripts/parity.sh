#!/usr/bin/env bash
# Compares Birkhoff with what others wrote: PyTorch, and transformers' DeepSeek models.
#
#   ./scripts/parity.sh [--only TEXT] [--accept]
#
# Loss, logits and gradients of whole models, the mHC operator, AdamW, 50 training steps; each
# tensor's error against a bound that docs/numerics.md derives. Results are build/parity/report.json
# and report.md. Exit code 1 where a bound is broken.
#
# --only TEXT   cases whose name has TEXT
# --accept      write the tables of docs/numerics.md and tests/golden/parity anew
#
# PARITY_VENV   environment: where PyTorch is, or is to be installed (default build/parity-venv).
#               About 5 GB; nothing else of Birkhoff needs it.
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

torch_venv=${PARITY_VENV:+$(from_caller "$PARITY_VENV")}
torch_venv=${torch_venv:-build/parity-venv}
requirements=scripts/parity/requirements.txt
install_torch() {
  { [ -x "$torch_venv/bin/pip" ] || python3 -m venv "$torch_venv"; } &&
    "$torch_venv/bin/pip" install --quiet --disable-pip-version-check -r $requirements &&
    cp $requirements "$torch_venv/requirements.txt"
}

install_packages build test plot
cmp -s $requirements "$torch_venv/requirements.txt" || quietly "PyTorch" install_torch
quietly "build parity" build release -DBIRKHOFF_TESTS=ON -- parity
HF_HUB_OFFLINE=1 "$torch_venv/bin/python3" scripts/parity/main.py build/release/tests/parity \
  build/parity "$@"
