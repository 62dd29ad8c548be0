#!/usr/bin/env bash
# Kills runs of several ranks at random moments, lets them go on, and compares what they end with,
# bit by bit, with a run that nobody killed:
#
#   ./scripts/torture.sh [--kills 300 | --stops N] [--ranks 2] [--seed N]
#
# --stops N   instead of kills, N requests to stop: SIGINT, SIGHUP and SIGTERM, one process and
#             ranks under launch/mpirun.sh; a third of them twice.
#
# Prints a table; docs/reliability.md has the figures of the last full one.
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

install_packages build test
quietly "build" build release -- birkhoff
exec python3 tests/faults/torture.py build/release/birkhoff "$@"
