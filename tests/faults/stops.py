"""Asks runs to stop at random moments (scripts/torture.sh --stops) by INT, HUP and TERM: one
process, and several under launch/mpirun.sh, where the signal goes to the whole process group, as a
terminal sends it. Each run must end with 75, or have ended already, and then continue to the same
bits as the unbroken run. A third of the runs gets a second signal: then all processes must be gone
within a second, and what was saved must be whole. Standard library only."""
import collections
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

from torture import ROOT, Torture, processes, results

SIGNALS = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)
AT_ONCE = 1.0  # seconds, as docs/reliability.md promises
DEBOUNCE = 0.2  # launch/stop_signal.h


def ready(pid):
    """Whether the process has a handler for SIGUSR1, as it must before it is asked to stop."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    mask = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")]
    return bool(mask) and bool(int(mask[0], 16) & 1 << signal.SIGUSR1 - 1)


class Stops(Torture):
    def __init__(self, binary, ranks, seed):
        super().__init__(binary, ranks, seed)
        self.under_mpirun = False
        self.wrong = []

    def command(self, config):
        one = [self.binary, "train", config]
        return super().command(config) if self.under_mpirun else one

    def unbroken(self):
        """Results without and with mpirun, which differ, since shards are cut by ranks."""
        want, self.lengths = {}, {}
        for self.under_mpirun in (False, True):
            if (self.place / "unbroken").exists():
                shutil.rmtree(self.place / "unbroken")
            want[self.under_mpirun] = super().unbroken()
            self.lengths[self.under_mpirun] = self.seconds
        return want

    def gone(self, mark, since):
        """Waits until the processes are gone. Returns the seconds since `since`."""
        while processes(mark):
            if time.monotonic() - since > 60:
                sys.exit(f"torture: left behind after a minute: {processes(mark)}")
            time.sleep(0.01)
        return time.monotonic() - since

    def ask(self, started, number):
        if self.under_mpirun:
            os.killpg(started.pid, number)
        else:
            started.send_signal(number)

    def trial(self, run):
        """Starts a run and asks it to stop. Returns its kind, exit code and allowed codes."""
        number = self.draw.choice(SIGNALS)
        twice = self.draw.random() < 1 / 3
        mark = str(self.place / f"{run.name}.yaml")
        started = self.start(run)
        while not ready(started.pid) and started.poll() is None:
            time.sleep(0.002)
        kind = f"{'mpirun' if self.under_mpirun else 'one process'}, {number.name}"
        try:
            started.wait(timeout=self.draw.random() * self.lengths[self.under_mpirun])
        except subprocess.TimeoutExpired:
            self.ask(started, number)
        if twice:
            kind += " twice"
            try:
                started.wait(timeout=DEBOUNCE + 0.05 + 0.2 * self.draw.random())
            except subprocess.TimeoutExpired:
                since = time.monotonic()
                self.ask(started, number)
                status = started.wait(timeout=300)
                took = self.gone(mark, since)
                self.slowest = max(self.slowest, took)
                if took > AT_ONCE:
                    self.wrong.append(f"{kind}: gone after {took:.2f} s")
                return kind, status, (75, 0, 128 + number)
        status = started.wait(timeout=300)
        self.gone(mark, time.monotonic())
        return kind, status, (75, 0)

    def whole(self, run):
        """Checks that every checkpoint can be read to its last byte."""
        for checkpoint in sorted(run.glob("checkpoints/step-????????")):
            done = subprocess.run([self.binary, "verify", checkpoint], capture_output=True,
                                  text=True, check=False)
            if done.returncode:
                self.wrong.append(done.stderr)


def try_stops(binary, ranks, seed, stops):
    torture = Stops(binary, ranks, seed)
    want = torture.unbroken()
    print(f"seed {seed}: unbroken runs of {torture.lengths[False]:.1f} s in one process, "
          f"{torture.lengths[True]:.1f} s of {ranks} ranks", flush=True)
    counts, codes = collections.Counter(), collections.Counter()
    for n in range(stops):
        run = torture.place / f"run{n}"
        torture.under_mpirun = n % 2 == 1
        kind, status, allowed = torture.trial(run)
        counts[kind] += 1
        codes[status] += 1
        if status not in allowed:
            torture.wrong.append(f"{kind}: exit code {status}: "
                                 + (torture.place / "output").read_text())
        torture.whole(run)
        if torture.start(run).wait(timeout=300) != 0:
            torture.wrong.append(f"{kind}: did not go on: "
                                 + (torture.place / "output").read_text())
        got, wanted = results(run), want[torture.under_mpirun]
        if got != wanted:
            torture.wrong.append(
                f"{kind}: differs in {[k for k in wanted if got[k] != wanted[k]]}: {run}")
        else:
            shutil.rmtree(run)
    for kind, count in sorted(counts.items()):
        print(f"{count:4} {kind}")
    print("exit codes: " + ", ".join(f"{count} of {code}" for code, count in sorted(codes.items())))
    print(f"after a second signal all processes were gone within {torture.slowest:.2f} s")
    print(f"{len(torture.wrong)} of {stops} stops went wrong")
    for line in torture.wrong:
        print(line)
    if not torture.wrong:
        shutil.rmtree(torture.place)
    return not torture.wrong
