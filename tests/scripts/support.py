"""How the tests reach the scripts: as modules, whatever their names."""
import importlib.machinery
import importlib.util
import pathlib
import signal
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "scripts"))  # at the end: scripts/tokenize.py is no standard library


def load(name):
    """scripts/<name> as a module."""
    module = "script_" + name.replace(".", "_")
    loader = importlib.machinery.SourceFileLoader(module, str(ROOT / "scripts" / name))
    spec = importlib.util.spec_from_loader(module, loader)
    loaded = importlib.util.module_from_spec(spec)
    loader.exec_module(loaded)
    return loaded


def default_signals():
    """For preexec_fn: what nohup or a shell's `&` had the tests ignore is not ignored there."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
