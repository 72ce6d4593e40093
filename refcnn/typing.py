"""Types in the signatures of the public functions."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike as ArrayLike
    from numpy.typing import DTypeLike as DTypeLike
else:
    # NumPy's own are unions of ten types, which help() would write out.
    class ArrayLike:
        """What NumPy makes an array of."""

    class DTypeLike:
        """What NumPy makes a dtype of."""


#: A number for both axes, or (vertical, horizontal); of signals and volumes for one and three.
Pair: TypeAlias = int | tuple[int, int] | Sequence[int]
#: A number for all sides, (vertical, horizontal), (top, left, bottom, right), or what gives the numbers for each image.
Padding: TypeAlias = int | Sequence[int] | Literal["same", "same_lower", "valid"]
#: Where a file lies.
PathLike: TypeAlias = str | os.PathLike[str]
#: Gives float32 weights of a shape.
Initializer: TypeAlias = Callable[[tuple[int, ...]], np.ndarray]
#: The shapes of arrays by their names; a size that the first input decides is None.
Shapes: TypeAlias = Mapping[str, tuple[int | None, ...]]
