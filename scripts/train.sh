#!/usr/bin/env bash
# From a fresh clone to a trained model, its curves and a sample of what it writes:
#
#   ./scripts/train.sh [--prepare] [CONFIG] [key=value …]     default: configs/tiny.yaml
#
# Ctrl-C saves and exits with 75; a second one exits at once. The same command resumes a run that
# was stopped or killed. Paths are relative to the directory in which the script is called.
#
# --prepare   stop after packages, binary and data are in place.
# RANKS   environment: number of processes that share the training (default 2).
# PROMPT, TOKENS   environment: prompt and length of the sample (default "In the beginning", 400).
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
config=$(find_config "${config:-configs/tiny.yaml}")

text=data/bible

# Leaves a file of that name alone if it is not the default text.
prepare_text() {
  if ! { mkdir -p data && scripts/default_text.sh >$text.jsonl.part; }; then
    rm -f $text.jsonl.part
    return 1
  fi
  if [ -e $text.jsonl ] && ! cmp -s $text.jsonl.part $text.jsonl; then
    rm $text.jsonl.part
    echo "$text.jsonl is not the text that scripts/default_text.sh writes; move it away" >&2
    return 3
  fi
  mv $text.jsonl.part $text.jsonl &&
    $birkhoff data prepare --overwrite --jsonl --out $text $text.jsonl
}

# Removes bytes that could upset a terminal, since an undertrained model may not write text.
printable() { { iconv -c -f utf-8 -t utf-8 || true; } | tr -d '\000-\010\013-\037\177'; }

# `sample` refuses a model whose tokenizer is not `byte`, with exit code 2 and a line that says what
# to use instead; that is not a failure of the run.
draw_sample() {
  local status=0 aside
  if [ -L "$run/report" ]; then
    echo "$run/report is a symbolic link, which is not followed; remove it" >&2
    return 5
  fi
  mkdir -p "$run/report"
  # Renaming replaces a link or a FIFO of that name, instead of following it or waiting for it.
  aside=$(mktemp "$run/report/.sample.XXXXXX")
  $birkhoff sample "$checkpoint" --prompt "$PROMPT" --tokens "$TOKENS" >"$aside" || status=$?
  if [ $status != 0 ]; then
    rm -f "$aside"
    [ $status = 2 ] || return $status
    rm -f "$run/report/sample.txt"
    say "no sample was drawn"
    return 0
  fi
  mv -fT "$aside" "$run/report/sample.txt"
  echo "----" && printable <"$run/report/sample.txt" && echo "----"
}

# Compares with a general compressor on the same text, and finds what the sample copied. Only for
# runs that report bits per byte: others have no text.
compare() {
  grep -q '"eval_bits_per_byte"' "$run/metrics.jsonl" && [ -f "$run/report/sample.txt" ] ||
    { say "this run has no sample or no bits per byte, so there is nothing to compare" && return; }
  local parts=build/comparison
  local split=(in_caller "$birkhoff" data split "$config" "${overrides[@]}")
  mkdir -p $parts && "${split[@]}" --part train >$parts/train.txt &&
    "${split[@]}" --part validation >$parts/held-out.txt &&
    python3 scripts/compression.py "$run" --train $parts/train.txt --held-out $parts/held-out.txt \
      --sample "$run/report/sample.txt" --prompt "$PROMPT"
}

start=$(now)
install_packages build data
quietly "build" build_binary
if [ -f $text.bin ] && [ -f $text.idx ]; then
  say "data: using $text.bin, which already exists"
else
  quietly "data" prepare_text
fi
install_packages plot
# Without PyPI there are no plots; training does not need it.
(make_venv) || say "matplotlib could not be installed, so no curves will be drawn"
if [ -n "$prepare" ]; then
  say "prepared in $(since "$start") s"
  exit 0
fi

PROMPT=${PROMPT-In the beginning}
TOKENS=${TOKENS:-400}
run=$(from_caller "$(config_value run dir runs/tiny)")
locate_data
phase "training" train_run "$config" "${overrides[@]}"
[ -f "$run/metrics.jsonl" ] ||
  die "training left no $run/metrics.jsonl; give the run directory: run.dir=…"
checkpoint=$(find "$run/checkpoints" -mindepth 1 -maxdepth 1 -name 'step-*' | sort | tail -n 1)
[ -n "$checkpoint" ] || die "training left no checkpoint in $run/checkpoints"
phase "sample" draw_sample
if [ -f $venv/requirements.txt ]; then
  phase "curves" $venv/bin/python3 scripts/report.py "$run"
fi
phase "comparison" compare
say "all: $(since "$start") s; the run is in $run, its curves and sample are in $run/report"
