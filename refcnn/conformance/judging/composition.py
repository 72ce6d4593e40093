"""Operations that are fused into the kernel of the one before them: their cases, exact answers and bounds.

A variant is named by its kernels and what follows, ``cpu+relu`` or
``winograd_4x4+relu+max_pool2d``. What follows a sum of products is exact and
lets no error grow, so that the bound of the sum is the bound of the whole.
A rectifier comes before it too, since a kernel may mask the gradient of what
a rectifier gave; it gets numbers that it leaves as they are.
Backward, a rounding may move the winner of a window, or the sign of what is
rectified: :func:`routed` says where. Cases without any are held against the
exact gradients to the bit.
"""

import dataclasses

import numpy as np

from ...reference import max_pool2d, relu
from ...shapes import window_output_shape
from ..theory.bounds import UNDEFINED

#: What can follow, with its attributes.
FOLLOWERS = {"relu": {}, "max_pool2d": {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0, 0, 0)}}
# Elements of a parameter beside the one that is judged: a multiple of what a kernel may take at once, so that one that
# counts a part too many or too few is found.
_OTHERS = 1024


class NoSuchResult(Exception):
    """What follows cannot be applied to a result of that shape."""


def split(variant):
    """Return (kernels or None, names of what follows) of a variant."""
    kernels, *followers = (variant or "").split("+")
    return kernels or None, tuple(followers)


def has_small_strips(images):
    """Return whether a case with such images is computed in strips of few tiles, on devices where strips are larger.

    It depends on their number, so that a case that is saved runs the same way, and not on whether that is odd, which
    decides about gradients of pooling.
    """
    return images.shape[0] % 4 >= 2


def followed(case, followers):
    """Return a case with no x below 0, whose dy has the shape of what follows; itself if nothing follows.

    Raises
    ------
    NoSuchResult
        If there is no window that fits into the result.
    """
    if not followers:
        return case
    x = case.inputs[0]
    case = dataclasses.replace(case, inputs=(np.where(x <= 0, x.dtype.type(0), x), *case.inputs[1:]))
    if "max_pool2d" not in followers or case.dy is None:
        return case
    if min(case.dy.shape[2:]) < 2:
        raise NoSuchResult
    height, width = window_output_shape(case.dy.shape[2:], **FOLLOWERS["max_pool2d"])
    return dataclasses.replace(case, dy=np.ascontiguousarray(case.dy[:, :, :height, :width]))


def bound(bound, followers):
    """Return the bound of what follows a result with a bound."""
    if "max_pool2d" in followers:
        bound = np.where(bound == UNDEFINED, np.inf, bound)
        bound = max_pool2d.forward(bound, **FOLLOWERS["max_pool2d"])[0]
        bound = np.where(np.isinf(bound), UNDEFINED, bound)
    return bound


def routed(y, bound, dy, followers):
    """Return what reaches y of the gradient of what follows it, and by how much that may be otherwise.

    Where a correct result may have another sign, or another winner in a window, each of its pixels may get the gradient
    or nothing: it has the gradient here, and may be off by all of it.

    Parameters
    ----------
    y, bound : ndarray of float64
        Exact, and how far a correct result may be off.
    dy : ndarray of float64
        The gradient of the result of the followers.
    followers : sequence of str

    Returns
    -------
    (ndarray, ndarray) of float64
        Both of the shape of y.

    Raises
    ------
    NoSuchResult
        If something is not finite, or its bound.
    """
    if not all(np.isfinite(entry).all() for entry in (y, bound, dy)) or (bound == UNDEFINED).any():
        raise NoSuchResult
    is_open = (np.abs(y) <= bound) & (bound > 0)
    rectified, of_relu = relu.forward(y)
    spread = dy
    if "max_pool2d" in followers:
        _, of_pooling = max_pool2d.forward(rectified, **FOLLOWERS["max_pool2d"])
        values, errors = _in_windows(y), _in_windows(bound)
        winner = values.argmax(axis=-1)[..., None]
        largest, error = np.take_along_axis(values, winner, -1), np.take_along_axis(errors, winner, -1)
        gap, width = largest - values, error + errors
        np.put_along_axis(gap, winner, np.inf, -1)
        of_window = np.take_along_axis(_in_windows(is_open), winner, -1)
        of_window |= ((gap <= width) & (width > 0)).any(axis=-1, keepdims=True)
        # A window that is surely rectified has no gradient, whoever wins it.
        of_window &= ~(values + errors <= 0).all(axis=-1, keepdims=True)
        is_open, spread = np.zeros(y.shape, dtype=bool), np.zeros(y.shape)
        rows, columns = 2 * dy.shape[2], 2 * dy.shape[3]
        is_open[:, :, :rows, :columns] = of_window[..., 0].repeat(2, axis=2).repeat(2, axis=3)
        spread[:, :, :rows, :columns] = dy.repeat(2, axis=2).repeat(2, axis=3)
        (dy,) = max_pool2d.backward(dy, of_pooling, (True,), **FOLLOWERS["max_pool2d"])
    (dy,) = relu.backward(dy, of_relu, (True,))
    return np.where(is_open, spread, dy), np.where(is_open, np.abs(spread), 0)


def _in_windows(images):
    """Return (N, C, rows, columns, 4): the pixels of windows of 2x2 side by side."""
    rows, columns = images.shape[2] // 2, images.shape[3] // 2
    parts = images[:, :, : 2 * rows, : 2 * columns].reshape(*images.shape[:2], rows, 2, columns, 2)
    return parts.swapaxes(3, 4).reshape(*images.shape[:2], rows, columns, 4)


class Composition:
    """An operation, a rectifier before it and what follows it, as one implementation.

    Parameters
    ----------
    rectifier, implementation : object
        Have ``forward`` and ``backward``.
    followers : sequence of (object, dict)
        The implementations of what follows, and their attributes.
    """

    def __init__(self, rectifier, implementation, followers):
        self._rectifier, self._first, self._followers = rectifier, implementation, followers

    @classmethod
    def on(cls, backend, implementation, names):
        """Return what is judged: an implementation followed by operations of some names, if any, or as it is."""
        if hasattr(implementation, "forward_all"):
            # Alone, it would not show whether one launch updates several parameters.
            return _AmongOthers(backend, implementation)
        followers = [(backend.operation(name), FOLLOWERS[name]) for name in names]
        return cls(backend.operation("relu"), implementation, followers) if names else implementation

    def forward(self, x, *inputs, **attributes):
        """As in :mod:`refcnn.reference`."""
        x, of_rectifier = self._rectifier.forward(x)
        y, saved = self._first.forward(x, *inputs, **attributes)
        all_saved = [of_rectifier, saved]
        for operation, own in self._followers:
            y, saved = operation.forward(y, **own)
            all_saved.append(saved)
        return y, all_saved

    def backward(self, dy, saved, needs, **attributes):
        """As in :mod:`refcnn.reference`."""
        for (operation, own), of_forward in zip(reversed(self._followers), reversed(saved[2:]), strict=True):
            (dy,) = operation.backward(dy, of_forward, (True,), **own)
            if dy.shape[0] % 2 and hasattr(dy, "computed"):
                # As for a kernel that does not spread a pooled gradient over the windows itself, as others do.
                dy.computed()
        dx, *gradients = self._first.backward(dy, saved[1], needs, **attributes)
        return (dx if dx is None else self._rectifier.backward(dx, saved[0], (True,))[0], *gradients)


class _AmongOthers:
    """An optimizer's operation that updates a parameter together with others, which come before and after it."""

    def __init__(self, backend, implementation):
        self._backend, self._implementation = backend, implementation

    def forward(self, *arrays, **attributes):
        """As in :mod:`refcnn.reference`."""
        other = tuple(self._backend.array(np.ones(_OTHERS)) for _ in arrays)
        return self._implementation.forward_all([other, arrays, other], **attributes)[1]
