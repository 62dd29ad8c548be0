import pathlib
import shutil
import subprocess
import tempfile
import unittest

import support


class Packages(unittest.TestCase):
    """install_packages on a machine that is made up: what is installed, and who asks."""

    def run_on(self, installed, user=1000, sudo=False, apt=True, groups="build test"):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        place = pathlib.Path(scratch.name)
        tools = {
            "dpkg-query": 'for last; do :; done; case " $INSTALLED " in *" $last "*|*" all "*) '
                          'printf "install ok installed";; *) exit 1;; esac',
            "id": f"echo {user}",
            "sudo": 'shift; exec "$@"' if sudo else "exit 1",
        }
        if apt:
            tools["apt-get"] = 'echo "$DEBIAN_FRONTEND $*" >>"$LOG"'
        for name, body in tools.items():
            (place / name).write_text(f"#!/bin/bash\n{body}\n")
            (place / name).chmod(0o755)
        for name in ("awk", "basename", "bash", "dirname", "date", "env", "mkdir", "nproc", "sort",
                     "tail", "true"):
            (place / name).symlink_to(shutil.which(name))
        log = place / "log"
        done = subprocess.run(
            ["bash", "-c", f"source scripts/lib.sh; install_packages {groups}"],
            cwd=support.ROOT, capture_output=True, text=True, check=False,
            env={"PATH": str(place), "INSTALLED": installed, "LOG": str(log), "HOME": str(place)})
        return done, log.read_text() if log.exists() else ""

    def test_all_there_needs_no_rights(self):
        done, log = self.run_on("all", apt=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr, log), (0, "", "", ""))

    def test_root_and_sudo_install_what_is_missing(self):
        for who in ({"user": 0}, {"sudo": True}):
            done, log = self.run_on("g++ cmake", **who)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("noninteractive -y", log)
            installed = log.split("--no-install-recommends ")[1].split()
            self.assertIn("libgtest-dev", installed)
            self.assertIn("libhwy-dev", installed)
            self.assertNotIn("cmake", installed)
            self.assertNotIn("bible-kjv", installed)

    def test_others_are_told_what_to_install_in_one_line(self):
        for where in ({}, {"apt": False}):
            done, log = self.run_on("g++ cmake ninja-build", **where)
            self.assertNotEqual(done.returncode, 0)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            self.assertIn("libspdlog-dev", done.stderr)
            self.assertNotIn("ninja-build", done.stderr)
            self.assertEqual(log, "")


class Cores(unittest.TestCase):
    """count_cores, where there are CPU quotas; tests/base/machine_test.cpp has more of them."""

    def count(self, files):
        with tempfile.TemporaryDirectory() as place:
            for name, text in files.items():
                file = pathlib.Path(place + name)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
            done = subprocess.run(
                ["bash", "-c", "source scripts/lib.sh; nproc() { echo 64; }; "
                 f"count_cores {place}"],
                cwd=support.ROOT, capture_output=True, text=True, check=True)
            return int(done.stdout)

    def test_none_is_all(self):
        self.assertEqual(self.count({}), 64)
        self.assertEqual(self.count({"/proc/self/cgroup": "0::/a\n",
                                     "/sys/fs/cgroup/a/cpu.max": "max 100000\n"}), 64)

    def test_the_least_counts_rounded_up(self):
        self.assertEqual(self.count({"/proc/self/cgroup": "0::/a/b\n",
                                     "/sys/fs/cgroup/a/cpu.max": "250000 100000\n",
                                     "/sys/fs/cgroup/a/b/cpu.max": "800000 100000\n"}), 3)
        self.assertEqual(self.count({"/proc/self/cgroup": "0::/\n",
                                     "/sys/fs/cgroup/cpu.max": "1000 100000\n"}), 1)

    def test_of_version_one_too(self):
        own = "/sys/fs/cgroup/cpu/docker/ab"
        files = {"/proc/self/cgroup": "5:memory:/docker/ab\n4:cpu,cpuacct:/docker/ab\n0::/\n",
                 own + "/cpu.cfs_period_us": "100000\n"}
        self.assertEqual(self.count({**files, own + "/cpu.cfs_quota_us": "-1\n"}), 64)
        self.assertEqual(self.count({**files, own + "/cpu.cfs_quota_us": "150000\n"}), 2)


class Phases(unittest.TestCase):
    def run_line(self, line):
        return subprocess.run(["bash", "-c", f"source scripts/lib.sh; {line}"], cwd=support.ROOT,
                              capture_output=True, text=True, check=False)

    def test_a_failure_shows_its_output_and_stops(self):
        done = self.run_line("quietly 'lib test' bash -c 'echo reason; exit 7'; echo on")
        self.assertEqual(done.returncode, 1)
        self.assertIn("reason", done.stderr)
        self.assertIn("exit code 7", done.stderr)
        self.assertNotIn("on\n", done.stdout)

    def test_success_is_one_line(self):
        done = self.run_line("quietly 'lib test' echo much")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"^\[\w+\] lib test: [0-9.]+ s\n$")


class Stages(unittest.TestCase):
    def run_stage(self, setting, command):
        return subprocess.run(
            ["bash", "-c", f"source scripts/lib.sh; {setting} stage sleepy 1 {command}"],
            cwd=support.ROOT, capture_output=True, text=True, check=False, timeout=60)

    def test_the_status_is_the_commands(self):
        done = self.run_stage("", "bash -c 'exit 7'")
        self.assertEqual(done.returncode, 7)
        self.assertIn("stage sleepy: 0.0 of 1 minutes, FAILED (exit code 7)", done.stdout)

    def test_what_runs_into_the_wall_is_ended(self):
        done = self.run_stage("wall=1; SECONDS=58;", "sleep 50")
        self.assertEqual(done.returncode, 124)
        self.assertIn("FAILED (exit code 124)", done.stdout)


if __name__ == "__main__":
    unittest.main()
