"""Recognises non-text files by their first bytes; the same list as engine/data/file_kind.cpp."""
import codecs
import re

UTF16, UTF32 = "iconv -f UTF-16 -t UTF-8", "iconv -f UTF-32 -t UTF-8"
# Offset, bytes, name, and a command that prints the text (or "").
MAGICS = (
    (0, b"\x1f\x8b", "gzip", "zcat"),
    (0, b"\x1f\x9d", "compress", "zcat"),
    (0, b"\x28\xb5\x2f\xfd", "zstd", "zstdcat"),
    (0, b"\xfd7zXZ\0", "xz", "xzcat"),
    (0, b"\x04\x22\x4d\x18", "lz4", "lz4cat"),
    (0, b"PK\x03\x04", "zip", "unzip -p"),
    (0, b"PK\x05\x06", "zip", "unzip -p"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z", "7z x -so"),
    (0, b"Rar!\x1a\x07", "rar", ""),
    (0, b"Obj\x01", "Avro", ""),
    (0, b"\x89HDF\r\n\x1a\n", "HDF5", ""),
    (0, b"\x93NUMPY", "NumPy", ""),
    (0, b"SQLite format 3\0", "SQLite", ""),
    (0, b"MMIDIDX\0", "dataset index", ""),
    (0, b"%PDF-", "PDF", ""),
    (0, b"\xff\xfe\0\0", "UTF-32", UTF32),
    (0, b"\0\0\xfe\xff", "UTF-32", UTF32),
    (0, b"\xff\xfe", "UTF-16", UTF16),
    (0, b"\xfe\xff", "UTF-16", UTF16),
)
# Text may begin with these bytes too, so they count only if the head as a whole is not text.
TEXT_MAGICS = (
    (0, b"BZh", "bzip2", "bzcat"),
    (0, b"LZIP", "lzip", "lzip -dc"),
    (257, b"ustar", "tar", "tar -xOf"),
    (0, b"PAR1", "Parquet", ""),
    (0, b"PARE", "Parquet", ""),
    (0, b"ARROW1", "Arrow", ""),
    (0, b"FEA1", "Feather", ""),
    (0, b"ORC", "ORC", ""),
)
CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1f]")


def is_text(head):
    """Whether the beginning of a file is text. It may end in the middle of a character."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return not CONTROLS.search(head)


def kind_of_file(head):
    """(name, command) of a known non-text format, or None. `head` has 512 bytes or more, or all."""
    head = head[:512]
    known = MAGICS if is_text(head) else MAGICS + TEXT_MAGICS
    for offset, magic, name, command in known:
        if head.startswith(magic, offset):
            return name, command
    return None
