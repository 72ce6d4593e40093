"""What operations say of themselves to the judge: that it is so."""

import dataclasses
import functools

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from refcnn import backend, rooms
from refcnn.conformance.judging import judge
from refcnn.conformance.running import coverage
from refcnn.conformance.subjects.base import operations
from refcnn.conformance.theory.bounds import subnormals
from refcnn.conformance.theory.strategies import LARGEST_INTEGER

EXACT = [operation for operation in operations() if judge.has_exact_cases(operation)]
GROWS = functools.partial(rooms.trait, rooms.CONFORMANCE, name="BOUND_GROWS")
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
@given(data=st.data())
def test_float32_holds_what_comes_of_integers_that_are_drawn(operation, data):
    case = data.draw(judge.conformance(operation).cases("small", integers=True))

    def largest(array):
        """All as large as any may be that is odd, so that no digit is spared."""
        if array is None or array.dtype.kind != "f":
            return array
        return np.full(array.shape, (LARGEST_INTEGER - 1) * (1.0 if (array == np.rint(array)).all() else 2.0**-10))

    with np.errstate(all="ignore"):
        forward = rooms.require(rooms.REFERENCE, operation).forward
        results = backend.results_of(forward(*map(largest, case.inputs), **case.attributes)[0])
    for y in results:
        assert y is None or y.dtype.kind != "f" or np.array_equal(y.astype(np.float32), y, equal_nan=True)


@pytest.mark.parametrize("operation", EXACT)
def test_some_are_taken_for_exact_though_not_drawn_so(operation):
    cases = st.builds(small_integers, judge.conformance(operation).cases("tiny"), st.integers(0, 9))
    find(cases, lambda case: judge.is_exact(operation, case), settings=ANY_EXAMPLE)


@pytest.mark.parametrize("operation", list(filter(GROWS, operations())))
@given(data=st.data(), seed=st.integers(0, 2**32 - 1), are_kept=st.booleans())
def test_a_bound_that_grows_with_magnitudes_is_no_larger_on_smaller_ones(operation, data, seed, are_kept):
    case = data.draw(judge.conformance(operation).cases("small"))
    random = np.random.default_rng(seed)
    finite = [None if one is None else np.nan_to_num(one, nan=1, posinf=2, neginf=-3) for one in case.inputs]
    # The least of two: of some numbers half, of some the very same, of some nothing at all; signs do not count.
    smaller = [None if one is None else np.abs(one) * random.choice([0, 0.5, 1], one.shape) for one in finite]
    bound = judge.conformance(operation).forward_bound
    with subnormals(True):
        least = bound(tuple(smaller), case.attributes)
    with subnormals(are_kept):
        # Both are computed in float64.
        assert (least <= bound(tuple(finite), case.attributes) * (1 + 1e-12)).all()


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
