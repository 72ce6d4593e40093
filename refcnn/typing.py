"""Types in the signatures of the public functions."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from .variable import Variable

#: A number for both axes, or (vertical, horizontal).
Pair: TypeAlias = int | tuple[int, int] | Sequence[int]
#: A number for all sides, (vertical, horizontal), or (top, left, bottom, right).
Padding: TypeAlias = int | Sequence[int]
#: Where a file lies.
PathLike: TypeAlias = str | os.PathLike[str]
#: What an operation takes for an array.
Input: TypeAlias = "Variable | ArrayLike"
