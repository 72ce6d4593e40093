"""Softmax."""

import math

import numpy as np
import pytest
from hypothesis import given

from refcnn.conformance.operations import softmax
from refcnn.conformance.theory.strategies import Case

from .checks import SIZE, check, check_example, check_gradients, check_onnxruntime


def test_worked_example(backend):
    x = [[0, math.log(2), math.log(5)], [1000, 1000, 900]]
    # y = (1, 2, 5) / 8; sum of dy y = 1; dx = y (dy - 1).
    check_example(
        "softmax",
        (x,),
        {},
        [[0.125, 0.25, 0.625], [0.5, 0.5, 0]],
        dy=[[8, 0, 0], [2, 0, 0]],
        gradients=([[0.875, -0.25, -0.625], [0.5, -0.5, 0]],),
        backend=backend,
    )


@pytest.mark.filterwarnings("ignore:.*encountered in subtract:RuntimeWarning")
def test_excluded_classes(backend):
    # A class with a logit of -infinity, or further below another than float32 can say, has no probability.
    x = [[-np.inf, 0, 0], [3e38, -3e38, 3e38], [-np.inf, 7, -np.inf]]
    check_example(
        "softmax",
        (x,),
        {},
        [[0, 0.5, 0.5], [0.5, 0, 0.5], [0, 1, 0]],
        dy=[[8, 4, 0], [4, 9, 0], [5, 5, 5]],
        gradients=([[0, 1, -1], [1, 0, -1], [0, 0, 0]],),
        backend=backend,
    )


@given(case=softmax.cases(SIZE))
def test_within_bound(backend, case):
    check("softmax", case, backend)


@given(case=softmax.cases("tiny", integers=True))
def test_gradients_of_reference(case):
    case = Case((case.inputs[0] / np.float32(4),), {}, case.dy)
    check_gradients("softmax", case, step=2.0**-12, tolerance=1e-7)


@given(case=softmax.cases(SIZE))
def test_onnxruntime(case):
    check_onnxruntime("softmax", case)
