"""Faults to plant in the source of OpenCL kernels, one at a time: what ``mutate_kernels.py`` beside this file runs."""

import collections
import dataclasses
import re

KINDS = {
    "bound": "a bound, or the first of a range, off by one",
    "comparison": "< for <=, > for >=, == for !=, and the other way round",
    "axis": "the stride, padding, dilation, kernel size or work-item of the other axis",
    "extent": "an index or bound that uses another extent",
    "barrier": "a barrier dropped or misplaced",
    "sign": "+ for -, - for +, a minus dropped",
    "accumulation": "= for +=, and for &=",
    "assignment": "+= for =",
    "constant": "a constant nudged",
    "test": "one test of an edge or case missing",
    "tile": "a tile size out of step",
}

_TOKEN = re.compile(
    r"""(?P<skip>/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\])*"|__attribute__\s*\(\(.*?\)\)(?!\))
        |^[ \t]*\#[ \t]*(?:if|ifdef|ifndef|elif|else|endif|pragma|include|undef|error)\b[^\n]*
        |^[ \t]*\#[ \t]*define[ \t]+\w+(?:\([^)]*\))?|\\\n|\s+)
      |(?P<number>0[xX][0-9a-fA-F]+[uUlL]*|\d+\.\d*(?:[eE][-+]?\d+)?[fF]?|\d+[uUlL]*)
      |(?P<name>[A-Za-z_]\w*)
      |(?P<operator><<=|>>=|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|.)""",
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)

_COMPARISONS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
#: What moves the bound the way that changing the comparison does not.
_BOUND_STEPS = {"<": " -1 +", "<=": " 1 +", ">": " 1 +", ">=": " -1 +"}


def _both_ways(*pairs):
    return {**dict(pairs), **{second: first for first, second in pairs}}


_AXES = _both_ways(
    ("s_h", "s_w"),
    ("d_h", "d_w"),
    ("top", "left"),
    ("kh", "kw"),
    ("kernel_h", "kernel_w"),
    ("step_y", "step_x"),
    ("base_y", "base_x"),
    ("row", "column"),
    ("p", "q"),
)
_EXTENTS = {
    **_both_ways(
        ("height", "width"),
        ("H", "W"),
        ("out_h", "out_w"),
        ("rows", "columns"),
        ("C", "K"),
        ("IN", "OUT"),
        ("inputs", "outputs"),
        ("factor_group", "factor_row"),
        ("row_stride", "column_stride"),
        ("c_row", "c_image"),
        ("a_row", "a_term"),
        ("images", "places"),
    ),
    "N": "OUT",
    "pitch": "places",
    "packed_columns": "packed_rows",
    "plane_size": "plane_stride",
    "groups": "terms",
    "b_group": "b_image",
    "a_group": "a_start",
    "c_group": "c_chunk",
    "copy_columns": "columns",
    "c_y": "c_x",
    "terms_per_chunk": "terms",
    "images_per_chunk": "images",
    "rows_per_item": "rows",
}
_TILES = {
    "GROUP",
    "GROUP_X",
    "GROUP_Y",
    "ROWS",
    "COLUMNS",
    "TERMS",
    "SUM_TERMS",
    "LEFT_PITCH",
    "RIGHT_PITCH",
    "TILE_ROWS",
    "TILE_COLUMNS",
    "ITEMS",
    "WIDTH",
    "VECTORS",
    "DOT_ROWS",
    "DOT_COLUMNS",
}
_DECLARES = {
    "const",
    "int",
    "uint",
    "float",
    "float2",
    "float4",
    "float8",
    "float16",
    "size_t",
    "ulong",
    "vector",
    "typedef",
    "unaligned_vector",
    "__global",
    "__local",
    "__kernel",
    "inline",
}
_CLOSES = {"(": ")", "[": "]", "{": "}"}


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A kernel file with one fault.

    Attributes
    ----------
    file : str
        The file's name.
    kind : str
        A key of :data:`KINDS`.
    function : str
        The function that holds the fault.
    number : int
        The line's number, from 1.
    line, mutated : str
        The line before and after, without the blanks at its ends; where the
        fault spans several lines, they are joined by " / ".
    occurrence : int
        Which of the function's faults that read the same, from 1.
    source : str
        The whole file with the fault.
    """

    file: str
    kind: str
    function: str
    number: int
    line: str
    mutated: str
    occurrence: int
    source: str = dataclasses.field(repr=False)

    @property
    def identity(self):
        """What tells a mutant from the others, whatever else in the file changes."""
        return self.file, self.kind, self.function, self.line, self.mutated, self.occurrence


def mutants(file, source):
    """Return every fault of a file, in the order of its text, without repetitions.

    Parameters
    ----------
    file : str
        Its name.
    source : str

    Returns
    -------
    list of Mutant
    """
    code = _Code(source)
    edits = [edit for index in range(len(code.tokens)) for edit in code.edits(index)]
    found, occurrences = {}, collections.Counter()
    for kind, start, end, replacement in sorted(edits, key=lambda edit: edit[1]):
        mutated = source[:start] + replacement + source[end:]
        first = source.rfind("\n", 0, start) + 1
        last = source.find("\n", max(start, end - 1))
        last = len(source) if last < 0 else last
        before, after = (
            " / ".join(line.strip() for line in text.splitlines())
            for text in (source[first:last], source[first:start] + replacement + source[end:last])
        )
        number, function = source.count("\n", 0, start) + 1, code.function(start)
        if mutated != source and mutated not in found:
            occurrences[kind, function, before, after] += 1
            occurrence = occurrences[kind, function, before, after]
            found[mutated] = Mutant(file, kind, function, number, before, after, occurrence, mutated)
    return list(found.values())


@dataclasses.dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int


class _Code:
    """The tokens of a source, without comments, strings, attributes and preprocessor conditions."""

    def __init__(self, source):
        self.source = source
        matches = [match for match in _TOKEN.finditer(source) if match.lastgroup != "skip"]
        self.tokens = [_Token(match.lastgroup, match.group(), match.start(), match.end()) for match in matches]
        self.partner = self._partners()
        self.headers = self._headers()

    def _partners(self):
        partner, opened = {}, []
        for index, token in enumerate(self.tokens):
            if token.text in _CLOSES:
                opened.append(index)
            elif token.text in _CLOSES.values() and opened:
                partner[index] = opened.pop()
                partner[partner[index]] = index
        return partner

    def _headers(self):
        """The (name's, last parenthesis's) indices of every function's definition."""
        return [
            (index - 1, self.partner[index])
            for index, token in enumerate(self.tokens)
            if token.text == "("
            and index in self.partner
            and self._text(self.partner[index] + 1) == "{"
            and self._kind(index - 1) == "name"
            and self._text(index - 1) not in ("if", "for", "while", "switch")
        ]

    def function(self, position):
        names = [self.tokens[name].text for name, _ in self.headers if self.tokens[name].start <= position]
        return names[-1] if names else ""

    def _text(self, index):
        return self.tokens[index].text if 0 <= index < len(self.tokens) else ""

    def _kind(self, index):
        return self.tokens[index].kind if 0 <= index < len(self.tokens) else ""

    def _follows_operand(self, index):
        return (
            self._kind(index - 1) in ("name", "number")
            and self._text(index - 1) != "return"
            or (self._text(index - 1) in (")", "]") and not self._closes_cast(index - 1))
        )

    def _closes_cast(self, index):
        """Whether a closing parenthesis ends a cast, such as (int)."""
        inside = range(self.partner.get(index, index) + 1, index)
        return (
            bool(inside)
            and self._text(index) == ")"
            and all(self._text(place) in _DECLARES or self._text(place) == "*" for place in inside)
        )

    def _in_header(self, index):
        return any(name <= index <= last for name, last in self.headers)

    def _declares(self, index):
        """Whether the statement that holds a token declares something."""
        while index > 0 and self._text(index - 1) not in (";", "{", "}"):
            if self._text(index - 1) == ")" and self._text(self.partner.get(index - 1, 0) - 1) in ("if", "for"):
                break
            if self._text(index - 1) == "(" and self._text(index - 2) in ("if", "for"):
                break
            index -= 1
        return self._text(index) in _DECLARES

    def edits(self, index):
        """Yield (kind, start, end, replacement) of each fault at a token."""
        token = self.tokens[index]
        if self._in_header(index):
            return
        if token.kind == "name":
            yield from self._name_edits(index, token)
        elif token.kind == "number":
            yield from self._number_edits(index, token)
        else:
            yield from self._operator_edits(index, token)

    def _name_edits(self, index, token):
        is_target = self._text(index + 1) == "=" or self._text(index - 1) in _DECLARES
        # A loop that counts another variable never ends, which shows at once and costs the time limit.
        is_target |= token.text in ("p", "q") and self._text(index + 1) in ("<", "++")
        for kind, table in (("axis", _AXES), ("extent", _EXTENTS)):
            if token.text in table and not is_target and re.search(rf"\b{table[token.text]}\b", self._body(index)):
                yield kind, token.start, token.end, table[token.text]
        if re.fullmatch(r"get_(global|local|group)_id", token.text):
            axis = self.tokens[index + 2]
            yield "axis", axis.start, axis.end, "1" if axis.text == "0" else "0"
        if token.text in _TILES and self._text(index + 1) != "(":
            yield "tile", token.start, token.end, f"({token.text} - 1)"
        if token.text in ("min", "max") and self._text(index + 1) == "(":
            yield "bound", self.tokens[index + 1].end, self.tokens[index + 1].end, "1 + "
        if token.text == "barrier":
            yield from self._barrier_edits(index)
        if token.text == "if":
            yield from self._if_edits(index)

    def _body(self, index):
        """The source of the function that holds a token, with its parameters; outside functions all of it."""
        starts = [(name, last) for name, last in self.headers if name <= index]
        if not starts:
            return self.source
        name, last = starts[-1]
        end = self.partner.get(last + 1, len(self.tokens) - 1)
        names = self.source[self.tokens[name].start : self.tokens[end].end]
        return self.source if re.search(r"\bGEOMETRY\b", names) else names

    def _number_edits(self, index, token):
        if re.fullmatch(r"0[xX][0-9a-fA-F]+[uU]", token.text):
            yield "constant", token.start, token.end, f"0x{int(token.text[:-1], 16) + 1:X}u"
        elif token.text.endswith(("f", "F")):
            value = float(token.text[:-1])
            yield "constant", token.start, token.end, f"{value * 1.001 if value else 0.001:.6g}f"
        elif (
            self._text(index - 1) == "="
            and self._text(index - 4) == "for"
            or (self._text(index - 1) == "=" and self._text(index - 5) == "for")
        ):
            yield "bound", token.start, token.end, f"{token.text} + 1"

    def _operator_edits(self, index, token):
        if token.text in _COMPARISONS:
            yield "comparison", token.start, token.end, _COMPARISONS[token.text]
        if token.text in _BOUND_STEPS:
            yield "bound", token.end, token.end, _BOUND_STEPS[token.text]
        if token.text in "+-":
            if self._follows_operand(index):
                yield "sign", token.start, token.end, "-" if token.text == "+" else "+"
            elif token.text == "-":
                yield "sign", token.start, token.end, ""
        if token.text in ("+=", "-=", "&=", "|="):
            yield "accumulation", token.start, token.end, "="
        if token.text == "=" and not self._declares(index):
            yield "assignment", token.start, token.end, "+="
        if token.text in ("&&", "||") or (token.text in "&|" and self._follows_operand(index)):
            kept = "1" if token.text in ("&&", "&") else "0"
            for first, last in (self._operand(index, -1), self._operand(index, 1)):
                yield "test", self.tokens[first].start, self.tokens[last].end, kept
        if token.text == "?":
            first, last = self._operand(index, -1)
            if self._text(first - 1) not in ("&&", "||", "&", "|"):
                yield "test", self.tokens[first].start, self.tokens[last].end, "1"

    def _operand(self, index, step):
        """The first and last token of the operand at one side of a logical operator."""
        opens, closes = set(_CLOSES), set(_CLOSES.values())
        place = index + step
        while 0 <= place < len(self.tokens):
            text = self._text(place)
            if text in (closes if step < 0 else opens):
                place = self.partner[place]
            elif text in opens | closes or text in ("&&", "||", "&", "|", "=", "?", ":", ";", ",", "return"):
                break
            place += step
        return (place + 1, index - 1) if step < 0 else (index + 1, place - 1)

    def _if_edits(self, index):
        first, last = index + 2, self.partner[index + 1] - 1
        depth_one = [place for place in range(first, last + 1) if self._text(place) in ("&&", "||")]
        if not depth_one:
            leaves = self._text(last + 2) in ("return", "continue", "break")
            yield "test", self.tokens[first].start, self.tokens[last].end, "0" if leaves else "1"

    def _barrier_edits(self, index):
        end = self.partner[index + 1] + 1
        start, stop = self.tokens[index].start, self.tokens[end].end
        statement = self.source[start:stop]
        yield "barrier", start, stop, ";"
        following = end + 1
        if self._text(following) != "}":
            while self._text(following) != ";":
                following = self.partner[following] + 1 if self._text(following) in _CLOSES else following + 1
        after = self.tokens[following].end
        yield "barrier", start, after, f"{self.source[stop:after].strip()} {statement}"
