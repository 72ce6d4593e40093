"""What operations say of themselves to the judge: that it is so."""

import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from refcnn import backend, rooms
from refcnn.conformance.judging import judge
from refcnn.conformance.running import coverage
from refcnn.conformance.subjects.base import operations

EXACT = [operation for operation in operations() if judge.has_exact_cases(operation)]
#: Not the smallest one, for which would be searched long.
ANY_EXAMPLE = settings(
    max_examples=5000, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
#: Small numbers, whose products and sums with each other float32 holds.
_SMALL = np.array([0, 1, -1, 3, -4, 8, -7, 5], np.float32)


def small_integers(case, seed):
    """Return a case with the same attributes and shapes, of small integers."""
    random = np.random.default_rng(seed)

    def drawn(array):
        return array if array is None or array.dtype.kind != "f" else random.choice(_SMALL, array.shape)

    dy = tuple(map(drawn, case.dy)) if isinstance(case.dy, tuple) else drawn(case.dy)
    return dataclasses.replace(case, inputs=tuple(map(drawn, case.inputs)), dy=dy)


def test_which_operations_match_to_the_bit():
    assert {"add", "average_pool2d", "conv2d", "dense", "dropout", "flatten", "max_pool2d", "relu", "sgd"} <= set(EXACT)
    assert not {"adam", "softmax", "softmax_cross_entropy"} & set(EXACT)


@pytest.mark.parametrize("operation", EXACT)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_what_is_taken_for_exact_is_so_with_any_attributes(operation, data, seed):
    case = small_integers(data.draw(judge.conformance(operation).cases("tiny")), seed)
    if judge.is_exact(operation, case):
        judge.check_forward(operation, case, backend.find("reference"), to_the_bit=True)
        if case.dy is not None:
            judge.check_backward(operation, case, backend.find("reference"), to_the_bit=True)


@pytest.mark.parametrize("operation", EXACT)
def test_some_are_taken_for_exact_though_not_drawn_so(operation):
    cases = st.builds(small_integers, judge.conformance(operation).cases("tiny"), st.integers(0, 9))
    find(cases, lambda case: judge.is_exact(operation, case), settings=ANY_EXAMPLE)


@pytest.mark.parametrize("is_reached", [True, False])
@pytest.mark.parametrize(
    ("operation", "attribute"), [("adam", "beta1"), ("adam", "beta2"), ("dropout", "ratio"), ("sgd", "momentum")]
)
def test_what_vanishes_at_zero_is_an_edge(operation, attribute, is_reached):
    cases = judge.conformance(operation).cases("tiny")
    find(cases, lambda case: coverage.edges(operation, case)[f"{attribute} 0"] is is_reached, settings=ANY_EXAMPLE)


def test_directions_of_algorithms_that_round_integers():
    rounds = rooms.trait(rooms.CONFORMANCE, "conv2d", "rounds_integers")
    large = dict.fromkeys(("forward", "backward_x", "backward_w"), "winograd_4x4")
    assert [rounds(large, gradient) for gradient in (None, 0, 1, 2)] == [True, True, True, False]
    assert not any(rounds({"forward": "winograd_2x2"}, gradient) for gradient in (None, 0, 1, 2))
