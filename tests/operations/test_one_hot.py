"""One-hot rows of indices, which compute nothing."""

import numpy as np
import pytest
from hypothesis import given

import refcnn as rm
from refcnn.conformance.operations import one_hot
from refcnn.errors import ArgumentError
from refcnn.formats import FLOAT32, kept

from .checks import SIZE, check, check_node_cases, check_onnxruntime


def test_worked_example(backend):
    with rm.use_backend(backend):
        y = rm.one_hot([[2, 0], [-1, 3]], 3).as_ndarray()
        assert rm.one_hot([1, 0], 2, axis=0, values=(9, -5)).as_ndarray().tolist() == [[9, -5], [-5, 9]]
        assert rm.one_hot(rm.Variable(1), 3, dtype="bool").as_ndarray().tolist() == [False, True, False]
        large = rm.one_hot([1], 2, values=(-1, 2**60 + 1), dtype="int64").as_ndarray()
    np.testing.assert_array_equal(y, np.float32([[[0, 0, 1], [1, 0, 0]], [[0, 0, 1], [0, 0, 0]]]), strict=True)
    np.testing.assert_array_equal(large, [[-1, 2**60 + 1]], strict=True)


@given(case=one_hot.cases(SIZE))
def test_to_the_bit(backend, case):
    check("one_hot", case, backend, to_the_bit=True)


@given(case=one_hot.cases(SIZE))
def test_onnxruntime(case):
    check_onnxruntime("one_hot", case)


def test_cases_of_onnx(backend):
    def translate(given, indices, depth, values):
        indices, depth = indices.astype(np.int64), int(np.asarray(depth).item())
        off, on = (float(value) if values.dtype.kind not in "ib" else value.item() for value in values)
        axis = given.get("axis", -1) % (indices.ndim + 1)
        return (indices,), {
            "depth": depth,
            "axis": axis,
            "off": off,
            "on": on,
            "dtype": kept(values.dtype, FLOAT32.dtype).name,
        }

    check_node_cases("one_hot", "OneHot", translate, backend)


@pytest.mark.parametrize(
    "arguments",
    [
        {"indices": [0.0]},
        {"indices": [True]},
        {"depth": 0},
        {"depth": 2.0},
        {"axis": 2},
        {"values": 1},
        {"values": (0, 1, 2)},
        {"values": (0, 0.5), "dtype": "int32"},
        {"values": (0, 2), "dtype": "bool"},
        {"values": ("0", "1")},
        {"dtype": "complex64"},
    ],
)
def test_what_does_not_fit_is_refused(arguments):
    with rm.use_backend("reference"), pytest.raises(ArgumentError):
        rm.one_hot(**{"indices": [0, 1], "depth": 3, **arguments})
