"""Formulas in a line of text, by the names of what they read or by the numbers."""

import dataclasses
import re

from .walking import Formula

#: What stands between the parts of a function, and how strongly it binds them.
_BETWEEN = {
    "bitwise_or": (" or ", 1),
    "logical_or": (" or ", 1),
    "bitwise_and": (" and ", 2),
    "logical_and": (" and ", 2),
    **{
        name: (f" {sign} ", 3)
        for name, sign in (
            *(("greater", ">"), ("greater_equal", "≥"), ("less", "<"), ("less_equal", "≤")),
            *(("equal", "is"), ("not_equal", "is not")),
        )
    },
    "sum": (" + ", 4),
    "subtract": (" − ", 5),
    "product": (" × ", 6),
    "divide": (" / ", 7),
    "power": ("^", 8),
}
_STRONGEST = 9
#: So many parts of a function are told at most.
_MOST = 6


def in_words(formula, called):
    """Return a formula as a line of text.

    Parameters
    ----------
    formula : Number or Formula
    called : callable
        ``called(number)`` returns what is written for a :class:`~refcnn.explain.Number`.
    """
    return _told(formula, called)[0]


def _told(part, called):
    """Return the text of a part, and how strongly it is bound together."""
    if not isinstance(part, Formula):
        return called(part), _STRONGEST
    if part.name == "chosen":
        chosen, condition = part.parts
        return f"{_told(chosen, called)[0]}, since {_reason(condition, called)}", 0
    if part.name in _BETWEEN:
        sign, strength = _BETWEEN[part.name]
        parts = [_bound(one, called, strength + (number > 0)) for number, one in enumerate(part.parts[:_MOST])]
        return sign.join([*parts, *(["…"] if len(part.parts) > _MOST else [])]), strength
    if part.name == "negative":
        return f"−{_bound(part.parts[0], called, 6)}", 5
    inner = ", ".join(_told(one, called)[0] for one in part.parts[:_MOST])
    return f"{part.name}({inner}{', …' if len(part.parts) > _MOST else ''})", _STRONGEST


def _reason(condition, called):
    """Return why something was chosen: that a condition holds, or that it does not."""
    if condition.value:
        return _bound(condition, called, 1)
    if isinstance(condition, Formula) and condition.name == "equal":
        return _told(dataclasses.replace(condition, name="not_equal"), called)[0]
    return f"not {_bound(condition, called, 3)}"


def _bound(part, called, strength):
    text, own = _told(part, called)
    return text if own >= strength else f"({text})"


def short(value):
    """Return a number with three digits, as texts have it."""
    return re.sub("e([+-])0+", r"e\1", f"{value:.3g}")
