"""Comparisons and logic: truth values."""

import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refcnn as rm
from refcnn.conformance.operations.logic import OPERATIONS
from refcnn.conformance.theory.bounds import subnormals
from refcnn.errors import ArgumentError, ShapeError
from refcnn.mode import recording

from .checks import SIZE, check_onnxruntime

COMPARISONS = {
    "equal": operator.eq,
    "greater": operator.gt,
    "greater_or_equal": operator.ge,
    "less": operator.lt,
    "less_or_equal": operator.le,
    "not_equal": operator.ne,
}
LOGIC = {"logical_and": operator.and_, "logical_or": operator.or_, "logical_xor": operator.xor}

#: Numbers of which each pair is compared, by their dtype; float64 has no digits for all of the integers.
NUMBERS = {
    "float32": [0.0, -0.0, 1.5, -2.0, np.nan, np.inf, -np.inf, 3e38],
    "int64": [0, 1, -1, 2**53, 2**53 + 1, 2**63 - 1, -(2**63)],
    "int32": [0, 1, -1, 2**24, 2**24 + 1, 2**31 - 1, -(2**31)],
    "bool": [True, False],
}


@pytest.mark.parametrize(
    ("operation", "dtype"),
    [
        (operation, dtype)
        for operation in COMPARISONS
        for dtype in NUMBERS
        # Truth values have no order.
        if dtype != "bool" or operation in ("equal", "not_equal")
    ],
)
def test_each_pair_is_compared_as_python_does(page_backend, operation, dtype):
    numbers = np.array(NUMBERS[dtype], dtype)
    with rm.use_backend(page_backend):
        y = getattr(rm, operation)(rm.Variable(numbers[:, None]), rm.Variable(numbers))
    assert y.dtype == bool and not y.requires_grad
    expected = [[COMPARISONS[operation](a, b) for b in NUMBERS[dtype]] for a in NUMBERS[dtype]]
    np.testing.assert_array_equal(y.as_ndarray(), expected)


@pytest.mark.parametrize("operation", LOGIC)
def test_logic_is_that_of_a_table_of_truth(page_backend, operation):
    with rm.use_backend(page_backend):
        y = getattr(rm, operation)([[True], [False]], [True, False])
        assert y.dtype == bool
        np.testing.assert_array_equal(rm.logical_not(y).as_ndarray(), ~y.as_ndarray())
    expected = [[LOGIC[operation](a, b) for b in (True, False)] for a in (True, False)]
    np.testing.assert_array_equal(y.as_ndarray(), expected)


@pytest.mark.parametrize("operation", OPERATIONS)
@given(data=st.data())
def test_onnxruntime(operation, data):
    check_onnxruntime(operation, data.draw(OPERATIONS[operation].cases(SIZE)))


def test_a_comparison_of_an_array_is_of_floats_and_beside_integers_of_those(page_backend):
    with rm.use_backend(page_backend):
        assert rm.less([1, 3], 2.5).as_ndarray().tolist() == [True, False]
        assert rm.equal(rm.Variable([2**53 + 1]), 2**53).as_ndarray().tolist() == [False]


def test_numbers_that_may_be_flushed_may_compare_as_zero_does():
    """Where a device flushes them; others must tell 0 and the smallest number apart, and all what is larger."""
    a, b = np.float32([1e-40, 1e-40, 0, 1, np.nan]), np.float32([0, 2e-40, 0, 2, 1])
    for are_kept, is_open in ((False, [1, 1, 0, 0, 0]), (True, [0] * 5)):
        with subnormals(are_kept):
            for operation in COMPARISONS:
                np.testing.assert_array_equal(OPERATIONS[operation].forward_bound((a, b), {}), is_open)


def test_nothing_is_recorded_for_a_gradient(page_backend):
    with rm.use_backend(page_backend):
        x = rm.Variable([1.0, -2.0], requires_grad=True)
        with recording():
            loss = rm.where(rm.greater(x, 0), 3.0 * x, x).sum()
        np.testing.assert_array_equal(loss.grad().get(x).as_ndarray(), [3, 1])


def test_what_is_no_truth_value_is_refused():
    with rm.use_backend("reference"):
        for call in (
            lambda: rm.logical_and([1, 0], [True, False]),
            lambda: rm.logical_not([1.0]),
            lambda: rm.logical_or(rm.Variable([1]), [True]),
            lambda: rm.greater(rm.Variable([True]), [False]),
        ):
            with pytest.raises(ArgumentError, match="bool"):
                call()
        with pytest.raises(ShapeError, match=r"less: .*\(2,\) and \(3,\)"):
            rm.less(np.ones(2), np.ones(3))
