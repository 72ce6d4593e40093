"""Cross entropy of the softmax."""

import math

import numpy as np
import pytest
from hypothesis import given

from refcnn.conformance.operations import softmax_cross_entropy
from refcnn.conformance.theory.strategies import Case

from .checks import SIZE, check, check_example, check_gradients

# Probabilities (1, 2, 5) / 8 and (1/2, 1/2, 0).
X = [[0, math.log(2), math.log(5)], [1000, 1000, 900]]
T = [[0, 1, 0], [0.5, 0.5, 0]]


def test_worked_example(backend):
    log_p = np.log([[0.125, 0.25, 0.625], [0.5, 0.5, 1]]) - [[0, 0, 0], [0, 0, 100 + math.log(2)]]
    # The first row loses log 4, the second log 2; dx = dy (p - t) / 2, dt = -dy log(p) / 2.
    check_example(
        "softmax_cross_entropy",
        (X, T),
        {"reduce_sum": True},
        1.5 * math.log(2),
        dy=4,
        gradients=([[0.25, -1.5, 1.25], [0, 0, 0]], -2 * log_p),
        backend=backend,
    )


def test_worked_example_of_the_terms(backend):
    check_example(
        "softmax_cross_entropy",
        (X, T),
        {"reduce_sum": False},
        [[0, math.log(4), 0], [0.5 * math.log(2), 0.5 * math.log(2), 0]],
        dy=[[9, 8, 9], [4, 0, 9]],
        gradients=([[1, -6, 5], [-1, 1, 0]], None),
        backend=backend,
    )


# Logits with excluded classes or differences that float32 cannot hold, a target, what the row loses, and dx.
LOST = 1 + math.log(1 + math.exp(-1))
P = 1 / (1 + math.e)
WITH_TARGETS_OF_0 = [
    ([-np.inf, 0, 1], [0, 1, 0], LOST, [0, P - 1, 1 - P]),
    ([3e38, -3e38, 0], [1, 0, 0], 0, [0, 0, 0]),
    ([-np.inf, 0, 1], [1, 0, 0], np.inf, [-1, P, 1 - P]),
    ([-np.inf, 0, 1], [0, 0, 0], 0, [0, 0, 0]),
    ([np.nan, 0, 1], [0, 0, 0], 0, [0, 0, 0]),
    ([-np.inf, -np.inf, -np.inf], [0, 0, 0], 0, [0, 0, 0]),
    ([-np.inf, -np.inf, -np.inf], [0, 1, 0], np.nan, [np.nan, np.nan, np.nan]),
    ([np.inf, 0, 1], [0, 1, 0], np.nan, [np.nan, np.nan, np.nan]),
]


@pytest.mark.filterwarnings("ignore:.*encountered in subtract:RuntimeWarning")
@pytest.mark.parametrize("logits, target, loss, dx", WITH_TARGETS_OF_0)
def test_targets_of_0_take_no_part(backend, logits, target, loss, dx):
    check_example(
        "softmax_cross_entropy", ([logits], [target]), {"reduce_sum": True}, loss, 1, ([dx], None), backend=backend
    )


def test_slope_of_a_target_of_0(backend):
    # -log p, where log p is a number.
    check_example(
        "softmax_cross_entropy",
        ([[-np.inf, 0, 1]], [[0, 1, 0]]),
        {"reduce_sum": False},
        [[0, LOST, 0]],
        dy=[[2, 2, 2]],
        gradients=(None, [[0, 2 * LOST, 2 * (LOST - 1)]]),
        backend=backend,
    )


def test_gradient_that_is_infinite_at_a_target_of_0(backend):
    check_example(
        "softmax_cross_entropy",
        ([[0, 0]], [[0, 1]]),
        {"reduce_sum": False},
        [[0, math.log(2)]],
        dy=[[np.inf, 1]],
        gradients=([[0.5, -0.5]], None),
        backend=backend,
    )


@given(case=softmax_cross_entropy.cases(SIZE))
def test_within_bound(backend, case):
    check("softmax_cross_entropy", case, backend)


@given(case=softmax_cross_entropy.cases("tiny", integers=True))
def test_gradients_of_reference(case):
    x, t = case.inputs
    case = Case((x / np.float32(4), t), case.attributes, case.dy)
    check_gradients("softmax_cross_entropy", case, step=2.0**-12, tolerance=1e-6)
