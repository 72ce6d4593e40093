"""The bound of means and variances holds for two passes and for merging parts in any order, and for nothing worse."""

import numpy as np
import pytest
from hypothesis import event, given, target
from hypothesis import strategies as st

from refcnn.conformance.theory.approximation import Approximation
from refcnn.conformance.theory.statistics import mean_and_variance

ONE = np.float32(1)


def two_passes(x, rng):
    """The squares of what each value is off from the mean of all, both sums in one random order."""
    x = rng.permutation(x)
    mean = sum_in_order(x) / np.float32(len(x))
    return mean, sum_in_order(np.square(x - mean)) / np.float32(len(x))


def merged(x, rng):
    """Parts of random sizes, each by two passes, merged two by two at random."""
    cuts = np.sort(rng.integers(1, len(x) + 1, rng.integers(0, len(x))))
    parts = [
        (np.float32(len(part)), sum_in_order(part), sum_in_order(np.square(part - sum_in_order(part) / len(part))))
        for part in np.split(rng.permutation(x), cuts)
        if len(part)
    ]
    while len(parts) > 1:
        first, second = (parts.pop(rng.integers(len(parts))) for _ in range(2))
        parts.append(together(first, second))
    ((count, total, square),) = parts
    return total / count, square / count


def one_by_one(x, rng):
    """Each value is a part that is merged with all before it."""
    whole = (ONE, x[0], np.float32(0))
    for value in x[1:]:
        whole = together(whole, (ONE, value, np.float32(0)))
    count, total, square = whole
    return total / count, square / count


def together(first, second):
    """Chan's formula, of parts as (count, sum, sum of squares)."""
    (m, sum_m, square_m), (n, sum_n, square_n) = first, second
    difference = sum_m / m - sum_n / n
    return m + n, sum_m + sum_n, square_m + square_n + m * n / (m + n) * difference * difference


def sum_in_order(x):
    return np.cumsum(x, dtype=np.float32)[-1]


@pytest.mark.parametrize("compute", [two_passes, merged, one_by_one])
@given(
    size=st.integers(2, 300),
    seed=st.integers(0, 2**32 - 1),
    offset=st.sampled_from([0, 1, 100, 1e4, -1e6]),
    outlier=st.sampled_from([0, 0, 50, 1e5]),
)
def test_right_orders_are_within(compute, size, seed, offset, outlier):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(size) + offset
    x[0] += outlier
    x = x.astype(np.float32)
    bounds = mean_and_variance(Approximation.of_input(x[None]), (1,))
    worst = 0
    for bound, found in zip(bounds, compute(x, rng), strict=True):
        assert found.dtype == np.float32
        worst = max(worst, float(np.abs(found - bound.exact).item() / bound.error.item()))
    target(worst)
    event(f"error / bound in tenths: {int(10 * worst)}")
    assert worst <= 1


@pytest.mark.parametrize("seed", range(5))
def test_the_mean_of_the_squares_less_the_square_of_the_mean_is_not(seed):
    """Numbers near 9e8 lie 64 apart: of a variance of 1 nothing is left."""
    x = (np.random.default_rng(seed).standard_normal(20) + 3e4).astype(np.float32)
    _, variance = mean_and_variance(Approximation.of_input(x[None]), (1,))
    mean, square = (sum_in_order(entry) / np.float32(20) for entry in (x, np.square(x)))
    assert np.abs(square - mean * mean - variance.exact) > variance.error


@given(seed=st.integers(0, 2**32 - 1))
def test_the_bound_is_some_times_what_rounding_does(seed):
    x = np.random.default_rng(seed).standard_normal((1, 1000)).astype(np.float32)
    mean, variance = mean_and_variance(Approximation.of_input(x), (1,))
    assert mean.error < 2e-4 and variance.error < 2e-3


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e20])
def test_what_is_not_finite_or_overflows(value):
    x = np.float32([[1, 2, value, 3]])
    with np.errstate(all="ignore"):
        _, variance = mean_and_variance(Approximation.of_input(x), (1,))
    assert variance.bound.item() == (np.inf if np.isfinite(value) else 0)
