import contextlib
import importlib.util
import io
import json
import pathlib
import tempfile
import unittest

import support

roofline = support.load("roofline.py")


def operator(name, **fields):
    return {"operator": name, "flops": 100.0, "bytes": 50.0, "median": 0.5, "share": 0.1,
            "peak": "f32", "streams": False, **fields}


LIMITS = {"copy": 20e9, "copy_streaming": 30e9, "read": 25e9, "sweep": 40e9, "f32_flops": 200e9,
          "bf16_flops": 400e9}
DATA = {
    "format": roofline.FORMAT,
    "config_file": "configs/tiny.yaml",
    "machine": {"cpu": "a CPU", "threads": 2},
    "model": {"peak": "bf16", "share_of_peak": 0.25},
    "step": {"median": 0.5},
    "limits": {"used": {"all_threads": LIMITS}},
    "operators": [operator("linear", peak="bf16", share=0.5), operator("linear_dw", share=0.2),
                  operator("attention", share=0.3), operator("mhc_open", streams=True),
                  operator("rope", flops=0.0, share=0.05), operator("adamw", share=0.01),
                  operator("rms_norm", share=0.02), operator("embedding", flops=0.0, share=0.03)],
}


class Roofline(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.file = pathlib.Path(scratch.name) / "bench.json"

    def refused(self, text):
        self.file.write_text(text, encoding="utf-8")
        with self.assertRaises(SystemExit) as refusal:
            roofline.read(self.file)
        return str(refusal.exception)

    def test_what_is_no_measurement_is_refused(self):
        with self.assertRaises(SystemExit) as refusal:
            roofline.read(self.file)
        self.assertIn("cannot read", str(refusal.exception))
        self.assertIn("is not valid JSON", self.refused('{"format": '))
        for text in ("[]", "{}", '{"format": "birkhoff bench 2"}'):
            self.assertIn("birkhoff bench CONFIG --json", self.refused(text))

    def test_points(self):
        shown = roofline.points(DATA)
        # 100 flops of 50 bytes in half a second; the largest share first; none without flops.
        self.assertEqual(shown[0], (2.0, 200.0, 0.5, "products of bf16", "linear"))
        self.assertEqual([p[4] for p in shown],
                         ["linear", "attention", "linear_dw", "mhc_open", "rms_norm", "adamw"])
        self.assertEqual([p[3] for p in shown[1:]],
                         ["attention", "other products and arithmetic", "residual streams",
                          "the rest", "optimizer"])
        self.assertAlmostEqual(roofline.unplaced(DATA), 0.08)

    def test_roofs(self):
        slopes, peaks = roofline.roofs(LIMITS)
        self.assertEqual(slopes[0], ("read and write in place", 40e9))
        self.assertEqual([name for name, _ in peaks], ["bf16", "f32"])
        self.assertEqual(roofline.roofs({**LIMITS, "bf16_flops": None})[1], [("f32", 200e9)])

    @unittest.skipUnless(importlib.util.find_spec("matplotlib"), "needs matplotlib")
    def test_a_picture(self):
        out = self.file.with_suffix(".png")
        self.file.write_text(json.dumps(DATA), encoding="utf-8")
        with contextlib.redirect_stderr(io.StringIO()) as warnings:
            self.assertEqual(len(roofline.draw(roofline.read(self.file), out)), 6)
        self.assertNotIn("Warning", warnings.getvalue())
        self.assertEqual(out.read_bytes()[:8], b"\x89PNG\r\n\x1a\n")


if __name__ == "__main__":
    unittest.main()
