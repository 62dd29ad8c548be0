import unittest

import support

refit = support.load("refit_mutants.py")

PATCH = """What: x
Test: test_x X.*
--- a/x.cpp
+++ b/x.cpp
@@ -2,5 +2,5 @@ int f() {
 // Adds, as it was said before.
   int a = 1;  // one
-  int b = 2;  // two
+  int b = 3;
   return a + b;
 }
"""


class Refit(unittest.TestCase):
    def planted(self, now, patch=PATCH):
        return refit.planted_by_code(refit.hunks_of(patch, "x.cpp"), now)

    def test_other_comments_do_not_matter(self):
        now = ("int f() {\n// Adds.\n\n  int a = 1;\n  // Two.\n  int b = 2;\n\n"
               "  return a + b;  // sum\n}\n")
        self.assertEqual(self.planted(now), now.replace("int b = 2;", "int b = 3;"))

    def test_the_nearest_of_two_is_taken(self):
        block = "  int a = 1;\n  int b = 2;\n  return a + b;\n}\n"
        now = "//\n" + block + "//\n" * 30 + block
        self.assertEqual(self.planted(now), now.replace("b = 2", "b = 3", 1))

    def test_other_code_is_not(self):
        for now in ("int a = 1;\nint c = 2;\nreturn a + b;\n}\n", ""):
            self.assertIsNone(self.planted(now))

    def test_lines_that_are_only_removed_or_added(self):
        patch = PATCH.replace("+  int b = 3;\n", "")
        now = "int a = 1;\nint b = 2;\nreturn a + b;\n}\n"
        self.assertEqual(self.planted(now, patch), "int a = 1;\nreturn a + b;\n}\n")
        patch = PATCH.replace("-  int b", "   int b")
        self.assertEqual(self.planted(now, patch),
                         "int a = 1;\nint b = 2;\n  int b = 3;\nreturn a + b;\n}\n")


if __name__ == "__main__":
    unittest.main()
