"""What scripts draw never replaces what they have not drawn."""
import contextlib
import importlib
import importlib.util
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import support

pictures = importlib.import_module("birkhoff_data.pictures")
compression = support.load("compression.py")
PNG = b"\x89PNG\r\n\x1a\n"
OURS = PNG + b"....tEXtSoftware\0Birkhoff...."


class Outputs(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.place = pathlib.Path(scratch.name)
        self.out = self.place / "loss.png"

    def write(self, is_ours=pictures.is_picture):
        """What is said; "" if it was written."""
        with contextlib.redirect_stderr(io.StringIO()) as said:
            try:
                pictures.write_whole(self.out, b"new", is_ours)
            except SystemExit as end:
                self.assertEqual(end.code, 2)
                return said.getvalue()
        self.assertEqual(self.out.read_bytes(), b"new")
        self.assertEqual(os.listdir(self.place), ["loss.png"])
        self.out.unlink()
        return ""

    def test_ours_are_replaced(self):
        self.assertEqual(self.write(), "")
        for data in (b"", OURS):
            self.out.write_bytes(data)
            self.assertEqual(self.write(), "")
        self.out.write_bytes(PNG + b"tEXtSoftware\0Matplotlib version3")
        self.assertIn("not replaced", self.write())
        self.assertEqual(self.write(pictures.is_old_picture), "")

    def test_others_stay(self):
        for data in (b"my notes", PNG + b"tEXtSoftware\0GIMP", b"Birkhoff", OURS[1:]):
            self.out.write_bytes(data)
            for is_ours in (pictures.is_picture, pictures.is_old_picture,
                            compression.is_comparison):
                self.assertIn(f"{self.out} exists", self.write(is_ours))
            self.assertEqual(self.out.read_bytes(), data)
        self.out.unlink()
        self.out.mkdir()
        self.assertIn("not replaced", self.write())
        self.out.rmdir()
        (self.place / "mine").write_bytes(OURS)
        os.symlink("mine", self.out)
        self.assertIn("not replaced", self.write())

    def test_a_comparison_is_known(self):
        result = compression.compare((1, 2.5), b"a" * 99, b"b" * 99, b"a")
        self.assertTrue(compression.is_comparison(json.dumps(result).encode()))
        for data in (b"", b"{", b"[]", b"{}", b"3", b"\xff"):
            self.assertFalse(compression.is_comparison(data))


@unittest.skipUnless(importlib.util.find_spec("matplotlib"), "needs matplotlib: scripts/test.sh")
class Commands(unittest.TestCase):
    def run_script(self, name, *arguments):
        return subprocess.run([sys.executable, support.ROOT / "scripts" / name, *arguments],
                              capture_output=True, text=True, check=False, timeout=120)

    def test_report(self):
        with tempfile.TemporaryDirectory() as scratch:
            run = pathlib.Path(scratch)
            (run / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n')
            (run / "mine").mkdir()
            (run / "mine" / "loss.png").write_bytes(b"mine")
            ran = self.run_script("report.py", scratch, "--out", str(run / "mine"))
            self.assertEqual(ran.returncode, 2)
            self.assertEqual(ran.stderr.count("\n"), 1)
            self.assertEqual(os.listdir(run / "mine"), ["loss.png"])
            self.assertEqual((run / "mine" / "loss.png").read_bytes(), b"mine")
            ran = self.run_script("report.py", scratch, "--out", str(run / "new"))
            self.assertEqual(ran.returncode, 0, ran.stderr)
            self.assertTrue(pictures.is_picture((run / "new" / "loss.png").read_bytes()))
            self.assertEqual({p.suffix for p in (run / "new").iterdir()}, {".png"})

    def test_report_follows_no_link_and_waits_for_no_fifo(self):
        with tempfile.TemporaryDirectory() as scratch:
            run, elsewhere = pathlib.Path(scratch) / "run", pathlib.Path(scratch) / "elsewhere"
            run.mkdir()
            elsewhere.mkdir()
            (run / "metrics.jsonl").write_text(
                '{"step": 1, "loss": 2.0}\n{"step": 1, "eval_loss": 2.0, '
                '"eval_bits_per_byte": 3.0}\n')
            text = str(run / "metrics.jsonl")
            compression_of = ("compression.py", str(run), "--train", text, "--held-out", text,
                              "--sample", text)
            os.symlink(elsewhere, run / "report")
            for command in (("report.py", str(run)), compression_of):
                ran = self.run_script(*command)
                self.assertEqual(ran.returncode, 5, ran.stderr)
                self.assertEqual(ran.stderr.count("\n"), 1, ran.stderr)
                self.assertEqual(os.listdir(elsewhere), [])
            # A place that the user names may be a link.
            self.assertEqual(self.run_script("report.py", str(run), "--out",
                                             str(run / "report")).returncode, 0)
            self.assertIn("loss.png", os.listdir(elsewhere))
            (run / "report").unlink()
            (run / "metrics.jsonl").unlink()
            os.mkfifo(run / "metrics.jsonl")
            for command in (("report.py", str(run)), compression_of):
                ran = self.run_script(*command)
                self.assertEqual(ran.returncode, 1, ran.stderr)
                self.assertIn("regular file", ran.stderr)
                self.assertEqual(ran.stderr.count("\n"), 1, ran.stderr)

    def test_roofline(self):
        with tempfile.TemporaryDirectory() as scratch:
            file = pathlib.Path(scratch) / "bench.json"
            file.write_text("{}")
            os.link(file, pathlib.Path(scratch) / "bench.png")
            for more in ((), ("--out", str(file))):
                ran = self.run_script("roofline.py", str(file), *more)
                self.assertIn(ran.returncode, (1, 2))
                self.assertEqual(ran.stderr.count("\n"), 1, ran.stderr)
                self.assertEqual(file.read_text(), "{}")


if __name__ == "__main__":
    unittest.main()
