"""Reductions: what becomes of all elements along some axes. ``axes`` are numbers from 0 on, in order.

With ``keepdims`` the axes stay, with one element each; else they are gone. Formulas take rows, whose last axis has all
that becomes one element, in row-major order. There NumPy adds pairwise, so that the error of a long sum grows with the
logarithm of its length. Sources: ONNX operator specification, ReduceSum and its like, ArgMax, ArgMin; Higham, Accuracy
and Stability of Numerical Algorithms, section 4.1.
"""

import numpy as np


class Reduction:
    """y = formula(x) over the last axis, and what the gradient of y makes of that of x.

    Attributes
    ----------
    formula : callable
        ``formula(x)`` -> y with one element in its last axis
    of_x : callable
        ``of_x(dy, x, y)`` -> dx, or what can be broadcast to it
    """

    def __init__(self, formula, of_x):
        self.formula, self.of_x = formula, of_x

    def forward(self, x, *, axes, keepdims):
        """x of any shape -> y without the axes, or with one element along each."""
        rows = _rows(x, axes)
        y = self.formula(rows)
        return y.reshape(_shape(x.shape, axes, keepdims)), (rows, y, x.shape)

    def backward(self, dy, saved, needs, *, axes, keepdims):
        """dx = dy dy/dx, for each element that became one of y."""
        rows, y, shape = saved
        dx = self.of_x(dy.reshape(y.shape), rows, y)
        return (_with_axes_back(np.broadcast_to(dx, rows.shape), shape, axes),)


def total(x):
    """y = sum of x, so that dx = dy; of no elements 0."""
    return x.sum(axis=-1, keepdims=True, dtype=x.dtype)


def mean(x):
    """y = sum of x / n, so that dx = dy / n; of no elements NaN."""
    return total(x) / x.shape[-1]


def l1(x):
    """y = sum of |x|, so that dx = dy sign(x)."""
    return total(np.absolute(x))


def l2(x):
    """y = sqrt(sum of x^2), so that dx = dy x / y."""
    return np.sqrt(total(x * x))


def of_l2(dy, x, y):
    """dx = dy x / y, and 0 where y is 0."""
    return dy * np.where(y == 0, 0, x / np.where(y == 0, 1, y))


def sum_square(x):
    """y = sum of x^2, so that dx = dy 2 x."""
    return total(x * x)


def log_sum(x):
    """y = log(sum of x), so that dx = dy / sum of x; of no elements -infinity."""
    return np.log(total(x))


def log_sum_exp(x):
    """y = log(sum of e^x) = m + log(sum of e^(x - m)), so that none overflows, and dx = dy e^(x - y).

    m is the largest x, or 0 where that is not finite. Of no elements y is -infinity.
    """
    m = x.max(axis=-1, keepdims=True, initial=-np.inf)
    m = np.where(np.isfinite(m), m, 0)
    return m + np.log(total(np.exp(x - m)))


def product(x):
    """y = product of x; of no elements 1."""
    return x.prod(axis=-1, keepdims=True, dtype=x.dtype)


def products_of_others(x):
    """For each element the product of all before it times that of all behind it: right where some are 0, too."""
    one = np.ones((*x.shape[:-1], min(x.shape[-1], 1)), x.dtype)
    before = np.cumprod(np.concatenate([one, x[..., :-1]], axis=-1), axis=-1)
    behind = np.cumprod(np.concatenate([one, x[..., :0:-1]], axis=-1), axis=-1)[..., ::-1]
    return before * behind


class Extreme:
    """y = the largest over the axes, or the smallest, NaN where one is NaN.

    Parameters
    ----------
    place_of_first : callable
        ``numpy.argmax`` or ``numpy.argmin``, which find the first NaN where there is one.
    of_none : float
        What it is of no elements, or what comes closest to it among those of the dtype.
    """

    def __init__(self, place_of_first, of_none):
        self.place_of_first, self._of_none = place_of_first, of_none

    def forward(self, x, *, axes, keepdims):
        """x of any shape -> y without the axes, or with one element along each; saved: the first one's place."""
        rows = _rows(x, axes)
        winner = self.place_of_first(rows, axis=-1)[..., None] if rows.shape[-1] else None
        y = self._none(rows) if winner is None else np.take_along_axis(rows, winner, -1)
        return y.reshape(_shape(x.shape, axes, keepdims)), (winner, x.shape)

    def backward(self, dy, saved, needs, *, axes, keepdims):
        """dx = dy for the first of the extreme ones in row-major order, as in max pooling, else 0."""
        winner, shape = saved
        dx = np.zeros((*_kept(shape, axes), _count(shape, axes)), dy.dtype)
        if winner is not None:
            np.put_along_axis(dx, winner, dy.reshape(winner.shape), -1)
        return (_with_axes_back(dx, shape, axes),)

    def _none(self, rows):
        ends = (False, True) if rows.dtype == bool else None
        if rows.dtype.kind == "i":
            ends = np.iinfo(rows.dtype).min, np.iinfo(rows.dtype).max
        value = self._of_none if ends is None else ends[self._of_none > 0]
        return np.full((*rows.shape[:-1], 1), value, rows.dtype)


class PlaceOfExtreme:
    """y = where along an axis the largest element is, or the smallest: int64, which has no gradient.

    Parameters
    ----------
    place_of_first : callable
        As of :class:`Extreme`.
    """

    def __init__(self, place_of_first):
        self.place_of_first = place_of_first

    def forward(self, x, *, axis, keepdims, select_last_index):
        """x of any shape -> the place of the first of several that are the largest, or of the last one."""
        if select_last_index:
            y = x.shape[axis] - 1 - self.place_of_first(np.flip(x, axis), axis=axis, keepdims=keepdims)
        else:
            y = self.place_of_first(x, axis=axis, keepdims=keepdims)
        return np.asarray(y, np.int64), None

    def backward(self, dy, saved, needs, *, axis, keepdims, select_last_index):
        """None."""
        return (None,)


def _kept(shape, axes):
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def _shape(shape, axes, keepdims):
    return tuple(1 if axis in axes else size for axis, size in enumerate(shape) if keepdims or axis not in axes)


def _count(shape, axes):
    """Return how many elements become one."""
    return int(np.prod([shape[axis] for axis in axes]))


def _rows(x, axes):
    """Return an array whose last axis has all that becomes one element, in row-major order."""
    moved = np.moveaxis(x, axes, range(-len(axes), 0))
    # Elements that lie side by side are added pairwise.
    return np.copy(moved, order="C").reshape(*_kept(x.shape, axes), _count(x.shape, axes))


def _with_axes_back(rows, shape, axes):
    """Return an array of a shape that has each element of the rows where :func:`_rows` found it."""
    moved = rows.reshape((*_kept(shape, axes), *(shape[axis] for axis in axes)))
    return np.moveaxis(moved, range(-len(axes), 0), axes)


OPERATIONS = {
    "arg_max": PlaceOfExtreme(np.argmax),
    "arg_min": PlaceOfExtreme(np.argmin),
    "reduce_l1": Reduction(l1, lambda dy, x, y: dy * np.sign(x)),
    "reduce_l2": Reduction(l2, of_l2),
    "reduce_log_sum": Reduction(log_sum, lambda dy, x, y: dy / total(x)),
    "reduce_log_sum_exp": Reduction(log_sum_exp, lambda dy, x, y: dy * np.exp(x - y)),
    "reduce_max": Extreme(np.argmax, -np.inf),
    "reduce_mean": Reduction(mean, lambda dy, x, y: dy / x.shape[-1]),
    "reduce_min": Extreme(np.argmin, np.inf),
    "reduce_prod": Reduction(product, lambda dy, x, y: dy * products_of_others(x)),
    "reduce_sum": Reduction(total, lambda dy, x, y: dy),
    "reduce_sum_square": Reduction(sum_square, lambda dy, x, y: dy * (2 * x)),
}
