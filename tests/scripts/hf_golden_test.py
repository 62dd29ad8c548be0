"""tests/golden/hf is what tests/golden/make_hf.py writes."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden"


class HfGolden(unittest.TestCase):
    def test_is_what_its_script_writes(self):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, str(GOLDEN / "make_hf.py"), folder], check=True)
            made = pathlib.Path(folder)
            names = sorted(p.relative_to(made) for p in made.rglob("*") if p.is_file())
            kept = sorted(p.relative_to(GOLDEN / "hf") for p in (GOLDEN / "hf").rglob("*")
                          if p.is_file())
            self.assertEqual(names, kept)
            for name in names:
                with self.subTest(name=str(name)):
                    if name.name != "expected.json":
                        self.assertEqual((made / name).read_bytes(),
                                         (GOLDEN / "hf" / name).read_bytes())
                        continue
                    # Another libm may round exp and cos otherwise.
                    got, want = (json.loads((root / name).read_text())
                                 for root in (made, GOLDEN / "hf"))
                    self.assertEqual(got.keys(), want.keys())
                    inputs = ("tokens", "groups")
                    for key in inputs:
                        self.assertEqual(got[key], want[key])
                    for key in got.keys() - set(inputs):
                        for a, b in zip(got[key], want[key], strict=True):
                            self.assertAlmostEqual(a, b, delta=1e-10)


if __name__ == "__main__":
    unittest.main()
