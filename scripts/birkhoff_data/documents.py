"""Reads documents from text and JSON lines by the rules of docs/formats/text.md, which also apply
to `birkhoff data prepare` (engine/data/documents.cpp)."""
import os
from typing import NamedTuple

from . import DataError
from .file_kind import kind_of_file
from .json_text import BadLine, is_object, json_text
from .outputs import wait_to_read

MARK = b"\xef\xbb\xbf"
HEAD = 1 << 20
MAX_DOCUMENT = 1 << 30  # bytes
BLANK = b" \t\r\v\f"
_BLANK_TEXT = BLANK.decode()


class Options(NamedTuple):
    form: str = "automatic"  # or "text", "jsonl"
    split: str = "file"      # or "line", "blank-line", "prefix"
    prefix: str = ""
    field: str = "text"


def piped(command, name, jsonl):
    file = "FILE" if name == "(standard input)" else name
    return f"{command} {file} | scripts/tokenize.py {'--jsonl ' if jsonl else ''}... -"


class Input:
    """The bytes of a file. `head` has the first MiB, without a byte order mark."""

    def __init__(self, path):
        self.name = "(standard input)" if path == "-" else path
        try:
            self.file = open(0 if path == "-" else path, "rb", buffering=0, closefd=path != "-")
            head = self._read()
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}; check the input files") \
                from None
        self.is_cut = len(head) == HEAD
        self.refuse_other_formats(head)
        self.offset = len(MARK) if head.startswith(MARK) else 0
        self.head = head[self.offset:]

    def _read(self):
        """Reads the next MiB, or up to the end of the file."""
        parts, size = [], 0
        while size < HEAD:
            wait_to_read(self.file)
            part = self.file.read(HEAD - size)
            if not part:
                break
            parts.append(part)
            size += len(part)
        return b"".join(parts)

    def refuse_other_formats(self, head):
        kind = kind_of_file(head)
        if kind is None:
            return
        self.file.close()
        name, command = kind
        way = (piped(command, self.name, ".json" in self.name) if command else
               'write its text to a file of JSON lines, each {"text": ...}')
        raise DataError(f"{self.name}: begins at byte 0 with {name} data, which is not text; "
                        f"convert it: {way}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def pieces(self):
        yield self.head
        while True:
            try:
                piece = self._read()
            except OSError as error:
                raise DataError(f"cannot read {self.name}: {error.strerror}") from None
            if not piece:
                return
            yield piece

    def check_size(self, size, place):
        if size > MAX_DOCUMENT:
            raise DataError(f"{place}: a document has more than {MAX_DOCUMENT} bytes; split it "
                            "(--split)")

    def raw_lines(self):
        """Yields (number, line without its end, whether it had one)."""
        number, parts = 1, []
        for piece in self.pieces():
            first, *others = piece.split(b"\n")
            parts.append(first)
            for other in others:
                yield number, b"".join(parts) if len(parts) > 1 else parts[0], True
                number, parts = number + 1, [other]
            self.check_size(sum(map(len, parts)) if len(parts) > 1 else 0, f"{self.name}:{number}")
        if any(parts):
            yield number, b"".join(parts), False

    def decode(self, data):
        """Decodes the next bytes of the file."""
        if b"\0" in data:
            self.refuse(data.index(b"\0"), "a NUL")
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            self.refuse(error.start, "an invalid sequence")
        self.offset += len(data)
        return text

    def refuse(self, start, what):
        way = piped("iconv -f ENCODING -t UTF-8", self.name, False)
        raise DataError(f"{self.name}: {what} at byte {self.offset + start}, so it is not "
                        f"UTF-8 text; convert it, for example: {way}")

    def lines(self):
        """Yields (number, line) without "\\n" or "\\r\\n"."""
        for number, line, has_end in self.raw_lines():
            text = self.decode(line)
            self.offset += has_end
            yield number, text.removesuffix("\r") if has_end else text


def is_blank(text):
    return not text.strip(_BLANK_TEXT if isinstance(text, str) else BLANK)


def is_jsonl(head, is_cut):
    """Whether all lines at the beginning of a text are objects. If the head is cut, only the
    beginning of its last line is checked."""
    lines = [line for line in head.split(b"\n") if not is_blank(line)]
    if is_cut and not is_blank(head[head.rfind(b"\n") + 1:]):
        last = lines.pop().lstrip(b" \t\r")
        if last[:1] != b"{" or last[1:].lstrip(b" \t\r")[:1] not in (b"", b'"'):
            return False
        return all(map(is_object, lines))
    return bool(lines) and all(map(is_object, lines))


def advice(line, kind, is_first, name):
    if is_first and line.strip(BLANK)[:1] == b"[":
        return ("a JSON array is not supported; convert it to one object per line: "
                + piped("jq -c '.[]'", name, True))
    text = "fix or remove the line, or skip it (--skip-bad N)"
    if kind == "field":
        text = "choose another --field, " + text
    if is_first and kind == "early":
        text += ("; if an object spans several lines, convert the file: "
                 + piped("jq -c .", name, True))
    return text


def _read_jsonl(file, field, bad_line):
    is_first = True
    for number, line, _ in file.raw_lines():
        if is_blank(line):
            continue
        try:
            text = json_text(line, field)
        except BadLine as wrong:
            bad_line(f"{file.name}:{number}: {wrong}; "
                     f"{advice(line, wrong.kind, is_first, file.name)}")
        else:
            yield text
        is_first = False


def _read_blocks(file, is_border):
    block, size = [], 0
    for number, line in file.lines():
        if is_border(line):
            if block:
                yield "\n".join(block)
            block, size = [], 0
            continue
        block.append(line)
        size += len(line) + 1
        file.check_size(size, f"{file.name}:{number}")
    if block:
        yield "\n".join(block)


def _read_whole(file):
    pieces, size = [], 0
    for piece in file.pieces():
        pieces.append(piece)
        size += len(piece)
        file.check_size(size, file.name)
    data = b"".join(pieces)
    del pieces
    return file.decode(data)


def throw(what):
    raise DataError(what)


def read_documents(path, options=Options(), bad_line=throw):
    """Yields the documents of a file as strings, in order, including empty ones. "-" is standard
    input. Calls `bad_line` with what is wrong with a line of JSON; if it returns, the line is
    skipped."""
    is_named_jsonl = os.path.splitext(path)[1].lower() in (".json", ".jsonl", ".ndjson")
    automatic = options.form == "automatic"
    with Input(path) as file:
        if options.form == "jsonl" or (automatic and is_named_jsonl):
            yield from _read_jsonl(file, options.field, bad_line)
            return
        if automatic and is_jsonl(file.head, file.is_cut):
            raise DataError(f"{file.name}: its lines are JSON objects; use --jsonl to read their "
                            "text, or --text to read the lines as they are")
        if options.split == "file":
            yield _read_whole(file)
        elif options.split == "line":
            for _, line in file.lines():
                yield "" if is_blank(line) else line
        elif options.split == "blank-line":
            yield from _read_blocks(file, is_blank)
        else:
            yield from _read_blocks(file, lambda line: line.startswith(options.prefix))
