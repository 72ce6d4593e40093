"""NumPy's formulas in ten orders of summation: right implementations, which no judge may call wrong.

``refcnn conform --device tests.orders_of_summation:ALL.reversed`` tests one of them, and ``tools/false_alarms.py``
counts the cases of all. They have the operations that sum, and the gradients that are such sums.
"""

import math
import types

import numpy as np
import scipy.special

from refcnn.conformance.adapters.formulas import reached
from refcnn.conformance.adapters.windows import WindowFormulas
from refcnn.conformance.subjects.base import NotExpressible
from refcnn.shapes import image_slices, sides, window_extent

#: Products that are held at once, and those of a case, which would else take minutes.
_AT_ONCE, _MOST = 2**21, 2**26


def _sequential(terms):
    # NumPy's own sum along a first axis goes by pairs where the others have one element.
    how = {"axis": 0, "dtype": terms.dtype}
    return np.add.accumulate(terms, **how)[-1] if terms[0].size == 1 else np.add.reduce(terms, **how)


def _blocks(terms, size):
    """Sum blocks of so many terms, and then these sums."""
    whole = len(terms) // size * size
    sums = [
        _sequential(block) for block in (terms[:whole].reshape(-1, size, *terms.shape[1:]).swapaxes(0, 1),) if whole
    ]
    return _sequential(np.concatenate([*sums, terms[whole:]]))


def _lanes(terms, count):
    """Sum every so manieth term, and then these sums."""
    return _sequential(np.stack([_sequential(terms[first::count]) for first in range(min(count, len(terms)))]))


def _halves(terms):
    """Add the second half to the first until one is left."""
    while len(terms) > 1:
        half = (len(terms) + 1) // 2
        terms = np.concatenate([terms[: len(terms) - half] + terms[half:], terms[len(terms) - half : half]])
    return terms[0]


def _neighbours(terms):
    """Add neighbours until one is left."""
    while len(terms) > 1:
        terms = np.concatenate([terms[0:-1:2] + terms[1::2], terms[len(terms) // 2 * 2 :]])
    return terms[0]


def _channels_first(terms):
    """Of nine taps in each channel sum those of all channels by halves, then the taps."""
    return _sequential(np.stack([_halves(terms[first::9]) for first in range(min(9, len(terms)))]))


def _compensated(terms):
    """Sum as Kahan does; where something is not finite what is lost is no number, and the plain sum counts."""
    if terms.dtype.kind != "f":
        return _sequential(terms)
    total, lost = terms[0], np.zeros_like(terms[0])
    for term in terms[1:]:
        found = term - lost
        moved = total + found
        lost, total = (moved - total) - found, moved
    plain = _sequential(terms)
    return np.where(np.isfinite(total) & np.isfinite(plain), total, plain)


class Summing:
    """NumPy, with its sums in an order: a function of terms that lie along the first axis."""

    def __init__(self, order):
        self._order = order

    def __getattr__(self, name):
        return getattr(np, name)

    def total(self, terms):
        """Return the sum along the first axis."""
        return self._order(terms) if len(terms) else np.zeros(terms.shape[1:], terms.dtype)

    def sum(self, x, axis=None, keepdims=False, dtype=None):
        axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
        axes = sorted(axis % x.ndim for axis in axes)
        others = [other for other in range(x.ndim) if other not in axes]
        terms = x.transpose((*axes, *others))
        y = self.total(terms.reshape(math.prod(terms.shape[: len(axes)]), *terms.shape[len(axes) :]))
        return np.expand_dims(y, tuple(axes)) if keepdims else y

    def mean(self, x, axis=None, keepdims=False):
        y = self.sum(x, axis, keepdims)
        return y / x.dtype.type(x.size // y.size if y.size else 1)

    def matmul(self, a, b):
        """Products of matrices, or of stacks of them, each element a sum of its own."""
        if b.ndim == 1:
            return self.matmul(a, b[:, None])[..., 0]
        if a.ndim == 1:
            return self.matmul(a[None], b)[..., 0, :]
        stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        a, b = np.broadcast_to(a, (*stack, *a.shape[-2:])), np.broadcast_to(b, (*stack, *b.shape[-2:]))
        y = np.zeros((*stack, a.shape[-2], b.shape[-1]), np.result_type(a, b))
        if y.size * a.shape[-1] > _MOST:
            raise NotExpressible("it would take minutes")
        rows = max(1, _AT_ONCE // max(1, a.shape[-1] * b.shape[-1]))
        for place in np.ndindex(stack):
            for first in range(0, a.shape[-2], rows):
                terms = a[place][first : first + rows].T[:, :, None] * b[place][:, None, :]
                y[place][first : first + rows] = self.total(terms)
        return y


class _Formulas(WindowFormulas):
    """NumPy's formulas with sums in an order, and the gradients that are sums."""

    def conv_transpose2d(self, x, w, b, *, stride, padding, output_padding, dilation, groups):
        spread = (
            (size - 1) * step + window_extent(taps, gap) + more - sum(both)
            for size, step, taps, gap, more, both in zip(
                x.shape[2:], stride, w.shape[2:], dilation, output_padding, sides(padding), strict=True
            )
        )
        y = self._spread_out(x, w, tuple(spread), stride, padding, dilation, groups)
        return y if b is None else y + b

    def dense_backward(self, dy, x, w, b):
        return self.xp.matmul(dy, w.T), self.xp.matmul(x.T, dy), self._of_bias(dy, b)

    def matmul_backward(self, dy, a, b):
        if a.ndim == 1 or b.ndim == 1:
            raise NotExpressible("of vectors it is the same sums")
        return self._unbroadcast(self.xp.matmul(dy, np.swapaxes(b, -1, -2)), a), self._unbroadcast(
            self.xp.matmul(np.swapaxes(a, -1, -2), dy), b
        )

    def add_backward(self, dy, a, b):
        return self._unbroadcast(dy, a), self._unbroadcast(dy, b)

    def subtract_backward(self, dy, a, b):
        return self._unbroadcast(dy, a), self._unbroadcast(-dy, b)

    def expand_backward(self, dy, x, *, shape):
        return (self._unbroadcast(dy, x),)

    def conv2d_backward(self, dy, x, w, b, *, stride, padding, dilation, groups):
        dx = self._spread_out(dy, w, x.shape[2:], stride, padding, dilation, groups)
        dw = self._of_weights(x, dy, w.shape, stride, padding, dilation, groups)
        return dx, dw, self._of_bias(dy, b)

    def conv_transpose2d_backward(self, dy, x, w, b, *, stride, padding, output_padding, dilation, groups):
        geometry = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        # The last pixels of dy that output_padding adds may have room for windows that no pixel of x has.
        inside = tuple(map(slice, x.shape[2:]))
        dx = self.conv2d(dy, w, None, **geometry)[(..., *inside)]
        dw = self._of_weights(dy, x, w.shape, stride, padding, dilation, groups)
        return dx, dw, self._of_bias(dy, b)

    def average_pool2d(self, x, *, count_include_padding, **geometry):
        counts = self._counts(x, count_include_padding, **geometry)
        return self.xp.sum(self._windows(x, 0, **geometry), axis=-1) / counts

    def average_pool2d_backward(self, dy, x, *, count_include_padding, **geometry):
        shares = dy / self._counts(x, count_include_padding, **geometry)
        geometry |= {"padding": reached(x.shape[2:], **geometry)}
        under = np.broadcast_to(shares[..., None], (*shares.shape, math.prod(geometry["kernel"])))
        return (self._from_taps(under, x.shape, **geometry),)

    def lp_pool2d(self, x, *, p, **geometry):
        under = np.abs(self._windows(x, 0, **geometry))
        return self.xp.sum(under, axis=-1) if p == 1 else self.xp.sum(under**p, axis=-1) ** (1 / p)

    def softmax(self, x, *, axis):
        powers = np.exp(self._below_largest(x, axis))
        return powers / self.xp.sum(powers, axis=axis, keepdims=True)

    def log_softmax(self, x, *, axis):
        below = self._below_largest(x, axis)
        return below - np.log(self.xp.sum(np.exp(below), axis=axis, keepdims=True))

    def softmax_backward(self, dy, x, *, axis):
        y = self.softmax(x, axis=axis)
        return (y * (dy - self.xp.sum(dy * y, axis=axis, keepdims=True)),)

    def log_softmax_backward(self, dy, x, *, axis):
        return (dy - self.softmax(x, axis=axis) * self.xp.sum(dy, axis=axis, keepdims=True),)

    def _counts(self, x, count_include_padding, **geometry):
        ones = np.ones((1, 1, *x.shape[2:]), x.dtype)
        near = geometry["padding"]
        far = reached(x.shape[2:], **geometry)
        behind = tuple(b - a for a, b in zip(near, far, strict=True))
        counted = np.pad(ones, ((0, 0), (0, 0), *sides(near)), constant_values=count_include_padding)
        window = geometry["kernel"], geometry["stride"], behind, geometry["dilation"]
        return self._taps(counted, 0, *window).sum(axis=-1)

    def _of_bias(self, dy, b):
        if b is None:
            return None
        return self._unbroadcast(dy, b)

    def _unbroadcast(self, dy, x):
        """Return the sum of a gradient over the axes along which x was repeated."""
        form = (1,) * (dy.ndim - x.ndim) + x.shape
        axes = tuple(axis for axis, size in enumerate(form) if size == 1 and dy.shape[axis] != 1)
        return (self.xp.sum(dy, axis=axes, keepdims=True) if axes else dy).reshape(x.shape)

    def _of_weights(self, x, dy, shape, stride, padding, dilation, groups):
        """Return the gradient of a convolution's kernels: sums over images and places."""
        taps = self._taps(x, 0, shape[2:], stride, padding, dilation)
        taps = taps[(slice(None), slice(None), *map(slice, dy.shape[2:]))]
        n, kernel, pixels = len(x), math.prod(shape[2:]), math.prod(dy.shape[2:])
        rows = x.shape[1] // groups
        taps = taps.reshape(n, groups, rows, pixels, kernel).transpose((1, 2, 4, 0, 3))
        dys = dy.reshape(n, groups, -1, pixels).transpose((1, 0, 3, 2))
        dw = self.xp.matmul(taps.reshape(groups, rows * kernel, n * pixels), dys.reshape(groups, n * pixels, -1))
        return np.swapaxes(dw, 1, 2).reshape(shape)

    def _spread_out(self, x, w, image, stride, padding, dilation, groups):
        """Return the images of which each pixel sums what lies on it of kernels that are multiplied by pixels of x."""
        n, kernel, pixels = len(x), math.prod(w.shape[2:]), math.prod(x.shape[2:])
        pixels_of_x = x.reshape(n, groups, -1, pixels).transpose((1, 0, 3, 2)).reshape(groups, n * pixels, -1)
        under = self.xp.matmul(pixels_of_x, w.reshape(groups, len(w) // groups, -1))
        under = under.reshape(groups, n, pixels, w.shape[1], kernel).transpose((1, 0, 3, 2, 4))
        shape = n, groups * w.shape[1], *image
        under = under.reshape(*shape[:2], *x.shape[2:], kernel)
        return self._from_taps(under, shape, padding=padding, kernel=w.shape[2:], stride=stride, dilation=dilation)

    def _from_taps(self, under, shape, *, padding, kernel, stride, dilation, **_):
        """Return images of which each pixel sums what lies under the places of a window over it, tap by tap."""
        places = under.shape[2:-1]
        padded = np.zeros(
            (*shape[:2], *(size + sum(both) for size, both in zip(shape[2:], sides(padding), strict=True)))
        )
        padded = padded.astype(under.dtype)
        for number, tap in enumerate(np.ndindex(*kernel)):
            inside = (
                slice(at * gap, at * gap + (count - 1) * step + 1, step)
                for at, gap, count, step in zip(tap, dilation, places, stride, strict=True)
            )
            padded[(slice(None), slice(None), *inside)] += under[..., number]
        return padded[(slice(None), slice(None), *image_slices(shape[2:], padding))]


#: The operations that sum. What has no sum is the same in all orders.
_SUMMING = (
    *("conv2d", "conv_transpose2d", "dense", "matmul", "average_pool2d", "lp_pool2d", "global_average_pool2d"),
    *("reduce_sum", "reduce_mean", "reduce_l1", "reduce_l2", "reduce_sum_square", "reduce_log_sum", "softmax"),
    *("log_softmax", "mean_squared_error", "smoothed_l1"),
    *("batch_normalization", "layer_normalization", "group_normalization", "instance_normalization"),
    *("rms_normalization", "local_response_normalization"),
)


class Ordered:
    """An implementation: the operations that sum, in an order."""

    version = np.__version__

    def __init__(self, name, order):
        self.name = f"NumPy, sums {name.replace('_', ' ')}"
        formulas = _Formulas(Summing(order), scipy.special, lambda x: x)
        for function in (*_SUMMING, *(entry for entry in vars(_Formulas) if entry.endswith("_backward"))):
            setattr(self, function, getattr(formulas, function))


#: By the names of the orders.
ORDERS = {
    "sequential": _sequential,
    "reversed": lambda terms: _sequential(terms[::-1]),
    "pairs": _neighbours,
    "halves": _halves,
    "blocks_of_4": lambda terms: _blocks(terms, 4),
    "blocks_of_16": lambda terms: _blocks(terms, 16),
    "blocks_of_64": lambda terms: _blocks(terms, 64),
    "interleaved": lambda terms: _lanes(terms, 8),
    "channels_first": _channels_first,
    "compensated": _compensated,
}
ALL = types.SimpleNamespace(**{name: Ordered(name, order) for name, order in ORDERS.items()})
