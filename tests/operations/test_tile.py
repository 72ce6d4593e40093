"""Arrays repeated beside themselves: numbers are moved; the gradient is the sum over all copies."""

import numpy as np
import pytest
from hypothesis import given

import refcnn as rm
from refcnn.conformance.operations import tile
from refcnn.errors import ArgumentError

from .checks import SIZE, check, check_example, check_gradients, check_node_cases, check_onnxruntime


def test_worked_example(backend):
    check_example(
        "tile",
        ([[1, 2], [3, 4]],),
        {"repeats": (1, 2)},
        [[1, 2, 1, 2], [3, 4, 3, 4]],
        dy=[[1, 2, 30, 40], [5, 6, 70, 80]],
        gradients=([[31, 42], [75, 86]],),
        backend=backend,
    )


@given(case=tile.cases(SIZE))
def test_within_bound(backend, case):
    check("tile", case, backend)


@given(case=tile.cases(SIZE, integers=True))
def test_integers_exact(backend, case):
    check("tile", case, backend, to_the_bit=True)


@given(case=tile.cases("tiny", integers=True))
def test_gradients_of_reference(case):
    check_gradients("tile", case, step=1)


@given(case=tile.cases(SIZE))
def test_onnxruntime(case):
    check_onnxruntime("tile", case)


def test_cases_of_onnx(backend):
    check_node_cases("tile", "Tile", lambda given, x, repeats: ((x,), {"repeats": tuple(repeats.tolist())}), backend)


@pytest.mark.parametrize("repeats", [2, (2,), (2, 3), (4, 1, 2), (), (0, 2), [1, 1]])
def test_as_in_numpy(backend, repeats):
    x = np.arange(6, dtype=np.int64).reshape(2, 3)
    with rm.use_backend(backend):
        y = rm.tile(rm.Variable(x), repeats)
    np.testing.assert_array_equal(y.as_ndarray(), np.tile(x, repeats), strict=True)


@pytest.mark.parametrize("repeats", [-1, (2, -1), 1.5, "ab", None, True])
def test_what_is_no_number_of_times_is_refused(repeats):
    with rm.use_backend("reference"), pytest.raises(ArgumentError, match="tile"):
        rm.tile(np.ones((2, 3)), repeats)
