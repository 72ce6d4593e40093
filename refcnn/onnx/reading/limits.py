"""How much what a graph computes may hold: the sizes in a damaged or hostile file may be anything.

What is made is held against what there is to make it of: the numbers in the file and in the inputs. So a large network
and large images may need much, and a small file nothing that a computer does not have. (ONNX's own inference of shapes
would know all sizes, but ends the process where a graph contradicts itself.)
"""

import math

import numpy as np

from ...errors import DataError
from ...stored import Buffer, Parameter
from .checks import MOST_ELEMENTS

#: How many numbers any graph may make of each example; how many more for each number in the file, and in the inputs, of
#: which convolutions make many channels.
LEAST, OF_FILE, OF_INPUTS = 2**24, 4, 256


class Limit:
    """How many numbers may live at once while a graph is computed.

    Parameters
    ----------
    values : dict of str to (ndarray, Variable or None)
        What there is before the first node: the file's constants, and the inputs.
    """

    def __init__(self, values):
        in_file = [value for value in values.values() if isinstance(value, np.ndarray | Parameter | Buffer)]
        inputs = [value for value in values.values() if not isinstance(value, np.ndarray | Parameter | Buffer | None)]
        batch = max((value.shape[0] for value in inputs if len(value.shape) > 1), default=1)
        self._live = _count(in_file) + _count(inputs)
        self._most = LEAST * max(1, batch) + self._live + OF_FILE * _count(in_file) + OF_INPUTS * _count(inputs)

    def check(self, count):
        """Refuse an array of so many numbers if they are more than may live beside what does.

        Raises
        ------
        DataError
        """
        if count + self._live > self._most:
            raise DataError(
                f"it would make {count:,} numbers beside {self._live:,} others, but at most {self._most:,} are held "
                "for a file of this size and such inputs."
            )

    def made(self, node, values):
        """Count results that live from now on.

        Raises
        ------
        DataError
            If there are far too many, because their number was not known before.
        """
        self._live += _count(values)
        if self._live > self._most + MOST_ELEMENTS:
            raise DataError(f"{node}: with it {self._live:,} numbers would live at once, which are too many.")

    def dropped(self, values):
        """Count results that no node reads any more."""
        self._live -= _count(values)


def _count(values):
    return sum(math.prod(value.shape) for value in values if value is not None)
