"""Writes pictures and reports completely or not at all, and never over files of others."""
import errno
import io
import os
import pathlib
import stat
import sys

from . import outputs

MARK = "Birkhoff"  # written into a picture as the program that made it
_PNG, _SOFTWARE = b"\x89PNG\r\n\x1a\n", b"tEXtSoftware\0"


def is_picture(data):
    """Whether a file's bytes are a picture written by write_picture."""
    return data.startswith(_PNG) and _SOFTWARE + MARK.encode() in data[:1 << 16]


def is_old_picture(data):
    """The same, or one with matplotlib's mark, as earlier versions of the scripts wrote it. For
    folders that belong to a run."""
    return is_picture(data) or (data.startswith(_PNG)
                                and _SOFTWARE + b"Matplotlib" in data[:1 << 16])


def check_output(path, is_ours=is_picture):
    """Ends the script with exit code 2 if `path` exists and is neither empty nor ours."""
    path = pathlib.Path(path)
    if not os.path.lexists(path):
        return
    if stat.S_ISREG(path.lstat().st_mode):
        data = path.read_bytes()
        if not data or is_ours(data):
            return
    script = os.path.basename(sys.argv[0])
    print(f"{script}: {path} exists and was not written by this script, so it is not replaced; "
          "move it away, or choose another path", file=sys.stderr)
    raise SystemExit(2)


def report_folder(run):
    """RUN/report, created if necessary. A link of that name is refused, since its target does not
    belong to the run."""
    path = pathlib.Path(run) / "report"
    if path.is_symlink():
        script = os.path.basename(sys.argv[0])
        print(f"{script}: {path} is a symbolic link, which is not followed; remove it",
              file=sys.stderr)
        raise SystemExit(5)
    return output_folder(path)


def output_folder(path):
    """Creates the folder if necessary, or ends the script with exit code 5."""
    path = pathlib.Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        script = os.path.basename(sys.argv[0])
        print(f"{script}: cannot create the directory {path}: {error.strerror}", file=sys.stderr)
        raise SystemExit(5) from None
    return path


def read_regular(path):
    """The bytes of a file, or of a link to one. Raises OSError also for a FIFO or device, on which
    reading could block."""
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with open(number, "rb") as file:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        return file.read()


def write_whole(path, data, is_ours):
    """Replaces an earlier output, or ends the script as check_output does."""
    check_output(path, is_ours)
    outputs.remove_dead_temporaries(str(path))
    aside = outputs.temporary_path(path)
    with outputs.delayed_signals():
        try:
            with outputs.create_temporary(aside) as file:
                rest = memoryview(data)
                while rest:
                    rest = rest[file.write(rest):]
            os.rename(aside, path)
        finally:
            outputs.remove_temporary(aside)


def write_picture(figure, path, is_ours=is_picture, **style):
    """Writes a PNG with our mark."""
    bytes_of_it = io.BytesIO()
    figure.savefig(bytes_of_it, format="png", metadata={"Software": MARK}, **style)
    write_whole(path, bytes_of_it.getvalue(), is_ours)
