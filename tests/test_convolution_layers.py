"""The layers and functions of convolutions: one to three axes, padding by name, and what does not fit."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import refcnn as rm
from refcnn.errors import ArgumentError, ShapeError

from .one_node import run_node

AUTO_PAD = {"same": "SAME_UPPER", "same_lower": "SAME_LOWER", "valid": "VALID"}


@pytest.fixture(autouse=True)
def reference():
    with rm.use_backend("reference"):
        yield


def counting(*shape):
    return (np.arange(np.prod(shape)).reshape(shape) % 7).astype(np.float32)


@pytest.mark.parametrize("name", AUTO_PAD)
@given(data=st.data())
@settings(max_examples=15)
def test_padding_by_name_is_onnxruntimes(name, data):
    axes = data.draw(st.integers(1, 3))
    size = tuple(data.draw(st.integers(5, 8)) for _ in range(axes))
    kernel, stride = (tuple(data.draw(st.integers(1, 3)) for _ in range(axes)) for _ in range(2))
    x, w = counting(1, 2, *size), counting(3, 2, *kernel)
    function = (rm.conv1d, rm.conv2d, rm.conv3d)[axes - 1]
    # Without dilation, for which onnxruntime refuses these.
    y = function(x, w, stride=stride, padding=name)
    expected = run_node("Conv", x, w, strides=stride, auto_pad=AUTO_PAD[name])
    np.testing.assert_array_equal(y.as_ndarray(), expected)


@pytest.mark.parametrize("name", AUTO_PAD)
@given(data=st.data())
@settings(max_examples=15)
def test_transposed_padding_by_name_is_onnxruntimes(name, data):
    axes = data.draw(st.integers(1, 3))
    size = tuple(data.draw(st.integers(1, 4)) for _ in range(axes))
    kernel, stride = (tuple(data.draw(st.integers(1, 4)) for _ in range(axes)) for _ in range(2))
    x, w = counting(1, 2, *size), counting(2, 3, *kernel)
    function = (rm.conv_transpose1d, rm.conv_transpose2d, rm.conv_transpose3d)[axes - 1]
    y = function(x, w, stride=stride, padding=name)
    if name != "valid":
        assert y.shape[2:] == tuple(pixels * step for pixels, step in zip(size, stride, strict=True))
    # Where a kernel is smaller than the step, onnxruntime's result is smaller too.
    assume(name == "valid" or all(taps >= step for taps, step in zip(kernel, stride, strict=True)))
    expected = run_node("ConvTranspose", x, w, strides=stride, auto_pad=AUTO_PAD[name])
    np.testing.assert_array_equal(y.as_ndarray(), expected)


def test_what_a_kernel_does_not_reach_is_the_bias():
    """A kernel of 1 at a step of 3: what lacks to size * stride is added at the end."""
    y = rm.conv_transpose1d([[[1, 2]]], [[[10]]], [[[5]]], stride=3, padding="same")
    np.testing.assert_array_equal(y.as_ndarray(), [[[15, 5, 5, 25, 5, 5]]])


@pytest.mark.parametrize(("layer", "shape"), [(rm.ConvTranspose1d, (2, 4, 9)), (rm.ConvTranspose3d, (2, 4, 3, 2, 4))])
def test_transposed_layers_learn(layer, shape):
    axes = len(shape) - 2
    model = rm.Sequential([layer(6, filter=4, padding=1, stride=2, groups=2), rm.Flatten(), rm.Dense(2)])
    assert model[0](counting(*shape)).shape == (2, 6, *(2 * size for size in shape[2:]))
    with model.train():
        loss = rm.softmax_cross_entropy(model(counting(*shape)), np.eye(2))
    before = model[0].params.w.as_ndarray().copy()
    assert before.shape == (4, 3, *(4,) * axes) and model[0].params.b.shape == (1, 6, *(1,) * axes)
    loss.grad().update(rm.Sgd(lr=0.01))
    assert not np.array_equal(model[0].params.w.as_ndarray(), before)


@pytest.mark.parametrize(("layer", "shape"), [(rm.Conv1d, (2, 4, 9)), (rm.Conv3d, (2, 4, 5, 6, 7))])
def test_layers_of_one_and_three_axes_learn(layer, shape):
    axes = len(shape) - 2
    model = rm.Sequential([layer(6, 3, padding="same", stride=2, groups=2), rm.Flatten(), rm.Dense(2)])
    assert model[0](counting(*shape)).shape == (2, 6, *(-(-size // 2) for size in shape[2:]))
    with model.train():
        loss = rm.softmax_cross_entropy(model(counting(*shape)), np.eye(2))
    before = model[0].params.w.as_ndarray().copy()
    assert before.shape == (6, 2, *(3,) * axes) and model[0].params.b.shape == (1, 6, *(1,) * axes)
    loss.grad().update(rm.Sgd(lr=0.01))
    assert not np.array_equal(model[0].params.w.as_ndarray(), before)


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (rm.Conv1d(4, 3, padding="same"), "Conv1d(4, 3, padding='same')"),
        (rm.Conv3d(4, (1, 2, 3), padding=(1, 2, 0, 1, 2, 0)), "Conv3d(4, (1, 2, 3), padding=(1, 2, 0))"),
        (
            rm.ConvTranspose2d(4, filter=2, stride=(2, 3), output_padding=(0, 1)),
            "ConvTranspose2d(4, filter=2, stride=(2, 3), output_padding=(0, 1))",
        ),
        (rm.Conv2d(4, 3, padding="same_lower", stride=(1, 2)), "Conv2d(4, 3, padding='same_lower', stride=(1, 2))"),
    ],
)
def test_layers_are_written_as_one_would_write_them(layer, text):
    assert repr(layer) == text


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: rm.Conv2d(4, padding="full"), "'same'"),
        (lambda: rm.Conv1d(4, padding=(1, 2, 3)), "(length,)"),
        (lambda: rm.Conv3d(4, (3, 3)), "(depth, vertical, horizontal)"),
        (lambda: rm.Conv2d(4, stride=(1, 2, 3)), "(vertical, horizontal)"),
        (lambda: rm.Conv1d(1, 32, 3), "Conv1d(32, 3)"),
        (lambda: rm.ConvTranspose2d(16, 8, 2, 2), "ConvTranspose2d(8, filter=2, stride=2)"),
        (lambda: rm.ConvTranspose2d(8, stride=2, output_padding=2), "at most (1, 1)"),
        (lambda: rm.ConvTranspose2d(8, groups=3), "multiple of groups"),
        (lambda: rm.conv_transpose2d(counting(1, 2, 3, 3), counting(2, 1, 3, 3), output_padding=1), "at most (0, 0)"),
    ],
)
def test_arguments_that_do_not_fit(call, says):
    with pytest.raises(ArgumentError) as raised:
        call()
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: rm.Conv1d(4)(counting(2, 3, 5, 5)), "(N, C, L)"),
        (lambda: rm.Conv3d(4)(counting(2, 3, 5, 5)), "(N, C, D, H, W)"),
        (lambda: rm.conv1d(counting(2, 3, 9), counting(4, 3, 3, 3)), "(K, C/groups, k)"),
        (lambda: rm.conv3d(counting(2, 3, 5, 5, 5), counting(4, 2, 3, 3, 3)), "(N, 2, D, H, W)"),
        (lambda: rm.conv1d(counting(2, 3, 9), counting(4, 3, 3), counting(1, 4, 1, 1)), "(1, 4, 1)"),
        (lambda: rm.conv2d(counting(2, 3, 4, 4), counting(4, 3, 3, 5), padding="valid"), "smaller than the kernel"),
        (lambda: rm.ConvTranspose2d(4)(counting(2, 3, 5)), "(N, C, H, W)"),
        (lambda: rm.conv_transpose2d(counting(2, 3, 4, 4), counting(4, 3, 3, 5)), "(N, 4, H, W)"),
        (lambda: rm.conv_transpose2d(counting(2, 3, 4, 4), counting(3, 2, 1, 1), groups=2), "(C, K/groups, kh, kw)"),
        (
            lambda: rm.conv_transpose2d(counting(2, 2, 4, 4), counting(2, 2, 1, 1), counting(1, 2, 1, 1), groups=2),
            "(1, 4",
        ),
        (lambda: rm.conv_transpose2d(counting(1, 2, 1, 1), counting(2, 2, 2, 2), padding=1), "cuts off all"),
    ],
)
def test_shapes_that_do_not_fit(call, says):
    with pytest.raises(ShapeError) as raised:
        call()
    assert says in str(raised.value)
