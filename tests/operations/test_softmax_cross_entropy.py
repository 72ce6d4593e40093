"""Cross entropy of the softmax."""

import math

import numpy as np
from hypothesis import given

from refcnn.conformance import softmax_cross_entropy
from refcnn.conformance.strategies import Case

from .checks import SIZE, check, check_example, check_gradients

# Probabilities (1, 2, 5) / 8 and (1/2, 1/2, 0).
X = [[0, math.log(2), math.log(5)], [1000, 1000, 900]]
T = [[0, 1, 0], [0.5, 0.5, 0]]


def test_worked_example(backend):
    log_p = np.log([[0.125, 0.25, 0.625], [0.5, 0.5, 1]]) - [[0, 0, 0], [0, 0, 100 + math.log(2)]]
    # The first row loses log 4, the second log 2; dx = dy (p - t) / 2, dt = -dy log(p) / 2.
    check_example(
        "softmax_cross_entropy", (X, T), {"reduce_sum": True}, 1.5 * math.log(2),
        dy=4, gradients=([[0.25, -1.5, 1.25], [0, 0, 0]], -2 * log_p), backend=backend,
    )  # fmt: skip


def test_worked_example_of_the_terms(backend):
    check_example(
        "softmax_cross_entropy", (X, T), {"reduce_sum": False},
        [[0, math.log(4), 0], [0.5 * math.log(2), 0.5 * math.log(2), 0]],
        dy=[[9, 8, 9], [4, 0, 9]], gradients=([[1, -6, 5], [-1, 1, 0]], None), backend=backend,
    )  # fmt: skip


@given(case=softmax_cross_entropy.cases(SIZE))
def test_within_bound(backend, case):
    check("softmax_cross_entropy", case, backend)


@given(case=softmax_cross_entropy.cases("tiny", integers=True))
def test_gradients_of_reference(case):
    x, t = case.inputs
    case = Case((x / np.float32(4), t), case.attributes, case.dy)
    check_gradients("softmax_cross_entropy", case, step=2.0**-12, tolerance=1e-6)
