"""Formulas of sizes: what they come to is what Python makes of them, and nothing else is ever run."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcnn.conformance.subjects.formulas import Formula
from refcnn.errors import ArgumentError

VALUES = {
    "x": np.zeros((2, 3, 4, 5), np.float32),
    "b": None,
    "stride": (2, 3),
    "groups": 4,
    "mode": "same",
    "alpha": 0.5,
}


def value(text):
    return Formula(text, VALUES.__contains__, VALUES)(VALUES)


numbers = st.recursive(
    st.sampled_from(["x.shape[1]", "x.size", "x.ndim", "stride[0]", "groups", "7", "len(x.shape)", "sum(stride)"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "//", "%"]), inner).map(lambda one: f"({' '.join(one)})"),
        inner.map(lambda one: f"-{one}"),
        st.tuples(inner, inner).map(lambda one: f"max({one[0]}, {one[1]})"),
        st.tuples(inner, inner, inner).map(lambda one: f"({one[0]} if {one[1]} < {one[2]} else {one[2]})"),
    ),
    max_leaves=8,
)


@given(numbers)
def test_a_formula_comes_to_what_python_makes_of_it(text):
    try:
        expected = eval(text, {"__builtins__": {"max": max, "len": len, "sum": sum}}, VALUES)
    except ZeroDivisionError:
        with pytest.raises(ArgumentError, match="by zero"):
            value(text)
        return
    if abs(expected) < 2**63:
        assert value(text) == expected


@pytest.mark.parametrize(
    "text, expected",
    [
        ("ceil_div(7, 4)", 2),
        ("round_up(x.shape[3], 8)", 8),
        ("round_up(16, 8)", 16),
        ("product(x.shape[2:])", 20),
        ("product(x.shape[:2])", 6),
        ("max(stride)", 3),
        ("stride == (2, 3) and b is None", True),
        ("b is not None or x.ndim != 4", False),
        ("1 < groups <= 4", True),
        ("mode == 'same'", True),
        ("not groups == 1", True),
        ("alpha * 2", 1.0),
        ("b is not None and b.shape[0] == 3", False),
        (8, 8),
        (0.25, 0.25),
    ],
)
def test_what_formulas_may_have(text, expected):
    assert value(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "x.__class__",
        "x.tobytes()",
        "[i for i in x.shape]",
        "lambda: 0",
        "groups ** groups",
        "f'{groups}'",
        "max(key=groups)",
        "(y := 3)",
        "groups << 70",
        "open('/etc/passwd')",
        "max",
        "unknown",
        "x.shape[",
        "",
        "1;2",
        "a" * 2000,
        "(" * 900,
    ],
)
def test_what_is_no_formula_is_refused_when_it_is_read(text):
    with pytest.raises(ValueError, match="formula"):
        value(text)


@pytest.mark.parametrize(
    "text",
    [
        "stride * 1000000000",
        "mode * 1000000000",
        "stride + stride",
        "9223372036854775807 * 9223372036854775807",
        "x == x",
        "x + 1",
        "x.shape[4]",
        "b.shape[0]",
        "groups.size",
        "groups[0]",
        "groups // (groups - 4)",
        "round_up(3, 0)",
        "round_up(3)",
        "len(3)",
        "max()",
        "x if x else x",
        "-" * 900 + "1",
    ],
)
def test_what_comes_to_nothing_is_one_error(text):
    with pytest.raises(ArgumentError, match="cannot be computed"):
        value(text)
