"""Reshape, which computes nothing: only the shape changes."""

import numpy as np
import pytest
from hypothesis import given

from refcnn.conformance.operations import reshape
from refcnn.errors import ShapeError
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
