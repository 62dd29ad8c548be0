"""launch/mpirun.sh around an mpirun that is made up, and around the real one with such ranks."""
import contextlib
import os
import re
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import support

LAUNCHER = support.ROOT / "launch" / "mpirun.sh"
# A read that nobody answers: bash waits without a child, as an mpirun that has locked itself out.
HANGS = 'mkfifo "$HERE/never"; read -r _ <>"$HERE/never"'
RULE = "-" * 74
BOX = f"{RULE}\\nthe job ends as a process exited with non-zero status\\n{RULE}\\n"
UNLAUNCHED = f"{RULE}\\nmpirun was unable to launch the specified application\\n{RULE}\\n"


def segments_of(pid):
    """The files of MPI's shared memory that `pid` or a process below it has mapped."""
    found, parents = set(), {}
    for status in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
    for process in parents:
        above = process
        while above not in (pid, 0):
            above = parents.get(above, 0)
        if above == pid:
            with contextlib.suppress(OSError):
                maps = pathlib.Path(f"/proc/{process}/maps").read_text()
                found.update(re.findall(r"/dev/shm/vader_segment\S*", maps))
    return found


class Stub(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.place = pathlib.Path(scratch.name)

    def start(self, body, **environment):
        stub = self.place / "mpirun"
        stub.write_text(f'#!/bin/bash\nHERE={self.place}\necho >>"$HERE/starts"\n{body}\n')
        stub.chmod(0o755)
        return subprocess.Popen(
            ["/bin/bash", LAUNCHER, "-np", "2", "true"], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
            preexec_fn=support.default_signals,
            env={"PATH": f"{self.place}:/usr/local/bin:/usr/bin:/bin",
                 "TMPDIR": str(self.place), **environment})

    def launch(self, body, **environment):
        """What the launcher printed on stderr, and its exit code."""
        started = self.start(body, **environment)
        said = started.communicate(timeout=60)[1]
        return said, started.returncode

    def starts(self):
        return (self.place / "starts").read_text().count("\n")


class Ends(Stub):
    def test_one_that_does_not_end_with_its_ranks_is_killed(self):
        said, code = self.launch("/bin/sleep 0.7; " + HANGS)
        self.assertTrue(said.endswith("mpirun did not exit after its ranks had ended, so it was "
                                      "killed\n"), said)
        self.assertEqual(code, 6)

    def test_the_cause_that_a_rank_has_written_is_the_exit_code(self):
        self.assertEqual(
            self.launch('echo 8 >>"$BIRKHOFF_VERDICT"; /bin/sleep 0.7; ' + HANGS)[1], 8)
        told = 'printf "progress\\n3\\n" >>"$BIRKHOFF_VERDICT"; exit 1'
        self.assertEqual(self.launch(told)[1], 3)

    def test_one_with_ranks_or_none_yet_has_time(self):
        waits = 'mkfifo "$HERE/later"; read -r -t 4 _ <>"$HERE/later"; '
        self.assertEqual(self.launch(waits + "/bin/sleep 4.5; exit 75"), ("", 75))

    def test_a_rank_that_was_killed_is_code_6(self):
        self.assertEqual(self.launch("/bin/sleep 0.1; exit 137"), ("", 6))

    def test_boxes_about_exit_codes_are_for_failures(self):
        box = f'printf -- "{BOX}" >&2; echo "a line of a rank" >&2; '
        self.assertEqual(self.launch(box + "exit 75"), ("a line of a rank\n", 75))
        said, code = self.launch(box + "exit 3")
        self.assertEqual((said, code), ("a line of a rank\n" + BOX.replace("\\n", "\n"), 3))

    def test_other_boxes_are_passed_on(self):
        said, code = self.launch(f'printf -- "{RULE}\\nno such network\\n{RULE}\\nhalf" >&2')
        self.assertEqual((said, code), (f"{RULE}\nno such network\n{RULE}\nhalf\n", 0))

    def test_a_reader_that_has_left_ends_nothing(self):
        started = self.start('read -r _ <"$HERE/go"; for ((i = 0; i < 100; ++i)); do\n'
                             'echo "line $i" || exit 9; echo "line $i" >&2 || exit 9; done\n'
                             'echo whole >"$HERE/whole"')
        os.mkfifo(self.place / "go")
        started.stdout.close()
        started.stderr.close()
        (self.place / "go").write_text("\n")
        self.assertEqual(started.wait(timeout=60), 0)
        self.assertTrue((self.place / "whole").exists())


class Restarts(Stub):
    DIES = '/bin/sleep 0.1; exit 137'
    SOON = {"BIRKHOFF_RESTART_PAUSE": "0"}

    def test_what_never_started_is_not_started_again(self):
        self.assertEqual(self.launch(self.DIES, BIRKHOFF_RESTARTS="2", **self.SOON), ("", 6))
        self.assertEqual(self.starts(), 1)

    def test_a_program_that_cannot_be_launched_is_code_2(self):
        said, code = self.launch(f'printf -- "{UNLAUNCHED}" >&2; exit 132', BIRKHOFF_RESTARTS="2")
        self.assertEqual((said, code), (UNLAUNCHED.replace("\\n", "\n"), 2))
        self.assertEqual(self.starts(), 1)

    def test_what_got_on_or_has_told_the_cause_is(self):
        for line, ends_with in (("progress", 6), ("7", 7)):
            (self.place / "starts").unlink(missing_ok=True)
            said, code = self.launch(f'echo {line} >>"$BIRKHOFF_VERDICT"; ' + self.DIES,
                                     BIRKHOFF_RESTARTS="2", **self.SOON)
            self.assertEqual((code, self.starts()), (ends_with, 3))
            self.assertIn("starting again in 0 s, 1 restarts left", said)

    def test_not_after_a_failure_that_would_come_again(self):
        self.launch('echo 3 >>"$BIRKHOFF_VERDICT"; ' + self.DIES, BIRKHOFF_RESTARTS="2")
        self.assertEqual(self.starts(), 1)

    def test_a_signal_ends_the_pause(self):
        started = self.start('echo progress >>"$BIRKHOFF_VERDICT"; ' + self.DIES,
                             BIRKHOFF_RESTARTS="2", BIRKHOFF_RESTART_PAUSE="600")
        self.assertIn("starting again in 600 s", started.stderr.readline())
        started.send_signal(signal.SIGTERM)
        started.communicate(timeout=60)
        self.assertEqual((started.returncode, self.starts()), (75, 1))

    def test_what_is_no_number_is_refused(self):
        for name in ("BIRKHOFF_RESTARTS", "BIRKHOFF_RESTART_PAUSE"):
            for value in ("abc", "-1", "1.5", "1e3", "1234567", " 1"):
                said, code = self.launch("true", **{name: value})
                self.assertEqual(code, 2, value)
                self.assertEqual(said,
                                 f"[mpirun.sh] {name}={value}: must be a whole number of at most "
                                 "6 digits\n")
        self.assertFalse((self.place / "starts").exists())
        self.assertEqual(self.launch("exit 1", BIRKHOFF_RESTARTS="08")[1], 1)


# A rank: waits for SIGUSR1, notes it, and takes its time to leave. Bash notes another that comes
# meanwhile when the sleep is over.
RANK = """
cd "$1"
exec 2>/dev/null
trap 'echo >>usr1.$OMPI_COMM_WORLD_RANK; asked=yes' USR1
echo $$ >rank.$OMPI_COMM_WORLD_RANK
while [ -z "$asked" ]; do sleep 0.05; done
sleep ${2:-0.5}
exit 75
"""


def state(pid):
    """R, S, T, …; none if there is no such process."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


@unittest.skipUnless(shutil.which("mpirun"), "needs Open MPI")
class Signals(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.place = pathlib.Path(scratch.name)
        (self.place / "rank.sh").write_text(RANK)
        self.started = None
        self.addCleanup(self.end)

    def end(self):
        if self.started and self.started.poll() is None:
            self.started.send_signal(signal.SIGQUIT)
            self.started.wait(timeout=60)

    def eventually(self, holds):
        deadline = time.monotonic() + 60
        while not holds():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def start(self, seconds="0.5", ignored=()):
        """Two ranks that are ready; they take so many seconds to leave."""
        def before():
            support.default_signals()
            for number in ignored:
                signal.signal(number, signal.SIG_IGN)
        self.started = subprocess.Popen(
            [LAUNCHER, "-np", "2", "bash", self.place / "rank.sh", self.place, seconds],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
            preexec_fn=before)
        pids = [self.place / "rank.0", self.place / "rank.1"]
        self.eventually(lambda: all(p.exists() and p.read_text() for p in pids))
        self.pids = [int(p.read_text()) for p in pids]

    def finish(self):
        said = self.started.communicate(timeout=60)[1]
        self.assertEqual([pid for pid in self.pids if state(pid) not in (None, "Z")], [])
        return said

    def signals_of_ranks(self):
        return [len((self.place / f"usr1.{r}").read_text()) for r in (0, 1)]

    def test_each_is_one_request_however_often_it_arrives(self):
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1):
            self.start()
            os.killpg(self.started.pid, number)  # as a terminal does; one that is lost adds SIGCONT
            os.killpg(self.started.pid, signal.SIGCONT)
            self.started.send_signal(number)     # and a launcher above, at once
            self.assertEqual(self.finish(), "")
            self.assertEqual(self.started.returncode, 75, number)
            self.assertEqual(self.signals_of_ranks(), [1, 1])
            for file in self.place.glob("*.[01]"):
                file.unlink()

    def test_a_second_ends_all(self):
        self.start(seconds="600")
        os.killpg(self.started.pid, signal.SIGINT)
        self.eventually(lambda: len(list(self.place.glob("usr1.*"))) == 2)
        time.sleep(0.3)
        segments = segments_of(self.started.pid)
        os.killpg(self.started.pid, signal.SIGINT)
        self.finish()
        self.assertEqual(self.started.returncode, 128 + signal.SIGINT)
        self.assertEqual([path for path in segments if os.path.exists(path)], [])

    def test_what_was_ignored_stays_ignored(self):
        self.start(ignored=[signal.SIGHUP, signal.SIGINT])
        os.killpg(self.started.pid, signal.SIGHUP)
        os.killpg(self.started.pid, signal.SIGINT)
        time.sleep(0.5)
        self.assertIsNone(self.started.poll())
        self.assertEqual(list(self.place.glob("usr1.*")), [])
        self.started.send_signal(signal.SIGTERM)
        self.finish()
        self.assertEqual(self.started.returncode, 75)

    def test_a_request_waits_for_ranks_that_are_not_ready(self):
        late = RANK.replace('cd "$1"\n', 'cd "$1"\necho >begun.$OMPI_COMM_WORLD_RANK\nsleep 2\n')
        (self.place / "rank.sh").write_text(late)
        self.started = subprocess.Popen(
            [LAUNCHER, "-np", "2", "bash", self.place / "rank.sh", self.place],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
            preexec_fn=support.default_signals)
        self.eventually(lambda: len(list(self.place.glob("begun.*"))) > 0)
        self.started.send_signal(signal.SIGINT)
        said = self.started.communicate(timeout=60)[1]
        self.assertEqual((self.started.returncode, said), (75, ""))
        self.assertEqual(self.signals_of_ranks(), [1, 1])

    def test_a_suspended_job_stands_still_and_goes_on(self):
        self.start()
        self.started.send_signal(signal.SIGTSTP)
        self.eventually(lambda: [state(p) for p in (*self.pids, self.started.pid)] == ["T"] * 3)
        self.started.send_signal(signal.SIGCONT)
        self.eventually(lambda: "T" not in [state(p) for p in (*self.pids, self.started.pid)])
        self.started.send_signal(signal.SIGTERM)
        self.finish()
        self.assertEqual(self.started.returncode, 75)

    def test_without_the_launcher_the_run_is_asked_to_save(self):
        self.start()
        self.started.kill()
        self.eventually(lambda: all(state(pid) in (None, "Z") for pid in self.pids))
        self.assertEqual(self.signals_of_ranks(), [1, 1])
        self.started.communicate(timeout=60)


if __name__ == "__main__":
    unittest.main()
