"""Of bench/peers, what needs no PyTorch."""
import math
import pathlib
import struct
import sys
import tempfile
import unittest

import support

sys.path.append(str(support.ROOT / "bench/peers"))  # where its modules find each other
import compare  # noqa: E402

report = support.load("../bench/peers/report.py")
try:
    import birkhoff
except ModuleNotFoundError:  # numpy; as for drawing, scripts/test.sh has it
    birkhoff = None


def checked(loss, norm, precision="fp32"):
    return compare.check({"loss": loss, "norm": norm}, {"loss": 8.0, "grad_norm": 2.0}, precision)


class Check(unittest.TestCase):
    def test_relative_to_birkhoffs(self):
        self.assertTrue(checked(8.0, 2.0)["holds"])
        self.assertTrue(checked(8.0 * (1 + 9e-6), 2.0 * (1 - 9e-5))["holds"])
        self.assertFalse(checked(8.0 * (1 - 1.1e-5), 2.0)["holds"])
        self.assertFalse(checked(8.0, 2.0 * (1 + 1.1e-4))["holds"])
        self.assertTrue(checked(8.0 * (1 - 1e-3), 2.0, "bf16")["holds"])

    def test_a_loss_near_nothing_is_compared_by_itself(self):
        first = {"loss": 0.01, "grad_norm": 2.0}
        self.assertTrue(compare.check({"loss": 0.0101, "norm": 2.0}, first, "bf16")["holds"])
        self.assertFalse(compare.check({"loss": 0.0131, "norm": 2.0}, first, "bf16")["holds"])

    def test_not_a_number_does_not_hold(self):
        self.assertFalse(checked(math.nan, 2.0)["holds"])
        self.assertFalse(checked(8.0, math.nan)["holds"])


class Pairs(unittest.TestCase):
    def test_each_is_first_in_turn_and_ratios_are_of_the_pair(self):
        calls, seconds = [], iter([1.0, 3.0, 8.0, 2.0, 1.0, 2.0])

        def side(name):
            return lambda: calls.append(name) or next(seconds)

        pairs = compare.pairs(side("birkhoff"), side("torch"), 3)
        self.assertEqual(calls, ["birkhoff", "torch", "torch", "birkhoff", "birkhoff", "torch"])
        self.assertEqual([p["ratio"] for p in pairs], [3.0, 4.0, 2.0])
        self.assertEqual(pairs[1], {"birkhoff": 2.0, "torch": 8.0, "ratio": 4.0})


def result():
    check = {"loss": 1e-7, "norm": 1e-6, "birkhoff_loss": 8.0, "birkhoff_norm": 2.0, "holds": True}
    pairs = [{"birkhoff": 1.0, "torch": 2.0, "ratio": 2.0},
             {"birkhoff": 1.0, "torch": 4.0, "ratio": 4.0},
             {"birkhoff": 2.0, "torch": 5.0, "ratio": 2.5}]
    settings = [{"name": "slow", "outcome": "given up: too far behind", "seconds": [9.0],
                 "warm": 3.0, "memory": 2 ** 30, "check": check},
                {"name": "broken", "outcome": "failed: no such thing"},
                {"name": "fast", "outcome": "measured", "seconds": [2.0, 4.0, 3.0], "warm": 60.0,
                 "memory": 2 ** 31, "check": check}]
    memory = {"birkhoff": 2 ** 30, "torch": 3 * 2 ** 30}
    return {"machine": {"cpu": "Z80", "cores": 2, "memory": 2 ** 34, "bf16": [], "kernel": "6",
                        "busy": 0.01, "date": "2026-11-25"},
            "versions": {"torch": "2"}, "command": "scripts/peers.sh",
            "variants": [{"name": "small", "tokens": 1200, "settings": settings, "best": "fast",
                          "exact": check, "check": check, "pairs": pairs, "memory": memory,
                          "load": 1.5}],
            "sublayer": {"tokens": 2048, "dim": 512, "pairs": pairs,
                         "best": {"maker": "matmul", "compiled": True},
                         "paths": [{"maker": "matmul", "compiled": True, "seconds": [0.003]},
                                   {"maker": "other", "compiled": False, "failed": "no"}]}}


class Report(unittest.TestCase):
    def setUp(self):
        self.text = report.text(result(), "pairs.png")

    def test_medians_and_every_ratio(self):
        self.assertIn("| small | 1200 | 1200 | 300 (fast) | **2.50** (2.00 to 4.00) | 1.0, 3.0 |",
                      self.text)
        self.assertIn("- small: 2.00, 4.00, 2.50", self.text)

    def test_all_settings_are_shown_the_fastest_first(self):
        at = [self.text.index(f"| {name} |") for name in ("fast", "slow", "broken")]
        self.assertEqual(at, sorted(at))
        self.assertIn("| fast | 400 | 3 | 60 | 2.0 | +1.0e-07 |  |", self.text)
        self.assertIn("failed: no such thing", self.text)

    def test_a_form_that_does_not_run_says_why(self):
        self.assertIn("| compiled, matmul | 3.00 |", self.text)
        self.assertIn("| eager, other | no |", self.text)


@unittest.skipUnless(birkhoff, "needs numpy")
class Tokens(unittest.TestCase):
    def test_one_document_of_all_windows_and_the_last_target(self):
        with tempfile.TemporaryDirectory() as scratch:
            prefix = birkhoff.write_tokens(pathlib.Path(scratch) / "t", 8, 5)
            ids = struct.unpack("<9H", prefix.with_suffix(".bin").read_bytes())
            index = prefix.with_suffix(".idx").read_bytes()
        self.assertLess(max(ids), 5)
        self.assertEqual(index, b"MMIDIDX\0\0" + bytes([1, 0, 0, 0, 0, 0, 0, 0, 8]) +
                         struct.pack("<2Q", 1, 2) + struct.pack("<i3q", 9, 0, 0, 1))


if __name__ == "__main__":
    unittest.main()
