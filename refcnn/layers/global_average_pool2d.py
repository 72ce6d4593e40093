"""Global average pooling: the layers, the functions and the ONNX mapping."""

from ..function import apply
from ..layer import Layer
from ..variable import Input, Variable, as_variable
from .convolution import check_images

FAMILY = "window"


class GlobalAveragePool2d(Layer):
    """The mean of each channel of each image."""

    def forward(self, x: Variable) -> Variable:
        """x (N, C, H, W) -> (N, C, 1, 1)."""
        return global_average_pool2d(x)


class GlobalAveragePool1d(Layer):
    """The same of images with one spatial axis, such as signals."""

    def forward(self, x: Variable) -> Variable:
        """x (N, C, L) -> (N, C, 1)."""
        return global_average_pool1d(x)


class GlobalAveragePool3d(Layer):
    """The same of images with three spatial axes, such as volumes."""

    def forward(self, x: Variable) -> Variable:
        """x (N, C, D, H, W) -> (N, C, 1, 1, 1)."""
        return global_average_pool3d(x)


def global_average_pool2d(x: Input) -> Variable:
    """Return the mean of each channel of images (N, C, H, W), as a Variable (N, C, 1, 1).

    Raises
    ------
    ShapeError
        If x has other axes, or is empty.
    """
    return _pooled("GlobalAveragePool2d", x, 2)


def global_average_pool1d(x: Input) -> Variable:
    """As :func:`global_average_pool2d`, of images with one spatial axis: (N, C, L) -> (N, C, 1)."""
    return _pooled("GlobalAveragePool1d", x, 1)


def global_average_pool3d(x: Input) -> Variable:
    """As :func:`global_average_pool2d`, of images with three spatial axes: (N, C, D, H, W) -> (N, C, 1, 1, 1)."""
    return _pooled("GlobalAveragePool3d", x, 3)


def _pooled(owner, x, axes):
    x = as_variable(x)
    check_images(owner, x.shape, axes)
    return apply("global_average_pool2d", x)


def to_onnx(graph, x):
    """Write ONNX's GlobalAveragePool."""
    return graph.node("GlobalAveragePool", [graph.tensor(x)])


def from_onnx(x):
    """Read ONNX's GlobalAveragePool."""
    return _pooled("GlobalAveragePool", x, len(x.shape) - 2)


FROM_ONNX = {"GlobalAveragePool": from_onnx}
