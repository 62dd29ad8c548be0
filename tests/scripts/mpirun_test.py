"""launch/mpirun.sh around an mpirun that is made up: when it is ended, and with which exit code."""
import pathlib
import subprocess
import tempfile
import unittest

import support

LAUNCHER = support.ROOT / "launch" / "mpirun.sh"
# A read that nobody answers: bash waits without a child, as an mpirun that has locked itself out.
HANGS = 'mkfifo "$HERE/never"; read -r _ <>"$HERE/never"'


class Ends(unittest.TestCase):
    def launch(self, body):
        """What the launcher printed on stderr, and its exit code."""
        with tempfile.TemporaryDirectory() as place:
            stub = pathlib.Path(place) / "mpirun"
            stub.write_text(f"#!/bin/bash\nHERE={place}\n{body}\n")
            stub.chmod(0o755)
            ran = subprocess.run(
                ["/bin/bash", LAUNCHER, "-np", "2", "true"], capture_output=True, text=True,
                check=False, timeout=60, stdin=subprocess.DEVNULL,
                env={"PATH": f"{place}:/usr/local/bin:/usr/bin:/bin", "TMPDIR": place})
            return ran.stderr, ran.returncode

    def test_one_that_does_not_end_with_its_ranks_is_killed(self):
        said, code = self.launch("/bin/sleep 0.7; " + HANGS)
        self.assertTrue(said.endswith("mpirun did not end with its ranks, and was killed\n"), said)
        self.assertEqual(code, 6)

    def test_the_cause_that_a_rank_has_written_is_the_exit_code(self):
        self.assertEqual(
            self.launch('echo 8 >"$BIRKHOFF_VERDICT"; /bin/sleep 0.7; ' + HANGS)[1], 8)

    def test_one_with_ranks_or_none_yet_has_time(self):
        waits = 'mkfifo "$HERE/later"; read -r -t 4 _ <>"$HERE/later"; '
        self.assertEqual(self.launch(waits + "/bin/sleep 4.5; exit 75"), ("", 75))

    def test_a_rank_that_was_killed_is_code_6(self):
        self.assertEqual(self.launch("/bin/sleep 0.1; exit 137"), ("", 6))


if __name__ == "__main__":
    unittest.main()
