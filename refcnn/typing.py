"""Types in the signatures of the public functions."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

#: A number for both axes, or (vertical, horizontal).
Pair: TypeAlias = int | tuple[int, int] | Sequence[int]
#: A number for all sides, (vertical, horizontal), or (top, left, bottom, right).
Padding: TypeAlias = int | Sequence[int]
#: Where a file lies.
PathLike: TypeAlias = str | os.PathLike[str]
#: Gives float32 weights of a shape.
Initializer: TypeAlias = Callable[[tuple[int, ...]], np.ndarray]
#: The shapes of arrays by their names; a size that the first input decides is None.
Shapes: TypeAlias = Mapping[str, tuple[int | None, ...]]
