"""The logarithm of softmax; what holds of both is tested in test_softmax.py."""

import math

import numpy as np

import refcnn as rm

from .checks import check_example


def test_logarithm(backend):
    x = [[0, math.log(2), math.log(5)], [1000, 1000, 900]]
    y = [[-math.log(8), -math.log(4), math.log(5 / 8)], [-math.log(2), -math.log(2), -100 - math.log(2)]]
    # dx = dy - e^y sum of dy.
    dx = [[7, -2, -5], [1, -1, 0]]
    check_example("log_softmax", (x,), {"axis": 1}, y, dy=[[8, 0, 0], [2, 0, 0]], gradients=(dx,), backend=backend)


def test_the_error_of_long_rows_grows_slowly(opencl_backend):
    """The sum of 2^20 terms is blocked: one after the other they would be off by 9e-3."""
    row = np.full((1, 2**20), 0.0, np.float32)
    row[0, 0] = -math.log(0.1)
    y, _ = opencl_backend.operation("log_softmax").forward(opencl_backend.array(row), axis=1)
    expected = row[0, :2].astype(np.float64) - row[0, 0] - np.log1p((2**20 - 1) * np.exp(-np.float64(row[0, 0])))
    np.testing.assert_allclose(opencl_backend.to_host(y)[0, :2], expected, rtol=1e-5)


def test_the_layer_is_right_where_softmax_is_zero():
    x = np.array([[0, -1000, 5], [1e30, 0, -1e30]], np.float32)
    with rm.use_backend("reference"):
        y = rm.LogSoftmax()(x).as_ndarray()
    assert (np.exp(y) == 0).any()
    np.testing.assert_allclose(y, [[-5.0067153, -1005.0067, -0.0067153485], [0, -1e30, -2e30]], rtol=1e-6)
