"""Formulas of docstrings as MathML."""

import re

import pytest

from refcnn import rooms
from refcnn.explain.facts import described
from refcnn.explain.notation import mathml, read


def inside(formula):
    """Return what stands in the row of a formula."""
    return re.fullmatch(r"<math [^>]*><mrow>(.*)</mrow></math>", mathml(formula))[1]


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("y = |x|", "<mi>y</mi><mo>=</mo><mrow><mo>|</mo><mi>x</mi><mo>|</mo></mrow>"),
        ("y = e^x", "<mi>y</mi><mo>=</mo><msup><mi>e</mi><mi>x</mi></msup>"),
        (
            "y = 1 / (1 + e^-x)",
            "<mi>y</mi><mo>=</mo><mfrac><mn>1</mn><mrow><mn>1</mn><mo>+</mo>"
            "<msup><mi>e</mi><mrow><mo>−</mo><mi>x</mi></mrow></msup></mrow></mfrac>",
        ),
        (
            "y[n, o] = b[o] + sum over i of x[n, i] w[i, o]",
            "<msub><mi>y</mi><mrow><mi>n</mi><mo>,</mo><mi>o</mi></mrow></msub><mo>=</mo>"
            "<msub><mi>b</mi><mrow><mi>o</mi></mrow></msub><mo>+</mo><munder><mo>∑</mo><mrow><mi>i</mi></mrow></munder>"
            "<msub><mi>x</mi><mrow><mi>n</mi><mo>,</mo><mi>i</mi></mrow></msub>"
            '<mspace width="0.17em"/><msub><mi>w</mi><mrow><mi>i</mi><mo>,</mo><mi>o</mi></mrow></msub>',
        ),
        ("d = sqrt(s)", "<mi>d</mi><mo>=</mo><msqrt><mrow><mi>s</mi></mrow></msqrt>"),
        ("y = x above 0", "<mi>y</mi><mo>=</mo><mi>x</mi><mtext>&#160;above&#160;</mtext><mn>0</mn>"),
        ("r_new = rho r", '<msub><mi>r</mi><mi>new</mi></msub><mo>=</mo><mi>ρ</mi><mspace width="0.17em"/><mi>r</mi>'),
    ],
)
def test_formula(formula, expected):
    assert inside(formula) == expected


def test_what_is_below_a_fraction_reaches_to_the_end_of_the_sum():
    assert "</munder>" in re.search(r"<mfrac><mi>a</mi>(.*)</mfrac>", mathml("y = a / sum over j of b[j] c, d = 1"))[1]
    assert mathml("y = a / sum over j of b[j] c, d = 1").count("<mfrac>") == 1


def test_a_formula_stays_a_text():
    assert mathml('y = "<script>" x').count("<script>") == 0


def test_a_docstring_is_read():
    text = "A sum. Of two.\n\n    y[i] = a[i] +\n           b[i]\n\nIt is said\nhow."
    summary, (formula,), notes = read(text)
    assert (summary, notes) == ("A sum. Of two.", ["It is said how."])
    assert 'aria-label="y[i] = a[i] + b[i]"' in formula


#: Of these the reference has words alone.
IN_WORDS = {
    *("equal", "greater", "greater_or_equal", "less", "less_or_equal", "not_equal"),
    *("logical_and", "logical_not", "logical_or", "logical_xor"),
    *("flatten", "pad", "reshape", "size"),
}


@pytest.mark.parametrize("operation", rooms.operations())
def test_every_operation_is_described(operation):
    summary, formulas, notes = described(operation)
    assert summary
    assert bool(formulas) == (operation not in IN_WORDS)
    for formula in formulas:
        assert formula.count("<mrow>") == formula.count("</mrow>")
        assert "^" not in re.sub('aria-label="[^"]*"', "", formula)
