"""scripts/ptx_check: what it reads, and how it judges. That nvcc's output is what is read here,
scripts/ptx_check --self-test sees."""
import unittest

import support

support.load("ptx_check")
from ptx import read, rules  # noqa: E402

ROWS = "_ZN8birkhoff4cuda44_GLOBAL__N__e06813f9_11_rms_norm_cu_9699eb0e13rms_norm_rowsILi1EEEvl"
PLAIN = "_ZN8birkhoff7planted5cleanEPKfPf"
LOG = f"""ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '{ROWS}' for 'sm_80'
ptxas info    : Function properties for {ROWS}
    16 bytes stack frame, 12 bytes spill stores, 24 bytes spill loads
ptxas info    : Used 80 registers, used 1 barriers, 16 bytes cumulative stack size, 64 bytes smem
ptxas info    : Function properties for a_function_that_is_called
    32 bytes stack frame, 4 bytes spill stores, 0 bytes spill loads
ptxas info    : Compiling entry function '{PLAIN}' for 'sm_80'
ptxas info    : Function properties for {PLAIN}
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 8 registers, 368 bytes cmem[0]
"""
SASS = f"""\t.section\t.nv.info.{ROWS},"",@"SHT_CUDA_INFO"
\t//----- nvinfo : EIATTR_REGCOUNT
        /*0010*/ \t.word\t0x00000007
\t//----- nvinfo : EIATTR_MAX_THREADS
        /*008c*/ \t.byte\t0x04, 0x05
        /*008e*/ \t.short\t(.L_51 - .L_50)
        /*0090*/ \t.word\t0x00000020
        /*0094*/ \t.word\t0x00000004
        /*0098*/ \t.word\t0x00000002
        /*009c*/ \t.word\t0x00000009
\t.section\t.text.{ROWS},"ax",@progbits
.text.{ROWS}:
        /*0190*/               @P2 LDG.E.128.CONSTANT R4, [R12.64] ;
        /*01a0*/              @!PT STL [R1], R2 ;
        /*01b0*/             @!UPT LDL R1, [R2] ;
        /*01c0*/              @!P0 STG.E.EF [R18.64], R12 ;
\t.section\t.text.{PLAIN},"ax",@progbits
        /*10000*/                  HFMA2.MMA R7, -RZ, RZ, 0, 9.5367431640625e-07 ;
"""


def kernel(name="k<1>", architecture="80", **fields):
    values = {"bound": 256, "registers": 32, "barriers": 1, "shared": 64, "stack": 0, "spills": 0,
              "opcodes": frozenset(), **fields}
    return read.Kernel("k.cu", name, architecture, **values)


def need(**fields):
    return rules.Need(**{"threads": 256, "dynamic": 0, "wide": "none", "tensor": False, **fields})


class Read(unittest.TestCase):
    def test_resources_with_those_of_what_is_called(self):
        found = read.resources(LOG)
        self.assertEqual(vars(found[ROWS]), {"registers": 80, "barriers": 1, "shared": 64,
                                             "stack": 32, "spills": 40})
        self.assertEqual(vars(found[PLAIN]), {"registers": 8, "barriers": 0, "shared": 0,
                                              "stack": 0, "spills": 0})

    def test_what_never_runs_is_no_opcode(self):
        self.assertEqual(read.opcodes(SASS), {ROWS: {"LDG.E.128.CONSTANT", "STG.E.EF"},
                                              PLAIN: {"HFMA2.MMA"}})

    def test_names(self):
        for demangled, name in (
                ("void birkhoff::cuda::(anonymous namespace)::rows<1>(birkhoff::cuda::Args, long)",
                 "rows<1>"),
                ("birkhoff::cuda::elements(birkhoff::cuda::Args)", "elements"),
                ("void a::tile<(a::b::Fault)0, true>(a::Tile<float, 2>)", "tile<(Fault)0, true>"),
                ("void a::f<float>(void (*)(int))", "f<float>"),
                ("plain", "plain")):
            self.assertEqual(read.short(demangled), name)

    def test_kernels(self):
        rows, plain = read.kernels("k.cu", "80", LOG, SASS, lambda _: ["a::f(int)", "a::g<2>()"])
        self.assertEqual((rows.name, rows.registers, rows.bound), ("f", 80, 256))
        self.assertEqual((plain.name, plain.bound, plain.opcodes), ("g<2>", 1024, {"HFMA2.MMA"}))

    def test_output_of_another_form_is_refused(self):
        with self.assertRaisesRegex(SystemExit, "name different kernels: " + PLAIN):
            read.kernels("k.cu", "80", LOG, SASS.split(f".text.{PLAIN}")[0], list)


class Judge(unittest.TestCase):
    def kinds(self, one, its_need, blocks=1):
        table = {("k.cu", one.name, one.architecture): rules.row_of(one, blocks)}
        return [f.kind for f in rules.judge([(one, its_need)], [blocks], table)]

    def test_rules_without_a_table(self):
        self.assertEqual(self.kinds(kernel(), need()), [])
        self.assertEqual(self.kinds(kernel(stack=8), need()), ["stack"])
        self.assertEqual(self.kinds(kernel(spills=4), need()), ["spill"])
        self.assertEqual(self.kinds(kernel(), need(), blocks=0), ["launch"])
        self.assertEqual(self.kinds(kernel(), need(threads=257)), ["threads"])
        for opcode in ("LDL.64", "STL"):
            self.assertEqual(self.kinds(kernel(opcodes={opcode}), need()), ["local"])

    def test_wide_accesses(self):
        for opcodes, wide, kinds in (
                ({"LDG.E.128.CONSTANT", "STG.E.EF.128"}, "both", []),
                ({"LDGSTS.E.BYPASS.128", "STG.E.128"}, "both", []),
                ({"LDG.E.ENL2.256", "STG.E.ENL2.256"}, "both", []),
                ({"LDG.E.128", "STG.E"}, "both", ["narrow"]),
                ({"LDG.E", "STG.E.64"}, "both", ["narrow", "narrow"]),
                ({"LDS.128", "STS.128"}, "both", ["narrow", "narrow"]),
                ({"LDG.E.128", "STG.E"}, "load", []),
                ({"LDG.E", "STG.E.128"}, "store", []),
                ({"LDG.E"}, "none", [])):
            self.assertEqual(self.kinds(kernel(opcodes=opcodes), need(wide=wide)), kinds)

    def test_tensor_cores(self):
        for opcode in ("HMMA.16816.F32.BF16", "HGMMA.64x64x16.F32.BF16", "UTCHMMA"):
            self.assertEqual(self.kinds(kernel(opcodes={opcode}), need(tensor=True)), [])
            self.assertEqual(self.kinds(kernel(opcodes={opcode}), need()), ["tensor"])
        for opcode in ("HFMA2.MMA", "FFMA"):
            self.assertEqual(self.kinds(kernel(opcodes={opcode}), need()), [])
            self.assertEqual(self.kinds(kernel(opcodes={opcode}), need(tensor=True)), ["tensor"])

    def test_table(self):
        one = kernel()
        row = rules.row_of(one, 3)
        for change in ({"registers": 33}, {"shared": 0}, {"blocks": 4}):
            table = {("k.cu", "k<1>", "80"): row._replace(**change)}
            found = rules.judge([(one, need())], [3], table)
            self.assertEqual([f.kind for f in found], ["changed"])
            self.assertIn("scripts/ptx_check --accept", str(found[0]))
        table = {("k.cu", "k<2>", "80"): row, ("k.cu", "k<1>", "90a"): row}
        found = rules.judge([(one, need())], [3], table, {("k.cu", "90a")})
        self.assertEqual([f.kind for f in found], ["new", "stale"])
        self.assertIn("scripts/ptx_check --accept", str(found[0]))

    def test_misplaced(self):
        files = {"kernels/cuda/sm_90/k.cu": ["90a", "100a"], "kernels/cuda/k.cu": ["80", "90a"]}
        self.assertEqual(rules.misplaced(files), [])
        found = rules.misplaced({**files, "kernels/cuda/sm_90/old.cu": ["80", "90a"]})
        self.assertEqual([(f.kind, f.kernel) for f in found],
                         [("architecture", "kernels/cuda/sm_90/old.cu")])
        self.assertIn("is compiled for sm_80", str(found[0]))

    def test_needs(self):
        kernels = [kernel("k<1>"), kernel("k<2>"), kernel("new<1>"), kernel("new<2>")]
        needs = {"k": need(), "k<2>": need(threads=32), "old": need()}
        judged, found = rules.with_needs(kernels, needs)
        self.assertEqual([n.threads for _, n in judged], [256, 32])
        self.assertEqual([(f.kind, f.kernel) for f in found],
                         [("no need", "new"), ("stale need", "old")])
        self.assertIn("k.cu: new has no line in kernels/cuda/resources/needs.csv", str(found[0]))


class Files(unittest.TestCase):
    def test_what_is_written_is_read(self):
        table = {("b.cu", "k<1, 2>", "100a"): rules.Row(1, 2, 3),
                 ("b.cu", "k<1, 2>", "80"): rules.Row(4, 5, 6),
                 ("a.cu", "z", "80"): rules.Row(7, 8, 9)}
        text = rules.write_table(table)
        self.assertEqual(rules.read_table(text), table)
        self.assertEqual([line for line in text.split("\n") if line and line[0] in "ab"],
                         ["a.cu,z,80,7,8,9", 'b.cu,"k<1, 2>",80,4,5,6',
                          'b.cu,"k<1, 2>",100a,1,2,3'])

    def test_needs(self):
        head = "# comment\nkernel,threads,dynamic,wide,tensor\n"
        self.assertEqual(rules.read_needs(head + '"k<1, 2>",128,1024,load,yes\n'),
                         {"k<1, 2>": rules.Need(128, 1024, "load", True)})
        for line in ("k,0,0,none,no", "k,many,0,none,no", "k,1,-1,none,no", "k,1,0,wide,no",
                     "k,1,0,none,maybe", "k,1,0,none", "k,1,0,none,no\nk,1,0,none,no"):
            with self.assertRaisesRegex(SystemExit, r"needs.csv:\d: "):
                rules.read_needs(head + line + "\n")
        with self.assertRaisesRegex(SystemExit, "the first line must be"):
            rules.read_needs("k,1,0,none,no\n")

    def test_table(self):
        head = "file,kernel,architecture,registers,shared,blocks\n"
        for line in ("k.cu,k,80,1,2", "k.cu,k,80,1,2,x", "k.cu,k,80,1,2,3\nk.cu,k,80,1,2,3"):
            with self.assertRaisesRegex(SystemExit, r"table.csv:\d: "):
                rules.read_table(head + line + "\n")

    def test_the_table_has_all_kernels_that_the_list_names(self):
        needs = rules.read_needs((support.ROOT / rules.NEEDS).read_text(encoding="utf-8"))
        table = rules.read_table((support.ROOT / rules.TABLE).read_text(encoding="utf-8"))
        self.assertEqual({kernel.split("<")[0] for _, kernel, _ in table},
                         {kernel.split("<")[0] for kernel in needs})
        for file, name, _ in table:
            for architecture in ("80", "90a", "100a"):
                absent = architecture == "80" and "/sm_90/" in file
                self.assertEqual((file, name, architecture) in table, not absent,
                                 f"{file}: {name} for sm_{architecture}")
