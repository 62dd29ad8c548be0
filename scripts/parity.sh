#!/usr/bin/env bash
# Compares Birkhoff with independent implementations: PyTorch, and transformers' DeepSeek models.
#
#   ./scripts/parity.sh [--only TEXT] [--accept]
#
# Compares loss, logits and gradients of whole models, the mHC operator, AdamW, and 50 training
# steps. docs/numerics.md derives the bound for each tensor's error. Results are in
# build/parity/report.json and report.md. Exit code 1 if a bound is exceeded.
#
# --only TEXT   runs only cases whose name contains TEXT
# --accept      rewrites the tables of docs/numerics.md, and tests/golden/parity
#
# PARITY_VENV   environment: directory in which PyTorch is, or will be installed (default
#               build/parity-venv). About 5 GB; nothing else in Birkhoff needs it.
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
