# Functions shared by the scripts: phases and their times, Debian packages, the Python environment,
# builds, trainings. Source this file; it changes to the repository's root. Paths that a user gives
# are relative to the directory in which the script was called: see from_caller.
# shellcheck shell=bash
set -euo pipefail

caller=$PWD
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
script=$(basename "$0")
mkdir -p build/log

# The number of usable cores: that of nproc, or the CPU quota of the process's control groups
# (version 1 or 2) if it is less, as in base/machine.h.
# shellcheck disable=SC2120
count_cores() { # [prefix of /proc and /sys, for tests]
  local cores number controllers path base quota period
  cores=$(nproc)
  [ -r "${1:-}/proc/self/cgroup" ] || { echo "$cores" && return; }
  while IFS=: read -r number controllers path; do
    case $number:,$controllers, in
      0:,,) base=${1:-}/sys/fs/cgroup ;;
      *,cpu,*) base=${1:-}/sys/fs/cgroup/cpu ;;
      *) continue ;;
    esac
    path=${path%/}
    while :; do
      quota=max period=0
      read -r quota period <"$base$path/cpu.max" ||
        { read -r quota <"$base$path/cpu.cfs_quota_us" &&
          read -r period <"$base$path/cpu.cfs_period_us"; } || true
      if [[ $quota =~ ^[1-9][0-9]*$ && $period =~ ^[1-9][0-9]*$ ]]; then
        quota=$(((quota + period - 1) / period))
        [ $quota -ge "$cores" ] || cores=$quota
      fi
      [ -n "$path" ] || break
      path=${path%/*}
    done
  done <"${1:-}/proc/self/cgroup"
  echo "$cores"
} 2>/dev/null
# shellcheck disable=SC2119
jobs=$(count_cores)

# ccache needs a writable directory; a user without a home gets one here.
if [ -z "${CCACHE_DIR:-}" ] && ! mkdir -p "${HOME:-/nowhere}/.cache/ccache" 2>/dev/null; then
  export CCACHE_DIR=$root/build/ccache
fi

# Lets ccache find the same sources in another clone.
export CCACHE_BASEDIR=${CCACHE_BASEDIR:-$root} CCACHE_NOHASHDIR=${CCACHE_NOHASHDIR:-1}

export MPLCONFIGDIR=${MPLCONFIGDIR:-$root/build/matplotlib}

say() { echo "[$script] $*"; }
die() {
  echo "[$script] $*" >&2
  exit 1
}

# Makes a path that the user gave absolute.
from_caller() { # PATH
  case $1 in
    /*) echo "$1" ;;
    *) echo "$caller/$1" ;;
  esac
}

# Finds a config that the user named: in the caller's directory, or among Birkhoff's own.
find_config() { # PATH
  local found
  found=$(from_caller "$1")
  if [ ! -f "$found" ] && [ -f "$root/$1" ]; then found=$root/$1; fi
  [ -f "$found" ] ||
    die "no such config: $found; $root/configs has the configs that come with Birkhoff"
  echo "$found"
}

now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.1f", b - a }'; }

# phase NAME COMMAND…: shows the command's output, then a line with its time.
phase() {
  local name=$1 start status=0
  shift
  start=$(now)
  "$@" || status=$?
  [ $status = 0 ] || die "$name: failed (exit code $status) after $(since "$start") s"
  say "$name: $(since "$start") s"
}

# quietly NAME COMMAND…: the same, but writes the output to build/log/NAME.log and shows it only on
# failure. A function called in this way must chain its commands with &&, since `set -e` has no
# effect inside `||`.
quietly() {
  local name=$1 log start status=0
  shift
  log=build/log/${name// /-}.log
  start=$(now)
  "$@" >"$log" 2>&1 </dev/null || status=$?
  if [ $status != 0 ]; then
    tail -n 40 "$log" >&2
    die "$name: failed (exit code $status) after $(since "$start") s; the whole output is in $log"
  fi
  say "$name: $(since "$start") s"
}

# stage NAME MINUTES COMMAND…: one of a long sequence of checks. Shows the command's output, and
# says so if the time was over budget. As a machine may be busy, a stage is ended only after four
# times its budget, or when the whole sequence has taken `wall` minutes, if a script sets that.
# Returns the command's status.
stage() {
  local name=$1 budget=$2 start status=0 minutes limit over=
  shift 2
  start=$(now)
  limit=$((4 * budget * 60))
  if [ -n "${wall:-}" ] && [ $((wall * 60 - SECONDS)) -lt $limit ]; then
    limit=$((wall * 60 - SECONDS))
    [ $limit -gt 0 ] || limit=1
  fi
  echo "=== $name"
  timeout -k 30 "$limit" "$@" </dev/null || status=$?
  minutes=$(awk -v s="$(since "$start")" 'BEGIN { printf "%.1f", s / 60 }')
  awk -v m="$minutes" -v b="$budget" 'BEGIN { exit !(m > b) }' && over=", OVER BUDGET"
  [ $status = 0 ] || over+=", FAILED (exit code $status)"
  say "stage $name: $minutes of $budget minutes$over"
  return $status
}

# read_study CONFIG KEYS SEE ARGUMENT…: reads the arguments [CONFIG] [key=value …] of a script that
# trains a config several times. Sets `config` and appends to `overrides`. KEYS are the keys that
# the script sets itself ("run.dir|seed"), SEE the environment variables to use instead.
read_study() {
  local keys=${2//./\\.} see=$3 argument usage="usage: scripts/$script [CONFIG] [key=value …]"
  config=$1
  shift 3
  for argument in "$@"; do
    case $argument in
      -h | --help) echo "$usage" && exit 0 ;;
      -*) die "unknown option $argument; $usage" ;;
      *=*)
        [[ ! $argument =~ ^($keys)= ]] || die "$argument is set by this script; use $see instead"
        overrides+=("$argument")
        ;;
      *) config=$argument ;;
    esac
  done
  config=$(find_config "$config")
}

# config_value SECTION KEY DEFAULT: the value of a key in the run of `config` and `overrides`: from
# the command line, the config, or a config that it extends.
config_value() {
  local argument file=$config found='' parent
  for argument in "${overrides[@]}"; do
    case $argument in "$1.$2="*) found=${argument#*=} ;; esac
  done
  while [ -z "$found" ] && [ -n "$file" ]; do
    found=$(awk -v section="$1" -v key="$2" '/^[^ #]/ { inside = $0 ~ "^" section ":" }
      inside && match($0, key ":[ \"\047]*[^] ,}\"\047]+") {
        value = substr($0, RSTART, RLENGTH)
        sub(key ":[ \"\047]*", "", value)
        print value
        exit
      }' "$file")
    parent=$(awk '$1 == "extends:" { gsub(/["\047]/, "", $2); print $2; exit }' "$file")
    file=${parent:+$(dirname "$file")/$parent}
  done
  echo "${found:-$3}"
}

# Data that train.sh prepares is in the repository, also if a script is called from elsewhere.
locate_data() {
  local text=data/bible
  if [ "$(config_value data path "")" = $text ] && [ ! -e "$caller/$text.bin" ]; then
    overrides+=(data.path="$root/$text")
  fi
}

birkhoff=$root/build/release/birkhoff
in_caller() { (cd "$caller" && "$@"); }

# Handles a signal while train_run waits. shellcheck cannot see that the trap calls it.
# shellcheck disable=SC2317
on_stop() { # NUMBER
  stop_number=$1 stop_count=$((stop_count + 1))
  [ -z "$launched" ] || kill -USR1 "$launched" 2>/dev/null || true
  if [ -n "$log" ] && [ $stop_count = 1 ]; then
    say "stop requested: finishing the step, then saving; signal again to end at once" >&2 || true
  fi
}

# train_run [--log FILE] ARGUMENT…: runs `birkhoff train ARGUMENT…` with $RANKS ranks, in the
# caller's directory, so that paths in configs mean the same as for birkhoff. Returns its exit code.
# If a signal asks to stop, the run gets the time to save, and the script ends with 75; a second
# signal ends both at once.
train_run() {
  local status=0 log=''
  if [ "$1" = --log ]; then log=$2 && shift 2; fi
  stop_count=0 launched=''
  trap 'on_stop 1' HUP
  trap 'on_stop 2' INT
  trap 'on_stop 3' QUIT
  trap 'on_stop 10' USR1
  trap 'on_stop 15' TERM
  (
    # A terminal signals its whole process group. The run must get each signal only once, from here.
    trap '' INT HUP TERM
    if [ -n "$log" ]; then exec >"$log" 2>&1; fi
    cd "$caller" && exec "$root/launch/mpirun.sh" -np "${RANKS:-2}" "$birkhoff" train "$@"
  ) &
  launched=$!
  [ $stop_count = 0 ] || kill -USR1 $launched
  # A trapped signal makes `wait` return before the run has ended.
  while wait "$launched" && status=0 || status=$?; kill -0 "$launched" 2>/dev/null; do :; done
  trap - HUP INT QUIT USR1 TERM
  wait "$launched" && status=0 || status=$?
  # If the signal itself ended the launcher, it had not started anything yet.
  if [ $stop_count -gt 0 ]; then
    case $status in 129 | 130 | 143) status=75 ;; esac
    [ $status != 138 ] || [ $stop_count -gt 1 ] || status=75
  fi
  if [ $status = 75 ]; then
    say "stopped and saved; run the same command again to continue" >&2 || true
    exit 75
  fi
  [ $status != 138 ] || [ $stop_count = 0 ] || exit $((128 + stop_number))
  return $status
}

packages_of() { # GROUP…
  local group
  for group in "$@"; do
    awk -v group="$group" '$1 == group { for (i = 2; i <= NF; ++i) print $i }' scripts/packages.txt
  done | sort -u
}

missing_packages() { # GROUP…
  local package
  for package in $(packages_of "$@"); do
    [ "$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null)" = "install ok installed" ] ||
      echo "$package"
  done
}

# Installs the missing packages of the groups, as root or through sudo without a password. Otherwise
# one line says what to install. Needs no rights if all packages are installed.
install_packages() { # GROUP…
  local missing as_root=()
  mapfile -t missing < <(missing_packages "$@")
  [ ${#missing[@]} != 0 ] || return 0
  if ! command -v apt-get >/dev/null; then
    die "apt-get was not found; install these packages, named as in Debian 12: ${missing[*]}"
  elif [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null ||
      die "packages are missing; run as root: apt-get install ${missing[*]}"
    as_root=(sudo -n)
  fi
  quietly "packages" apt_install "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -y -q -o DPkg::Lock::Timeout=300 -- "${missing[@]}"
}

apt_install() { # APT-GET-COMMAND… -- PACKAGE…
  local apt=()
  while [ "$1" != -- ]; do
    apt+=("$1")
    shift
  done
  shift
  "${apt[@]}" update && "${apt[@]}" install --no-install-recommends "$@"
}

# python_packages NAME VENV REQUIREMENTS: creates a Python environment, once for each version of the
# requirements.
python_packages() {
  cmp -s "$3" "$2/requirements.txt" || quietly "$1" install_venv "$2" "$3"
}
install_venv() { # VENV REQUIREMENTS
  rm -rf "$1" && python3 -m venv "$1" &&
    "$1/bin/pip" install --quiet --disable-pip-version-check -r "$2" &&
    cp "$2" "$1/requirements.txt"
}

# Creates the environment for plots.
venv=build/venv
make_venv() { python_packages "python packages" $venv scripts/requirements.txt; }

# Adds the packages that the tests of scripts/tokenize.py need.
make_tokenize_venv() {
  make_venv && { cmp -s scripts/requirements-tokenize.txt $venv/requirements-tokenize.txt ||
    quietly "tokenizers" install_tokenizers; }
}
install_tokenizers() {
  $venv/bin/pip install --quiet --disable-pip-version-check -r scripts/requirements-tokenize.txt &&
    cp scripts/requirements-tokenize.txt $venv/requirements-tokenize.txt
}

# build PRESET [CMAKE OPTION…] [-- TARGET…]
build() {
  local preset=$1 options=() targets=()
  shift
  while [ $# -gt 0 ] && [ "$1" != -- ]; do
    options+=("$1")
    shift
  done
  [ $# -eq 0 ] || { shift && targets=(--target "$@"); }
  cmake --preset "$preset" "${options[@]}" &&
    cmake --build --preset "$preset" -j "$jobs" "${targets[@]}"
}

# Keeps the tests of an existing build directory; a new one has none, and needs no GoogleTest.
build_binary() {
  if [ -f build/release/CMakeCache.txt ]; then
    build release -- birkhoff
  else
    build release -DBIRKHOFF_TESTS=OFF -- birkhoff
  fi
}
