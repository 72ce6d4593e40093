"""Reductions on an OpenCL device. ``axes`` are numbers from 0 on, in order, as in :mod:`refcnn.reference.reduction`."""

import math

from ...shapes import inverse
from ..shared import reduction
from ..shared.moving import transposed


class Reduction:
    """What becomes of all elements along some axes: names of functions of kernels/reduction.cl.

    Parameters
    ----------
    fold : refcnn.opencl.shared.reduction.Fold
    of_x : str
        What becomes of the gradient.
    term, finish : str
        As in :func:`refcnn.opencl.shared.reduction.fold_over`.
    needs_x : bool
        Whether the gradient needs x and y.
    """

    KERNELS = {"reduction": (None,)}

    def __init__(self, fold, of_x, term="itself", finish="whole", needs_x=True):
        self._fold, self._of_x, self._term, self._finish, self._needs_x = fold, of_x, term, finish, needs_x

    def forward(self, x, *, axes, keepdims):
        """x of any shape -> y without the axes, or with one element along each."""
        folding = {"term": self._term, "finish": self._finish, "divisor": _count(x.shape, axes)}
        y = reduction.fold_over(x, axes, self._fold, **folding).reshape(_shape(x.shape, axes, keepdims))
        return y, (x.shape, (x, y) if self._needs_x else (None, None))

    def backward(self, dy, saved, needs, *, axes, keepdims):
        """dx = dy dy/dx, for each element that became one of y."""
        shape, (x, y) = saved
        return (reduction.spread(self._of_x, shape, axes, dy=dy, x=x, y=y, divisor=_count(shape, axes)),)


class LogSum:
    """y = log(sum of x)."""

    KERNELS = {"reduction": (None,)}

    def forward(self, x, *, axes, keepdims):
        """x of any shape -> y without the axes, or with one element along each."""
        y = reduction.fold_over(x, axes, reduction.SUM, finish="logarithm")
        return y.reshape(_shape(x.shape, axes, keepdims)), x

    def backward(self, dy, saved, needs, *, axes, keepdims):
        """dx = dy / sum of x."""
        total = reduction.fold_over(saved, axes, reduction.SUM)
        return (reduction.spread("of_log_sum", saved.shape, axes, dy=dy, y=total),)


class LogSumExp:
    """y = m + log(sum of e^(x - m)) with the largest x as m, or 0 where that is not finite."""

    KERNELS = {"reduction": (None,)}

    def forward(self, x, *, axes, keepdims):
        """x of any shape -> y without the axes, or with one element along each."""
        m = reduction.fold_over(x, axes, reduction.LARGEST)
        total = reduction.sum_over(reduction.spread("shifted_exp", x.shape, axes, x=x, y=m), axes)
        y = reduction.spread("shifted_log", (m.size,), (), x=total, y=m)
        y = y.reshape(_shape(x.shape, axes, keepdims))
        return y, (x, y)

    def backward(self, dy, saved, needs, *, axes, keepdims):
        """dx = dy e^(x - y)."""
        x, y = saved
        return (reduction.spread("of_log_sum_exp", x.shape, axes, dy=dy, x=x, y=y),)


class Product:
    """y = product of x."""

    KERNELS = {"reduction": (None,), "moving": (None,)}

    def forward(self, x, *, axes, keepdims):
        """x of any shape -> y without the axes, or with one element along each."""
        y = reduction.fold_over(x, axes, reduction.PRODUCT)
        return y.reshape(_shape(x.shape, axes, keepdims)), x

    def backward(self, dy, saved, needs, *, axes, keepdims):
        """dx = dy times the product of the others: right where some are 0, too."""
        x = saved
        order = [axis for axis in range(x.ndim) if axis not in axes] + list(axes)
        rows = _transposed(x, order)
        dx = reduction.others_product(dy, rows.reshape((dy.size, _count(x.shape, axes))))
        return (_transposed(dx.reshape(rows.shape), inverse(order)),)


class Extreme:
    """y = the largest over the axes, or the smallest, NaN where one is NaN; of no elements the least, or the greatest.

    Parameters
    ----------
    fold : refcnn.opencl.shared.reduction.Fold
    better : str
        As in :func:`refcnn.opencl.shared.reduction.first_over`.
    """

    KERNELS = {"reduction": (None,)}

    def __init__(self, fold, better):
        self._fold, self._better = fold, better

    def forward(self, x, *, axes, keepdims):
        """x of any shape -> y without the axes, or with one element along each."""
        return reduction.fold_over(x, axes, self._fold).reshape(_shape(x.shape, axes, keepdims)), x

    def backward(self, dy, saved, needs, *, axes, keepdims):
        """dx = dy for the first of the extreme ones in row-major order, as in max pooling, else 0."""
        return (reduction.to_winners(dy, reduction.first_over(saved, axes, self._better), saved.shape),)


class PlaceOfExtreme:
    """y = where along an axis the largest element is, or the smallest: int64, which has no gradient.

    Parameters
    ----------
    better, no_worse : str
        As in :func:`refcnn.opencl.shared.reduction.first_over`, for the first of several and for the last one.
    """

    KERNELS = {"reduction": (None,)}

    def __init__(self, better, no_worse):
        self._better, self._no_worse = better, no_worse

    def forward(self, x, *, axis, keepdims, select_last_index):
        """x of any shape -> the place of the first of several that are the largest, or of the last one."""
        winner = reduction.first_over(x, (axis,), self._no_worse if select_last_index else self._better)
        return reduction.places_along(winner, x.shape, axis).reshape(_shape(x.shape, (axis,), keepdims)), None

    def backward(self, dy, saved, needs, *, axis, keepdims, select_last_index):
        """None."""
        return (None,)


def _shape(shape, axes, keepdims):
    sizes = (1 if axis in axes else size for axis, size in enumerate(shape) if keepdims or axis not in axes)
    return tuple(sizes)


def _count(shape, axes):
    """Return how many elements become one."""
    return math.prod(shape[axis] for axis in axes)


def _transposed(x, order):
    """Return x with its axes in another order; x itself if that is its own."""
    return x if list(order) == sorted(order) else transposed(x, order)


OPERATIONS = {
    "arg_max": PlaceOfExtreme("is_larger", "is_no_smaller"),
    "arg_min": PlaceOfExtreme("is_smaller", "is_no_larger"),
    "reduce_l1": Reduction(reduction.SUM, "of_l1", term="magnitude"),
    "reduce_l2": Reduction(reduction.SUM, "of_l2", term="square", finish="root"),
    "reduce_log_sum": LogSum(),
    "reduce_log_sum_exp": LogSumExp(),
    "reduce_max": Extreme(reduction.LARGEST, "is_larger"),
    "reduce_mean": Reduction(reduction.SUM, "of_mean", finish="mean", needs_x=False),
    "reduce_min": Extreme(reduction.SMALLEST, "is_smaller"),
    "reduce_prod": Product(),
    "reduce_sum": Reduction(reduction.SUM, "of_sum", needs_x=False),
    "reduce_sum_square": Reduction(reduction.SUM, "of_sum_square", term="square"),
}
