"""Size: how many elements an array has."""

import numpy as np


def forward(x):
    """x of any shape -> y, a single int64."""
    return np.array(x.size, np.int64), None


def backward(dy, saved, needs):
    """A number of elements has no gradient."""
    return (None,)
