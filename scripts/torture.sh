#!/usr/bin/env bash
# Kills runs of several ranks at random moments, resumes them, and compares their final state bit by
# bit with an uninterrupted run:
#
#   ./scripts/torture.sh [--kills 300 | --stops N] [--ranks 2] [--seed N]
#
# --stops N   sends N requests to stop instead of kills: SIGINT, SIGHUP and SIGTERM, to one process
#             and to ranks under launch/mpirun.sh; a third of them twice.
#
# Prints a table; docs/reliability.md has the figures of the last full run.
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

install_packages build test
quietly "build" build release -- birkhoff
exec python3 tests/faults/torture.py build/release/birkhoff "$@"
