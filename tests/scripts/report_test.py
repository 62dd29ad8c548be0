import contextlib
import importlib.util
import io
import json
import math
import pathlib
import struct
import tempfile
import unittest

import support

report = support.load("report.py")
compression = support.load("compression.py")


class Directory(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.directory = pathlib.Path(scratch.name) / "run"
        self.directory.mkdir()

    def write(self, records, end="\n"):
        text = "\n".join(r if isinstance(r, str) else json.dumps(r) for r in records)
        (self.directory / "metrics.jsonl").write_text(text + end, encoding="utf-8")

    def refused(self):
        with self.assertRaises(SystemExit) as refusal:
            report.read_run(self.directory)
        return str(refusal.exception)


class Read(Directory):
    def test_training_and_evaluations(self):
        self.write([{"step": 2, "loss": 3.0}, {"step": 1, "loss": 4.0},
                    {"step": 2, "eval_loss": 3.5}])
        run = report.read_run(self.directory)
        self.assertEqual([r["step"] for r in run.training], [1, 2])
        self.assertEqual(run.evaluations, [{"step": 2, "eval_loss": 3.5}])

    def test_the_later_of_two_counts(self):
        self.write([{"step": 1, "loss": 4.0}, {"step": 1, "loss": 5.0}])
        self.assertEqual(report.read_run(self.directory).training[0]["loss"], 5.0)

    def test_a_torn_last_line_is_left_out_and_said(self):
        for torn in ('{"step": 2, "lo', '{"step": 2, "loss": 3.0', "7"):
            self.write([{"step": 1, "loss": 4.0}, torn], end="")
            said = []
            run = report.read_run(self.directory, said.append)
            self.assertEqual(len(run.training), 1)
            self.assertIn("metrics.jsonl:2: the last line is incomplete", said[0])

    def test_a_bad_line_inside_is_named(self):
        self.write([{"step": 1, "loss": 4.0}, '{"step": 2, "lo', {"step": 3, "loss": 4.0}])
        self.assertIn("metrics.jsonl:2: is not a record", self.refused())

    def test_nothing_yet(self):
        self.assertIn("cannot read", self.refused())
        self.write([], end="")
        self.assertIn("no training step yet", self.refused())


class Numbers(unittest.TestCase):
    def test_streams_and_their_worst(self):
        run = report.Run("", [{"step": 1}, {"step": 2, "streams": {"cosine": [1, None]}},
                              {"step": 3, "streams": {"cosine": [0.5, 0.25]}}], [])
        steps, rows = report.streams(run, "cosine")
        self.assertEqual((steps, rows[1]), ([2, 3], [0.5, 0.25]))
        self.assertTrue(math.isnan(rows[0][1]))
        self.assertEqual([report.worst(row) for row in rows], [math.inf, 0.5])
        self.assertEqual(report.streams(run, "gain_forward"), ([], []))

    def test_gaps_are_of_steps_that_both_have(self):
        def run(name, last, loss):
            return report.Run(name, [{"step": s, "loss": loss} for s in range(1, last + 1)],
                              [{"step": s, "eval_loss": loss + s} for s in range(2, last + 1, 2)])
        plain, short = run("plain", 9, 3.0), run("hc", 5, 2.5)
        self.assertEqual(report.loss_gap(short, plain), ([1, 2, 3, 4, 5], [-0.5] * 5))
        self.assertEqual(report.held_out_gap(short, plain), ([2, 4], [-0.5] * 2))
        self.assertEqual(report.held_out_gap(plain, plain)[1], [0.0] * 4)
        # Texts of unequal difficulty, and a smoothing window that depends on the number of steps.
        long = report.Run("", [{"step": s, "loss": 2 + (-1) ** s} for s in range(1, 200)], [])
        cut = report.Run("", [{"step": s, "loss": 3 + (-1) ** s} for s in range(1, 100)], [])
        self.assertEqual(report.loss_gap(cut, long)[1], [1.0] * 99)
        self.assertEqual([report.ending(r, [plain, short]) for r in (plain, short)],
                         ["", ", ended at step 5"])

    def test_series_has_finite_numbers_only(self):
        records = [{"step": 1, "lr": 1.0}, {"step": 2, "lr": math.nan}, {"step": 3, "lr": "x"},
                   {"step": 4}, {"step": 5, "lr": 2}]
        self.assertEqual(report.series(records, "lr"), ([1, 5], [1.0, 2]))

    def test_smoothing_keeps_constants_lines_and_means(self):
        self.assertEqual(report.smoothed([2.0] * 500), [2.0] * 500)
        line = [float(i) for i in range(600)]
        self.assertEqual(report.smoothed(line)[:590], line[:590])  # no lag
        self.assertEqual(report.smoothed([1.0, 2.0]), [1.0, 2.0])
        waves = [(-1.0) ** i for i in range(600)]
        self.assertLess(max(map(abs, report.smoothed(waves)[20:])), 0.1)

    def test_loads_of_both_forms(self):
        self.assertEqual(report.loads({"expert_load": {"10": [1, 3], "2": [2, 2]}}),
                         {"2": [1.0, 1.0], "10": [0.5, 1.5]})
        self.assertEqual(report.loads({"expert_load": [[4, 0], [0, 0]]}), {"0": [2.0, 0.0]})
        self.assertEqual(report.loads({}), {})

    def test_mean_load_is_of_the_end(self):
        records = [{"step": s, "expert_load": [[9, 1] if s <= 90 else [1, 1]]}
                   for s in range(1, 101)]
        self.assertEqual(report.mean_load(report.Run("", records, [])), (["0"], [[1.0, 1.0]]))
        self.assertEqual(report.worst_load(report.Run("", [], records[:1])), ([1], [1.8]))


@unittest.skipUnless(importlib.util.find_spec("matplotlib"), "needs matplotlib: scripts/test.sh")
class Draw(Directory):
    def pictures(self, records, *more):
        self.write(records)
        runs = [report.read_run(self.directory)] * (1 + len(more))
        return {p.name: p.read_bytes() for p in report.draw(runs, self.report_folder())}

    def report_folder(self):
        folder = self.directory / "report"
        folder.mkdir(exist_ok=True)
        return folder

    def record(self, step, **more):
        return {"step": step, "loss": 5 / step, "grad_norm": 1 / step, "lr": 1e-3,
                "tokens_per_second": 1000 + step, **more}

    def test_all_pictures(self):
        records = [self.record(s, expert_load={"1": [s, 1, 2], "2": [1, 1, 1]})
                   for s in range(1, 300)]
        records += [{"step": 100, "eval_loss": 3.0, "eval_bits_per_byte": 4.3}]
        for more in ((), (1, 2)):
            pictures = self.pictures(records, *more)
            self.assertEqual(set(pictures), {"loss.png", "grad_norm.png", "lr.png", "overview.png",
                                             "tokens_per_second.png", "expert_load.png"})
            for name, data in pictures.items():
                self.assertEqual(data[:8], b"\x89PNG\r\n\x1a\n", name)
                width, height = struct.unpack(">II", data[16:24])
                self.assertTrue(400 <= width <= 3600 and 300 <= height <= 2000, name)

    def test_streams_and_comparison(self):
        def row(step):
            return {key: [1 + step / 100, None, 1e-9, 3000.0] for key in report.STREAMS}
        self.write([self.record(s, **({"streams": row(s)} if s % 10 == 0 else {}))
                    for s in range(1, 60)])
        runs = [report.read_run(self.directory)] * 2
        drawn = {p.name for p in report.draw(runs, self.report_folder(), runs[0])}
        self.assertLessEqual({"streams.png", "gains.png", "comparison.png"}, drawn)
        self.assertEqual(report.loss_gap(runs[0], runs[1])[1], [0.0] * 59)

    def test_what_is_not_there_is_not_drawn(self):
        self.assertEqual(set(self.pictures([{"step": 1, "loss": 2.0}])),
                         {"loss.png", "overview.png"})

    def test_numbers_that_are_none(self):
        records = [self.record(s) for s in range(1, 5)]
        records[2]["grad_norm"] = math.nan
        records[3]["loss"] = math.inf
        self.assertIn("grad_norm.png", self.pictures(records))

    def test_a_gradient_norm_of_zero(self):
        records = [{"step": 1, "loss": 2.0, "grad_norm": 0, "lr": None}]
        self.assertEqual(set(self.pictures(records)),
                         {"loss.png", "grad_norm.png", "overview.png"})


class Compare(unittest.TestCase):
    def test_longest_copy_against_brute_force(self):
        text = b"the cat sat on the mat and the cat ate"
        for sample in (b"", b"xyz", b"a cat sat in the mat", b"the cat ate", b"ate the cat", text):
            want = max((sample[i:j] for i in range(len(sample) + 1)
                        for j in range(i, len(sample) + 1) if sample[i:j] in text), key=len)
            self.assertEqual(compression.longest_copy(sample, text), want)

    def test_last_evaluation(self):
        lines = ['{"step": 5, "eval_bits_per_byte": 3.0}', '{"step": 9, "loss": 1.0}',
                 '{"step": 10, "eval_bits_per_byte": 2.5}', '{"step": 11, "eval_b']
        self.assertEqual(compression.last_bits_per_byte(lines), (10, 2.5))
        self.assertIsNone(compression.last_bits_per_byte([]))

    def test_what_xz_has_seen_costs_it_nothing(self):
        text = bytes(range(256)) * 40 + b"In the beginning God created the heaven and the earth."
        result = compression.compare((1, 2.5), text * 3, text, b"ning God created the moon")
        self.assertLess(result["xz_after_training_text_bits_per_byte"],
                        result["xz_bits_per_byte"] / 4)
        self.assertEqual(result["longest_copy"], "ning God created the ")
        self.assertEqual(result["xz_bits_per_byte"], 8 * compression.xz_size(text) / len(text))
        self.assertIn("2.500", compression.table(result))

    def test_no_held_out_text(self):
        with self.assertRaises(SystemExit), contextlib.redirect_stderr(io.StringIO()):
            compression.compare((1, 2.5), b"a", b"", b"a")


if __name__ == "__main__":
    unittest.main()
