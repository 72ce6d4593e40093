"""Average pooling: the layer, the function and the ONNX mapping."""

from ..function import apply
from ..layer import Layer
from ..typing import Padding, Pair
from ..variable import Input, Variable, as_variable
from .pooling import check_pooling_input, pooling_attributes


class AveragePool2d(Layer):
    """The mean of the pixels under a window that slides over each channel.

    Parameters
    ----------
    filter, padding, stride : int or (int, int)
        Window size, zeros around the image, step of the window; pairs are (vertical, horizontal). Padding may also
        be (top, left, bottom, right) and must be less than the window.
    count_include_padding : bool
        Whether padding counts as pixels of value zero; otherwise the mean is over the image's pixels alone.

    Raises
    ------
    ArgumentError
        If an attribute is out of range.
    """

    def __init__(
        self, filter: Pair = 3, padding: Padding = 0, stride: Pair = 1, count_include_padding: bool = True
    ) -> None:
        super().__init__()
        self.attributes = pooling_attributes("AveragePool2d", filter, padding, stride)
        self.filter = self.attributes["kernel"]
        self.count_include_padding = bool(count_include_padding)

    def forward(self, x: Variable) -> Variable:
        """x (N, C, H, W) -> (N, C, out_h, out_w)."""
        kernel, padding, stride = (self.attributes[name] for name in ("kernel", "padding", "stride"))
        return average_pool2d(x, kernel, padding, stride, self.count_include_padding)


def average_pool2d(
    x: Input, filter: Pair = 3, padding: Padding = 0, stride: Pair = 1, count_include_padding: bool = True
) -> Variable:
    """Return the mean under each place of a window, as a Variable (N, C, out_h, out_w).

    Parameters
    ----------
    x : Variable or array_like, (N, C, H, W)
    filter, padding, stride, count_include_padding
        As in :class:`AveragePool2d`.

    Raises
    ------
    ArgumentError, ShapeError
        If an attribute or the shape does not fit.
    """
    x, attributes = as_variable(x), pooling_attributes("AveragePool2d", filter, padding, stride)
    check_pooling_input("AveragePool2d", x.shape, attributes)
    return apply("average_pool2d", x, **attributes, count_include_padding=bool(count_include_padding))


def to_onnx(graph, x, *, kernel, stride, padding, count_include_padding):
    """Write ONNX's AveragePool."""
    return graph.node(
        "AveragePool",
        [graph.tensor(x)],
        kernel_shape=kernel,
        strides=stride,
        pads=padding,
        count_include_pad=int(count_include_padding),
    )
