"""Dropout of whole channels."""

import numpy as np
import pytest
from hypothesis import given

import refcnn as rm
from refcnn.conformance.operations import spatial_dropout
from refcnn.errors import ArgumentError, ShapeError
from refcnn.mode import training

from .checks import SIZE, check, check_example, check_gradients

STEM = "spatial_dropout"


def test_worked_example(backend):
    """Random123's known answer for counter 0 and key 0: 6627e8d5 e169c58d bc57ac4c 9b00dbd8."""
    # A half is dropped: words of at least 80000000 are kept. Three quarters: of at least c0000000.
    x, dy = [[[1, 2], [3, 4]], [[5, 6], [7, 8]]], [[[1, 1], [1, 1]], [[1, 1], [1, 5]]]
    attributes = {"ratio": 0.5, "seed": 0, "stream": 0}
    y, dx = [[[0, 0], [6, 8]], [[10, 12], [14, 16]]], [[[0, 0], [2, 2]], [[2, 2], [2, 10]]]
    check_example(STEM, (x,), attributes, y, dy=dy, gradients=(dx,), backend=backend)
    y = [[[0, 0], [12, 16]], [[0, 0], [0, 0]]]
    check_example(STEM, (x,), attributes | {"ratio": 0.75}, y, backend=backend)


def test_channels_are_kept_as_values_are_by_dropout(backend):
    """The words of the stream are taken one for each channel, so that ``dropout`` of one pixel keeps the same."""
    attributes = {"ratio": 0.4, "seed": 2**33 + 5, "stream": 2**40 + 1}
    x = np.ones((5, 9), np.float32)
    of_values, _ = backend.operation("dropout").forward(backend.array(x), **attributes)
    images = backend.array(np.broadcast_to(x[:, :, None, None], (5, 9, 3, 7)).copy())
    y, _ = backend.operation(STEM).forward(images, **attributes)
    expected = backend.to_host(of_values)[:, :, None, None]
    assert 0 < np.count_nonzero(expected) < expected.size
    np.testing.assert_array_equal(backend.to_host(y), np.broadcast_to(expected, (5, 9, 3, 7)))


@given(case=spatial_dropout.cases(SIZE))
def test_within_bound(backend, case):
    check(STEM, case, backend)


@given(case=spatial_dropout.cases(SIZE, integers=True))
def test_integers_exact(backend, case):
    check(STEM, case, backend, to_the_bit=True)


@given(case=spatial_dropout.cases("tiny", integers=True))
def test_gradients_of_reference(case):
    check_gradients(STEM, case, step=1)


def test_the_layer_drops_in_training_alone():
    x, layer = np.ones((40, 50, 2, 2)), rm.SpatialDropout(0.25)
    with rm.use_backend("reference"):
        np.testing.assert_array_equal(layer(x).as_ndarray(), x)
        rm.set_seed(0)
        with training():
            first, second = layer(x).as_ndarray(), layer(x).as_ndarray()
    assert (first == first[:, :, :1, :1]).all() and (first != second).any()
    # Of 2,000 channels the share that is dropped has a standard deviation of 0.0097.
    assert abs((first == 0).mean() - 0.25) < 5 * 0.0097
    np.testing.assert_allclose(first[first != 0], 4 / 3, rtol=1e-6)


@pytest.mark.parametrize("ratio", [-0.1, 1, "0.5"])
def test_a_ratio_out_of_range_is_refused(ratio):
    with pytest.raises(ArgumentError, match="SpatialDropout: dropout_ratio"):
        rm.SpatialDropout(ratio)


def test_what_has_no_channels_is_refused():
    with rm.use_backend("reference"), pytest.raises(ShapeError, match="SpatialDropout"):
        rm.SpatialDropout()(np.ones(3))
