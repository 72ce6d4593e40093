"""Reshape, which computes nothing: only the shape changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refcnn as rm
from refcnn.conformance.operations import reshape
from refcnn.errors import ArgumentError, ShapeError
from refcnn.shapes import reshaped

from .checks import SIZE, check, check_bits, check_example, check_gradients, check_node_cases, check_onnxruntime


def test_worked_example(backend):
    check_example(
        "reshape",
        ([[[1, 2, 3], [4, 5, 6]]],),
        {"shape": (None, 3, -1)},
        [[[1, 2], [3, 4], [5, 6]]],
        dy=[[[10, 20], [30, 40], [50, 60]]],
        gradients=([[[10, 20, 30], [40, 50, 60]]],),
        backend=backend,
    )


@given(case=reshape.cases(SIZE))
def test_to_the_bit(backend, case):
    check("reshape", case, backend, to_the_bit=True)
    check_bits("reshape", case, lambda x: x.reshape(reshaped(x.shape, case.attributes["shape"])), backend)


@given(case=reshape.cases("tiny", integers=True))
def test_gradients_of_reference(case):
    check_gradients("reshape", case, step=1)


@given(case=reshape.cases(SIZE))
def test_onnxruntime(case):
    check_onnxruntime("reshape", case)


@pytest.mark.parametrize("shape", [(4, 2), (-1, 4), (-1, -1), (2, -1, 0), (2, 3, None), ()])
def test_what_does_not_hold_as_many_is_refused(backend, shape):
    with pytest.raises(ShapeError, match="2, 3"):
        backend.operation("reshape").forward(backend.array(np.zeros((2, 3))), shape=shape)


def test_cases_of_onnx(backend):
    def translate(given, x, shape):
        return (x,), {"shape": tuple(size if size or given.get("allowzero") else None for size in shape.tolist())}

    check_node_cases("reshape", "Reshape", translate, backend)


@given(st.data())
def test_squeeze_and_unsqueeze_are_those_of_numpy(data):
    shape = data.draw(st.lists(st.sampled_from([1, 1, 2, 3]), max_size=5).map(tuple))
    x = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    ones = [axis for axis, size in enumerate(shape) if size == 1]
    taken = data.draw(st.lists(st.sampled_from(ones), unique=True).map(tuple)) if ones else ()
    count = data.draw(st.integers(0, 3)) + x.ndim
    put = data.draw(st.permutations(range(count)))[: count - x.ndim]
    signs = [data.draw(st.booleans()) for _ in put]
    put = tuple(axis - count * sign for axis, sign in zip(put, signs, strict=True))
    with rm.use_backend("reference"):
        for found, expected in (
            (rm.squeeze(rm.Variable(x)), np.squeeze(x)),
            (rm.squeeze(rm.Variable(x), taken), np.squeeze(x, taken)),
            (rm.unsqueeze(rm.Variable(x), put), np.expand_dims(x, put)),
        ):
            np.testing.assert_array_equal(found.as_ndarray(), expected, strict=True)


@pytest.mark.parametrize("axis", [2, -3, (0, 0), 1.0, "a", (None,)])
def test_axes_that_there_are_not_are_refused(axis):
    with rm.use_backend("reference"):
        with pytest.raises(ArgumentError, match="squeeze"):
            rm.squeeze(np.ones((1, 1)), axis)
        with pytest.raises(ArgumentError, match="unsqueeze"):
            rm.unsqueeze(np.ones(()), 1 if axis == 2 else axis)
        with pytest.raises(ArgumentError, match="unsqueeze"):
            rm.unsqueeze(np.ones(2), None)


def test_an_axis_of_another_size_is_not_squeezed():
    with rm.use_backend("reference"), pytest.raises(ShapeError, match="squeeze"):
        rm.squeeze(np.ones((2, 1)), 0)
