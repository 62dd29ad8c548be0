#!/usr/bin/env bash
# Runs mpirun in the way a training run needs; takes the options of mpirun:
#
#   launch/mpirun.sh -np 2 build/release/birkhoff train configs/tiny.yaml
#
# - As root (containers, CI) it adds the option that Open MPI requires.
# - Ranks have threads, so no rank is bound to a core unless the call requests it. More ranks than
#   cores are allowed if no batch system has assigned them.
# - Ctrl-C, a lost connection (SIGHUP), SIGTERM and SIGUSR1 reach every rank as SIGUSR1: the run
#   finishes its step, saves and exits with 75. mpirun itself would kill the ranks within a second,
#   so it gets a session of its own, which the terminal's signals do not reach. A second signal (one
#   within 0.2 seconds counts as the first) ends all processes at once, with 128 + its number.
#   Signals that were ignored when the launcher started (nohup) stay ignored.
# - A closed pipe (`| head`) does not end the run; mpirun itself gives up at the eleventh SIGPIPE.
# - The exit code is that of the failure's cause (6: a rank died, 7: a rank hung, 2: the program
#   could not be launched); mpirun's own would be that of the rank it saw end first. Its boxes
#   about exit codes are printed at the end, and only if something failed.
# - mpirun is killed if it outlives its ranks. PMIx 4.2 can deadlock if a rank is killed while it
#   exits, and mpirun alone would then wait forever.
# - BIRKHOFF_RESTARTS=N: restarts the run, at most N times, if a rank died or hung (exit codes 6
#   and 7); it resumes from its newest checkpoint. A run that never really started is not restarted:
#   a rank on this machine must have completed a step, or have reported the cause.
#   BIRKHOFF_RESTART_PAUSE: seconds before the first restart (default 5); doubles each time, to 60.
set -uo pipefail

place=''  # directory for the pipes and for the ranks' verdict
child=''  # pid of mpirun
guard=''  # pid of end_without_children
asked=''  # time of the first signal, in microseconds
passed='' # set once the request has been passed on to the ranks

say() { echo "[mpirun.sh] $*" >&2; }

children_of() { cat /proc/"$1"/task/*/children 2>/dev/null; }

ranks_of() { # MPIRUN: prints the pids of its ranks on this machine
  local pid
  for pid in $(children_of "$1"); do
    if grep -qz '^OMPI_COMM_WORLD_RANK=' /proc/"$pid"/environ 2>/dev/null; then echo "$pid"; fi
  done
}

catches_usr1() { # PID…: succeeds if all of them have a handler for SIGUSR1 (bit 9)
  local pid mask
  for pid in "$@"; do
    mask=$(sed -n 's/^SigCgt:[[:space:]]*//p' /proc/"$pid"/status 2>/dev/null)
    [ $((0x${mask: -4} & 0x200)) != 0 ] || return 1
  done
}

# Makes mpirun send SIGUSR1 to all ranks. The signal would end a process without a handler, so this
# waits until mpirun and the ranks of this machine have one, in two consecutive checks.
pass_request() { # MPIRUN
  local looks ready=0 ranks
  for ((looks = 0; looks < 400; ++looks)); do
    kill -0 "$1" || exit 0
    mapfile -t ranks < <(ranks_of "$1")
    if { [ ${#ranks[@]} != 0 ] || [ $((SECONDS - launched)) -ge 10 ]; } &&
      catches_usr1 "$1" "${ranks[@]}"; then
      [ $((ready += 1)) -lt 2 ] || break
    else
      ready=0
    fi
    sleep 0.05
  done
  kill -USR1 "$1"
} 2>/dev/null

pass_request_once() {
  if [ -z "$asked" ] || [ -z "$child" ] || [ -n "$passed" ]; then return; fi
  passed=yes
  ignore_signals  # inherited by the helper, which a terminal signals as well
  pass_request "$child" &
  catch_signals
}

# Ends the ranks, then mpirun, which leaves ranks running if it is signalled twice.
end_at_once() { # SIGNAL
  local ranks segments='' looks pid
  ignore_signals
  if [ -n "$child" ]; then
    kill -USR1 "$child"  # the second signal for ranks on other hosts
    mapfile -t ranks < <(ranks_of "$child")
    for pid in "${ranks[@]}"; do  # collects shared memory that nothing else would remove
      segments+=" $(grep -o '/dev/shm/vader_segment[^ ]*' /proc/"$pid"/maps | sort -u)"
    done
    sleep 0.1
    for pid in "${ranks[@]}"; do kill -KILL -- "-$pid" || kill -KILL "$pid"; done
    for ((looks = 0; looks < 6; ++looks)); do
      kill -0 "$child" || break
      sleep 0.05
    done
    kill -KILL "$child" "$guard"
    # shellcheck disable=SC2086
    rm -f $segments
    rm -rf "${TMPDIR:-/tmp}"/ompi.*."$(id -u)"/pid."$child"
  fi
  exit $((128 + $1))
} 2>/dev/null

on_signal() { # NUMBER
  # Avoids `date`, since the next signal could end that process. SECONDS is for bash 4.
  local now=${EPOCHREALTIME:-$SECONDS.000000}
  now=${now//[!0-9]/}
  if [ -z "$asked" ]; then
    asked=$now
    pass_request_once
  elif [ $((now - asked)) -ge 200000 ]; then
    end_at_once "$1"
  fi
}
ignore_signals() { trap '' HUP INT QUIT USR1 TERM; }
catch_signals() {
  trap 'on_signal 1' HUP
  trap 'on_signal 2' INT
  trap 'on_signal 10' USR1
  trap 'on_signal 15' TERM
  trap 'end_at_once 3' QUIT
}
trap '' PIPE
# Handles Ctrl-Z: mpirun stops its ranks (orte_forward_job_control). SIGCONT has no trap: it arrives
# together with the SIGHUP of a lost terminal, and of two simultaneous signals bash's `wait` loses
# the first.
suspend() {
  [ -z "$child" ] || kill -TSTP "$child"
  kill -STOP $$
  [ -z "$child" ] || kill -CONT "$child"
}
trap suspend TSTP

count() { # NAME VALUE: prints a whole number from the environment
  [[ $2 =~ ^[0-9]{1,6}$ ]] && echo $((10#$2)) && return
  say "$1=$2: must be a whole number of at most 6 digits"
  return 2
}
restarts=$(count BIRKHOFF_RESTARTS "${BIRKHOFF_RESTARTS:-0}") || exit 2
pause=$(count BIRKHOFF_RESTART_PAUSE "${BIRKHOFF_RESTART_PAUSE:-5}") || exit 2

given=" $* "
# Seconds that mpirun waits before it kills the other ranks after a failure, even if all are gone.
flags=(--mca odls_base_sigkill_timeout 1 --mca orte_forward_job_control 1)
if [ "$(id -u)" = 0 ]; then flags+=(--allow-run-as-root); fi
case $given in *" --bind-to "* | *" -bind-to "*) ;; *) flags+=(--bind-to none) ;; esac
if [ -z "${SLURM_JOB_ID:-}${PBS_JOBID:-}${LSB_JOBID:-}" ]; then flags+=(--oversubscribe); fi
# Single-copy transfers between processes need CAP_SYS_PTRACE, which containers usually lack.
export OMPI_MCA_btl_vader_single_copy_mechanism=${OMPI_MCA_btl_vader_single_copy_mechanism:-none}
# Keeps PMIx's store out of shared memory: a rank that is killed while it starts may hold its lock,
# and mpirun then waits for the lock forever (PMIx 4.2, once in 60 such kills).
export PMIX_MCA_gds=${PMIX_MCA_gds:-hash}

command -v mpirun >/dev/null || {
  say "mpirun was not found; run: apt-get install openmpi-bin"
  exit 2
}

place=$(mktemp -d) || exit 5
trap 'rm -rf "$place"' EXIT
mkfifo "$place/out" "$place/err" || exit 5
# The ranks of this machine append to this file (comm/watch/verdict.h).
export BIRKHOFF_VERDICT=$place/verdict

# Kills a process that had children and has had none for 3 seconds. (Normally mpirun ends within
# 1.5.) Without /proc/…/children, a kernel option, it kills nothing. If the launcher itself is
# killed, it asks the run to save.
end_without_children() { # PID
  local children had='' idle=0
  ignore_signals
  while kill -0 "$1" && sleep 0.5; do
    children=$(children_of "$1")
    if [ -n "$children" ]; then
      had=yes idle=0
    elif [ -n "$had" ] && [ $((idle += 1)) -ge 6 ]; then
      kill -KILL "$1"
      exit 0
    fi
    if ! grep -q "^PPid:[[:space:]]*$$\$" /proc/"$BASHPID"/status; then
      kill -USR1 "$1"
      break
    fi
  done 2>/dev/null
  exit 1
}

# Forwards the output of mpirun and the ranks unbuffered. Drops it once the reader is gone.
pass_out() {
  ignore_signals
  cat || cat >/dev/null
} 2>/dev/null

# Forwards stderr without mpirun's lines about forwarded signals. Sets boxes about exit codes aside.
rule=--------------------------------------------------------------------------
pass_err() {
  local line box='' LC_ALL=C
  ignore_signals
  while IFS= read -r line || [ -n "$line" ]; do
    case $line in "mpirun: Forwarding signal "*) continue ;; esac
    if [ -z "$box" ]; then
      if [ "$line" = $rule ]; then box=$line; else printf '%s\n' "$line"; fi
      continue
    fi
    box+=$'\n'$line
    if [ "$line" = $rule ]; then
      case $box in
        *"was unable to launch the specified application"*) : >"$place/unlaunched" ;;
      esac
      case $box in
        *non-zero* | *"exited on signal"* | *MPI_ABORT*) printf '%s\n' "$box" >>"$place/boxes" ;;
        *) printf '%s\n' "$box" ;;
      esac
      box=''
    fi
  done
  [ -z "$box" ] || printf '%s\n' "$box"
} 2>/dev/null

# Waits for a process. A trapped signal makes `wait` return before the child has ended.
wait_for() { # PID
  local status last
  while :; do
    wait "$1"
    status=$?
    if ! kill -0 "$1" 2>/dev/null; then
      wait "$1" 2>/dev/null
      last=$?
      [ $last = 127 ] || status=$last  # the earlier status was the trap's
      return $status
    fi
  done
}

session=(setsid)
command -v setsid >/dev/null || session=()
while :; do
  : >"$BIRKHOFF_VERDICT"
  rm -f "$place/boxes" "$place/unlaunched"
  pass_out <"$place/out" &
  out=$!
  pass_err <"$place/err" >&2 &
  err=$!
  # A signal before this line ends the script, which has started nothing yet.
  catch_signals
  launched=$SECONDS
  "${session[@]}" mpirun "${flags[@]}" "$@" <&0 >"$place/out" 2>"$place/err" &
  child=$!
  pass_request_once  # for a signal that arrived in the meantime
  end_without_children "$child" >/dev/null 2>&1 </dev/null &
  guard=$!
  wait_for "$child"
  status=$?
  if [ "$status" = 137 ] && wait "$guard"; then
    say "mpirun did not exit after its ranks had ended, so it was killed"
  else
    { kill -KILL "$guard" && wait "$guard"; } 2>/dev/null
  fi
  child=''
  wait_for "$out"
  wait_for "$err"
  if [ $status != 0 ] && [ $status != 75 ]; then
    verdict=$(grep -m 1 '^[1-9]' "$BIRKHOFF_VERDICT")
    if [ -n "$verdict" ]; then
      status=$verdict
    elif [ -e "$place/unlaunched" ]; then
      status=2
    elif [ $status -gt 128 ]; then
      status=6
      # A request before the first step may have ended a rank while it started.
      if [ -n "$asked" ] && [ ! -s "$BIRKHOFF_VERDICT" ]; then status=75; fi
    fi
    [ "$status" = 75 ] || cat "$place/boxes" >&2 2>/dev/null
  fi
  again=
  case $status in 6 | 7) [ -n "$asked" ] || [ ! -s "$BIRKHOFF_VERDICT" ] || again=yes ;; esac
  if [ -z "$again" ] || [ "$restarts" -le 0 ]; then exit "$status"; fi
  restarts=$((restarts - 1))
  say "exit code $status; starting again in $pause s, $restarts restarts left"
  until=$((SECONDS + pause))
  while [ -z "$asked" ] && [ $SECONDS -lt $until ]; do sleep 0.2; done
  if [ -n "$asked" ]; then
    say "stop requested: nothing is running, and saved checkpoints are kept"
    exit 75
  fi
  ignore_signals  # inherited by the helpers until catch_signals
  pause=$((pause * 2 > 60 ? 60 : pause * 2))
done
