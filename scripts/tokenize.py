#!/usr/bin/env python3
"""Makes a token dataset (docs/formats/dataset.md) of text or JSONL with any tokenizer.json.

    scripts/tokenize.py --tokenizer tokenizer.json --end-of-document '</s>' --out data/set FILE...

Needs PyPI's tokenizers and xxhash; the writer of the format needs the standard library alone.
Documents are streamed: memory is that of a batch of them, and 4 bytes a document.
"""
import sys

if __name__ == "__main__":
    sys.path.pop(0)  # this file would stand in for the standard library's module of its name
import argparse
import array
import importlib
import json
import os
import struct

UINT16, INT32 = 8, 4  # type codes of the format
MAX_TOKENIZER = 64 << 20  # bytes, as in engine/checkpoint/tokenizer_identity.h


class DataError(Exception):
    """Bad input: one line that says what, where and what to do. Exit code 3."""


class DatasetWriter:
    """PREFIX.bin .idx .json, and .tokenizer.json, under temporary names until commit(); the index
    is renamed last.

    `new_hash` makes a hasher with update() and hexdigest() (xxh3-128), or is None: no hashes.
    """

    def __init__(self, prefix, vocab, new_hash=None, overwrite=False):
        if not overwrite and os.path.exists(prefix + ".idx"):
            raise DataError(f"{prefix}.idx exists: choose another --out, or give --overwrite")
        os.makedirs(os.path.dirname(prefix) or ".", exist_ok=True)
        self.prefix, self.vocab, self.new_hash = prefix, vocab, new_hash
        # Megatron's choice of type, as in engine/data/token_format.h.
        self.code, typecode = (UINT16, "H") if vocab < 65500 else (INT32, "i")
        self.typecode, self.width = typecode, array.array(typecode).itemsize
        self.lengths, self.tokens = array.array("i"), 0
        self.asides = []
        self.bin = self._create(".bin")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.bin[0].close()
        for path in self.asides:
            if os.path.exists(path):
                os.unlink(path)

    def _create(self, suffix):
        path = f"{self.prefix}{suffix}.tmp-{os.getpid()}"
        if os.path.lexists(path):  # left from a process that is gone
            os.unlink(path)
        self.asides.append(path)
        return open(path, "xb"), self.new_hash() if self.new_hash else None

    @staticmethod
    def _put(file, values):
        data = values.tobytes() if isinstance(values, array.array) else values
        file[0].write(data)
        if file[1]:
            file[1].update(data)

    @staticmethod
    def _flush(file):
        file[0].flush()
        os.fsync(file[0].fileno())

    def add_document(self, ids):
        if len(ids) >= 2**31:
            raise DataError(f"document {len(self.lengths)} has {len(ids)} tokens: split it")
        if ids and not (0 <= min(ids) and max(ids) < self.vocab):
            raise DataError(f"document {len(self.lengths)} has an id outside [0, {self.vocab})")
        self._put(self.bin, array.array(self.typecode, ids))
        self.lengths.append(len(ids))
        self.tokens += len(ids)

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
        self._flush(idx)
        idx[0].close()
        return idx

    def commit(self, tokenizer, text_bytes, tokenizer_json=None):
        """`tokenizer`: {"name", "vocab", "end_of_document"} for the manifest; `tokenizer_json`: the
        bytes of its tokenizer.json, which need new_hash."""
        if self.tokens == 0:
            raise DataError("there is no text to prepare: every document of the input is empty")
        self._flush(self.bin)
        self.bin[0].close()
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
            self._flush(copy)
            copy[0].close()
            manifest["tokenizer"] = {**tokenizer, "xxh3_128": copy[1].hexdigest()}
        file = self._create(".json")
        file[0].write((json.dumps(manifest, indent=2) + "\n").encode())
        self._flush(file)
        file[0].close()
        if os.path.exists(self.prefix + ".idx"):  # the old one goes before the new one comes
            os.unlink(self.prefix + ".idx")
        bin_aside, idx_aside, *others = self.asides
        for aside in (bin_aside, *others, idx_aside):
            os.rename(aside, aside.removesuffix(f".tmp-{os.getpid()}"))
        directory = os.open(os.path.dirname(self.prefix) or ".", os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)


def jsonl_text(line, field, place):
    advice = "mend or remove the line, or choose another --field"
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: not valid JSON: {error}; {advice}") from None
    text = value.get(field) if isinstance(value, dict) else None
    if not isinstance(text, str):
        raise DataError(f'{place}: no object with a string "{field}"; {advice}')
    try:
        text.encode()
    except UnicodeEncodeError:
        raise DataError(f'{place}: "{field}" has half a surrogate pair; {advice}') from None
    return text


def decode(data, place):
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        wrong = f"{error.reason} at byte {error.start}"
        raise DataError(f"{place}: not UTF-8 ({wrong}): convert it") from None


def read_documents(path, jsonl, split, field):
    """The documents of a file: strings, in order, empty ones too. "-" is the standard input."""
    name = "(standard input)" if path == "-" else path
    try:
        file = sys.stdin.buffer if path == "-" else open(path, "rb")
    except OSError as error:
        raise DataError(f"cannot open {path}: {error.strerror}: check the input files") from None
    with file:
        if not jsonl and split == "file":
            yield decode(file.read(), name)
            return
        for number, line in enumerate(file, 1):
            place = f"{name}:{number}"
            text = decode(line, place).removesuffix("\n")
            if not jsonl:
                yield text
            elif text.strip():
                yield jsonl_text(text, field, place)


def batches(documents, characters=1 << 20):
    batch, size = [], 0
    for text in documents:
        batch.append(text)
        size += len(text)
        if size >= characters:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def need(package):
    try:
        return importlib.import_module(package)
    except ImportError:
        advice = "python3 -m pip install tokenizers xxhash"
        raise DataError(f"no Python package {package}: {advice}") from None


def load_tokenizer(path):
    """The tokenizer, and the bytes that it was read from."""
    if not os.path.isfile(path):
        raise DataError(f"no tokenizer {path}: give the path of a tokenizer.json")
    tokenizers = need("tokenizers")
    with open(path, "rb") as file:
        data = file.read(MAX_TOKENIZER + 1)
    if len(data) > MAX_TOKENIZER:
        raise DataError(f"{path} has more than {MAX_TOKENIZER} bytes: it is no tokenizer.json")
    try:
        return tokenizers.Tokenizer.from_str(data.decode()), data
    except Exception as error:  # the package raises nothing narrower
        raise DataError(f"{path} is no tokenizer.json: {error}") from None


def refuse_other_tokenizer(prefix, data, digest):
    """PREFIX.tokenizer.json may be replaced if it is `data`, or of the dataset of that name."""
    path = prefix + ".tokenizer.json"
    if not os.path.lexists(path):
        return
    try:
        with open(path, "rb") as file:
            found = file.read(MAX_TOKENIZER + 1)
        if found == data:
            return
        with open(prefix + ".json", "rb") as file:
            if json.load(file)["tokenizer"]["xxh3_128"] == digest(found).hexdigest():
                return
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise DataError(f"{path} exists and is not of a dataset {prefix}: move it away, or choose "
                    "another --out")


def end_of_document(tokenizer, name):
    special = [t.content for t in tokenizer.get_added_tokens_decoder().values() if t.special]
    token = tokenizer.token_to_id(name) if name else None
    if token is None and name and name.isdecimal() and tokenizer.id_to_token(int(name)) is not None:
        token = int(name)
    if token is None:
        known = ", ".join(special[:20]) or "none"
        raise DataError("--end-of-document must be a token of the tokenizer, or its id; special "
                        f"ones are: {known}")
    return token


def documents_of(arguments):
    for path in arguments.files:
        jsonl = arguments.jsonl or (not arguments.text and path.endswith(".jsonl"))
        yield from read_documents(path, jsonl, arguments.split, arguments.field)


def tokenize(arguments):
    tokenizer, tokenizer_json = load_tokenizer(arguments.tokenizer)
    xxhash = need("xxhash")
    refuse_other_tokenizer(arguments.out, tokenizer_json, xxhash.xxh3_128)
    end = end_of_document(tokenizer, arguments.end_of_document)
    vocab = max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1
    tokenizer.no_truncation()
    tokenizer.no_padding()
    text_bytes = empty = 0
    with DatasetWriter(arguments.out, vocab, xxhash.xxh3_128, arguments.overwrite) as writer:
        for batch in batches(documents_of(arguments)):
            full = [text for text in batch if text]
            empty += len(batch) - len(full)
            for encoding in tokenizer.encode_batch(full, add_special_tokens=False):
                writer.add_document(encoding.ids + [end])
            text_bytes += sum(len(text.encode()) for text in full)
            if sys.stderr.isatty():
                print(f"\r{writer.tokens} tokens ", end="", file=sys.stderr)
        name = os.path.basename(arguments.tokenizer)
        writer.commit({"name": name, "vocab": vocab, "end_of_document": end}, text_bytes,
                      tokenizer_json)
        left_out = f"; {empty} empty documents left out" if empty else ""
        print(f"{arguments.out}: {len(writer.lengths)} documents, {writer.tokens} tokens below "
              f"{vocab}, {text_bytes} bytes of text{left_out}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--tokenizer", required=True, help="path of a tokenizer.json")
    add("--end-of-document", help="the token, or its id, that ends each document")
    add("--out", required=True, help="prefix of the dataset: .bin .idx .json and .tokenizer.json")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--jsonl", action="store_true",
                      help="a JSON object a line (default for names in .jsonl)")
    form.add_argument("--text", action="store_true", help="text (default for other names)")
    add("--field", default="text", help="the text in a JSON object")
    add("--split", choices=("file", "line"), default="file", help="what a document of text is")
    add("--overwrite", action="store_true", help="replace a dataset of that name")
    add("files", nargs="+", help="input files; - is the standard input")
    try:
        tokenize(parser.parse_args())
    except DataError as error:
        print(error, file=sys.stderr)
        return 3
    except OSError as error:
        print(f"cannot write: {error}", file=sys.stderr)
        return 5
    return 0


if __name__ == "__main__":
    sys.exit(main())
