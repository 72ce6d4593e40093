"""Formulas in a line of text say what they compute."""

import pytest

from refcnn.explain import Formula, Number
from refcnn.explain.wording import in_words, short


def read(name, value=1.0):
    return Number(value, name, (0, 2))


def told(formula):
    return in_words(formula, lambda number: short(number.value) if number.array is None else number.array)


A, B, C = (read(name) for name in "abc")


@pytest.mark.parametrize(
    "formula, expected",
    [
        (A, "a"),
        (Number(-4.93e-5), "-4.93e-5"),
        (Formula("product", 1, (A, Formula("subtract", 1, (Number(1.0), B)))), "a × (1 - b)"),
        (Formula("subtract", 1, (A, Formula("subtract", 1, (B, C)))), "a - (b - c)"),
        (Formula("subtract", 1, (Formula("subtract", 1, (A, B)), C)), "a - b - c"),
        (Formula("sum", 1, (Formula("product", 1, (A, B)), C)), "a × b + c"),
        (Formula("divide", 1, (Formula("product", 1, (A, B)), Formula("product", 1, (A, C)))), "(a × b) / (a × c)"),
        (Formula("product", 1, (Formula("sum", 1, (A, B)), Formula("exp", 1, (C,)))), "(a + b) × exp(c)"),
        (Formula("negative", -2, (Formula("sum", 2, (A, B)),)), "-(a + b)"),
        (Formula("sum", 7, (A,) * 7), "a + a + a + a + a + a + …"),
        (Formula("maximum", 7, (A,) * 7), "maximum(a, a, a, a, a, a, …)"),
        (Formula("chosen", 1, (A, Formula("greater", 1, (B, Number(0.0))))), "a, since b > 0"),
        (Formula("chosen", 0, (Number(0.0), Formula("greater", 0, (B, Number(0.0))))), "0, since not b > 0"),
        (Formula("chosen", 1, (A, Formula("equal", 1, (B, Number(3.0))))), "a, since b is 3"),
        (Formula("chosen", 0, (Number(0.0), Formula("equal", 0, (B, Number(3.0))))), "0, since b is not 3"),
        (Formula("product", 1, (C, Formula("chosen", 1, (A, B)))), "c × (a, since b)"),
    ],
)
def test_words(formula, expected):
    assert told(formula) == expected.replace(" - ", " − ").replace("-(", "−(")
