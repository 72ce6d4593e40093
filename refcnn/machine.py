"""What the machine has."""

import contextlib
import math
import os


def memory():
    """Return the bytes of memory that the machine has; where that is not told, endlessly many."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return math.inf
