import json
import math
import pathlib
import sys
import tempfile
import unittest

import support

sys.path.append(str(support.ROOT / "scripts/parity"))  # where its modules find each other
import entry  # noqa: E402

report = support.load("parity/report.py")


def one(error, bound=1.0, tensor="gradient.model.layers.0.attn_hc.phi", norm=10.0):
    return entry.Entry("mhc", "birkhoff f32", tensor, error, bound, norm)


class Holds(unittest.TestCase):
    def test_up_to_the_bound(self):
        self.assertTrue(one(1.0).holds())
        self.assertFalse(one(1.0001).holds())

    def test_an_error_that_is_no_number_breaks_every_bound(self):
        self.assertFalse(one(math.nan).holds())
        self.assertFalse(one(math.inf).holds())
        self.assertFalse(one(1.0, math.nan).holds())

    def test_what_is_0_exactly_must_be(self):
        self.assertTrue(one(0.0, 0.0).holds())
        self.assertFalse(one(1e-30, 0.0).holds())

    def test_ratio_is_largest_where_the_bound_is_broken(self):
        entries = [one(0.5), one(math.nan), one(0.0, 0.0)]
        self.assertEqual([e.ratio() for e in entries], [0.5, math.inf, 0.0])


class Report(unittest.TestCase):
    def test_a_line_for_each_case_and_side_names_the_closest(self):
        table = report.table([one(0.1), one(0.9, tensor="loss"), one(0.2)], {"torch": "2"})
        self.assertIn("By torch 2.", table)
        self.assertIn("| mhc | birkhoff f32 | 3 | 9.0e-02 | `loss` | 0.9 |", table)

    def test_an_error_that_is_no_number_shows(self):
        self.assertIn("| inf | `∂0.attn_hc.phi` | inf |",
                      report.table([one(0.5), one(math.nan), one(0.6)], {}))

    def test_json_says_what_holds(self):
        with tempfile.TemporaryDirectory() as scratch:
            path = pathlib.Path(scratch) / "parity" / "report.json"
            report.write_json(path, [one(2.0), one(math.nan)], {"torch": "2"})
            read = json.loads(path.read_text(encoding="utf-8"))
        self.assertEqual(read["versions"], {"torch": "2"})
        self.assertEqual([e["holds"] for e in read["entries"]], [False, False])
        self.assertEqual([e["error"] for e in read["entries"]], [2.0, None])


if __name__ == "__main__":
    unittest.main()
