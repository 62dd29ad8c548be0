import json
import math
import pathlib
import tempfile
import unittest

import support

precision = support.load("precision.py")


class Verdict(unittest.TestCase):
    def test_by_hand(self):
        # 0.1, 0.2, 0.3: mean 0.2, deviation 0.1, error 0.1 / sqrt 3.
        mean, error, good = precision.verdict([0.1, 0.2, 0.3])
        self.assertAlmostEqual(mean, 0.2)
        self.assertAlmostEqual(error, 0.1 / math.sqrt(3))
        self.assertTrue(good)

    def test_a_difference_that_noise_does_not_explain(self):
        self.assertFalse(precision.verdict([0.5, 0.51, 0.49])[2])

    def test_too_noisy_to_say(self):
        self.assertFalse(precision.verdict([-2.0, 2.0, 0.1])[2])

    def test_not_a_number_is_no_success(self):
        self.assertFalse(precision.verdict([0.1, float("nan")])[2])


class Pairs(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.directory = pathlib.Path(scratch.name)

    def run_of(self, name, end, steps=60):
        """Losses that fall to `end`, where the last 50 steps stay."""
        (self.directory / name).mkdir()
        lines = [json.dumps({"step": s, "loss": end if s > steps - 50 else 9.0})
                 for s in range(1, steps + 1)]
        (self.directory / name / "metrics.jsonl").write_text("\n".join(lines) + "\n")

    def test_differences_are_of_the_same_seed(self):
        self.run_of("fp32-1", 2.0), self.run_of("bf16-1", 2.02)
        self.run_of("fp32-10", 4.0), self.run_of("bf16-10", 3.98)
        self.run_of("fp32-2", 1.0)  # no partner
        pairs = precision.pairs_of(self.directory)
        self.assertEqual([seed for seed, _, _ in pairs], ["1", "10"])
        self.assertAlmostEqual(precision.percent(*pairs[0][1:]), 1.0)
        self.assertAlmostEqual(precision.percent(*pairs[1][1:]), -0.5)

    def test_one_pair_has_no_error(self):
        self.run_of("fp32-1", 2.0), self.run_of("bf16-1", 2.0)
        with self.assertRaisesRegex(SystemExit, "has 1 pairs"):
            precision.pairs_of(self.directory)

    def test_a_short_run_is_refused(self):
        self.run_of("fp32-1", 2.0, steps=49)
        with self.assertRaisesRegex(SystemExit, "fp32-1 has 49 steps"):
            precision.end_of(precision.report.read_run(self.directory / "fp32-1"))


if __name__ == "__main__":
    unittest.main()
