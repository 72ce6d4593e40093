"""Blocks of channels become blocks of pixels: numbers are moved, and nothing is computed."""

import numpy as np
import pytest
from hypothesis import given

import refcnn as rm
from refcnn.conformance.operations import depth_to_space
from refcnn.errors import ArgumentError, ShapeError

from .checks import SIZE, check, check_example, check_gradients, check_node_cases, check_onnxruntime

X = [[[[1]], [[2]], [[3]], [[4]], [[5]], [[6]], [[7]], [[8]]]]
PIXELS = {"DCR": [[[[1, 3], [5, 7]], [[2, 4], [6, 8]]]], "CRD": [[[[1, 2], [3, 4]], [[5, 6], [7, 8]]]]}


@pytest.mark.parametrize("mode", PIXELS)
def test_worked_example(backend, mode):
    attributes = {"block": 2, "mode": mode}
    check_example("depth_to_space", (X,), attributes, PIXELS[mode], dy=PIXELS[mode], gradients=(X,), backend=backend)


@given(case=depth_to_space.cases(SIZE))
def test_to_the_bit(backend, case):
    check("depth_to_space", case, backend, to_the_bit=True)


@given(case=depth_to_space.cases("tiny", integers=True))
def test_gradients_of_reference(case):
    check_gradients("depth_to_space", case, step=1)


@given(case=depth_to_space.cases(SIZE))
def test_onnxruntime(case):
    check_onnxruntime("depth_to_space", case)


def test_cases_of_onnx(backend):
    def translate(given, x):
        return (x,), {"block": given["blocksize"], "mode": given.get("mode", b"DCR").decode()}

    check_node_cases("depth_to_space", "DepthToSpace", translate, backend)


@pytest.mark.parametrize(
    ("shape", "arguments", "error"),
    [
        ((1, 6, 2, 2), {"block": 2}, ShapeError),
        ((1, 8, 2), {"block": 2}, ShapeError),
        ((1, 8, 2, 2), {"block": 0}, ArgumentError),
        ((1, 8, 2, 2), {"block": 2.0}, ArgumentError),
        ((1, 8, 2, 2), {"block": 2, "mode": "RCD"}, ArgumentError),
        ((1, 8, 2, 2), {"block": 2, "mode": None}, ArgumentError),
    ],
)
def test_what_does_not_fit_is_refused(shape, arguments, error):
    with rm.use_backend("reference"), pytest.raises(error, match="depth_to_space"):
        rm.depth_to_space(np.ones(shape), **arguments)
