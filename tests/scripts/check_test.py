import unittest

import support
from checks import Tree, budgets, cuda, layering, words


def texts(findings):
    return [str(f) for f in findings]


def include(*names):
    return "".join(f'#include "{n}"\n' for n in names)


class Layering(unittest.TestCase):
    def check(self, files):
        return texts(layering.findings(Tree(files)))

    def one(self, path, line, *more):
        """The findings of one file that has one include of something that exists."""
        files = {path: line + "\n"}
        for other in more:
            files[other] = ""
        return self.check(files)

    def test_downwards_is_allowed(self):
        order = ["launch/main.cpp", "engine/train/loop.h", "engine/plan/plan.h", "engine/nn/mla.h",
                 "engine/autograd/program.h", "engine/tensor/slot.h", "kernels/linear.h",
                 "base/log.h"]
        for i, above in enumerate(order):
            self.assertEqual(self.one(above, include(*order[i + 1 :]), *order[i + 1 :]), [])
            for below in order[i + 1 :]:
                self.assertEqual(len(self.one(below, include(above), above)), 1, (below, above))

    def test_kernels_and_comm_do_not_see_each_other(self):
        self.assertEqual(len(self.one("kernels/a.cpp", include("comm/c.h"), "comm/c.h")), 1)
        self.assertEqual(len(self.one("comm/c.cpp", include("kernels/a.h"), "kernels/a.h")), 1)

    def test_formats_stand_on_base(self):
        for part in ("config", "data", "checkpoint", "metrics"):
            path = f"engine/{part}/x.cpp"
            self.assertEqual(self.one(path, include("base/files.h"), "base/files.h"), [])
            for other in ("kernels/operator.h", "comm/mesh.h", "engine/tensor/slot.h"):
                self.assertEqual(len(self.one(path, include(other), other)), 1, (path, other))

    def test_config_is_a_leaf_that_all_may_read(self):
        self.assertEqual(self.one("engine/nn/a.cpp", include("engine/config/c.h"),
                                  "engine/config/c.h"), [])
        self.assertEqual(len(self.one("engine/config/c.cpp", include("engine/data/d.h"),
                                      "engine/data/d.h")), 1)

    def test_third_party_headers_stay_in_their_folder(self):
        for name, home in (("dnnl.hpp", "kernels/cpu/a.cpp"), ("oneapi/dnnl/dnnl.h",
                           "kernels/cpu/a.cpp"), ("hwy/highway.h", "kernels/cpu/a.cpp"),
                           ("mpi.h", "comm/mpi/a.cpp"), ("nccl.h", "comm/nccl/a.cpp"),
                           ("cuda_runtime.h", "kernels/cuda/a.cu"),
                           ("cuda_runtime_api.h", "base/cuda/a.cpp"),
                           ("yaml-cpp/eventhandler.h", "engine/config/a.cpp"),
                           ("CLI/CLI.hpp", "launch/a.cpp"), ("gtest/gtest.h", "tests/a.cpp")):
            for form in (f"#include <{name}>", f'#  include "{name}"'):
                away = texts(layering.findings(Tree({"engine/train/a.cpp": form})))
                self.assertEqual(len(away), 1, name)
                self.assertIn("engine/train/a.cpp:1: ", away[0])
            self.assertEqual(self.check({home: f"#include <{name}>"}), [], name)
        self.assertEqual(self.check({"base/a.cpp": "#include <vector>\n#include <sys/mman.h>"}), [])

    def test_backends_are_private(self):
        self.assertEqual(len(self.one("engine/nn/a.cpp", include("kernels/cpu/g.h"),
                                      "kernels/cpu/g.h")), 1)
        self.assertEqual(len(self.one("kernels/reference/a.cpp", include("kernels/cpu/g.h"),
                                      "kernels/cpu/g.h")), 1)
        for contract in ("kernels/a.h", "kernels/a.cpp"):
            self.assertEqual(len(self.one(contract, include("kernels/cpu/g.h"),
                                          "kernels/cpu/g.h")), 1)
        self.assertEqual(self.one("tests/kernels/a.cpp", include("kernels/cpu/g.h"),
                                  "kernels/cpu/g.h"), [])

    def test_what_cuda_stands_on_is_seen_by_cuda_alone(self):
        below = "base/cuda/stream.h"
        for path in ("base/cuda/a.cpp", "kernels/cuda/a.cpp", "comm/nccl/a.cpp",
                     "tests/cuda/a.cpp"):
            self.assertEqual(self.one(path, include(below), below), [], path)
        for path in ("base/a.cpp", "kernels/a.cpp", "kernels/cpu/a.cpp", "engine/execute/a.cpp",
                     "launch/a.cpp"):
            self.assertEqual(len(self.one(path, include(below), below)), 1, path)

    def test_circles_between_parts(self):
        files = {"engine/plan/p.h": include("engine/execute/e.h"),
                 "engine/execute/e.h": include("engine/schedule/s.h"),
                 "engine/schedule/s.h": ""}
        self.assertEqual(self.check(files), [])
        files["engine/schedule/s.h"] = "\n" + include("engine/plan/p.h")
        found = self.check(files)
        self.assertEqual(len(found), 1)
        self.assertIn("engine/execute → engine/schedule → engine/plan → engine/execute", found[0])

    def test_unknown_places(self):
        self.assertEqual(len(self.check({"stray.cpp": ""})), 1)
        self.assertEqual(len(self.check({"util/a.h": ""})), 1)
        self.assertEqual(len(self.check({"engine/misc/a.h": ""})), 1)
        self.assertEqual(len(self.check({"base/a.cpp": include("a.h")})), 1)
        self.assertEqual(len(self.check({"base/a.cpp": include("base/b.h")})), 1)

    def test_line_of_the_include(self):
        self.assertEqual(self.one("base/a.cpp", "\n\n" + include("kernels/k.h"), "kernels/k.h"),
                         ["base/a.cpp:3: base must not include kernels (kernels/k.h)"])


def function(lines, name="f", parameters=""):
    return f"void {name}({parameters}) {{\n" + "  g();\n" * (lines - 2) + "}\n"


class Budgets(unittest.TestCase):
    def count(self, files):
        return len(budgets.findings(Tree(files)))

    def test_at_the_budget_and_one_over(self):
        for path, lines in (("base/a.cpp", 600), ("scripts/a.py", 600), ("base/a.h", 200)):
            self.assertEqual(self.count({path: "\n" * lines}), 0, path)
            self.assertEqual(self.count({path: "\n" * (lines + 1)}), 1, path)
        self.assertEqual(self.count({"base/a.cpp": function(60)}), 0)
        self.assertEqual(self.count({"base/a.cpp": function(61)}), 1)

    def test_kernels_may_be_longer(self):
        for head in ("namespace HWY_NAMESPACE {\n{}}}", "__global__ {}"):
            for lines, findings in ((120, 0), (121, 1)):
                text = head.replace("{}}", function(lines) + "}") if "{}}" in head else \
                    head.replace("{}", function(lines))
                self.assertEqual(self.count({"kernels/cpu/a.cpp": text}), findings, head)

    def test_parameters(self):
        six = ", ".join(f"int a{i}" for i in range(6))
        self.assertEqual(self.count({"base/a.h": f"void f({six});"}), 0)
        self.assertEqual(self.count({"base/a.h": f"void f({six}, int b);"}), 1)
        self.assertEqual(self.count({"base/a.cpp": function(3, "f", six + ", int b")}), 1)
        self.assertEqual(self.count({"tests/a.h": f"int cublasLtMatmul({six}, int b);"}), 0)

    def test_core(self):
        files = {"engine/autograd/a.cpp": "\n" * 400, "engine/autograd/b.cpp": "\n" * 300}
        self.assertEqual(self.count(files), 0)
        files["engine/autograd/c.h"] = "\n"
        self.assertEqual(self.count(files), 1)


class Words(unittest.TestCase):
    def check(self, path, text, **more):
        return texts(words.findings(Tree({path: text, **more})))

    def test_clean(self):
        self.assertEqual(self.check("base/a.cpp", "// to do it well\nint path = 1;\n"), [])

    def test_loose_ends(self):
        for word in ("TO" + "DO", "FIX" + "ME"):
            self.assertEqual(len(self.check("base/a.cpp", f"// {word}: later\n")), 1)
            self.assertEqual(self.check("base/a.cpp", f"// {word}(issue 7): because\n"), [])

    def test_paths_of_one_machine(self):
        for path in ("/ho" + "me/ann/x", "/ro" + "ot/x", "/Us" + "ers/ann"):
            self.assertEqual(len(self.check("a.md", f"see {path}\n")), 1, path)
        self.assertEqual(self.check("a.md", "a/home/b and ./wo" + "rk/x\n"), [])

    def test_whitespace(self):
        self.assertEqual(len(self.check("a.md", "x \n")), 1)
        self.assertEqual(len(self.check("a.md", "x")), 1)
        self.assertEqual(len(self.check("a.md", "x\r\n")), 1)
        self.assertEqual(len(self.check("base/a.h", "\tx\n")), 1)
        self.assertEqual(self.check("tests/mutants/a.patch", " \n"), [])

    def test_columns(self):
        self.assertEqual(self.check("a.py", "ö" * 100 + "\n"), [])
        self.assertEqual(self.check("a.py", "x" * 101 + "\n"),
                         ["a.py:1: has 101 columns; at most 100"])

    def test_links(self):
        self.assertEqual(self.check("docs/a.md", "[b](b.md) [c](../c/) [d](#d) [e](https://e)\n",
                                    **{"docs/b.md": "", "c/x": ""}), [])
        self.assertEqual(len(self.check("docs/a.md", "[b](gone.md)\n")), 1)


class Cuda(unittest.TestCase):
    def check(self, line, path="kernels/cuda/a.cu"):
        return texts(cuda.findings(Tree({path: line + "\n"})))

    def test_clean(self):
        self.assertEqual(self.check('#include "kernels/cuda/device/device.h"\n'
                                    "__global__ void __launch_bounds__(kThreads) k(float* p) {\n"
                                    "  store(p + thread(), 1.0f);  // not p[threadIdx.x]\n}"), [])

    def test_what_is_not_of_the_vocabulary(self):
        for line in ("k<<<1, 32>>>(p);", "__shared__ float s[32];", "__syncthreads();",
                     'asm volatile("bar.sync 0;");', "int i = threadIdx.x;", "atomicAdd(p, x);",
                     "cub::WarpReduce r;", "__nv_bfloat16 x;", "float x = __expf(y);",
                     "#include <cuda_bf16.h>", "#include <cooperative_groups.h>",
                     "#if defined(__CUDA_ARCH__)", "while (*static_cast<volatile int*>(p)) {}"):
            self.assertGreaterEqual(len(self.check(line)), 1, line)
            self.assertGreaterEqual(len(self.check(line, "tests/cuda/kernels/a.cu")), 1, line)
            self.assertEqual(self.check(line, "kernels/cuda/device/nvidia/a.h"), [])
            self.assertEqual(self.check(line, "tests/cuda/emulated/a.cu"), [])

    def test_words_of_sm_90_in_their_folders_alone(self):
        line = '#include "kernels/cuda/device/sm_90.h"'
        for path, found in (("kernels/cuda/a.cu", 1), ("tests/cuda/kernels/a.cu", 1),
                            ("kernels/cuda/sm_90/a.cu", 0), ("tests/cuda/kernels/sm_90/a.cu", 0)):
            self.assertEqual(len(self.check(line, path)), found, path)


class Tidy(unittest.TestCase):
    def test_every_file_has_its_turn(self):
        tidy = support.load("tidy")
        files = [f"{i:02}" for i in range(50)]
        self.assertEqual(tidy.in_turn(files, ["07"], 0)[0], "07")
        self.assertEqual(sorted(tidy.in_turn(files, ["07"], 3)), files)
        first = set()
        for commit in range(5):
            first |= set(tidy.in_turn(files, [], commit)[:20])
        self.assertEqual(first, set(files))


if __name__ == "__main__":
    unittest.main()
