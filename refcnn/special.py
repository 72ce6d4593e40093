"""Functions that NumPy lacks, taken of each element by Python's own."""

import math

import numpy as np

#: As NumPy's own, these ask what they are given, if that is no array, for an answer; of arrays they make objects.
ERF, ERFC = np.frompyfunc(math.erf, 1, 1), np.frompyfunc(math.erfc, 1, 1)


def erf(x):
    """Return the error function, 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x, in the dtype of x."""
    return _called(ERF, x)


def erfc(x):
    """Return 1 - erf(x), in which no digits cancel, in the dtype of x."""
    return _called(ERFC, x)


def _called(ufunc, x):
    y = ufunc(x)
    return np.asarray(y, x.dtype) if isinstance(x, (np.ndarray, np.generic)) else y
