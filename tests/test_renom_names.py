"""Layers under ReNom's names, with its arguments in its order."""

import numpy as np
import pytest

import refcnn as rm
from refcnn.errors import ArgumentError


@pytest.fixture(autouse=True)
def reference():
    with rm.use_backend("reference"):
        yield


def numbers(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def test_deconv2d_is_a_transposed_convolution():
    layer = rm.Deconv2d(4, 2, 1, 3, ignore_bias=True, input_size=(3, 5, 6))
    x = numbers(2, 3, 5, 6)
    expected = rm.conv_transpose2d(x, layer.params.w, padding=1, stride=3)
    assert layer.params.w.shape == (3, 4, 2, 2) and "b" not in layer.params
    np.testing.assert_array_equal(layer(x).as_ndarray(), expected.as_ndarray())
    assert rm.Deconv2d(channel=32)(numbers(1, 3, 32, 32)).shape == (1, 32, 34, 34)
    assert repr(layer) == "Deconv2d(4, filter=2, padding=1, stride=3, ignore_bias=True)"


@pytest.mark.parametrize(("mode", "axes"), [("activation", (0,)), ("feature", (0, 2, 3))])
def test_batch_normalize_has_modes(mode, axes):
    x = numbers(6, 3, 4, 5)
    model = rm.Sequential([rm.BatchNormalize(mode=mode, epsilon=1e-3)])
    with model.train():
        y = model(x)
    mean, variance = (getattr(x.astype(np.float64), name)(axis=axes, keepdims=True) for name in ("mean", "var"))
    np.testing.assert_allclose(y.as_ndarray(), (x - mean) / np.sqrt(variance + 1e-3), rtol=0, atol=1e-5)
    np.testing.assert_allclose(model[0].buffers.mean.as_ndarray(), 0.01 * mean.ravel(), rtol=1e-4, atol=1e-7)


def test_batch_normalize_makes_its_parameters_from_the_input_size():
    assert rm.BatchNormalize((3, 4, 5), mode="feature").params.scale.shape == (3,)
    assert rm.BatchNormalize((3, 4, 5)).params.scale.shape == (60,)
    assert rm.BatchNormalize(7).params.scale.shape == (7,)
    with pytest.raises(ArgumentError):
        rm.BatchNormalize(mode="channel")


@pytest.mark.parametrize("n", [1, 4, 5])
def test_lrn_sums_without_dividing(n):
    x, half = numbers(2, 6, 3, 3), n // 2
    sums = np.stack([np.square(x)[:, max(0, c - half) : c + half + 1].sum(axis=1) for c in range(6)], axis=1)
    y = rm.Lrn(n, a=0.5, b=0.6)(x)
    np.testing.assert_allclose(y.as_ndarray(), x / (2 + 0.5 * sums) ** 0.6, rtol=1e-5)
    assert repr(rm.Lrn(n, a=0.5)) == f"Lrn({n}, a=0.5)"
