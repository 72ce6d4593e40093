"""Dropout: the layer and the function. Outside training it does nothing, so it has no ONNX mapping."""

import numpy as np

from .. import attributes as attribute
from ..errors import UnsupportedError
from ..function import apply
from ..layer import Layer
from ..mode import is_training, place_in_batch
from ..philox import generator
from ..variable import Input, Variable, as_variable


class Dropout(Layer):
    """Zeroes each value with probability ``dropout_ratio`` in ``with model.train():``, and scales the rest up to match.

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
        self.dropout_ratio = attribute.number("Dropout", "dropout_ratio", dropout_ratio, minimum=0, below=1)

    def forward(self, x: Variable) -> Variable:
        """x of any shape -> the same shape."""
        return dropout(x, self.dropout_ratio)


def dropout(x: Input, dropout_ratio: float = 0.5) -> Variable:
    """Drop values with probability ``dropout_ratio`` in training; outside it return x as it is.

    Each call takes the next stream of the generator that :func:`refcnn.set_seed` seeds.

    Raises
    ------
    ArgumentError
        If the ratio is not in [0, 1).
    """
    ratio = attribute.number("Dropout", "dropout_ratio", dropout_ratio, minimum=0, below=1)
    if not is_training():
        return as_variable(x)
    seed, stream = generator.next_stream()
    x = as_variable(x)
    return apply("dropout", x, ratio=ratio, seed=seed, stream=stream, first=place_in_batch(x.shape))


def from_onnx(x, *, ratio=0.5, training_mode=False, seed=None, outputs=(True,)):
    """Read ONNX's Dropout, which keeps everything but in training; the mask is ONNX's second output."""
    if training_mode and ratio:
        raise UnsupportedError(
            "Dropout with training_mode drops by the random numbers of its runtime, which are not these."
        )
    ratio = attribute.number("Dropout", "ratio", ratio, minimum=0, below=1)
    if not any(outputs[1:]):
        return dropout(x, ratio) if is_training() else x
    return x, Variable(np.ones(x.shape, bool))


FROM_ONNX = {"Dropout": from_onnx}
