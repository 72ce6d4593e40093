"""Local response normalisation."""

import re

import numpy as np
import onnx
import pytest
from hypothesis import given

import refcnn as rm
from refcnn.conformance.operations import local_response_normalization
from refcnn.conformance.theory.strategies import Case
from refcnn.errors import ArgumentError, ShapeError
from refcnn.onnx.writing.graph import build_alone

from .checks import SIZE, check, check_example, check_gradients, check_node_cases, check_onnxruntime

STEM = "local_response_normalization"


def test_worked_example(backend):
    # s = 1 + the sum of x^2 over a channel and its two neighbours = (6, 10, 9), of the second pixel (1, 10, 10).
    # dy y / s is 1 at the second channel of the first pixel alone, and -2 x of that goes to all that are a part of it.
    check_example(
        STEM,
        ([[[1, 0], [2, 0], [2, 3]]],),
        {"size": 3, "alpha": 3.0, "beta": 1.0, "bias": 1.0},
        [[[1 / 6, 0], [0.2, 0], [2 / 9, 0.3]]],
        dy=[[[0, 0], [50, 0], [0, 0]]],
        gradients=([[[-2, 0], [1, 0], [-4, 0]]],),
        backend=backend,
    )


def test_of_an_even_size_there_is_one_more_behind(backend):
    # s = 1 + x^2 + that of the next channel; backward it is the former channel that a channel is a part of.
    check_example(
        STEM,
        ([[1, 2, 3]],),
        {"size": 2, "alpha": 2.0, "beta": 1.0, "bias": 1.0},
        [[1 / 6, 2 / 14, 0.3]],
        dy=[[36, 0, 0]],
        gradients=([[4, -4, 0]],),
        backend=backend,
    )


@given(case=local_response_normalization.cases(SIZE))
def test_within_bound(backend, case):
    check(STEM, case, backend)


@given(case=local_response_normalization.cases("tiny", integers=True))
def test_gradients_of_reference(case):
    case = Case((case.inputs[0] / np.float32(8),), case.attributes, case.dy)
    check_gradients(STEM, case, step=2.0**-12, tolerance=1e-5)


@given(case=local_response_normalization.cases(SIZE))
def test_onnxruntime(case):
    check_onnxruntime(STEM, case)


def test_cases_of_onnx(backend):
    def translate(given, x):
        defaults = {"alpha": 1e-4, "beta": 0.75, "bias": 1.0}
        return (x,), {name: given.get(name, value) for name, value in defaults.items()} | {"size": given["size"]}

    check_node_cases(STEM, "LRN", translate, backend, tolerance=1e-6)


@pytest.mark.parametrize(
    ("shape", "size", "is_operator"), [((2, 3, 4, 5), 5, True), ((2, 3, 4, 5), 4, False), ((2, 3), 5, False)]
)
def test_onnx_operator_where_onnxruntime_has_it(shape, size, is_operator):
    attributes = {"size": size, "alpha": 1e-4, "beta": 0.75, "bias": 1.0}
    model, _ = build_alone(STEM, [np.ones(shape, np.float32)], attributes)
    (*_, last) = model.graph.node
    assert (last.op_type == "LRN") == is_operator
    if is_operator:
        found = {entry.name: onnx.helper.get_attribute_value(entry) for entry in last.attribute}
        assert found == pytest.approx(attributes)


def test_the_layer_is_the_function():
    x = np.random.default_rng(0).normal(size=(2, 7, 3, 3))
    with rm.use_backend("reference:float64"):
        y = rm.LocalResponseNormalization(3, alpha=0.5, beta=0.5, bias=2)(x).as_ndarray()
        expected = rm.local_response_normalization(x, size=3, alpha=0.5, beta=0.5, bias=2).as_ndarray()
        default = rm.LocalResponseNormalization()(x).as_ndarray()
    np.testing.assert_array_equal(y, expected)
    near = x[:, 1:6]
    np.testing.assert_allclose(
        default[:, 3], x[:, 3] / (1 + 1e-4 / 5 * np.square(near).sum(axis=1)) ** 0.75, rtol=1e-12
    )


@pytest.mark.parametrize("arguments", [{"size": 0}, {"size": 1.5}, {"alpha": np.nan}, {"beta": "1"}, {"bias": np.inf}])
def test_numbers_out_of_range_are_refused(arguments):
    ((name, value),) = arguments.items()
    with pytest.raises(ArgumentError, match=re.escape(f"LocalResponseNormalization: {name} is {value!r}")):
        rm.LocalResponseNormalization(**arguments)


@pytest.mark.parametrize("shape", [(3,), (0, 3), (2, 0, 3)])
def test_what_has_no_channels_is_refused(shape):
    with rm.use_backend("reference"), pytest.raises(ShapeError, match=r"\(N, C, ...\)"):
        rm.LocalResponseNormalization()(np.ones(shape))
