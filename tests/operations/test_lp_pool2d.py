"""Lp pooling."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refcnn as rm
from refcnn.conformance.operations import lp_pool2d
from refcnn.conformance.subjects.backends import BackendSubject
from refcnn.conformance.theory.strategies import Case
from refcnn.errors import ArgumentError
from refcnn.opencl.variants import OF_POOLING

from .checks import SIZE, check, check_example, check_gradients, check_node_cases, check_onnxruntime
from .pooling import check_axes, check_padding_by_name, check_refusals, window_of_node

WINDOW = {"kernel": (1, 2), "stride": (1, 2), "padding": (0, 0, 0, 0)}


@pytest.mark.parametrize(
    ("p", "y", "dx"),
    [
        (1, [7, 0, 2], [10, -10, 0, 0, -30, 0]),
        # 3, 4 and 5; where the norm is 0 there is no gradient.
        (2, [5, 0, 2], [6, -8, 0, 0, -30, 0]),
        (3, [91 ** (1 / 3), 0, 2], [90 / 91 ** (2 / 3), -160 / 91 ** (2 / 3), 0, 0, -30, 0]),
    ],
)
def test_worked_example(backend, p, y, dx):
    check_example(
        "lp_pool2d",
        ([[[[3, -4, 0, 0, -2, 0]]]],),
        {**WINDOW, "p": p},
        [[[y]]],
        dy=[[[[10, 20, 30]]]],
        gradients=([[[dx]]],),
        backend=backend,
    )


@pytest.mark.parametrize("p", [1, 2, 3])
def test_nan_and_infinity(backend, p):
    x = [[[[np.nan, 1, -np.inf, 2, np.inf, np.nan]]]]
    # The slope at an infinite pixel is the sign where p is 1; else it is infinity in itself.
    at_infinity = -20 if p == 1 else np.nan
    dx = [[[[np.nan, 10 if p == 1 else np.nan, at_infinity, 20 if p == 1 else 0, 30 if p == 1 else np.nan, np.nan]]]]
    with np.errstate(invalid="ignore"):
        check_example(
            "lp_pool2d",
            (x,),
            {**WINDOW, "p": p},
            [[[[np.nan, np.inf, np.nan]]]],
            dy=[[[[10, 20, 30]]]],
            gradients=(dx,),
            backend=backend,
        )


@given(case=lp_pool2d.cases(SIZE))
def test_within_bound(backend, case):
    check("lp_pool2d", case, backend)


@pytest.mark.parametrize("variant", OF_POOLING)
@given(case=lp_pool2d.cases(SIZE))
def test_variants_within_bound(opencl_backend, variant, case):
    check("lp_pool2d", case, BackendSubject(opencl_backend.name, variant))


@given(case=lp_pool2d.cases(SIZE, integers=True))
def test_integers_exact(backend, case):
    check("lp_pool2d", case, backend, to_the_bit=True)


@given(case=lp_pool2d.cases("tiny", integers=True), p=st.integers(1, 4))
def test_gradients_of_reference(case, p):
    # Away from 0, where the slope of the first norm jumps.
    x = np.random.default_rng(0).uniform(1, 2, case.inputs[0].shape) * np.where(case.inputs[0] < 0, -1, 1)
    case = Case((x.astype(np.float32),), {**case.attributes, "p": p}, case.dy)
    check_gradients("lp_pool2d", case, step=2.0**-12, tolerance=1e-6)


@given(case=lp_pool2d.cases(SIZE))
def test_onnxruntime(case):
    check_onnxruntime("lp_pool2d", case)


def test_cases_of_onnx(page_backend):
    def translate(given, x):
        return (x,), {**window_of_node(given, x), "p": given.get("p", 2)}

    check_node_cases("lp_pool2d", "LpPool", translate, page_backend, tolerance=1e-5)


@pytest.mark.parametrize("p", [1, 2, 5])
def test_layers_of_each_number_of_axes(p):
    check_axes("LpPool", lambda pixels: np.linalg.norm(pixels, p, axis=2), p=p)


def test_padding_by_name():
    check_padding_by_name(rm.lp_pool2d)


def test_windows_and_norms_that_cannot_be():
    check_refusals(rm.LpPool2d, rm.lp_pool2d)
    for p in (0, -1, 1.5, np.inf, "2"):
        with pytest.raises(ArgumentError, match="LpPool2d: p is"):
            rm.LpPool2d(2, p=p)
