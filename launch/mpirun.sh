#!/usr/bin/env bash
# mpirun as a training run needs it; takes what mpirun takes:
#
#   launch/mpirun.sh -np 2 build/release/birkhoff train configs/tiny.yaml
#
# - As root (containers, CI) Open MPI wants to be told that this is meant.
# - Ranks have threads of their own: no rank is bound to a core, unless the call says how. More
#   ranks than cores are allowed where no batch system has counted them.
# - SIGTERM, by which batch systems and `docker stop` announce the end, becomes SIGUSR1 for every
#   rank: the run saves at its next step and exits with 75. (mpirun itself answers SIGTERM by
#   killing all ranks.) A second SIGTERM is passed on as it is.
# - The exit code is that of the failure's cause (6: a rank died, 7: a rank hung), where mpirun's
#   own is that of whichever rank it saw end first, 137 for a kill.
# - mpirun ends with its ranks. PMIx 4.2 can lock itself out when a rank is killed while it leaves,
#   and mpirun then waits for ever.
# - BIRKHOFF_RESTARTS=N: starts again, at most N times, what ended because a rank died or hung
#   (exit codes 6 and 7); the run goes on from its newest checkpoint.
set -uo pipefail

given=" $* "
# What mpirun waits for before it kills the ranks beside one that failed, even if all are gone.
flags=(--mca odls_base_sigkill_timeout 1)
if [ "$(id -u)" = 0 ]; then flags+=(--allow-run-as-root); fi
case $given in *" --bind-to "* | *" -bind-to "*) ;; *) flags+=(--bind-to none) ;; esac
if [ -z "${SLURM_JOB_ID:-}${PBS_JOBID:-}${LSB_JOBID:-}" ]; then flags+=(--oversubscribe); fi
# Single copies between processes need a right (CAP_SYS_PTRACE) that containers usually lack.
export OMPI_MCA_btl_vader_single_copy_mechanism=${OMPI_MCA_btl_vader_single_copy_mechanism:-none}
# Not in shared memory, whose lock a rank that is killed while it starts takes along: mpirun then
# waits for it for ever (PMIx 4.2, once in 60 such kills).
export PMIX_MCA_gds=${PMIX_MCA_gds:-hash}

command -v mpirun >/dev/null || {
  echo "[mpirun.sh] there is no mpirun: apt-get install openmpi-bin" >&2
  exit 2
}

BIRKHOFF_VERDICT=$(mktemp) || exit 5
export BIRKHOFF_VERDICT  # the ranks of this machine write the cause's code
trap 'rm -f "$BIRKHOFF_VERDICT"' EXIT

child=
asked=
on_term() {
  [ -n "$child" ] || exit 143
  if [ -z "$asked" ]; then
    asked=yes
    kill -USR1 "$child"
  else
    kill -TERM "$child"
  fi
}
trap on_term TERM
trap '[ -z "$child" ] || { asked=yes; kill -USR1 "$child"; }' USR1

# Kills a process that had children and has had none for 3 seconds. (Normally mpirun is gone within
# 1.5.) Without /proc/…/children, an option of the kernel, it kills nobody.
end_without_children() { # PID
  local children had='' idle=0
  while kill -0 "$1" && sleep 0.5; do
    children=$(cat /proc/"$1"/task/*/children)
    if [ -n "$children" ]; then
      had=yes idle=0
    elif [ -n "$had" ] && [ $((idle += 1)) -ge 6 ]; then
      kill -KILL "$1"
      exit 0
    fi
  done 2>/dev/null
  exit 1
}

restarts=${BIRKHOFF_RESTARTS:-0}
while :; do
  mpirun "${flags[@]}" "$@" <&0 &
  child=$!
  end_without_children "$child" >/dev/null 2>&1 </dev/null &
  guard=$!
  # A trapped signal ends `wait` before the child has ended.
  while :; do
    wait "$child"
    status=$?
    if ! kill -0 "$child" 2>/dev/null; then
      wait "$child" 2>/dev/null
      last=$?
      [ $last = 127 ] || status=$last  # the one before was the trap's
      break
    fi
  done
  if [ "$status" = 137 ] && wait "$guard"; then
    echo "[mpirun.sh] mpirun did not end with its ranks, and was killed" >&2
  else
    kill "$guard" 2>/dev/null
  fi
  if [ $status != 0 ] && [ $status != 75 ]; then
    verdict=$(cat "$BIRKHOFF_VERDICT")
    case $verdict in
      [1-9]*) status=$verdict ;;
      *) if [ -z "$asked" ] && [ $status -gt 128 ]; then status=6; fi ;;
    esac
  fi
  if [ -n "$asked" ] || [ "$restarts" -le 0 ]; then exit $status; fi
  case $status in 6 | 7) ;; *) exit $status ;; esac
  : >"$BIRKHOFF_VERDICT"
  restarts=$((restarts - 1))
  echo "[mpirun.sh] ended with $status; starting again, $restarts restarts left" >&2
done
