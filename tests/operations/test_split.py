"""An array cut into parts: numbers are moved, and nothing is computed."""

import numpy as np
import pytest
from hypothesis import given

import refcnn as rm
from refcnn.conformance.operations import split
from refcnn.errors import ArgumentError, ShapeError
from refcnn.mode import recording

from .checks import SIZE, check, check_gradients, check_onnxruntime


def test_worked_example(backend):
    with rm.use_backend(backend):
        x = rm.Variable([[1.0, 2, 3, 4], [5, 6, 7, 8]], requires_grad=True)
        with recording():
            first, _, last = rm.split(x, (1, 2, 1), axis=1)
            loss = (first * [[1], [2]] + last * [[3], [4]]).sum()
        assert first.as_ndarray().tolist() == [[1], [5]] and last.as_ndarray().tolist() == [[4], [8]]
        assert loss.grad().get(x).as_ndarray().tolist() == [[1, 0, 0, 3], [2, 0, 0, 4]]


@given(case=split.cases(SIZE))
def test_to_the_bit(backend, case):
    check("split", case, backend, to_the_bit=True)


@given(case=split.cases("tiny", integers=True))
def test_gradients_of_reference(case):
    check_gradients("split", case, step=1)


@given(case=split.cases(SIZE))
def test_onnxruntime(case):
    check_onnxruntime("split", case)


@pytest.mark.parametrize(("parts", "sizes"), [(3, (2, 2, 2)), (1, (6,)), ((1, 5), (1, 5)), ([0, 6], (0, 6))])
def test_a_number_of_parts_or_the_size_of_each(backend, parts, sizes):
    x = np.arange(12).reshape(6, 2)
    with rm.use_backend(backend):
        found = rm.split(rm.Variable(x), parts)
    assert isinstance(found, tuple)
    for part, expected in zip(found, np.split(x, np.cumsum(sizes)[:-1]), strict=True):
        assert part.dtype == np.int64
        np.testing.assert_array_equal(part.as_ndarray(), expected)


@pytest.mark.parametrize(
    ("parts", "axis", "error"),
    [
        (4, 0, ShapeError),
        (0, 0, ArgumentError),
        (True, 0, ArgumentError),
        ((), 0, ArgumentError),
        ((7, -1), 0, ArgumentError),
        ((2.0, 4.0), 0, ArgumentError),
        ((1, 2), 0, ShapeError),
        (2, 2, ArgumentError),
        (2, None, ArgumentError),
    ],
)
def test_what_does_not_fit_is_refused(parts, axis, error):
    with rm.use_backend("reference"), pytest.raises(error, match="split"):
        rm.split(np.ones((6, 2)), parts, axis)
