"""Max pooling: the layer, the function and the ONNX mapping."""

from ..function import apply
from ..layer import Layer
from ..typing import Padding, Pair
from ..variable import Input, Variable, as_variable
from .pooling import check_pooling_input, pooling_attributes

KEEPS_INPUT = True


class MaxPool2d(Layer):
    """The largest pixel under a window that slides over each channel.

    Parameters
    ----------
    filter, padding, stride : int or (int, int)
        Window size, pixels around the image (which never win), step of the window; pairs are (vertical,
        horizontal). Padding may also be (top, left, bottom, right) and must be less than the window.

    Raises
    ------
    ArgumentError
        If an attribute is out of range.
    """

    def __init__(self, filter: Pair = 3, padding: Padding = 0, stride: Pair = 1) -> None:
        super().__init__()
        self.attributes = pooling_attributes("MaxPool2d", filter, padding, stride)
        self.filter = self.attributes["kernel"]

    def forward(self, x: Variable) -> Variable:
        """x (N, C, H, W) -> (N, C, out_h, out_w)."""
        return max_pool2d(x, self.attributes["kernel"], self.attributes["padding"], self.attributes["stride"])


def max_pool2d(x: Input, filter: Pair = 3, padding: Padding = 0, stride: Pair = 1) -> Variable:
    """Return the largest pixel under each place of a window, as a Variable (N, C, out_h, out_w).

    Parameters
    ----------
    x : Variable or array_like, (N, C, H, W)
    filter, padding, stride
        As in :class:`MaxPool2d`.

    Raises
    ------
    ArgumentError, ShapeError
        If an attribute or the shape does not fit.
    """
    x, attributes = as_variable(x), pooling_attributes("MaxPool2d", filter, padding, stride)
    check_pooling_input("MaxPool2d", x.shape, attributes)
    return apply("max_pool2d", x, **attributes)


def to_onnx(graph, x, *, kernel, stride, padding):
    """Write ONNX's MaxPool."""
    return graph.node("MaxPool", [graph.tensor(x)], kernel_shape=kernel, strides=stride, pads=padding)
