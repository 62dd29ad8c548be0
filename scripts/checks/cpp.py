"""Finds C++ functions, with their lines and numbers of parameters.

This is not a parser. Comments, literals and preprocessor lines are blanked; then braces are
followed from scope to scope, and the text before a brace says what it opens. Lambdas belong to the
function that contains them. The unit tests define what must be understood.
"""
import re
from typing import NamedTuple


class Function(NamedTuple):
    name: str
    line: int  # where its name is
    lines: int  # from its name to the closing brace; 0 for a declaration
    parameters: int
    kernel: bool  # whether it is compiled once per instruction set, or for a device


_LITERAL = re.compile(
    r"""//[^\n]*(?:\\\n[^\n]*)*             # comments
      | /\*.*?\*/
      | (?<![A-Za-z0-9_])(?:u8|[uUL])?R"(?P<tag>[^()\\\s]*)\(.*?\)(?P=tag)"
      | "(?:\\.|[^"\\\n])*"
      | (?<![0-9A-Za-z_])(?:u8|[uUL])?'(?:\\.|[^'\\\n])+'
      | ^[ \t]*\#(?:[^\n]*\\\n)*[^\n]*      # preprocessor, with its continuations
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)


def blank(text):
    """Replaces comments, literals and preprocessor lines by as many spaces."""

    def spaces(match):
        kept = re.sub(r"[^\n]", " ", match[0])
        # A literal is still an expression: "a" "b" must not vanish from an argument list.
        return "0" + kept[1:] if match[0][0] in "\"'uULR" else kept

    return _LITERAL.sub(spaces, text)


def _erase(text, begin, end):
    return text[:begin] + re.sub(r"[^\n]", " ", text[begin:end]) + text[end:]


def _group_end(text, begin):
    """The offset after the ) that closes the ( at `begin`; len(text) if there is none."""
    depth = 0
    for i in range(begin, len(text)):
        depth += (text[i] == "(") - (text[i] == ")")
        if depth == 0:
            return i + 1
    return len(text)


_SIDE = re.compile(r"\b(?:requires|alignas|decltype|__attribute__|explicit|noexcept)\s*\(")
_MACRO = re.compile(r"^\s*[A-Z][A-Z0-9_]+\s*\(")
_ANGLES = re.compile(r"<[^<>;]*>")
_ACCESS = re.compile(r"\b(?:public|private|protected)\s*:(?!:)|\[\[[^\]]*\]\]")
_CALLABLE = re.compile(r"((?:[\w:~]|\boperator\s*[^\s\w(]+)+)\s*\($")
_TYPE = re.compile(r"^\s*(?:typedef\s+|static\s+|inline\s+)*(?:class|struct|union|enum)\b[^(=]*$")


def _plain(header):
    """A header without templates, attributes, access specifiers and leading macro calls."""
    text = re.sub(r"\boperator\s*(?:<=>|<<|>>|->|<=|>=|<|>)",
                  lambda m: "operator_".ljust(len(m[0]), "_"), header)
    text = text.replace("->", "  ")
    text = _ACCESS.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)
    while match := _ANGLES.search(text):
        text = _erase(text, match.start(), match.end())
    text = re.sub(r"\btemplate\b", " " * len("template"), text)
    while match := _SIDE.search(text):
        text = _erase(text, match.start(), _group_end(text, match.end() - 1))
    while match := _MACRO.search(text):
        end = _group_end(text, match.end() - 1)
        if not re.match(r"\s*[\w~]", text[end:]):
            break
        text = _erase(text, 0, end)
    return text


def _signature(header):
    """(name, offset of the name, number of parameters) of a function's header, or None."""
    text = _plain(header)
    paren = text.find("(")
    before = re.sub(r"operator\s*\W+?\(", "", text[: paren + 1])
    if paren < 0 or re.search(r"(?<![=!<>+\-*/])=(?!=)|\b(?:using|typedef|return)\b", before):
        return None
    name = _CALLABLE.search(text[: paren + 1])
    if not name:
        return None
    end = _group_end(text, paren)
    said = name[1]
    if said.endswith("operator"):  # operator()(…)
        said += "()"
        paren = text.find("(", end)
        end = _group_end(text, paren)
    inside = text[paren + 1 : end - 1]
    depth, parameters = 0, int(inside.strip() not in ("", "void"))
    for c in inside:
        depth += (c in "([{") - (c in ")]}")
        parameters += c == "," and depth == 0
    return said, name.start(1), parameters


def functions(text):
    """Every function at file, namespace or class scope."""
    source = blank(text)
    line_of = [0]
    for c in source:
        line_of.append(line_of[-1] + (c == "\n"))
    found, scopes, start, parens = [], [], 0, 0
    for i, c in enumerate(source):
        outer = scopes[-1] if scopes else {"kind": "namespace", "kernel": False}
        listed = outer["kind"] in ("namespace", "type")
        if c in "()":
            parens += 1 if c == "(" else -1
        elif c == ";" and parens == 0:
            if listed and (signature := _signature(source[start:i])):
                found.append(Function(signature[0], line_of[start + signature[1]] + 1, 0,
                                      signature[2], outer["kernel"]))
            start = i + 1
        elif c == "{":
            scope = _open(source[start:i], outer, listed and parens == 0)
            scope.update(parens=parens, header=start, begin=i)
            scopes.append(scope)
            if scope["kind"] != "member" and parens == 0:
                start = i + 1
            parens = 0
        elif c == "}" and scopes:
            scope = scopes.pop()
            parens = scope["parens"]
            if scope["kind"] == "function":
                first = line_of[scope["header"] + scope["at"]] + 1
                found.append(Function(scope["name"], first, line_of[i] + 2 - first,
                                      scope["parameters"], scope["kernel"]))
            if scope["kind"] == "member" or parens:  # inside a header, e.g. a default argument
                start = scope["header"]
            else:
                start = i + 1
    return found


def _open(header, outer, listed):
    """The scope that the brace after `header` opens."""
    kernel = outer["kernel"]
    if not listed:
        return {"kind": "block", "kernel": kernel}
    plain = _plain(header)
    if re.search(r"\bnamespace\b|^\s*extern\s+0\s*$", plain):
        return {"kind": "namespace", "kernel": kernel or "HWY_NAMESPACE" in plain}
    if _TYPE.search(plain):
        return {"kind": "type", "kernel": kernel}
    signature = _signature(header)
    if not signature:
        return {"kind": "block", "kernel": kernel}
    # A(…) : b_{…}, c_{…} { … }: after a colon, a brace that follows a name initialises a member.
    after = plain[_group_end(plain, plain.find("(")):]
    if re.search(r"(?<!:):(?!:)", after) and re.search(r"[\w>]\s*$", header):
        return {"kind": "member", "kernel": kernel}
    name, at, parameters = signature
    return {"kind": "function", "kernel": kernel or "__global__" in header, "name": name, "at": at,
            "parameters": parameters}
