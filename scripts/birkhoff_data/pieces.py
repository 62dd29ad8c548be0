"""Long documents in pieces whose token ids, one after the other, are those of the whole.

A tokenizer normalizes a text, cuts it into words (the pre-tokenizer) and encodes each word alone.
So ids are equal wherever a piece ends between two words, provided that both sides are normalized
and cut alone as they are together. A piece is therefore cut into words once more, with some of what
follows it, beginning where the piece before ended, and a place is taken only if these words are
seen to be equal, and the ids around it too. What this rests on: that no word depends on text more
than REACH characters away, other than by where the word before it ended.
"""
import bisect
import re

from . import DataError

PIECE = 1 << 18  # characters
REACH = 1 << 12  # of what follows a piece, and of what is encoded to compare
LIMIT = 1 << 22  # of a piece that cannot be cut: about 1 GB of memory
TRIES = 32       # places of a kind
WORDS = 4        # that are compared before a place: the last ones may look at what follows it

# A single space, or line end, between two characters that are none: nearly all tokenizers cut
# before it.
_GAPS = re.compile(r"(?<=\S) (?=\S)"), re.compile(r"(?<=\S)\n(?=\S)")


class Words:
    """A text, normalized, and the words that the tokenizer makes of it, with their places."""

    def __init__(self, tokenizer, text):
        self.text = tokenizer.normalizer.normalize_str(text) if tokenizer.normalizer else text
        found = tokenizer.pre_tokenizer.pre_tokenize_str(self.text)
        self.words = [word for word, _ in found]
        self.begins = [begin for _, (begin, _) in found]
        self.ends = [end for _, (_, end) in found]

    def before(self, at):
        """How many words end at or before a place; None if it lies within one."""
        count = bisect.bisect_left(self.begins, at)
        return count if count == 0 or self.ends[count - 1] <= at else None


class Cutter:
    def __init__(self, tokenizer, piece=PIECE, reach=REACH, limit=LIMIT):
        self.tokenizer, self.piece, self.reach, self.limit = tokenizer, piece, reach, limit

    def _ids(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def _places(self, window, whole, size):
        """Where a piece of at most `size` characters might end, the likeliest first."""
        begin = max(1, size - 16 * self.reach)
        for gap in _GAPS:
            found = [match.start() for match in gap.finditer(window, begin, size + 1)]
            yield from found[:-TRIES - 1:-1]
        if whole.text == window:  # places in the one are places in the other
            yield from [p for p in whole.begins if begin <= p <= size][:-TRIES - 1:-1]

    def _back(self, window, whole, place, middle):
        """A place some words before another, from which on words are compared; None: there is
        none. `middle` is how many words lie before the other."""
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
        """Whether the words before and after `place` are the same with and without each other."""
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
        """`text` in pieces. Raises DataError where it cannot be cut and is too long as it is."""
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
