#!/usr/bin/env python3
"""Compares a run's bits per byte on its held-out text with those of `xz -9` on the same bytes, and
finds the longest passage that a sample copies from the training text.

    scripts/compression.py RUN --train FILE --held-out FILE --sample FILE [--prompt TEXT]

`xz -9 after training` is size(train + held-out) - size(train), so the compressor may look anything
up in the model's training text. Needs about 700 MB of memory, as much as xz -9 itself.
"""
import sys

if __name__ == "__main__":
    # scripts/tokenize.py would shadow the standard library's module.
    sys.path.append(sys.path.pop(0))
import argparse
import json
import lzma
import pathlib

from birkhoff_data.pictures import read_regular, report_folder, write_whole


def xz_size(data):
    return len(lzma.compress(data, preset=9))


def longest_copy(sample, text):
    """The longest passage of `sample` that occurs in `text`, the first one if several are equally
    long. Both are bytes."""
    begin = length = 0
    for i in range(len(sample)):
        while i + length < len(sample) and sample[i : i + length + 1] in text:
            length += 1
            begin = i
    return sample[begin : begin + length]


def last_bits_per_byte(lines):
    """(step, bits per byte) of the last evaluation; skips a torn last line."""
    last = None
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if "eval_bits_per_byte" in record:
            last = record["step"], record["eval_bits_per_byte"]
    return last


def compare(evaluation, train, held_out, sample):
    if not held_out:
        raise SystemExit("compression.py: the held-out text is empty; raise "
                         "data.validation_fraction")
    alone, before = xz_size(held_out), xz_size(train)
    after = xz_size(train + held_out) - before
    copied = longest_copy(sample, train)
    return {
        "step": evaluation[0],
        "held_out_bytes": len(held_out),
        "model_bits_per_byte": evaluation[1],
        "xz_bits_per_byte": 8 * alone / len(held_out),
        "xz_after_training_text_bits_per_byte": 8 * after / len(held_out),
        "sample_bytes": len(sample),
        "longest_copy_bytes": len(copied),
        "longest_copy": copied.decode("utf-8", "replace"),
    }


def is_comparison(data):
    """Whether a file's bytes were written by main()."""
    try:
        return "xz_bits_per_byte" in json.loads(data)
    except (ValueError, TypeError):
        return False


def table(result):
    return "\n".join(
        [
            f"bits per byte on {result['held_out_bytes']} bytes of held-out text",
            f"  model, step {result['step']:<9} {result['model_bits_per_byte']:8.3f}",
            f"  xz -9 alone           {result['xz_bits_per_byte']:8.3f}",
            f"  xz -9 after training  {result['xz_after_training_text_bits_per_byte']:8.3f}",
            f"longest passage of the sample that is also in the training text: "
            f"{result['longest_copy_bytes']} of {result['sample_bytes']} bytes:",
            f"  {result['longest_copy']!r}",
        ]
    )


def main():
    parser = argparse.ArgumentParser(description="Compares a run's bits per byte with xz -9.")
    parser.add_argument("run", type=pathlib.Path, help="run directory")
    for name, what in (("train", "training text"), ("held-out", "held-out text"),
                       ("sample", "text that the model wrote")):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True,
                            help=f"file of the {what}")
    parser.add_argument("--prompt", default="", help="text to skip at the start of the sample")
    args = parser.parse_args()
    path = args.run / "metrics.jsonl"
    try:
        lines = read_regular(path).decode(errors="replace").split("\n")
    except OSError as error:
        raise SystemExit(f"compression.py: cannot read {path}: {error.strerror}") from None
    evaluation = last_bits_per_byte(lines)
    if evaluation is None:
        raise SystemExit(f"compression.py: {args.run}/metrics.jsonl has no eval_bits_per_byte; set "
                         "train.eval_every")
    sample = args.sample.read_bytes().removeprefix(args.prompt.encode())
    result = compare(evaluation, args.train.read_bytes(), args.held_out.read_bytes(), sample)
    print(table(result))
    report = report_folder(args.run)
    data = (json.dumps(result, indent=1) + "\n").encode()
    write_whole(report / "comparison.json", data, is_comparison)


if __name__ == "__main__":
    main()
