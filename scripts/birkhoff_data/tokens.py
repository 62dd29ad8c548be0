"""Loads a tokenizer.json, and encodes text so that it never becomes a control token."""
import importlib
import json
import os
import secrets

from . import DataError

MAX_TOKENIZER = 64 << 20  # bytes, as in engine/checkpoint/tokenizer_identity.h


def need(package):
    try:
        return importlib.import_module(package)
    except ImportError:
        advice = "python3 -m pip install tokenizers xxhash"
        raise DataError(f"no Python package {package}; install it: {advice}") from None


def load_tokenizer(path):
    """Returns the tokenizer, and the bytes from which it was read."""
    if not os.path.isfile(path):
        raise DataError(f"no tokenizer {path}; give the path of a tokenizer.json")
    tokenizers = need("tokenizers")
    with open(path, "rb") as file:
        data = file.read(MAX_TOKENIZER + 1)
    if len(data) > MAX_TOKENIZER:
        raise DataError(f"{path} has more than {MAX_TOKENIZER} bytes: not a tokenizer.json")
    try:
        return tokenizers.Tokenizer.from_str(data.decode()), data
    except Exception as error:  # the package raises nothing narrower
        raise DataError(f"{path} is not a valid tokenizer.json: {error}") from None


def end_of_document(tokenizer, name):
    special = [t.content for t in tokenizer.get_added_tokens_decoder().values() if t.special]
    token = tokenizer.token_to_id(name) if name else None
    if token is None and name and name.isdecimal() and tokenizer.id_to_token(int(name)) is not None:
        token = int(name)
    if token is None:
        known = ", ".join(special[:20]) or "none"
        raise DataError("--end-of-document must be a token of the tokenizer, or its id; its "
                        f"special tokens are: {known}")
    return token


def _renamed(tree, names):
    """Renames tokens in the parsed tokenizer.json `tree`."""
    model = tree["model"]
    if isinstance(model.get("vocab"), dict):
        model["vocab"] = {names.get(k, k): v for k, v in model["vocab"].items()}
    elif isinstance(model.get("vocab"), list):
        model["vocab"] = [[names.get(k, k), score] for k, score in model["vocab"]]
    if isinstance(model.get("unk_token"), str):
        model["unk_token"] = names.get(model["unk_token"], model["unk_token"])
    for token in tree.get("added_tokens") or []:
        token["content"] = names.get(token["content"], token["content"])
    return tree


class Encoder:
    """A tokenizer that treats text as text: "<|endoftext|>" in it is encoded as letters, not as the
    token that ends a document.

    Its special tokens and `end` get names that no text contains. They are renamed in the added
    tokens, which are matched before anything else, and in the model's vocabulary, in which some
    models look words up.
    """

    def __init__(self, tokenizer, end):
        added = tokenizer.get_added_tokens_decoder()
        control = {i: t.content for i, t in added.items() if t.special}
        control[end] = tokenizer.id_to_token(end)
        mark = "\ufdd0" + secrets.token_hex(16)
        names = {name: f"{mark}{i}\ufdd0" for i, name in control.items()}
        tree = json.loads(tokenizer.to_str())
        unknown = tree["model"].get("unk_token"), tree["model"].get("unk_id")
        self.control = {i: name for i, name in control.items()
                        if i != end and i not in unknown and name not in unknown}
        self.control[end] = control[end]
        self.tokenizer = self._hidden(tree, names, tokenizer)
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        # encode_batch_fast leaves out offsets and is twice as fast; not all versions have it.
        self._batch = getattr(self.tokenizer, "encode_batch_fast", self.tokenizer.encode_batch)

    @staticmethod
    def _hidden(tree, names, tokenizer):
        wanted = {names.get(k, k): v for k, v in tokenizer.get_vocab(True).items()}
        try:
            hidden = type(tokenizer).from_str(json.dumps(_renamed(tree, names)))
        except Exception:  # a token that results from merges cannot be renamed
            hidden = None
        if hidden and hidden.get_vocab(True) == wanted:
            return hidden
        tokenizer.encode_special_tokens = True  # special tokens in text are then encoded as text
        return tokenizer

    def encode(self, texts):
        """Yields the ids of each text. Raises DataError if they have a control token after all."""
        for encoding, text in zip(self._batch(texts, add_special_tokens=False), texts):
            ids = encoding.ids
            if not self.control.keys().isdisjoint(ids):
                name = self.control[min(self.control.keys() & set(ids))]
                raise DataError(f"this tokenizer gives a text that begins with {text[:40]!r} the "
                                f"control token {name!r}; remove it from the text, or from the "
                                "tokenizer's vocabulary")
            yield ids
