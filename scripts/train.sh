#!/usr/bin/env bash
# From a fresh clone to a trained model, its curves and a sample of what it writes:
#
#   ./scripts/train.sh [--prepare] [CONFIG] [key=value …]     default: configs/tiny.yaml
#
# A run that was stopped, or killed, goes on where it was: the same command again.
#
# --prepare   stop when packages, binary and data are there.
# RANKS   environment: how many processes share the training (default 2).
# PROMPT, TOKENS   environment: what to sample from, and how much (default "In the beginning", 400).
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

usage="usage: scripts/train.sh [--prepare] [CONFIG] [key=value …]"
prepare=
config=
overrides=()
for argument in "$@"; do
  case $argument in
    --prepare) prepare=yes ;;
    -h | --help) echo "$usage" && exit 0 ;;
    -*) die "unknown option $argument; $usage" ;;
    *=*) overrides+=("$argument") ;;
    *) [ -z "$config" ] || die "two configs: $config and $argument; $usage" && config=$argument ;;
  esac
done
config=${config:-configs/tiny.yaml}
[ -f "$config" ] || die "no such config: $config (configs/ has those that come with Birkhoff)"

birkhoff=build/release/birkhoff
text=data/bible

# A file of that name that is not the default text stays as it is.
prepare_text() {
  if ! { mkdir -p data && scripts/default_text.sh >$text.jsonl.part; }; then
    rm -f $text.jsonl.part
    return 1
  fi
  if [ -e $text.jsonl ] && ! cmp -s $text.jsonl.part $text.jsonl; then
    rm $text.jsonl.part
    echo "$text.jsonl is not the text that scripts/default_text.sh writes: move it away" >&2
    return 3
  fi
  mv $text.jsonl.part $text.jsonl &&
    $birkhoff data prepare --overwrite --jsonl --out $text $text.jsonl
}

# run.dir: from the command line, or the config or what it extends, or the binary's default.
run_directory() {
  local argument file=$config found='' parent
  for argument in "${overrides[@]}"; do
    case $argument in run.dir=*) found=${argument#run.dir=} ;; esac
  done
  while [ -z "$found" ] && [ -n "$file" ]; do
    found=$(awk '/^[^ #]/ { inside = /^run:/ }
      inside && match($0, /dir:[ "\047]*[^] ,}"\047]+/) {
        value = substr($0, RSTART, RLENGTH)
        sub(/dir:[ "\047]*/, "", value)
        print value
        exit
      }' "$file")
    parent=$(awk '$1 == "extends:" { gsub(/["\047]/, "", $2); print $2; exit }' "$file")
    file=${parent:+$(dirname "$file")/$parent}
  done
  echo "${found:-runs/tiny}"
}

# What a young model writes may be no text: bytes that would upset a terminal are left out.
printable() { { iconv -c -f utf-8 -t utf-8 || true; } | tr -d '\000-\010\013-\037\177'; }

draw_sample() {
  mkdir -p "$run/report"
  $birkhoff sample "$checkpoint" --prompt "$PROMPT" --tokens "$TOKENS" >"$run/report/sample.txt" &&
    echo "----" && printable <"$run/report/sample.txt" && echo "----"
}

# What a general compressor makes of the same text, and what the sample copied. Only for runs
# that report bits per byte: others have no text.
compare() {
  grep -q '"eval_bits_per_byte"' "$run/metrics.jsonl" ||
    { say "this run reports no bits per byte on held-out text: nothing to compare" && return; }
  local parts=build/comparison split=("$birkhoff" data split "$config" "${overrides[@]}")
  mkdir -p $parts && "${split[@]}" --part train >$parts/train.txt &&
    "${split[@]}" --part validation >$parts/held-out.txt &&
    python3 scripts/compression.py "$run" --train $parts/train.txt --held-out $parts/held-out.txt \
      --sample "$run/report/sample.txt" --prompt "$PROMPT"
}

start=$(now)
install_packages build data
quietly "build" build_binary
if [ -f $text.bin ] && [ -f $text.idx ]; then
  say "data: $text.bin is there"
else
  quietly "data" prepare_text
fi
install_packages plot
# Without PyPI there are no curves; training needs nothing from it.
(make_venv) || say "curves will not be drawn: matplotlib could not be installed"
if [ -n "$prepare" ]; then
  say "prepared in $(since "$start") s"
  exit 0
fi

PROMPT=${PROMPT-In the beginning}
TOKENS=${TOKENS:-400}
run=$(run_directory)
train() {
  launch/mpirun.sh -np "${RANKS:-2}" $birkhoff train "$config" "${overrides[@]}" || status=$?
  [ "${status:-0}" != 75 ] || die "stopped and saved; the same command goes on from there"
  return "${status:-0}"
}
phase "training" train
[ -f "$run/metrics.jsonl" ] || die "training left no $run/metrics.jsonl; name its place: run.dir=…"
checkpoint=$(find "$run/checkpoints" -mindepth 1 -maxdepth 1 -name 'step-*' | sort | tail -n 1)
[ -n "$checkpoint" ] || die "training left no checkpoint in $run/checkpoints"
phase "sample" draw_sample
if [ -f $venv/requirements.txt ]; then
  phase "curves" $venv/bin/python3 scripts/report.py "$run"
fi
phase "comparison" compare
say "all: $(since "$start") s; the run is in $run, its curves and sample in $run/report"
