"""Scripts called from another directory: whose paths are meant; and signals that ask them to stop.
The clone is made up: the real scripts, with a launcher that writes down what it was asked to do."""
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import support

STUDIES = {"compare.sh": {"RESIDUALS": "mhc"}, "precision.sh": {"SEEDS": "1"}, "grow.sh": {}}
# Waits for a signal, as a run that saves; a second one ends it, as launch/mpirun.sh does.
WAITS = """
trap 'n=$((n + 1)); echo $n >>"$HERE/signals"; [ $n -lt 2 ] || exit 138' USR1
echo >"$HERE/running"
until [ -e "$HERE/go" ]; do sleep 0.05; done
exit ${CODE:-75}
"""


class Clone(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.place = pathlib.Path(scratch.name).resolve()
        self.root, self.elsewhere = self.place / "clone", self.place / "else where"
        shutil.copytree(support.ROOT / "scripts", self.root / "scripts")
        shutil.copytree(support.ROOT / "configs", self.root / "configs")
        self.elsewhere.mkdir()
        # The build, the packages and the data are there.
        lib = self.root / "scripts" / "lib.sh"
        lib.write_text(lib.read_text() + "\ninstall_packages() { :; }\nbuild_binary() { :; }\n"
                       "make_venv() { :; }\n")
        (self.root / "data").mkdir()
        for name in ("bible.bin", "bible.idx"):
            (self.root / "data" / name).touch()
        self.program("build/release/birkhoff", 'echo "$PWD|$*" >>"$HERE/calls"')
        self.program("build/venv/bin/python3", 'echo "$PWD|$*" >>"$HERE/calls"')
        (self.root / "build/venv/requirements.txt").touch()
        self.launcher("")

    def program(self, path, body):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f'#!/bin/bash\nHERE={self.place}\n{body}\n')
        file.chmod(0o755)

    def launcher(self, body):
        """The run's directory is made, with what scripts look for behind a training."""
        self.program("launch/mpirun.sh", """
            echo "$PWD|$*" >>"$HERE/launches"
            run=runs/tiny
            for word in "$@"; do case $word in
              */c.yaml) run=r ;;
              run.dir=*) run=${word#run.dir=} ;;
            esac; done
            mkdir -p "$run/checkpoints/step-00000001"
            echo '{"step":1,"loss":1}' >"$run/metrics.jsonl"
            """ + body)

    def start(self, script, *arguments, **environment):
        return subprocess.Popen(
            [self.root / "scripts" / script, *arguments], cwd=self.elsewhere, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            start_new_session=True, preexec_fn=support.default_signals,
            env={**os.environ, **environment})

    def call(self, script, *arguments, **environment):
        started = self.start(script, *arguments, **environment)
        said = started.communicate(timeout=60)[0]
        return started.returncode, said

    def launches(self):
        """Directory and arguments of each."""
        return [line.split("|") for line in (self.place / "launches").read_text().splitlines()]


class Paths(Clone):
    def test_a_config_and_its_run_are_the_callers(self):
        (self.elsewhere / "base.yaml").write_text("data: {path: own}\n")
        (self.elsewhere / "c.yaml").write_text("extends: base.yaml\nrun: {dir: r}\n")
        for script in ("train.sh", *STUDIES):
            code, said = self.call(script, "c.yaml", **STUDIES.get(script, {}))
            self.assertEqual(code, 0, said)
            for directory, arguments in self.launches():
                self.assertEqual(directory, str(self.elsewhere))
                self.assertNotIn("data.path", arguments)
            (self.place / "launches").unlink()
        self.assertEqual(sorted(p.name for p in self.elsewhere.iterdir()),
                         ["base.yaml", "c.yaml", "r", "runs"])
        self.assertIn(f"|sample {self.elsewhere}/r/checkpoints/step-00000001 ",
                      (self.place / "calls").read_text())
        self.assertFalse((self.root / "runs").exists())

    def test_overrides_are_the_callers_too(self):
        (self.elsewhere / "c.yaml").write_text("data: {path: own}\nrun: {dir: r}\n")
        code, said = self.call("train.sh", "./c.yaml", "run.dir=sub/other")
        self.assertEqual(code, 0, said)
        self.assertTrue((self.elsewhere / "sub/other/metrics.jsonl").exists())
        self.assertIn(f"the run is in {self.elsewhere}/sub/other,", said)

    def test_what_comes_with_birkhoff_is_found_and_has_its_data(self):
        for arguments in ((), ("configs/tiny.yaml",), (self.root / "configs/tiny.yaml",)):
            code, said = self.call("train.sh", *arguments)
            self.assertEqual(code, 0, said)
            (directory, launched), = self.launches()
            self.assertEqual(directory, str(self.elsewhere))
            self.assertIn(f"train {self.root}/configs/tiny.yaml data.path={self.root}/data/bible",
                          launched)
            (self.place / "launches").unlink()

    def test_where_to_put_a_study_is_the_callers(self):
        for script, environment in STUDIES.items():
            code, said = self.call(script, OUT="out", **environment)
            self.assertEqual(code, 0, said)
            self.assertTrue((self.elsewhere / "out").is_dir(), script)
            shutil.rmtree(self.elsewhere / "out")
        self.assertFalse((self.root / "runs").exists())

    def test_a_config_that_is_nowhere_is_named_as_the_caller_meant_it(self):
        for script in ("train.sh", *STUDIES):
            code, said = self.call(script, "nope.yaml")
            self.assertEqual(code, 1)
            self.assertIn(f"no such config: {self.elsewhere}/nope.yaml", said)
            self.assertEqual(said.count("\n"), 1, said)


class Stops(Clone):
    def start_and_ask(self, script, number, times=1, **environment):
        self.launcher(WAITS)
        started = self.start(script, **environment)
        deadline = time.monotonic() + 60
        while not (self.place / "running").exists():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        for n in range(1, times + 1):
            os.killpg(started.pid, number)
            while n == times == 1 and not (self.place / "signals").exists():
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.01)
            time.sleep(0.3)
        (self.place / "go").touch()
        said = started.communicate(timeout=60)[0]
        return started.returncode, said

    def again(self):
        for name in ("running", "signals", "go", "launches"):
            (self.place / name).unlink()

    def test_each_waits_for_the_run_and_ends_with_75(self):
        numbers = [signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGINT]
        for (script, environment), number in zip({"train.sh": {}, **STUDIES}.items(), numbers):
            code, said = self.start_and_ask(script, number, **environment)
            self.assertEqual(code, 75, said)
            self.assertTrue(said.endswith(
                f"[{script}] stopped and saved; run the same command again to continue\n"), said)
            self.assertEqual((self.place / "signals").read_text(), "1\n")  # once
            self.assertEqual(len(self.launches()), 1)
            if script in ("grow.sh", "precision.sh"):  # whose runs write to a file
                self.assertIn("stop requested: finishing the step, then saving", said)
            self.again()
        calls = self.place / "calls"
        self.assertNotIn("sample", calls.read_text() if calls.exists() else "")

    def test_a_second_signal_ends_all(self):
        code, said = self.start_and_ask("train.sh", signal.SIGINT, times=2)
        self.assertEqual(code, 128 + signal.SIGINT, said)

    def test_a_run_that_fails_all_the_same_is_a_failure(self):
        code, said = self.start_and_ask("train.sh", signal.SIGTERM, CODE="5")
        self.assertEqual(code, 1, said)
        self.assertIn("training: failed (exit code 5)", said)


if __name__ == "__main__":
    unittest.main()
