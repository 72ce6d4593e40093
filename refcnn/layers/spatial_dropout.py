"""Spatial dropout: the layer and the function. Outside training it does nothing, so it has no ONNX mapping."""

from .. import attributes as attribute
from ..errors import ShapeError
from ..function import apply
from ..layer import Layer
from ..mode import is_training, place_in_batch
from ..philox import generator
from ..variable import Input, Variable, as_variable


class SpatialDropout(Layer):
    """Zeroes each channel of each image with probability ``dropout_ratio`` in ``with model.train():``, scales the rest.

    Parameters
    ----------
    dropout_ratio : float
        0 <= dropout_ratio < 1.

    Raises
    ------
    ArgumentError
        If the ratio is outside.
    """

    def __init__(self, dropout_ratio: float = 0.5) -> None:
        super().__init__()
        self.dropout_ratio = attribute.number("SpatialDropout", "dropout_ratio", dropout_ratio, minimum=0, below=1)

    def forward(self, x: Variable) -> Variable:
        """x (N, C, ...) -> the same shape."""
        return spatial_dropout(x, self.dropout_ratio)


def spatial_dropout(x: Input, dropout_ratio: float = 0.5) -> Variable:
    """Drop whole channels with probability ``dropout_ratio`` in training; outside it return x as it is.

    Each call takes the next stream of the generator that :func:`refcnn.set_seed` seeds.

    Parameters
    ----------
    x : Variable or array_like, (N, C, ...)
    dropout_ratio : float

    Raises
    ------
    ArgumentError
        If the ratio is not in [0, 1).
    ShapeError
        If x has not the shape (N, C, ...).
    """
    ratio = attribute.number("SpatialDropout", "dropout_ratio", dropout_ratio, minimum=0, below=1)
    x = as_variable(x)
    if len(x.shape) < 2:
        raise ShapeError(f"SpatialDropout: the input has shape {x.shape}. Give an array of shape (N, C, ...).")
    if not is_training():
        return x
    seed, stream = generator.next_stream()
    return apply("spatial_dropout", x, ratio=ratio, seed=seed, stream=stream, first=place_in_batch(x.shape[:2]))
