"""Blocks of pixels become blocks of channels: numbers are moved, and nothing is computed."""

import numpy as np
import pytest
from hypothesis import given

import refcnn as rm
from refcnn.conformance.operations import space_to_depth
from refcnn.errors import ArgumentError, ShapeError

from .checks import SIZE, check, check_example, check_gradients, check_node_cases, check_onnxruntime

CHANNELS = [[[[1]], [[2]], [[3]], [[4]], [[5]], [[6]], [[7]], [[8]]]]
PIXELS = {"DCR": [[[[1, 3], [5, 7]], [[2, 4], [6, 8]]]], "CRD": [[[[1, 2], [3, 4]], [[5, 6], [7, 8]]]]}


@pytest.mark.parametrize("mode", PIXELS)
def test_worked_example(backend, mode):
    x, y, attributes = PIXELS[mode], CHANNELS, {"block": 2, "mode": mode}
    check_example("space_to_depth", (x,), attributes, y, dy=y, gradients=(x,), backend=backend)


@given(case=space_to_depth.cases(SIZE))
def test_to_the_bit(backend, case):
    check("space_to_depth", case, backend, to_the_bit=True)


@given(case=space_to_depth.cases("tiny", integers=True))
def test_gradients_of_reference(case):
    check_gradients("space_to_depth", case, step=1)


@given(case=space_to_depth.cases(SIZE))
def test_onnxruntime(case):
    check_onnxruntime("space_to_depth", case)


def test_cases_of_onnx(backend):
    def translate(given, x):
        return (x,), {"block": given["blocksize"], "mode": given.get("mode", b"DCR").decode()}

    check_node_cases("space_to_depth", "SpaceToDepth", translate, backend)


@given(case=space_to_depth.cases("tiny"))
def test_the_way_back_of_depth_to_space(case):
    with rm.use_backend("reference"):
        back = rm.depth_to_space(rm.space_to_depth(rm.Variable(case.inputs[0]), **case.attributes), **case.attributes)
    np.testing.assert_array_equal(back.as_ndarray(), case.inputs[0])


@pytest.mark.parametrize(
    ("shape", "block", "error"),
    [
        ((1, 1, 3, 4), 2, ShapeError),
        ((1, 1, 4, 3), 2, ShapeError),
        ((1, 4, 4), 2, ShapeError),
        ((1, 1, 4, 4), -2, ArgumentError),
    ],
)
def test_what_does_not_fit_is_refused(shape, block, error):
    with rm.use_backend("reference"), pytest.raises(error, match="space_to_depth"):
        rm.space_to_depth(np.ones(shape), block)
