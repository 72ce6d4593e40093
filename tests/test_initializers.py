"""Initial weights: their distribution, by the inputs and outputs of a layer's units, and the seed that fixes them."""

import math
import statistics

import numpy as np
import pytest

import refcnn as rm

#: Shapes of weights, each with its fan_in and fan_out (Glorot and Bengio, 2010; He et al., 2015).
SHAPES = [
    # Dense: (inputs, outputs).
    ((400, 50), 400, 50),
    ((50, 400), 50, 400),
    # Conv2d: (K, C/groups, height, width). A pixel of the result reads fan_in pixels; one of the input has part in
    # fan_out results of its group.
    ((64, 3, 5, 7), 3 * 35, 64 * 35),
    ((8, 40, 9, 8), 40 * 72, 8 * 72),
]
NORMAL = [
    (rm.GlorotNormal(), lambda fan_in, fan_out: 2 / (fan_in + fan_out)),
    (rm.HeNormal(), lambda fan_in, fan_out: 2 / fan_in),
]
INITIALIZERS = [rm.GlorotNormal(), rm.GlorotUniform(), rm.HeNormal()]


def distance(values, distribution):
    """Return Kolmogorov's distance between a sample and a distribution, times the root of the sample's size.

    Beyond 1.95 one of a thousand samples lies; these are fixed by their seed.
    """
    ordered = np.sort(values.ravel().astype(np.float64))
    expected = np.array([distribution(value) for value in ordered])
    steps = np.arange(len(ordered) + 1) / len(ordered)
    return max(np.abs(steps[1:] - expected).max(), np.abs(steps[:-1] - expected).max()) * math.sqrt(len(ordered))


@pytest.mark.parametrize(("shape", "fan_in", "fan_out"), SHAPES)
@pytest.mark.parametrize(("initializer", "variance"), NORMAL)
def test_normal_weights(initializer, variance, shape, fan_in, fan_out):
    rm.set_seed(0)
    w = initializer(shape)
    expected = statistics.NormalDist(0, math.sqrt(variance(fan_in, fan_out)))
    assert w.shape == shape and w.dtype == np.float32
    assert distance(w, expected.cdf) < 1.95
    # Four standard deviations of the estimate.
    assert w.astype(np.float64).std() == pytest.approx(expected.stdev, rel=4 / math.sqrt(2 * w.size))


@pytest.mark.parametrize(("shape", "fan_in", "fan_out"), SHAPES)
def test_uniform_weights(shape, fan_in, fan_out):
    rm.set_seed(0)
    w = rm.GlorotUniform()(shape)
    most = math.sqrt(6 / (fan_in + fan_out))
    assert w.shape == shape and w.dtype == np.float32
    assert most * (1 - 20 / w.size) < np.abs(w).max() <= np.float32(most)
    assert distance(w, lambda value: (value / most + 1) / 2) < 1.95


@pytest.mark.parametrize("initializer", INITIALIZERS, ids=lambda one: type(one).__name__)
def test_the_seed_fixes_the_weights_and_no_two_draws_are_alike(initializer):
    def draws(seed):
        rm.set_seed(seed)
        return [initializer((30, 20)) for _ in range(2)]

    (first, second), again, (other, _) = draws(3), draws(3), draws(4)
    np.testing.assert_array_equal([first, second], again)
    assert not np.isin(first, second).all() and not np.isin(first, other).all()


@pytest.mark.parametrize("initializer", INITIALIZERS, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize(
    ("layer", "image"),
    [
        (lambda initializer: rm.Dense(7, initializer=initializer), (6,)),
        (lambda initializer: rm.Conv2d(4, 3, groups=2, initializer=initializer), (6, 5, 5)),
    ],
    ids=["Dense", "Conv2d"],
)
def test_layers_draw_their_weights_by_it_and_have_no_bias_at_first(layer, image, initializer):
    rm.set_seed(5)
    made = layer(initializer)
    made(np.ones((1, *image), np.float32))
    w = made.params.w.as_ndarray()
    rm.set_seed(5)
    np.testing.assert_array_equal(w, initializer(w.shape))
    assert not made.params.b.as_ndarray().any()
