"""scripts/default_text.sh: what it prints, and how it fails."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import support

SCRIPT = support.ROOT / "scripts" / "default_text.sh"


def run(path):
    return subprocess.run(["/bin/bash", SCRIPT], capture_output=True, text=True, check=False,
                          env={"PATH": path})


class DefaultText(unittest.TestCase):
    def test_a_missing_command_is_named_with_its_packages(self):
        ran = run("/nonexistent")
        self.assertEqual((ran.returncode, ran.stdout), (3, ""))
        self.assertIn("apt-get install bible-kjv bible-kjv-text", ran.stderr)

    def test_another_bible_is_refused(self):
        for text in ("Hello.", "Ge1:1 In the beginning", "1:1 In the beginning", "Gen 1", ""):
            with tempfile.TemporaryDirectory() as place:
                command = pathlib.Path(place) / "bible"
                command.write_text(f"#!/bin/sh\necho '{text}'\n")
                command.chmod(0o755)
                ran = run(f"{place}:{os.environ['PATH']}")
                self.assertEqual(ran.returncode, 3, text)
                self.assertIn("install the Debian package bible-kjv", ran.stderr)
                self.assertEqual(ran.stderr.count("\n"), 1)

    @unittest.skipUnless(shutil.which("bible"), "bible-kjv is not installed")
    def test_books_are_documents_without_labels(self):
        ran = run(os.environ["PATH"])
        self.assertEqual(ran.returncode, 0, ran.stderr)
        books = [json.loads(line) for line in ran.stdout.splitlines()]
        self.assertEqual(len(books), 66)
        text = books[0]["text"]
        self.assertTrue(text.startswith("In the beginning God created the heaven and the earth.\n"))
        self.assertEqual(text.count("\n\n"), 49)  # Genesis has 50 chapters
        verses = [line for book in books for line in book["text"].split("\n") if line]
        self.assertEqual(len(verses), 31102)
        self.assertFalse([verse for verse in verses if verse != verse.strip() or ":1 " in verse])


if __name__ == "__main__":
    unittest.main()
