"""Extracts one string from a line of JSON, by the rules of docs/formats/text.md."""
import json
import re

MAX_DEPTH = 512
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


class BadLine(Exception):
    """What is wrong with a line. `kind` is "syntax", "early" (the line ends where the object could
    continue) or "field" (there is no such string, or it occurs twice)."""

    def __init__(self, kind, what):
        super().__init__(what)
        self.kind = kind


class _Object(list):
    """The pairs of an object; a dict would hide duplicate keys."""


def _nothing(_):
    """Replaces a number, whatever its size, since only text is used."""
    return 0


_DECODER = json.JSONDecoder(object_pairs_hook=_Object, parse_int=_nothing, parse_float=_nothing,
                            parse_constant=_nothing)


def _depth(text):
    depth = most = 0
    for bracket in re.findall(r"[\[\]{}]", _STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        most = max(most, depth)
    return most


def parse(line):
    """Parses a line; returns its object as pairs."""
    zero = line.find(b"\0")
    if zero >= 0:
        raise BadLine("syntax", f"not valid JSON: a NUL at byte {zero}")
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise BadLine("syntax", f"not valid JSON: not UTF-8 at byte {error.start}") from None
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        raise BadLine("syntax", f"JSON is nested deeper than {MAX_DEPTH} levels")
    text = text.strip(" \t\n\r")
    try:
        tree, end = _DECODER.raw_decode(text)
    except json.JSONDecodeError as error:
        raise BadLine("early" if error.pos >= len(text) else "syntax",
                      f"not valid JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise BadLine("syntax", "not valid JSON: nested too deeply") from None
    if end != len(text):
        raise BadLine("syntax", f"not valid JSON: text after the object at character {end}")
    if not isinstance(tree, _Object):
        raise BadLine("syntax", "not valid JSON: not a JSON object")
    return tree


def is_object(line):
    try:
        parse(line)
    except BadLine:
        return False
    return True


def _values(pairs, key):
    return [value for name, value in pairs if name == key]


def _given(tree, field):
    """All values of the field: those of the key itself, and those that its dotted parts lead to."""
    found = _values(tree, field)
    *parts, last = field.split(".")
    if not parts:
        return found
    for part in parts:
        inner = _values(tree, part)
        if len(inner) > 1:
            return inner  # a duplicate, whatever it holds
        if not inner or not isinstance(inner[0], _Object):
            return found
        tree = inner[0]
    return found + _values(tree, last)


def json_text(line, field):
    """The field's string in the object of `line`, which is bytes. Raises BadLine."""
    found = _given(parse(line), field)
    if len(found) > 1:
        raise BadLine("field", f'"{field}" is given twice')
    if not found:
        raise BadLine("field", f'the object has no "{field}"')
    if not isinstance(found[0], str):
        raise BadLine("field", f'"{field}" is not a string')
    try:
        found[0].encode()
    except UnicodeEncodeError:
        raise BadLine("field", f'"{field}" has an unpaired surrogate') from None
    return found[0]
