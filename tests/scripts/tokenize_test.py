"""scripts/tokenize.py: the format byte by byte, the readers, the tokenizer if it is installed."""
import hashlib
import importlib.util
import json
import os
import pathlib
import random
import resource
import signal
import subprocess
import sys
import tempfile
import types
import unittest
import unittest.mock

import support

tokenize = support.load("tokenize.py")
documents = importlib.import_module("birkhoff_data.documents")
outputs = importlib.import_module("birkhoff_data.outputs")
pieces = importlib.import_module("birkhoff_data.pieces")
tokens = importlib.import_module("birkhoff_data.tokens")
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
    def write(self, all_ids, vocab=257, **options):
        with tokenize.DatasetWriter(str(self.place / "d"), vocab, **options) as writer:
            for ids in all_ids:
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
        for all_ids, wrong in (([[257]], "outside"), ([[-1]], "outside"), ([], "no text"),
                               ([[]], "no text")):
            with self.assertRaisesRegex(tokenize.DataError, wrong):
                self.write(all_ids)
            self.assertEqual(list(self.place.iterdir()), [])

    def test_overwrites_only_on_purpose(self):
        self.write([[1]])
        with self.assertRaisesRegex(tokenize.DataError, "--overwrite"):
            self.write([[2]])
        self.write([[3]], overwrite=True)
        self.assertEqual((self.place / "d.bin").read_bytes(), b"\3\0")
        self.assertEqual(len(list(self.place.iterdir())), 3)


class Outputs(Scratch):
    """The rules of tests/engine/data/dataset_files_test.cpp."""

    def refusal(self, prefix, inputs=(), overwrite=False):
        try:
            outputs.check_dataset_outputs(str(self.place / prefix), inputs, overwrite)
        except tokenize.DataError as error:
            return str(error)
        return ""

    def dataset(self, prefix):
        with tokenize.DatasetWriter(str(self.place / prefix), 257) as writer:
            writer.add_document([1, 256])
            writer.commit(BYTE, 1)

    def test_any_that_exists_is_refused(self):
        self.assertEqual(self.refusal("d"), "")
        for path in outputs.dataset_files(str(self.place / "d")):
            os.symlink("nowhere", path)
            self.assertIn(f"{path} exists", self.refusal("d"))
            os.unlink(path)

    def test_overwrite_replaces_a_dataset_alone(self):
        self.dataset("d")
        self.assertEqual(self.refusal("d", overwrite=True), "")
        self.put("d.json", b'{"text": "mine"}')
        self.assertIn("d.json exists and is not the manifest", self.refusal("d", overwrite=True))
        self.put("d.idx", b"mine")
        self.assertIn("d.idx exists and is not the index", self.refusal("d", overwrite=True))
        self.put("e.bin", b"mine")
        self.assertIn("e.bin exists and is not part of", self.refusal("e", overwrite=True))
        self.dataset("f")
        os.rename(self.place / "f.bin", self.place / "elsewhere")
        os.symlink("elsewhere", self.place / "f.bin")
        self.assertIn("is not a regular file", self.refusal("f", overwrite=True))

    def test_overwrite_replaces_the_tokenizer_that_the_manifest_notes(self):
        self.dataset("d")
        manifest = json.loads((self.place / "d.json").read_text())
        self.put("d.tokenizer.json", b"old")
        hasher = types.SimpleNamespace(xxh3_128=hashlib.md5)
        with unittest.mock.patch.object(outputs, "need", lambda _: hasher):
            foreign = "d.tokenizer.json exists and is not the tokenizer"
            self.assertIn(foreign, self.refusal("d", overwrite=True))
            for noted, mine in ((b"old", False), (b"new", True)):
                digest = hashlib.md5(noted).hexdigest()
                manifest["tokenizer"]["xxh3_128"] = digest
                self.put("d.json", json.dumps(manifest).encode())
                self.assertEqual(foreign in self.refusal("d", overwrite=True), mine)
            os.unlink(self.place / "d.tokenizer.json")
            (self.place / "d.tokenizer.json").symlink_to(self.place / "none")
            self.assertIn("is not a regular file", self.refusal("d", overwrite=True))

    def test_no_input_is_an_output(self):
        self.dataset("d")
        self.put("d.tokenizer.json", b"{}")
        os.symlink(self.place, self.place / "again")
        for path in outputs.dataset_files(str(self.place / "d")):
            os.symlink(path, self.place / "link")
            os.link(path, self.place / "hard")
            again = self.place / "again" / os.path.basename(path)
            for name in (path, self.place / "link", self.place / "hard", again):
                for overwrite in (False, True):
                    self.assertIn("is an input", self.refusal("d", [str(name)], overwrite), name)
            os.unlink(self.place / "link")
            os.unlink(self.place / "hard")
        self.put("new.bin.tmp-%d" % os.getpid(), b"mine")
        name = str(self.place / f"new.bin.tmp-{os.getpid()}")
        self.assertIn("is an input", self.refusal("new", [name]))

    def test_what_killed_writers_left_goes(self):
        dead, alive = "d.bin.tmp-2147483646", ("d.bin.tmp-1", "d.txt.tmp-2147483646")
        for name in (dead, *alive):
            self.put(name, b"x")
        kept = self.put("d.idx.tmp-2147483645", b"an input")
        locked = outputs.create_temporary(str(self.place / "d.json.tmp-2147483644"))
        self.addCleanup(locked.close)
        with tokenize.DatasetWriter(str(self.place / "d"), 257, inputs=[kept]):
            self.assertFalse((self.place / dead).exists())
        left = {path.name for path in self.place.iterdir()}
        self.assertEqual(left, {*alive, os.path.basename(kept), "d.json.tmp-2147483644"})


class TextRules(Scratch):
    def test_table(self):
        """The table that tests/engine/data/text_rules_test.cpp reads too."""
        table = json.loads((support.ROOT / "tests/golden/text_rules.json").read_text())
        for row in table:
            with self.subTest(row["name"]):
                path = self.put(row["file"], row["input"].encode("latin-1"))
                options = documents.Options(row.get("form", "automatic"), row.get("split", "file"),
                                            row.get("prefix", ""), row.get("field", "text"))
                bad = []

                def bad_line(what, bad=bad, most=row.get("skip", 0)):
                    bad.append(what)
                    if len(bad) > most:
                        raise tokenize.DataError(what)

                try:
                    found = list(documents.read_documents(path, options, bad_line))
                except tokenize.DataError as error:
                    self.assertIn(row.get("refused", "nothing"), str(error))
                    self.assertIn(path, str(error))
                    self.assertNotIn("\n", str(error))
                else:
                    self.assertNotIn("refused", row)
                    self.assertEqual(found, row["documents"])
                    self.assertEqual(len(bad), row.get("bad", 0))

    def test_one_long_object_is_not_taken_for_text(self):
        def refused(data):
            try:
                list(documents.read_documents(self.put("a.txt", data)))
            except tokenize.DataError as error:
                return "--jsonl" in str(error)
            return False

        letters = b"x" * (3 << 20)
        self.assertTrue(refused(b'{ "text": "' + letters + b'"}'))
        self.assertTrue(refused(b'{"text": 1}\n{"text": "' + letters))
        self.assertFalse(refused(b"{" + letters))
        self.assertFalse(refused(b'{"text": 1}\nx' + letters))

    def test_lines_that_straddle_the_buffer(self):
        lines = ["x" * size for size in (0, 1, 1048575, 1048576, 1048577, 3000000, 5)]
        path = self.put("a.txt", "\n".join(lines).encode())
        read = documents.read_documents(path, documents.Options(split="line"))
        self.assertEqual(list(read), lines)

    def test_batches_keep_order(self):
        parts = [(str(i) * (i % 7), i % 2) for i in range(100)]
        cut = list(tokenize.batches(parts, characters=20))
        self.assertEqual([part for batch in cut for part in batch], parts)
        self.assertGreater(len(cut), 10)


# Alternatives of words that models of the field cut text into.
GPT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
       r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def cutters(package):
    """(name, pre-tokenizer, normalizer, whether it can be cut at all)."""
    cut, normal = package.pre_tokenizers, package.normalizers
    split = cut.Split(package.Regex(GPT), "isolated")
    return (
        ("byte level", cut.ByteLevel(add_prefix_space=False), None, True),
        ("byte level with a space", cut.ByteLevel(add_prefix_space=True), normal.NFKC(), True),
        ("regular expression", cut.Sequence([split, cut.ByteLevel(False, use_regex=False)]), None,
         True),
        ("metaspace first", cut.Metaspace(prepend_scheme="first"), None, True),
        ("metaspace always", cut.Metaspace(prepend_scheme="always"), normal.Lowercase(), True),
        ("white space", cut.Whitespace(), normal.BertNormalizer(), True),
        ("white space alone", cut.WhitespaceSplit(), None, True),
        ("spaces removed", cut.Split(" ", "removed"), None, True),
        ("seven at a time", cut.Split(package.Regex(r"[\s\S]{1,7}"), "isolated"), None, None),
        ("metaspace, not split", cut.Metaspace(split=False), None, False),
        ("a mark in front", cut.ByteLevel(add_prefix_space=False),
         normal.Sequence([normal.Prepend("_"), normal.Replace(" ", "_")]), False),
        ("no words", None, None, False),
    )


def long_texts():
    draw = random.Random(5)
    words = ("the", "quick", "don't", "I'll", "123456", "na\u00efve", "\u65e5\u672c\u8a9e", "...",
             "(a)", "x=1;", "\t", "  ", "\r\n", "e\u0301", "\ufb01", "\U0001f642", "B2B")
    gaps = (" ", " ", " ", "\n", "  ", "\n\n", "")
    yield "mixed", "".join(draw.choice(words) + draw.choice(gaps) for _ in range(3000))
    yield "words", "words and more words, numbers 123 here\n" * 300
    yield "runs", ("a" * 700 + " " * 300 + "\n" * 50 + "7" * 900) * 8


@unittest.skipUnless(INSTALLED, "tokenizers and xxhash of PyPI are not installed")
class Pieces(unittest.TestCase):
    def tokenizer(self, cut, normalizer, train):
        import tokenizers
        made = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>"))
        if cut:
            made.pre_tokenizer = cut
        if normalizer:
            made.normalizer = normalizer
        special = ["<unk>", "</s>"]
        made.train_from_iterator([train[:2000]], tokenizers.trainers.BpeTrainer(
            vocab_size=400, special_tokens=special, show_progress=False))
        made.add_tokens(["quick the", "ords and mor"])
        return made

    def test_ids_are_those_of_the_whole(self):
        import tokenizers
        for name, cut, normalizer, can_cut in cutters(tokenizers):
            for kind, text in long_texts():
                with self.subTest(f"{name}, {kind}"):
                    made = self.tokenizer(cut, normalizer, text)
                    cutter = pieces.Cutter(made, piece=1500, reach=300)
                    parts = list(cutter.pieces(text, "f"))
                    self.assertEqual("".join(parts), text)
                    if kind == "words" and can_cut is not None:
                        self.assertEqual(len(parts) > 5, can_cut)
                    ids = [i for part in parts for i in made.encode(part).ids]
                    self.assertEqual(ids, made.encode(text).ids)

    def test_what_cannot_be_cut_is_refused_above_a_size(self):
        made = self.tokenizer(None, None, "some words")
        cutter = pieces.Cutter(made, piece=1000, reach=100, limit=5000)
        self.assertEqual(list(cutter.pieces("x" * 5000, "f")), ["x" * 5000])
        with self.assertRaisesRegex(tokenize.DataError, "f: .* 5001 characters .*--split"):
            list(cutter.pieces("x" * 5001, "f"))


@unittest.skipUnless(INSTALLED, "tokenizers and xxhash of PyPI are not installed")
class Controls(unittest.TestCase):
    """Text that spells a control token stays text."""

    def made(self, model, cut):
        import tokenizers
        made = tokenizers.Tokenizer(model)
        made.pre_tokenizer = cut
        return made

    def ids_of(self, made, end, text):
        end = made.token_to_id(end)
        before = dict(made.get_vocab(True))
        encoder = tokens.Encoder(made, end)
        self.assertEqual(made.get_vocab(True), before)
        ids, = encoder.encode([text])
        self.assertNotIn(end, ids)
        return ids

    def test_byte_pairs(self):
        import tokenizers
        cut = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
        made = self.made(tokenizers.models.BPE(), cut)
        made.decoder = tokenizers.decoders.ByteLevel()
        made.train_from_iterator(["the quick brown fox"] * 9, tokenizers.trainers.BpeTrainer(
            vocab_size=300, special_tokens=["<|endoftext|>"], show_progress=False,
            initial_alphabet=cut.alphabet()))
        made.add_special_tokens(["<|user|>", "</s>"])  # beyond the vocabulary of the model
        made.add_tokens(["quick fox"])  # text, by what the tokenizer says
        text = "the<|endoftext|> fox <|user|></s>quick fox"
        self.assertIn(0, made.encode(text).ids)
        ids = self.ids_of(made, "<|endoftext|>", text)
        self.assertEqual(made.decode(ids, skip_special_tokens=False), text)
        self.assertIn(made.token_to_id("quick fox"), ids)
        self.assertFalse({made.token_to_id(t) for t in ("<|user|>", "</s>")} & set(ids))

    def test_an_end_that_is_no_special_token(self):
        import tokenizers
        made = self.made(tokenizers.models.WordLevel({"?": 0, "a": 1}, unk_token="?"),
                         tokenizers.pre_tokenizers.WhitespaceSplit())
        made.add_tokens(["</s>"])
        self.assertEqual(self.ids_of(made, "</s>", "a </s> a"), [1, 0, 1])

    def test_models_that_look_words_up(self):
        import tokenizers
        models, cut = tokenizers.models, tokenizers.pre_tokenizers.WhitespaceSplit()
        vocab = {"?": 0, "a": 1, "</s>": 2, "b": 3}
        for model in (models.WordLevel(vocab, unk_token="?"),
                      models.WordPiece(vocab, unk_token="?"),
                      models.Unigram([("?", 0.0), ("a", -1.0), ("</s>", -1.0), ("b", -1.0)], 0)):
            made = self.made(model, cut)
            made.add_special_tokens(["</s>"])
            ids = self.ids_of(made, "</s>", "a </s> b")
            self.assertEqual((ids[0], set(ids[1:-1]), ids[-1]), (1, {0}, 3))

    def test_one_that_merges_make_is_refused(self):
        import tokenizers
        made = self.made(tokenizers.models.BPE({"<": 0, "s": 1, "<s": 2}, [("<", "s")]),
                         tokenizers.pre_tokenizers.WhitespaceSplit())
        made.add_special_tokens(["<s"])
        encoder = tokens.Encoder(made, 2)
        self.assertEqual(list(encoder.encode(["s <"])), [[1, 0]])
        with self.assertRaisesRegex(tokenize.DataError, "control token '<s'"):
            list(encoder.encode(["s <s"]))


class Command(Scratch):
    def run_script(self, *arguments, **how):
        return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True,
                              check=False, **how)

    def words(self):
        """A tokenizer.json of four words and </s>."""
        import tokenizers
        vocab = {"[UNK]": 0, "in": 1, "the": 2, "beginning": 3}
        model = tokenizers.models.WordLevel(vocab, unk_token="[UNK]")
        tokenizer = tokenizers.Tokenizer(model)
        tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
        tokenizer.add_special_tokens(["</s>"])
        tokenizer.enable_truncation(2)  # of the file: must not cut documents
        path = str(self.place / "tokenizer.json")
        tokenizer.save(path)
        return path

    def arguments(self, *files):
        return ("--tokenizer", self.words(), "--end-of-document", "</s>", "--out",
                str(self.place / "d"), *files)

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
        import xxhash
        path = self.words()
        lines = [{"text": text} for text in ("in the beginning", "", "in x")]
        text = self.put("in.jsonl", "\n".join(map(json.dumps, lines)).encode() + b"\n{\n")
        out = str(self.place / "d")
        ran = self.run_script("--tokenizer", path, "--out", out, text)
        self.assertEqual(ran.returncode, 3)
        self.assertIn("</s>", ran.stderr)
        arguments = self.arguments(text)
        self.assertEqual(self.run_script(*arguments).returncode, 3)
        ran = self.run_script(*arguments, "--skip-bad", "1")
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertIn("1 empty documents skipped; 1 bad lines skipped, the first: ", ran.stdout)
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

    @unittest.skipUnless(INSTALLED, "tokenizers and xxhash of PyPI are not installed")
    def test_inputs_stay(self):
        text = self.put("d.json", b'{"text": "in"}\n')
        for more in ((text,), (text, "--overwrite")):
            ran = self.run_script(*self.arguments(*more))
            self.assertEqual(ran.returncode, 3)
            self.assertIn("is an input", ran.stderr)
        with open(text, "rb") as file:
            ran = self.run_script(*self.arguments("--jsonl", "--overwrite", "-"), stdin=file)
        self.assertIn("is an input", ran.stderr)
        os.rename(self.words(), self.place / "d.idx")
        ran = self.run_script("--tokenizer", str(self.place / "d.idx"), "--end-of-document", "</s>",
                              "--overwrite", "--out", str(self.place / "d"), self.put("x", b"in"))
        self.assertIn("is an input", ran.stderr)
        self.assertEqual((self.place / "d.json").read_bytes(), b'{"text": "in"}\n')

    @unittest.skipUnless(INSTALLED, "tokenizers and xxhash of PyPI are not installed")
    def test_a_full_disk_leaves_nothing(self):
        arguments = self.arguments("--split", "line", self.put("in.txt", b"in the x\n" * 9000))
        before = set(self.place.iterdir())

        def limit():  # of a file; Python ignores the signal
            resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))

        ran = self.run_script(*arguments, preexec_fn=limit)
        self.assertEqual(ran.returncode, 5, ran.stderr)
        self.assertEqual(set(self.place.iterdir()), before)

    @unittest.skipUnless(INSTALLED, "tokenizers and xxhash of PyPI are not installed")
    def test_signals_leave_nothing(self):
        arguments = self.arguments("--jsonl", "-")
        before = set(self.place.iterdir())
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with subprocess.Popen([sys.executable, SCRIPT, *arguments], stdin=subprocess.PIPE,
                                  stderr=subprocess.PIPE) as process:
                while not list(self.place.glob("d.bin.tmp-*")):
                    self.assertIsNone(process.poll(), "it waits for its input")
                process.send_signal(number)
                self.assertEqual(process.wait(60), -number)
                self.assertEqual(process.stderr.read(), b"")
            self.assertEqual(set(self.place.iterdir()), before)


if __name__ == "__main__":
    unittest.main()
