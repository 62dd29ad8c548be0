"""scripts/kernel_floors.py against numbers that were worked out by hand."""
import unittest

import support

floors = support.load("kernel_floors.py")

H100, H200, B200 = floors.DEVICES
LARGE = floors.model_of("27b")


class Shapes(unittest.TestCase):
    def test_configs(self):
        self.assertEqual(LARGE[:6], ("27B", 2560, 4, 30, 4096, 20))
        self.assertEqual(LARGE.sublayers, 60)
        self.assertEqual(floors.model_of("3b")[:4], ("3B", 1280, 4, 12))
        self.assertEqual(floors.model_of("9b")[:4], ("9B", 1920, 4, 18))

    def test_active_parameters(self):
        """As tests/engine/model/parameters_test.cpp has them of the model itself."""
        self.assertEqual([floors.model_of(m).active for m in ("3b", "9b", "27b")],
                         [612325256, 1660656972, 4138873940])

    def test_step(self):
        # 6 · 4.139e9 · 4096 = 1.01717e14 flops
        self.assertAlmostEqual(LARGE.step(H200), 0.102848, places=5)
        self.assertAlmostEqual(LARGE.step(B200), 0.045207, places=5)


class Traffic(unittest.TestCase):
    def elements(self, *names, model=LARGE):
        return sum(floors.kernels(model)[name].streams for name in names)

    def test_elements_of_the_specification(self):
        self.assertEqual(self.elements("A", "post+res"), 14)
        self.assertEqual(self.elements("B"), 10)
        self.assertEqual(self.elements("a", "b", "c"), 28)
        # 23C in the paper's order; 4C less, as dx' is not read for dres alone with the link.
        self.assertEqual(self.elements("a without link", "b+c"), 19)

    def test_elements_of_two_streams(self):
        # (2n + 1) + (n + 1); (n + 1) · 2; 10n + … = (2n + 2) + (n + 1) + (3n + 1);
        # (n + 2) + (3n + 1)
        model = LARGE._replace(streams=2)
        self.assertEqual(self.elements("A", "post+res", model=model), 8)
        self.assertEqual(self.elements("B", model=model), 6)
        self.assertEqual(self.elements("a", "b", "c", model=model), 16)
        self.assertEqual(self.elements("a without link", "b+c", model=model), 11)

    def test_bytes(self):
        known = floors.kernels(LARGE)
        # A row of x is 20,480 bytes, one of C 5,120; phi 10,240 · 24 floats.
        self.assertEqual(known["A"].bytes(LARGE), ((20480 + 5120) * 4096, 46 * 4 * 4096, 983040))
        self.assertEqual(known["post+res"].bytes(LARGE), (46080 * 4096, 20 * 4 * 4096, 0))
        self.assertEqual(known["B"].bytes(LARGE), (51200 * 4096, 66 * 4 * 4096, 983040))
        self.assertEqual(known["a"].bytes(LARGE), (51200 * 4096, 24 * 4 * 4096, 0))
        self.assertEqual(known["b"].bytes(LARGE), (25600 * 4096, 90 * 4 * 4096, 0))
        self.assertEqual(known["c"].bytes(LARGE), (66560 * 4096, 45 * 4 * 4096, 17 * 983040))
        self.assertEqual(known["a without link"].bytes(LARGE), (30720 * 4096, 8 * 4 * 4096, 0))
        self.assertEqual(known["b+c"].bytes(LARGE), (66560 * 4096, 29 * 4 * 4096, 33 * 983040))

    def test_flops(self):
        known = floors.kernels(LARGE)
        # 2 · 10240 · 24 a product; Sinkhorn's 40 halves are 16 additions and 16 divisions each.
        self.assertEqual([known[k].products for k in known],
                         [491520, 0, 491520, 0, 0, 983040, 0, 983040])
        self.assertEqual(known["A"].vector, 2 * 20480 + 4 * 2560 + 40 * 32)
        self.assertEqual(known["post+res"].vector, 4 * 10240 * 2 + 20480)
        self.assertEqual(known["B"].vector, known["A"].vector + known["post+res"].vector)
        self.assertEqual(known["a"].vector, 16 * 2560 * 2 + 20480 + 20480)
        self.assertEqual(known["b"].vector, 20480 + 40 * 32 + 40 * 64)
        self.assertEqual(known["c"].vector, 81920 + 20480 + 20480)
        self.assertEqual(known["a without link"].vector, 20480 + 20480)
        self.assertEqual(known["b+c"].vector,
                         known["b"].vector + known["c"].vector + 16 * 2560 * 2)


class Times(unittest.TestCase):
    def test_floor_is_of_the_bytes(self):
        known = floors.kernels(LARGE)
        # 106,594,304 bytes at 3.35 TB/s; 290,078,720 at 4.8 TB/s.
        self.assertAlmostEqual(known["A"].floor(LARGE, H100) * 1e6, 31.819, places=3)
        self.assertAlmostEqual(known["c"].floor(LARGE, H200) * 1e6, 60.433, places=3)

    def test_floor_is_of_the_flops(self):
        kernel = floors.kernels(LARGE)["c"]
        slow = H100._replace(bf16=1e12)  # 983,040 · 4096 flops at 0.5 TFLOP/s
        self.assertAlmostEqual(kernel.floor(LARGE, slow) * 1e3, 8.05306, places=4)
        slow = H100._replace(f32=1e12)  # 122,880 · 4096
        self.assertAlmostEqual(kernel.floor(LARGE, slow) * 1e6, 503.316, places=3)

    def test_share(self):
        # 60 launches of c: 3.62598 ms of 102.848.
        self.assertAlmostEqual(floors.share(LARGE, H200, [floors.Calls("c")]), 0.035256, places=5)
        # 59 of B at 211,779,584 bytes, one of A and one of post+res: 189,071,360.
        seconds = (59 * 211779584 + 106594304 + 189071360) / 4.8e12
        self.assertAlmostEqual(floors.share(LARGE, H200, floors.FORWARD_B), seconds / 0.102848,
                               places=6)

    def test_rounds(self):
        self.assertEqual([floors.elements(LARGE, calls) for _, calls in floors.ROUNDS],
                         [42, 56, 29, 39])

    def test_the_memory_bounds_all(self):
        """What the document says of flops beside bytes is said of floors that bytes make."""
        models = [floors.model_of(m) for m in ("3b", "9b", "27b")]
        self.assertLess(floors.worst(models, floors.flops_of_bytes)[0], 1)


class Document(unittest.TestCase):
    def test_is_what_the_script_writes(self):
        self.assertEqual(floors.DOCUMENT.read_text(encoding="utf-8"), floors.document(),
                         "run: scripts/kernel_floors.py --accept")


if __name__ == "__main__":
    unittest.main()
