"""What the tests of poolings share: windows as ONNX's node cases have them, and as users give them."""

import numpy as np
import pytest

import refcnn as rm
from refcnn.errors import ArgumentError, ShapeError
from refcnn.shapes import resolved_padding

_NAMES = {b"SAME_UPPER": "same", b"SAME_LOWER": "same_lower", b"VALID": "valid"}


def window_of_node(given, x):
    """Return a pooling's attributes from those of an ONNX node whose input is x."""
    image = x.shape[2:]
    ones = (1,) * len(image)
    kernel, stride = tuple(given["kernel_shape"]), tuple(given.get("strides", ones))
    dilation = tuple(given.get("dilations", ones))
    padding = _NAMES.get(given.get("auto_pad"), tuple(given.get("pads", (0,) * (2 * len(image)))))
    return {
        "kernel": kernel,
        "stride": stride,
        "padding": resolved_padding(padding, image, kernel, stride, dilation),
        "dilation": dilation,
        "ceil_mode": bool(given.get("ceil_mode", 0)),
    }


def check_axes(name, pooled_by_hand, **options):
    """Hold layers and functions of one to three spatial axes against a window that is moved by hand.

    Parameters
    ----------
    name : str
        Of the layers, without the number of axes.
    pooled_by_hand : callable
        Given the pixels under one window, an array (N, C, taps), returns (N, C).
    **options
        Further arguments of the layer.
    """
    function_name = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).strip("_")
    for axes in (1, 2, 3):
        x = np.random.default_rng(axes).normal(size=(2, 3, 5, 6, 7)[: 2 + axes])
        expected = np.zeros((2, 3, *(size // 2 for size in x.shape[2:])))
        for place in np.ndindex(*expected.shape[2:]):
            under = x[:, :, *(slice(2 * i, 2 * i + 2) for i in place)]
            expected[:, :, *place] = pooled_by_hand(under.reshape(2, 3, -1))
        layer = getattr(rm, f"{name}{axes}d")(2, stride=2, **options)
        function = getattr(rm, f"{function_name}{axes}d")
        with rm.use_backend("reference:float64"):
            for y in (layer(x), function(x, 2, stride=2, **options)):
                np.testing.assert_allclose(y.as_ndarray(), expected, rtol=1e-13, strict=True)
        with pytest.raises(ShapeError, match=rf"{name}{axes}d: the input has shape"):
            layer(x[0])


def check_refusals(layer, function):
    """Refuse windows that no image could have, and those that a given image cannot have."""
    for arguments in ({"filter": 0}, {"filter": (2, 2, 2)}, {"dilation": 0}, {"stride": 0}, {"padding": "full"}):
        with pytest.raises(ArgumentError, match="2d: "):
            layer(**arguments)
    with pytest.raises(ArgumentError, match="less than the filter"):
        layer(3, padding=3)
    # It spans five pixels.
    layer(3, padding=4, dilation=2)
    with pytest.raises(ArgumentError, match="spans with dilation"):
        layer(3, padding=5, dilation=2)
    with rm.use_backend("reference"):
        x = np.zeros((1, 1, 4, 4), np.float32)
        with pytest.raises(ShapeError, match="smaller than the kernel"):
            function(x, 3, dilation=2)
        with pytest.raises(ShapeError, match="all taps of a window would lie outside"):
            function(x[:, :, :1, :1], 2, padding=1, dilation=2)


def check_padding_by_name(function):
    """Padding by name is that in numbers: ONNX's SAME_UPPER, SAME_LOWER and VALID."""
    x = np.random.default_rng(0).normal(size=(2, 1, 7, 6)).astype(np.float32)
    window = {"filter": (4, 2), "stride": (2, 1), "dilation": (1, 3)}
    with rm.use_backend("reference"):
        for name, numbers in (("same", (1, 1, 2, 2)), ("same_lower", (2, 2, 1, 1)), ("valid", 0)):
            y = function(x, **window, padding=name).as_ndarray()
            np.testing.assert_array_equal(y, function(x, **window, padding=numbers).as_ndarray())
            assert name == "valid" or y.shape[2:] == (4, 6)
