"""Schedules: the rates that they give, and that none is longer than its training."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcnn.errors import ArgumentError
from refcnn.fitting.schedules import NAMED, Constant, Cosine, OneCycle, Restarts, Step, WarmUp


def rates(schedule, batches, epochs):
    return [schedule.factor(step, batches, epochs) for step in range(batches * epochs)]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Constant(), [1, 1, 1, 1, 1, 1, 1, 1]),
        (Restarts(), [1, 0.5, 1, 0.5, 1, 0.5, 1, 0.5]),
        (Restarts(every=2), [1, 0.75, 0.5, 0.25, 1, 0.75, 0.5, 0.25]),
        (Step(every=1, by=0.5), [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]),
        (Step(every=3), [1, 1, 1, 1, 1, 1, 0.1, 0.1]),
        (Cosine(), [(1 + math.cos(math.pi * step / 8)) / 2 for step in range(8)]),
        (WarmUp(Constant(), 2), [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]),
        (WarmUp(Restarts(), 1), [0.5, 0.5, 1, 0.5, 1, 0.5, 1, 0.5]),
        (OneCycle(rise=0.5, start=0.2), [0.2, 0.317157, 0.6, 0.882843, 1, 0.853553, 0.5, 0.146447]),
    ],
)
def test_rates(schedule, expected):
    """Of four epochs of two batches."""
    assert rates(schedule, 2, 4) == pytest.approx(expected, abs=1e-6)


@given(st.sampled_from(list(NAMED.values())), st.integers(1, 9), st.integers(4, 9), st.floats(0.1, 4))
def test_no_rate_is_above_the_optimizers_own_or_nothing(schedule, batches, epochs, warm_up):
    for one in (schedule(), WarmUp(schedule(), warm_up)):
        one.check(epochs)
        assert all(0 < rate <= 1 for rate in rates(one, batches, epochs))


@pytest.mark.parametrize(
    ("schedule", "needed"), [(Step(every=3), 4), (Restarts(every=3), 3), (WarmUp(Cosine(), 2.5), 2.5)]
)
def test_a_schedule_longer_than_the_training_is_refused(schedule, needed):
    schedule.check(math.ceil(needed))
    with pytest.raises(ArgumentError, match=f"needs {needed} epochs, but the training has 2"):
        schedule.check(2)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Step(every=0),
        lambda: Step(by=1),
        lambda: Restarts(every=1.5),
        lambda: OneCycle(rise=1),
        lambda: OneCycle(start=0),
        lambda: WarmUp(Constant(), 0),
    ],
)
def test_arguments_out_of_range(make):
    with pytest.raises(ArgumentError):
        make()
