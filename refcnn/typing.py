"""Types in the signatures of the public functions."""

import os
from collections.abc import Sequence
from typing import TypeAlias

#: A number for both axes, or (vertical, horizontal).
Pair: TypeAlias = int | tuple[int, int] | Sequence[int]
#: A number for all sides, (vertical, horizontal), or (top, left, bottom, right).
Padding: TypeAlias = int | Sequence[int]
#: Where a file lies.
PathLike: TypeAlias = str | os.PathLike[str]
