"""Which files a writer may replace, and its temporary files. They are removed after an error or a
signal, and the next writer removes those of a killed process. The rules are those of
base/temporary.h and engine/data/dataset_files.h."""
import contextlib
import fcntl
import json
import os
import re
import select
import signal
import stat

from . import DataError
from .tokens import need

INDEX_MAGIC = b"MMIDIDX\0\0"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """A signal that ends the process. Not an Exception, so that only main() catches it."""

    def __init__(self, number):
        super().__init__(number)
        self.number = number


def raise_on_signals():
    """Makes SIGINT, SIGTERM and SIGHUP raise Stopped, once; ignored ones stay ignored."""
    caught = [s for s in SIGNALS if signal.getsignal(s) != signal.SIG_IGN]

    def stop(number, _):
        for other in caught:
            signal.signal(other, signal.SIG_IGN)
        raise Stopped(number)

    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    _wakeup.append(reader)
    for number in caught:
        signal.signal(number, stop)


_wakeup = []  # the read end of a pipe that becomes readable after a signal


def wait_to_read(file):
    """Returns when `file` can be read. Also watches the pipe: a signal just before the call of
    read() would otherwise go unnoticed until there is something to read, which may be never."""
    while set(select.select([file, *_wakeup], [], [])[0]) & set(_wakeup):
        pass  # here the handler runs and raises


def end_by(number):
    """Ends the process as the signal would without a handler."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


@contextlib.contextmanager
def delayed_signals():
    """Delays signals during a block that must not be interrupted."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def file_id(path):
    """(device, inode) of the file that a path leads to, or None; "-" is standard input."""
    try:
        status = os.fstat(0) if path == "-" else os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def file_ids(paths):
    return {found for found in map(file_id, paths) if found}


def temporary_path(path):
    return f"{path}.tmp-{os.getpid()}"


_created = set()  # temporary files that may exist


def create_temporary(path):
    """Creates a file, locked until it is closed, so that other processes leave it alone. It exists
    until it is renamed, or remove_temporary() or remove_temporaries() is called."""
    with delayed_signals():
        file = open(path, "xb", buffering=0)
        _created.add(path)
    with contextlib.suppress(OSError):  # not every file system has locks
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return file


def remove_temporary(path):
    with contextlib.suppress(FileNotFoundError):  # it has been renamed
        os.unlink(path)
    _created.discard(path)


def remove_temporaries():
    """Removes all temporary files of this process, whenever a signal arrived."""
    for path in list(_created):
        remove_temporary(path)


def _is_gone(pid):
    if pid == os.getpid():
        return True  # this process has not created any yet
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        pass
    return False


def _remove_if_unlocked(path, keep):
    with contextlib.suppress(OSError):
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            status = os.fstat(number)
            if not stat.S_ISREG(status.st_mode) or (status.st_dev, status.st_ino) in keep:
                return
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)
        finally:
            os.close(number)


def remove_dead_temporaries(path, keep=()):
    """Removes each PATH.tmp-PID whose process is gone and which is not locked, except `keep`."""
    directory, name = os.path.split(path)
    pattern = re.compile(re.escape(name) + r"\.tmp-([1-9][0-9]*)")
    with contextlib.suppress(OSError):
        for other in os.listdir(directory or "."):
            match = pattern.fullmatch(other)
            if match and _is_gone(int(match[1])):
                _remove_if_unlocked(os.path.join(directory, other), keep)


def dataset_files(prefix):
    """The final names of the files written for PREFIX. The index is first: a dataset exists when
    its index does."""
    return [prefix + ending for ending in (".idx", ".json", ".tokenizer.json", ".bin")]


def _is_index(path):
    with open(path, "rb") as file:
        return file.read(len(INDEX_MAGIC)) == INDEX_MAGIC


def _is_manifest(path):
    try:
        with open(path, "rb") as file:
            manifest = json.loads(file.read(1 << 16))
    except (ValueError, RecursionError):
        return False
    counts = ("format_version", "tokens", "documents", "bytes")
    return (isinstance(manifest, dict) and isinstance(manifest.get("tokenizer"), dict)
            and all(isinstance(manifest.get(key), int) for key in counts))


def _is_noted_tokenizer(prefix):
    """Whether PREFIX.tokenizer.json is the file whose hash the manifest of PREFIX has."""
    try:
        with open(prefix + ".json", "rb") as file:
            noted = json.loads(file.read(1 << 16))["tokenizer"]["xxh3_128"]
        with open(prefix + ".tokenizer.json", "rb") as file:
            return need("xxhash").xxh3_128(file.read()).hexdigest() == noted
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return False


def _require_dataset(prefix, files):
    """Raises DataError unless all existing files belong to an earlier dataset."""
    def foreign(path, what):
        raise DataError(f"{path} exists and is not {what}, so it is not replaced; choose another "
                        "--out, or move it away")

    there = [path for path in files if os.path.lexists(path)]
    for path in there:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            foreign(path, "a regular file")
    known = {prefix + ".idx": (_is_index, "the index of a dataset"),
             prefix + ".json": (_is_manifest, "the manifest of a dataset")}
    proofs = [path for path in there if path in known]
    for path in proofs:
        is_ours, what = known[path]
        if not is_ours(path):
            foreign(path, what)
    if prefix + ".tokenizer.json" in there and not _is_noted_tokenizer(prefix):
        foreign(prefix + ".tokenizer.json", "the tokenizer of an existing dataset")
    if there and not proofs:
        foreign(there[0], "part of a dataset (there is no index or manifest beside it)")


def check_dataset_outputs(prefix, inputs, overwrite):
    """Raises DataError unless the outputs may be written (engine/data/dataset_files.h). Is called
    before anything is read."""
    if not os.path.basename(prefix):
        raise DataError(f"'{prefix}' is a directory; add a name for the dataset")
    ids, files = file_ids(inputs), dataset_files(prefix)
    for path in files:
        if {file_id(path), file_id(temporary_path(path))} & ids:
            raise DataError(f"{path} is an input file and would be replaced; choose another --out")
    if overwrite:
        _require_dataset(prefix, files)
        return
    for path in files:
        if os.path.lexists(path):
            raise DataError(f"{path} exists; choose another --out, or replace the dataset with "
                            "--overwrite")
