"""Global max pooling: the layers, the functions and the ONNX mapping."""

from ..function import apply
from ..layer import Layer
from ..variable import Input, Variable, as_variable
from .convolution import check_images

FAMILY = "window"


class GlobalMaxPool2d(Layer):
    """The largest pixel of each channel of each image.

    Of equal pixels the first gets the gradient, and NaN wins over every number.
    """

    def forward(self, x: Variable) -> Variable:
        """x (N, C, H, W) -> (N, C, 1, 1)."""
        return global_max_pool2d(x)


class GlobalMaxPool1d(Layer):
    """The same of images with one spatial axis, such as signals."""

    def forward(self, x: Variable) -> Variable:
        """x (N, C, L) -> (N, C, 1)."""
        return global_max_pool1d(x)


class GlobalMaxPool3d(Layer):
    """The same of images with three spatial axes, such as volumes."""

    def forward(self, x: Variable) -> Variable:
        """x (N, C, D, H, W) -> (N, C, 1, 1, 1)."""
        return global_max_pool3d(x)


def global_max_pool2d(x: Input) -> Variable:
    """Return the largest pixel of each channel of images (N, C, H, W), as a Variable (N, C, 1, 1).

    Of equal pixels the first gets the gradient, and NaN wins over every number.

    Raises
    ------
    ShapeError
        If x has other axes, or is empty.
    """
    return _pooled("GlobalMaxPool2d", x, 2)


def global_max_pool1d(x: Input) -> Variable:
    """As :func:`global_max_pool2d`, of images with one spatial axis: (N, C, L) -> (N, C, 1)."""
    return _pooled("GlobalMaxPool1d", x, 1)


def global_max_pool3d(x: Input) -> Variable:
    """As :func:`global_max_pool2d`, of images with three spatial axes: (N, C, D, H, W) -> (N, C, 1, 1, 1)."""
    return _pooled("GlobalMaxPool3d", x, 3)


def _pooled(owner, x, axes):
    x = as_variable(x)
    check_images(owner, x.shape, axes)
    return apply("global_max_pool2d", x)


def to_onnx(graph, x):
    """Write ONNX's GlobalMaxPool."""
    return graph.node("GlobalMaxPool", [graph.tensor(x)])


def from_onnx(x):
    """Read ONNX's GlobalMaxPool."""
    return _pooled("GlobalMaxPool", x, len(x.shape) - 2)


FROM_ONNX = {"GlobalMaxPool": from_onnx}
