"""Starts and controls a worker process (worker.py)."""
import json
import os
import pathlib
import select
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


class Failed(Exception):
    """Says in one line why a worker has no figures."""


class Worker:
    """A worker for one job; it is ready when the constructor returns."""

    def __init__(self, scratch, job, environment, limit):
        path = scratch / "job.json"
        path.write_text(json.dumps(job), encoding="utf-8")
        self.log = scratch / "worker.log"
        own = {"OMP_NUM_THREADS": str(job["threads"]), "CUDA_VISIBLE_DEVICES": "",
               "TORCHINDUCTOR_CACHE_DIR": str(scratch / "inductor")}
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [sys.executable, HERE / "worker.py", path], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=log, text=True, env=os.environ | own | environment)
        try:
            self.ready = self._reply(limit)
        except BaseException:
            self.close()
            raise

    def run(self, steps):
        """Runs `steps` steps; returns their {"seconds", "memory"}."""
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        return self._reply(600)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def _reply(self, limit):
        # Each request gets exactly one whole line, so nothing is left in the buffer.
        if not select.select([self.process.stdout], [], [], limit)[0]:
            raise Failed(f"not ready after {limit} s")
        line = self.process.stdout.readline()
        if not line:
            said = [x for x in self.log.read_text(encoding="utf-8").split("\n") if x.strip()]
            errors = [x for x in said if "Error" in x and not x.startswith(" ")]
            raise Failed((errors or said or ["ended without an error message"])[-1].strip()[:160])
        return json.loads(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
