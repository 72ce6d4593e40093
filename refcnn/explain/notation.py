"""The formulas of docstrings, as MathML, which browsers draw without a script.

The reference writes ``y[n, k] = b[k] + sum over c of x[n, c] w[k, c]``: indices in brackets, products by a space,
powers by ``^``, quotients by ``/`` of what stands next to it, and words where it says something in words.
"""

import html
import re

_TOKENS = re.compile(r"\.\.\.|\d+(?:\.\d+)?|[A-Za-z]\w*|[<>!]=|->|\S")
_FORMULA = re.compile(r"(?:[a-z]\w*(?:\[[^=]*?\])?|log p(?:\[\w(?:, \w)*\])?|d\w+/d\w+)\s=\s")
_GREEK = {"alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "rho": "ρ", "pi": "π", "infinity": "∞"}
#: Names of more than a letter that are not words.
_NAMES = {
    "xhat",
    "dxhat",
    "mean",
    "variance",
    "ratio",
    "bias",
    "scale",
    "bits",
    "size",
    "momentum",
    "lr",
    "count",
    "top",
    "left",
    "loss",
    "step",
}
_FUNCTIONS = {"exp", "log", "tanh", "erf", "erfc", "max", "min", "sign", "softmax"}
_BIG = {"sum": "∑", "max": "max", "min": "min", "product": "∏"}
#: What a sum over something does not reach beyond.
_ENDS = (",", "+", "-", "where", "and")
#: What has no product with what stands beside it.
_NO_FACTOR = ("<mo", "<mtext", "<munder")
_SIGNS = {"-": "−", ">=": "≥", "<=": "≤", "!=": "≠", "->": "→", "...": "…"}


def read(text):
    """Return what a docstring says as (its first sentences, its formulas in MathML, its further paragraphs).

    Parameters
    ----------
    text : str
        Without the indentation that it has in the source.
    """
    paragraphs = [part for part in text.split("\n\n") if part.strip()]
    summary, formulas, notes = "", [], []
    for number, paragraph in enumerate(paragraphs):
        lines = _joined(paragraph)
        if all(map(_FORMULA.match, lines)):
            formulas += [mathml(line) for line in lines]
        elif number == 0:
            summary = " ".join(paragraph.split())
        else:
            notes.append(" ".join(paragraph.split()))
    before, colon, formula = summary.partition(": ")
    if not formulas and colon and _FORMULA.match(formula):
        formulas.append(mathml(formula))
    return summary, formulas, notes


def _joined(paragraph):
    """Return the lines of a paragraph, each with those that go on with it."""
    lines = []
    for line in paragraph.splitlines():
        if lines and not _FORMULA.match(line.strip()):
            lines[-1] += " " + line.strip()
        else:
            lines.append(line.strip())
    return lines


def mathml(formula):
    """Return a formula as a ``math`` element, whose alternative text is the formula as it was written."""
    formula = " ".join(formula.split()).removesuffix(".")
    rows = _Reader(_TOKENS.findall(formula)).row(())
    label = html.escape(formula, quote=True)
    return f'<math display="block" aria-label="{label}"><mrow>{"".join(rows)}</mrow></math>'


class _Reader:
    def __init__(self, tokens):
        self._tokens, self._place = tokens, 0

    def _next(self):
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def _take(self):
        self._place += 1
        return self._tokens[self._place - 1]

    def row(self, ends):
        """Return the elements up to one of the tokens that end it, or to the end."""
        found = []
        while self._next() is not None and self._next() not in ends:
            if self._next() == "/" and found:
                self._take()
                under = f"<mrow>{''.join(self.row((*ends, *_ENDS)))}</mrow>" if self._is_big() else self._signed()
                found.append(f"<mfrac>{_bare(found.pop())}{_bare(under)}</mfrac>")
            else:
                element = self._element()
                is_product = bool(found) and not any(one.startswith(_NO_FACTOR) for one in (found[-1], element))
                found += ['<mspace width="0.17em"/>'] * is_product + [element]
        return found

    def _is_big(self):
        """Return whether a sum over something comes next, to which all belongs that follows."""
        return self._next() in _BIG and self._tokens[self._place + 1 : self._place + 2] == ["over"]

    def _signed(self):
        if self._next() in ("-", "+"):
            return f"<mrow>{_sign(self._take())}{self._element()}</mrow>"
        return self._element()

    def _element(self):
        """Return one element with its index and its power."""
        element = self._atom()
        while self._next() == "^":
            self._take()
            element = f"<msup>{element}{_bare(self._signed_atom())}</msup>"
        return element

    def _signed_atom(self):
        if self._next() == "-":
            return f"<mrow>{_sign(self._take())}{self._atom()}</mrow>"
        return self._atom()

    def _atom(self):
        token = self._take()
        if token == "(":
            return _fenced("(", self._until(")"), ")")
        if token == "|" and self._is_magnitude():
            return _fenced("|", self._until("|"), "|")
        if token[0].isdigit():
            return f"<mn>{token}</mn>"
        if token[0].isalpha():
            return self._name(token)
        return _sign(token)

    def _is_magnitude(self):
        return "|" in self._tokens[self._place :]

    def _until(self, end):
        rows = self.row((end,))
        if self._next() == end:
            self._take()
        return rows

    def _name(self, token):
        if token in _BIG and self._next() == "over":
            return self._over(token)
        if token == "sqrt" and self._next() == "(":
            self._take()
            return f"<msqrt><mrow>{''.join(self._until(')'))}</mrow></msqrt>"
        if not _is_variable(token) and token not in _FUNCTIONS and self._next() != "[":
            return self._words(token)
        stem, *indices = token.split("_")
        if (numbered := re.fullmatch(r"([a-z]+)(\d)", stem)) and numbered[1] in _GREEK:
            stem, indices = numbered[1], [numbered[2], *indices]
        name = f"<mi>{_GREEK.get(stem, stem)}</mi>"
        if indices:
            name = f"<msub>{name}<mi>{' '.join(indices)}</mi></msub>"
        if self._next() == "[":
            self._take()
            name = f"<msub>{name}<mrow>{''.join(self._until(']'))}</mrow></msub>"
        if self._next() == "(" and (token in _FUNCTIONS or token == "count"):
            name = f"<mrow>{name}{self._atom()}</mrow>"
        return name

    def _over(self, token):
        self._take()
        # The words of what is summed over end with the "of" that comes next, which words elsewhere may contain.
        end = self._tokens.index("of", self._place) if "of" in self._tokens[self._place :] else len(self._tokens)
        inner = _Reader(self._tokens[self._place : end])
        indices, self._place = inner.row(()), end
        if self._next() == "of":
            self._take()
        return f"<munder><mo>{_BIG[token]}</mo><mrow>{''.join(indices)}</mrow></munder>"

    def _words(self, token):
        words = [token]
        while (after := self._next()) and after[0].isalpha() and not _is_variable(after) and after not in _BIG:
            words.append(self._take())
        text = " ".join(words).removesuffix("times the").removesuffix("the")
        return f"<mtext>&#160;{html.escape(text)}&#160;</mtext>" if text else "<mo>·</mo>"


def _is_variable(token):
    stem = token.partition("_")[0]
    is_short = re.fullmatch(r"d?[a-zA-Z]\d?", token) is not None
    return is_short or "_" in token or token in _NAMES or stem.rstrip("0123456789") in _GREEK


def _sign(token):
    return f"<mo>{html.escape(_SIGNS.get(token, token))}</mo>"


def _fenced(left, rows, right):
    return f"<mrow><mo>{left}</mo>{''.join(rows)}<mo>{right}</mo></mrow>"


def _bare(element):
    """Return an element without parentheses around it, which a fraction or a power needs not."""
    inside = re.fullmatch(r"<mrow><mo>\(</mo>(.*)<mo>\)</mo></mrow>", element)
    return f"<mrow>{inside[1]}</mrow>" if inside else element
