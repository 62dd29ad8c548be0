"""Cuts long documents into pieces whose concatenated token ids are those of the whole.

A tokenizer normalizes a text, splits it into words (the pre-tokenizer) and encodes each word
separately. So ids do not change if a piece ends between two words, provided that normalizing and
splitting both sides separately gives the same result as doing it together. To check a cut, the
piece is split into words together with some of the text that follows it, from the end of the
previous piece on. The cut is made only if these words equal those of the separate sides, and so do
the ids around the cut. This assumes that no word depends on text more than REACH characters away,
except through the end of the previous word.
"""
import bisect
import re

from . import DataError

PIECE = 1 << 18  # characters of a piece
REACH = 1 << 12  # characters that are read after a piece, and encoded for the comparison
LIMIT = 1 << 22  # characters of a piece that cannot be cut: about 1 GB of memory
TRIES = 32       # candidates for a cut, per kind
WORDS = 4        # words compared before a cut: the last ones may depend on the text after it

# A single space, or line end, between two characters that are not white space: nearly all
# tokenizers split before it.
_GAPS = re.compile(r"(?<=\S) (?=\S)"), re.compile(r"(?<=\S)\n(?=\S)")


class Words:
    """A normalized text, and the words into which the tokenizer splits it, with their offsets."""

    def __init__(self, tokenizer, text):
        self.text = tokenizer.normalizer.normalize_str(text) if tokenizer.normalizer else text
        found = tokenizer.pre_tokenizer.pre_tokenize_str(self.text)
        self.words = [word for word, _ in found]
        self.begins = [begin for _, (begin, _) in found]
        self.ends = [end for _, (_, end) in found]

    def before(self, at):
        """How many words end at or before offset `at`; None if it is inside a word."""
        count = bisect.bisect_left(self.begins, at)
        return count if count == 0 or self.ends[count - 1] <= at else None


class Cutter:
    def __init__(self, tokenizer, piece=PIECE, reach=REACH, limit=LIMIT):
        self.tokenizer, self.piece, self.reach, self.limit = tokenizer, piece, reach, limit

    def _ids(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def _places(self, window, whole, size):
        """Yields candidate ends of a piece of at most `size` characters, the likeliest first."""
        begin = max(1, size - 16 * self.reach)
        for gap in _GAPS:
            found = [match.start() for match in gap.finditer(window, begin, size + 1)]
            yield from found[:-TRIES - 1:-1]
        if whole.text == window:  # only then are offsets the same in both
            yield from [p for p in whole.begins if begin <= p <= size][:-TRIES - 1:-1]

    def _back(self, window, whole, place, middle):
        """An offset some words before `place`, from which words are compared, or None. `middle` is
        the number of words before `place`."""
        for gap in _GAPS:
            match = gap.search(window, max(1, place - self.reach), place)
            if match:
                return match.start()
        if whole.text != window:
            return None
        first = bisect.bisect_left(whole.begins, place - self.reach)
        first = min(first, middle - WORDS)
        return whole.begins[first] if first > 0 else 0

    def _is_cut(self, whole, window, place):
        """Whether both sides of `place` have the same words and ids separately and together."""
        right = Words(self.tokenizer, window[place:])
        at = len(whole.text) - len(right.text)
        middle = whole.before(at) if whole.text.endswith(right.text) else None
        if middle is None or whole.words[middle:] != right.words:
            return False
        back = self._back(window, whole, place, middle)
        if back is None:
            return False
        left = Words(self.tokenizer, window[back:place])
        start = at - len(left.text)
        if start < 0 or not whole.text.startswith(left.text, start):
            return False
        first = 0 if back == 0 else whole.before(start)
        if first is None or (back > 0 and middle - first < WORDS):
            return False
        if whole.words[first:middle] != left.words:
            return False
        before, after = window[back:place], window[place:place + self.reach]
        return self._ids(before + after) == self._ids(before) + self._ids(after)

    def _end(self, text, begin, size):
        window = text[begin:begin + size + self.reach]
        whole = Words(self.tokenizer, window)
        if len(whole.words) > 1:
            for place in self._places(window, whole, size):
                if self._is_cut(whole, window, place):
                    return begin + place
        return None

    def pieces(self, text, name):
        """Yields the pieces of `text`. Raises DataError if it cannot be cut and is too long."""
        begin = 0
        while len(text) - begin > self.piece + self.reach:
            end, size = None, self.piece
            while self.tokenizer.pre_tokenizer and end is None and size < self.limit:
                end = self._end(text, begin, size)
                size *= 4
            if end is None:
                break
            yield text[begin:end]
            begin = end
        if len(text) - begin > self.limit:
            raise DataError(
                f"{name}: a document has {len(text) - begin} characters that cannot be cut without "
                f"changing its tokens, more than the {self.limit} that fit in memory; split it "
                "(--split line, blank-line or prefix)")
        yield text[begin:]
