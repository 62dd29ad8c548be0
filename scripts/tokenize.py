#!/usr/bin/env python3
"""Makes a token dataset (docs/formats/dataset.md) from text or JSON lines with any tokenizer.json.

    scripts/tokenize.py --tokenizer tokenizer.json --end-of-document '</s>' --out data/set FILE...

Needs PyPI's tokenizers and xxhash; the writer of the format needs only the standard library. The
rules for text are in docs/formats/text.md. Memory holds a batch of text, the longest document with
a few bytes per byte, and 4 bytes per document.
"""
import os
import sys

if __name__ == "__main__":
    # This file would shadow the standard library's module of the same name.
    sys.path.append(sys.path.pop(0))
import argparse
import array
import errno
import json
import struct

from birkhoff_data import DataError
from birkhoff_data import outputs
from birkhoff_data.documents import Options, read_documents
from birkhoff_data.pieces import Cutter
from birkhoff_data.tokens import Encoder, end_of_document, load_tokenizer, need

UINT16, INT32 = 8, 4  # type codes of the format
BATCH = 1 << 20  # characters encoded at a time


class DatasetWriter:
    """Writes PREFIX.bin .idx .json, and .tokenizer.json, under temporary names until commit(),
    which renames the index last.

    `new_hash` makes a hasher with update() and hexdigest() (xxh3-128); with None there are no
    hashes. `inputs` are the files that are read: no output may be one of them.
    """

    def __init__(self, prefix, vocab, new_hash=None, overwrite=False, inputs=()):
        outputs.check_dataset_outputs(prefix, inputs, overwrite)
        os.makedirs(os.path.dirname(prefix) or ".", exist_ok=True)
        keep = outputs.file_ids(inputs)
        for path in outputs.dataset_files(prefix):
            outputs.remove_dead_temporaries(path, keep)
        self.prefix, self.vocab, self.new_hash = prefix, vocab, new_hash
        self.overwrite = overwrite
        # The same choice of type as Megatron's and engine/data/token_format.h's.
        self.code, typecode = (UINT16, "H") if vocab < 65500 else (INT32, "i")
        self.typecode, self.width = typecode, array.array(typecode).itemsize
        self.lengths, self.tokens = array.array("i"), 0
        self.length = 0  # tokens so far in the current document
        self.asides = []  # files under their temporary names
        self.buffer = bytearray()
        self.bin = self._create(".bin")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for path, file in self.asides:
            outputs.remove_temporary(path)
            file.close()

    def _create(self, suffix):
        path = outputs.temporary_path(self.prefix + suffix)
        file = outputs.create_temporary(path)
        self.asides.append((path, file))
        return file, self.new_hash() if self.new_hash else None

    @staticmethod
    def _put(file, values):
        data = memoryview(values.tobytes() if isinstance(values, array.array) else values)
        if file[1]:
            file[1].update(data)
        while data:
            data = data[file[0].write(data):]

    def add_part(self, ids):
        """Adds ids to the current document, which end_document() ends."""
        if ids and not (0 <= min(ids) and max(ids) < self.vocab):
            raise DataError(f"document {len(self.lengths)} has an id outside [0, {self.vocab})")
        self.length += len(ids)
        if self.length >= 2**31:
            raise DataError(f"document {len(self.lengths)} has {self.length} tokens; split it")
        self.buffer += array.array(self.typecode, ids).tobytes()
        if len(self.buffer) >= BATCH:
            self._drain()

    def end_document(self):
        self.lengths.append(self.length)
        self.tokens += self.length
        self.length = 0

    def add_document(self, ids):
        self.add_part(ids)
        self.end_document()

    def _drain(self):
        self._put(self.bin, bytes(self.buffer))
        self.buffer.clear()

    def _write_index(self):
        idx = self._create(".idx")
        documents = len(self.lengths)
        self._put(idx, struct.pack("<9sQBQQ", b"MMIDIDX", 1, self.code, documents, documents + 1))
        self._put(idx, self.lengths)
        pointer, block = 0, array.array("q")
        for length in self.lengths:
            block.append(pointer)
            pointer += length * self.width
            if len(block) == 1 << 16:
                self._put(idx, block)
                block = array.array("q")
        self._put(idx, block)
        for begin in range(0, documents + 1, 1 << 16):
            end = min(begin + (1 << 16), documents + 1)
            self._put(idx, array.array("q", range(begin, end)))
        os.fsync(idx[0].fileno())
        return idx

    def commit(self, tokenizer, text_bytes, tokenizer_json=None):
        """Completes the dataset. `tokenizer` is {"name", "vocab", "end_of_document"} for the
        manifest; `tokenizer_json` has the bytes of its tokenizer.json, and needs new_hash."""
        if self.tokens == 0:
            raise DataError("there is no text to prepare: every document of the input is empty")
        self._drain()
        os.fsync(self.bin[0].fileno())
        idx = self._write_index()
        manifest = {
            "format_version": 1,
            "tokenizer": tokenizer,
            "tokens": self.tokens,
            "documents": len(self.lengths),
            "bytes": text_bytes,
        }
        if self.new_hash:
            manifest["xxh3_128"] = {"bin": self.bin[1].hexdigest(), "idx": idx[1].hexdigest()}
        if tokenizer_json is not None:
            copy = self._create(".tokenizer.json")
            self._put(copy, tokenizer_json)
            os.fsync(copy[0].fileno())
            manifest["tokenizer"] = {**tokenizer, "xxh3_128": copy[1].hexdigest()}
        file = self._create(".json")
        self._put(file, (json.dumps(manifest, indent=2) + "\n").encode())
        os.fsync(file[0].fileno())
        with outputs.delayed_signals():
            self._rename_all()

    def _rename_all(self):
        outputs.check_dataset_outputs(self.prefix, (), self.overwrite)  # hours may have passed
        if os.path.exists(self.prefix + ".idx"):  # the old index is removed before any renaming
            os.unlink(self.prefix + ".idx")
        if os.path.lexists(self.prefix + ".tokenizer.json"):
            os.unlink(self.prefix + ".tokenizer.json")
        written = {path for path, _ in self.asides}
        for path in reversed(outputs.dataset_files(self.prefix)):
            if outputs.temporary_path(path) in written:
                os.rename(outputs.temporary_path(path), path)
        flush_directory(os.path.dirname(self.prefix) or ".")


# Errors of file systems that cannot flush a directory; 524 is the kernel's own ENOTSUPP.
UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM,
               errno.ENOTTY, errno.EISDIR, 524}


def flush_directory(path):
    """Makes the names in the directory durable; warns if the file system cannot."""
    try:
        directory = os.open(path, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        print(f"tokenize.py: warning: the file system cannot flush the directory {path} "
              f"({error.strerror}): new files there may be lost in a power failure",
              file=sys.stderr)


def batches(parts, characters=BATCH):
    """Groups parts, (text, whether it ends a document), into lists of about `characters`."""
    batch, size = [], 0
    for part in parts:
        batch.append(part)
        size += len(part[0])
        if size >= characters:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class Reader:
    """Reads all files, in parts that are encoded separately; counts what is left out."""

    def __init__(self, arguments, cutter):
        form = "jsonl" if arguments.jsonl else "text" if arguments.text else "automatic"
        self.options = Options(form, arguments.split, arguments.prefix, arguments.field)
        self.files, self.skip_bad, self.cutter = arguments.files, arguments.skip_bad, cutter
        self.text_bytes = self.empty = self.bad = 0
        self.first_bad = ""

    def bad_line(self, what):
        if self.bad == self.skip_bad:
            before = (f"; {self.bad} bad lines were skipped before it, as many as --skip-bad allows"
                      if self.bad else "")
            raise DataError(what + before)
        self.first_bad = self.first_bad or what
        self.bad += 1

    def parts(self):
        for path in self.files:
            for text in read_documents(path, self.options, self.bad_line):
                if not text:
                    self.empty += 1
                    continue
                before = None
                for piece in self.cutter.pieces(text, path):
                    if before is not None:
                        yield before, False
                    before = piece
                    self.text_bytes += len(piece.encode())
                yield before, True

    def left_out(self):
        """What was left out, for the last line of the output."""
        text = f"; {self.empty} empty documents skipped" if self.empty else ""
        if self.bad:
            text += f"; {self.bad} bad lines skipped, the first: {self.first_bad}"
        return text


def tokenize(arguments):
    if arguments.split == "prefix" and not arguments.prefix:
        raise DataError("--split prefix also needs --prefix TEXT, the text that lines between "
                        "documents begin with")
    tokenizer, tokenizer_json = load_tokenizer(arguments.tokenizer)
    xxhash = need("xxhash")
    end = end_of_document(tokenizer, arguments.end_of_document)
    vocab = max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1
    encoder = Encoder(tokenizer, end)
    del tokenizer
    reader = Reader(arguments, Cutter(encoder.tokenizer))
    inputs = [arguments.tokenizer, *arguments.files]
    with DatasetWriter(arguments.out, vocab, xxhash.xxh3_128, arguments.overwrite,
                       inputs) as writer:
        for batch in batches(reader.parts()):
            for (_, is_end), ids in zip(batch, encoder.encode([text for text, _ in batch])):
                if is_end:
                    ids.append(end)
                writer.add_part(ids)
                if is_end:
                    writer.end_document()
            if sys.stderr.isatty():
                print(f"\r{writer.tokens} tokens ", end="", file=sys.stderr)
        name = os.path.basename(arguments.tokenizer)
        writer.commit({"name": name, "vocab": vocab, "end_of_document": end}, reader.text_bytes,
                      tokenizer_json)
        print(f"{arguments.out}: {len(writer.lengths)} documents, {writer.tokens} tokens below "
              f"{vocab}, {reader.text_bytes} bytes of text{reader.left_out()}")
    if len(writer.lengths) == 1:
        print("tokenize.py: note: all text is one document, and whole documents are held out for "
              "validation, so training needs data.validation_fraction: 0; to get several "
              "documents, use --split line, blank-line or prefix", file=sys.stderr)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--tokenizer", required=True, help="path of a tokenizer.json")
    add("--end-of-document", help="token that ends each document, or its id")
    add("--out", required=True, metavar="PREFIX", help="prefix of the dataset: PREFIX.bin, "
        "PREFIX.idx, PREFIX.json and PREFIX.tokenizer.json are written")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--jsonl", action="store_true",
                      help="read one JSON object per line (default for files named .json, .jsonl "
                      "or .ndjson)")
    form.add_argument("--text", action="store_true",
                      help="read plain text (default for all other files)")
    add("--field", default="text",
        help='field that holds the text of a JSON object; a.b is field b of the object a, or the '
        'key "a.b"')
    add("--skip-bad", type=int, default=0, metavar="N",
        help="skip up to this many invalid JSON lines, and report how many")
    add("--split", choices=("file", "line", "blank-line", "prefix"), default="file",
        help="plain text: where a document ends; prefix: at a line that begins with the text of "
        "--prefix")
    add("--prefix", default="",
        help="with --split prefix: lines that begin with this text separate documents")
    add("--overwrite", action="store_true",
        help="replace an existing dataset of that name")
    add("files", nargs="+", help="input files; - reads standard input")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    try:
        outputs.raise_on_signals()
        tokenize(arguments)
    except DataError as error:
        print(error, file=sys.stderr)
        return 3
    except OSError as error:
        print(f"cannot write: {error}", file=sys.stderr)
        return 5
    except outputs.Stopped as stopped:
        outputs.remove_temporaries()
        outputs.end_by(stopped.number)
    return 0


if __name__ == "__main__":
    sys.exit(main())
