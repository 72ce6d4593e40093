"""Arrays with more elements around them, or fewer: numbers are moved; gradients are sums over all copies."""

import numpy as np
import pytest
from hypothesis import given

import refcnn as rm
from refcnn.conformance.operations import pad
from refcnn.errors import ArgumentError, ExportError, ShapeError
from refcnn.onnx import export

from .checks import SIZE, check, check_example, check_gradients, check_node_cases, check_onnxruntime

# One before and two behind [1, 2, 3], and what comes back of 1, 2, 4, 8, 16, 32.
EXAMPLES = {
    "constant": ([9, 1, 2, 3, 9, 9], [2, 4, 8]),
    "edge": ([1, 1, 2, 3, 3, 3], [3, 4, 56]),
    "reflect": ([2, 1, 2, 3, 2, 1], [34, 21, 8]),
    "wrap": ([3, 1, 2, 3, 1, 2], [18, 36, 9]),
}


@pytest.mark.parametrize("mode", EXAMPLES)
def test_worked_example(backend, mode):
    y, dx = EXAMPLES[mode]
    attributes = {"pads": (0, 1, 0, 2), "mode": mode, "constant_value": 9.0}
    dy = [1, 2, 4, 8, 16, 32]
    check_example("pad", ([[1, 2, 3]],), attributes, [y], dy=[dy], gradients=([dx],), backend=backend)


@given(case=pad.cases(SIZE))
def test_within_bound(backend, case):
    check("pad", case, backend)


@given(case=pad.cases(SIZE, integers=True))
def test_integers_exact(backend, case):
    check("pad", case, backend, to_the_bit=True)


@given(case=pad.cases("tiny", integers=True))
def test_gradients_of_reference(case):
    check_gradients("pad", case, step=1)


@given(case=pad.cases(SIZE))
def test_onnxruntime(case):
    check_onnxruntime("pad", case)


def test_cases_of_onnx(backend):
    def translate(given, x, pads, value=0.0, axes=None):
        ends = np.zeros((2, x.ndim), int)
        ends[:, range(x.ndim) if axes is None else axes] = pads.reshape(2, -1)
        attributes = {"mode": given.get("mode", b"constant").decode(), "constant_value": np.asarray(value).item()}
        return (x,), {"pads": tuple(ends.ravel().tolist()), **attributes}

    check_node_cases("pad", "Pad", translate, backend)


@pytest.mark.parametrize("mode", EXAMPLES)
@pytest.mark.parametrize(
    ("pads", "axes", "taken", "width"),
    [
        ((1, 2, 2, 1), None, np.s_[:], ((1, 2), (2, 1))),
        ((1, 2), -1, np.s_[:], ((0, 0), (1, 2))),
        ((1, 0, -1, 2), (1, 0), np.s_[:, :-1], ((0, 2), (1, 0))),
        ((-1, -2), [1], np.s_[:, 1:-2], ((0, 0), (0, 0))),
        ((), (), np.s_[:], ((0, 0), (0, 0))),
    ],
)
def test_as_in_numpy_after_what_is_taken_away(backend, mode, pads, axes, taken, width):
    x = np.arange(20).reshape(4, 5)
    with rm.use_backend(backend):
        y = rm.pad(rm.Variable(x), pads, mode=mode, axes=axes)
    np.testing.assert_array_equal(y.as_ndarray(), np.pad(x[taken], width, mode), strict=True)


@pytest.mark.parametrize(
    ("value", "dtype", "kept"), [(2**60 + 1, "int64", 2**60 + 1), (1, "bool", True), (0.1, "float32", np.float32(0.1))]
)
def test_the_constant_is_of_the_dtype_of_x(backend, value, dtype, kept):
    with rm.use_backend(backend):
        y = rm.pad(rm.Variable(np.zeros(1), dtype=dtype), (0, 1), constant_value=value).as_ndarray()
    assert y.dtype == dtype and y[1] == kept


def test_all_of_an_array_may_be_taken_away(backend):
    with rm.use_backend(backend):
        y = rm.pad(np.ones((2, 3)), (-2, 1, 0, 0))
        assert y.shape == (0, 4)
        np.testing.assert_array_equal(rm.pad(y, (1, 0, 1, 0), constant_value=3).as_ndarray(), np.full((2, 4), 3))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"pads": (1, 1, 1)}, ArgumentError),
        ({"pads": ((1, 1), (1, 1))}, ArgumentError),
        ({"pads": 1}, ArgumentError),
        ({"pads": (1.0, 1), "axes": 0}, ArgumentError),
        ({"pads": (1, 1), "axes": 2}, ArgumentError),
        ({"pads": (1, 1, 1, 1), "axes": (0, -2)}, ArgumentError),
        ({"pads": (1, 1), "axes": 0, "mode": "symmetric"}, ArgumentError),
        ({"pads": (1, 1), "axes": 0, "constant_value": "0"}, ArgumentError),
        ({"pads": (-2, -1), "axes": 0}, ShapeError),
        ({"pads": (-2, 1), "axes": 0, "mode": "edge"}, ShapeError),
        ({"pads": (2, 0), "axes": 0, "mode": "reflect"}, ShapeError),
        ({"pads": (-1, 1), "axes": 0, "mode": "reflect"}, ShapeError),
    ],
)
def test_what_does_not_fit_is_refused(arguments, error):
    with rm.use_backend("reference"), pytest.raises(error, match="pad"):
        rm.pad(np.ones((2, 3)), **arguments)


@pytest.mark.parametrize(("dtype", "value"), [("int64", 0.5), ("int32", 2**31), ("bool", 2), ("int64", np.nan)])
def test_a_constant_that_the_dtype_does_not_hold_is_refused(dtype, value):
    with rm.use_backend("reference"), pytest.raises(ArgumentError, match="constant_value"):
        rm.pad(rm.Variable([0, 1], dtype=dtype), (1, 1), constant_value=value)


class Wrapped(rm.Model):
    def forward(self, x):
        return rm.pad(x, (1, 1, 1, 1), mode="wrap", axes=(2, 3))


def test_a_version_that_has_no_such_mode_is_refused_by_name(tmp_path):
    with rm.use_backend("reference"):
        with pytest.raises(ExportError, match="19"):
            export(Wrapped(), tmp_path / "model.onnx", (1, 2, 2), opset=18, backends=["reference"])
        export(Wrapped(), tmp_path / "model.onnx", (1, 2, 2), opset=19, examples=2, backends=["reference"])
