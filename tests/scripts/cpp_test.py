import unittest

import support  # noqa: F401
from checks import cpp


def found(text):
    return [(f.name, f.line, f.lines, f.parameters) for f in cpp.functions(text)]


class Blank(unittest.TestCase):
    def test_keeps_lines_and_length(self):
        text = 'a /* { \n { */ b // }\n"}" c \'{\' R"x( } )" )x" 1\'000\n#define F {\\\n {\nd\n'
        blanked = cpp.blank(text)
        self.assertEqual(len(blanked), len(text))
        self.assertEqual(blanked.count("\n"), text.count("\n"))
        self.assertNotIn("{", blanked)
        self.assertNotIn("}", blanked)
        self.assertIn("1'000", blanked)

    def test_digit_separators_open_no_literal(self):
        self.assertIn("{", cpp.blank("int a = 1'000; int b() { return 0xA'B; }"))


class Functions(unittest.TestCase):
    def test_definition_and_declaration(self):
        self.assertEqual(found("int f(int a);\nint f(int a) {\n  return a;\n}\n"),
                         [("f", 1, 0, 1), ("f", 2, 3, 1)])

    def test_parameters_count_at_the_top_level_only(self):
        text = "void f(std::map<int, int> a, int b = g(1, 2), X c = {1, 2}, int (*d)(int, int));"
        self.assertEqual(found(text), [("f", 1, 0, 4)])
        self.assertEqual(found("void f();void g(void);"), [("f", 1, 0, 0), ("g", 1, 0, 0)])

    def test_name_on_a_later_line(self):
        text = "template <class A>\nrequires(C<A>)\nstd::vector<int>\nf(A a,\n  B b) {\n}\n"
        self.assertEqual(found(text), [("f", 4, 3, 2)])

    def test_members(self):
        text = """
struct A : B<int> {
 public:
  explicit A(int x) : b_{x}, c_(x), d_{} {
    go();
  }
  [[nodiscard]] bool operator==(const A& o) const = default;
  int operator()(int i, int j) const { return i; }
  bool operator<(const A& o) const { return b_ < o.b_; }
  std::function<void(int, int, int, int, int, int, int)> call;
  int x = f(1, 2);
  auto t() const -> std::map<int, int> { return {}; }
};
"""
        self.assertEqual(found(text), [("A", 4, 3, 1), ("operator==", 7, 0, 1),
                                       ("operator()", 8, 1, 2), ("operator_", 9, 1, 1),
                                       ("t", 12, 1, 0)])

    def test_lambdas_and_initialisers_are_no_functions(self):
        text = """
const Operator kOp{
    .flops = [](Specs in, const Desc&) { return 1.0; },
    .implementations = {cpu::f, {}, kReferenceBody<reference::f>},
};
int f() {
  const auto g = [&](int a, int b, int c, int d, int e, int h, int i) { return a; };
  if (g) { for (;;) { h({1, 2}); } }
}
"""
        self.assertEqual([name for name, *_ in found(text)], ["f"])

    def test_macros(self):
        text = "REGISTER(A, make)\n\nTEST(A, B) {\n  x();\n}\nMACRO(a)\nint f() {\n}\n"
        self.assertEqual(found(text), [("TEST", 3, 3, 2), ("f", 7, 2, 0)])

    def test_kernels(self):
        text = ("namespace birkhoff::cpu::HWY_NAMESPACE {\nvoid F() {\n}\n}\n"
                "__global__ void g() {\n}\nvoid h() {\n}\n")
        self.assertEqual([(f.name, f.kernel) for f in cpp.functions(text)],
                         [("F", True), ("g", True), ("h", False)])

    def test_the_rest_of_a_file_is_seen_after_each(self):
        for before in ("enum class E { a, b };", "struct S { int a = 0; };", 'extern "C" {}',
                       "template <> struct D<float> { static constexpr int v = 1; };",
                       "using F = void (*)(int);", "constexpr int k[] = {1, 2};",
                       "void e(std::vector<int> a = {}) {}", "S g(int a, S b = S{});",
                       "friend bool operator<(A, B) { return x < y && y > z; }"):
            self.assertEqual(found(before + "\nint f() {\n}")[-1], ("f", 2, 2, 0), before)


if __name__ == "__main__":
    unittest.main()
