"""scripts/tokenize.py: the format byte by byte, the readers, the tokenizer if it is installed."""
import hashlib
import importlib.util
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

import support

tokenize = support.load("tokenize.py")
SCRIPT = support.ROOT / "scripts" / "tokenize.py"
BYTE = {"name": "byte", "vocab": 257, "end_of_document": 256}
INSTALLED = all(importlib.util.find_spec(name) for name in ("tokenizers", "xxhash"))

# Two documents, "AB" and "C" with their ends, as in tests/engine/data/token_dataset_test.cpp.
TINY_INDEX = (
    b"MMIDIDX\0\0" + b"\1\0\0\0\0\0\0\0" + b"\x08"
    + b"\2\0\0\0\0\0\0\0" + b"\3\0\0\0\0\0\0\0"
    + b"\3\0\0\0\2\0\0\0"
    + b"\0\0\0\0\0\0\0\0\6\0\0\0\0\0\0\0"
    + b"\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0")


class Scratch(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.place = pathlib.Path(scratch.name)

    def put(self, name, data):
        (self.place / name).write_bytes(data)
        return str(self.place / name)


class Writer(Scratch):
    def write(self, documents, vocab=257, **options):
        with tokenize.DatasetWriter(str(self.place / "d"), vocab, **options) as writer:
            for ids in documents:
                writer.add_document(ids)
            writer.commit(BYTE, 3)

    def test_known_bytes(self):
        self.write([[65, 66, 256], [67, 256]])
        self.assertEqual((self.place / "d.idx").read_bytes(), TINY_INDEX)
        self.assertEqual((self.place / "d.bin").read_bytes(), b"A\0B\0\0\1C\0\0\1")
        manifest = json.loads((self.place / "d.json").read_text())
        self.assertEqual(manifest, {"format_version": 1, "tokenizer": BYTE, "tokens": 5,
                                    "documents": 2, "bytes": 3})

    def test_large_vocabularies_are_int32(self):
        self.write([[129279, 1]], vocab=129280)
        self.assertEqual((self.place / "d.idx").read_bytes()[17], 4)
        self.assertEqual((self.place / "d.bin").read_bytes(), b"\xff\xf8\x01\0\1\0\0\0")

    def test_more_documents_than_a_block(self):
        count = 70000
        self.write([[7]] * count)
        index = (self.place / "d.idx").read_bytes()
        self.assertEqual(len(index), 34 + 12 * count + 8 * (count + 1))
        pointers = memoryview(index[34 + 4 * count:34 + 12 * count]).cast("q")
        borders = memoryview(index[34 + 12 * count:]).cast("q")
        self.assertEqual(list(pointers), list(range(0, 2 * count, 2)))
        self.assertEqual(list(borders), list(range(count + 1)))

    def test_refusals_leave_nothing_behind(self):
        for documents, wrong in (([[257]], "outside"), ([[-1]], "outside"), ([], "no text"),
                                 ([[]], "no text")):
            with self.assertRaisesRegex(tokenize.DataError, wrong):
                self.write(documents)
            self.assertEqual(list(self.place.iterdir()), [])

    def test_overwrites_only_on_purpose(self):
        self.write([[1]])
        with self.assertRaisesRegex(tokenize.DataError, "--overwrite"):
            self.write([[2]])
        self.write([[3]], overwrite=True)
        self.assertEqual((self.place / "d.bin").read_bytes(), b"\3\0")
        self.assertEqual(len(list(self.place.iterdir())), 3)


class OtherTokenizers(Scratch):
    """What may stand under the name PREFIX.tokenizer.json before a dataset is written."""

    def refused(self, data):
        try:
            tokenize.refuse_other_tokenizer(str(self.place / "d"), data, hashlib.md5)
            return False
        except tokenize.DataError as error:
            self.assertIn("d.tokenizer.json", str(error))
            return True

    def test_only_the_same_or_the_datasets_own_is_replaced(self):
        self.assertFalse(self.refused(b"new"))
        self.put("d.tokenizer.json", b"old")
        self.assertFalse(self.refused(b"old"))
        self.assertTrue(self.refused(b"new"))
        noted = {"tokenizer": {"xxh3_128": hashlib.md5(b"old").hexdigest()}}
        self.put("d.json", json.dumps(noted).encode())
        self.assertFalse(self.refused(b"new"))
        for manifest in (b"", b"[]", b"{}", b'{"tokenizer": 1}', b'{"tokenizer": {"xxh3_128": 1}}'):
            self.put("d.json", manifest)
            self.assertTrue(self.refused(b"new"), manifest)

    def test_nor_is_a_link_to_nowhere(self):
        (self.place / "d.tokenizer.json").symlink_to(self.place / "none")
        self.assertTrue(self.refused(b"new"))


class Reader(Scratch):
    def read(self, data, jsonl=False, split="file", field="text"):
        path = self.put("in", data)
        return list(tokenize.read_documents(path, jsonl, split, field))

    def test_text(self):
        self.assertEqual(self.read(b"a\n\xc3\xa9\n"), ["a\n\u00e9\n"])
        self.assertEqual(self.read(b"a\n\nb\r\nc", split="line"), ["a", "", "b\r", "c"])
        with self.assertRaisesRegex(tokenize.DataError, "in: not UTF-8"):
            self.read(b"a\xff")

    def test_jsonl(self):
        lines = b'{"text": "a\\n"}\n \n{"n": 1, "text": ""}\n'
        self.assertEqual(self.read(lines, jsonl=True), ["a\n", ""])
        self.assertEqual(self.read(b'{"body": "b"}', jsonl=True, field="body"), ["b"])

    def test_bad_jsonl_is_refused_with_its_line(self):
        for line in (b'{"text": 3}', b'["text"]', b'{"text": "a"', b'{"a": "b"}',
                     b'{"text": "\\ud800"}', b'{"text": "\xff"}', b"[" * 100000):
            with self.assertRaisesRegex(tokenize.DataError, "in:2: "):
                self.read(b'{"text": "a"}\n' + line, jsonl=True)

    def test_batches_keep_order(self):
        texts = [str(i) * (i % 7) for i in range(100)]
        cut = list(tokenize.batches(texts, characters=20))
        self.assertEqual([text for batch in cut for text in batch], texts)
        self.assertGreater(len(cut), 10)


class Command(Scratch):
    def run_script(self, *arguments):
        return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True,
                              check=False)

    def test_a_missing_tokenizer_is_one_line(self):
        ran = self.run_script("--tokenizer", "none.json", "--out", str(self.place / "d"), "x")
        self.assertEqual(ran.returncode, 3)
        self.assertEqual(ran.stderr.count("\n"), 1)
        self.assertIn("none.json", ran.stderr)

    def test_a_missing_package_says_how_to_get_it(self):
        with self.assertRaisesRegex(tokenize.DataError, "pip install"):
            tokenize.need("no_such_package_at_all")

    @unittest.skipUnless(INSTALLED, "tokenizers and xxhash of PyPI are not installed")
    def test_words(self):
        import tokenizers
        import xxhash
        vocab = {"[UNK]": 0, "in": 1, "the": 2, "beginning": 3}
        model = tokenizers.models.WordLevel(vocab, unk_token="[UNK]")
        tokenizer = tokenizers.Tokenizer(model)
        tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
        tokenizer.add_special_tokens(["</s>"])
        tokenizer.enable_truncation(2)  # of the file: must not cut documents
        path = str(self.place / "tokenizer.json")
        tokenizer.save(path)
        lines = [{"text": text} for text in ("in the beginning", "", "in x")]
        text = self.put("in.jsonl", "\n".join(map(json.dumps, lines)).encode())
        out = str(self.place / "d")
        ran = self.run_script("--tokenizer", path, "--out", out, text)
        self.assertEqual(ran.returncode, 3)
        self.assertIn("</s>", ran.stderr)
        ran = self.run_script("--tokenizer", path, "--end-of-document", "</s>", "--out", out, text)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        data = (self.place / "d.bin").read_bytes()
        self.assertEqual(list(memoryview(data).cast("H")), [1, 2, 3, 4, 1, 0, 4])
        manifest = json.loads((self.place / "d.json").read_text())
        tokenizer_json = pathlib.Path(path).read_bytes()
        self.assertEqual((self.place / "d.tokenizer.json").read_bytes(), tokenizer_json)
        self.assertEqual(manifest["tokenizer"],
                         {"name": "tokenizer.json", "vocab": 5, "end_of_document": 4,
                          "xxh3_128": xxhash.xxh3_128_hexdigest(tokenizer_json)})
        self.assertEqual(manifest["bytes"], 20)
        self.assertEqual(manifest["xxh3_128"]["bin"], xxhash.xxh3_128_hexdigest(data))


if __name__ == "__main__":
    unittest.main()
