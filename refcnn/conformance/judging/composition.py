"""Operations that are fused into the kernel of the one before them: their cases, exact answers and bounds.

A variant is named by its kernels and what follows, ``cpu+relu`` or
``winograd_4x4+relu+max_pool2d``. What follows says itself, among the traits of
its conformance, with which attributes it does, what it makes of the bound of
the result, and where its gradient may go. What can mask a gradient by what it
gave, as a rectifier can, comes before too, since kernels do that for it; it
gets numbers that it leaves as they are.
What follows may have inputs of its own beside the result, which are made for the
shape of that. Where they say what each channel of a convolution is multiplied by,
they may be folded into its kernels and its bias, which rounds otherwise: a correct
result keeps to the larger of both bounds. Gradients are judged of what has none.
Of an operation's several results it follows the first.
Backward, a rounding may move the winner of a window, or the sign of what is
rectified: :func:`routed` says where. Cases without any are held against the
exact gradients to the bit.
"""

import dataclasses

import numpy as np

from ... import rooms
from ...backend import results_of
from ...errors import ShapeError
from ..theory.bounds import UNDEFINED, widest

# Elements of a parameter beside the one that is judged: a multiple of what a kernel may take at once, so that one that
# counts a part too many or too few is found.
_OTHERS = 1024


def has_gradient(followers):
    """Return whether gradients are judged of what follows: of what has no inputs of its own."""
    return not any(_inputs(name, (1, 1)) for name in followers)


def keeps_exact(followers):
    """Return whether what follows rounds no sum of small integers."""
    return all(_trait(name, "EXACT_ON_INTEGERS") for name in followers)


class NoSuchResult(Exception):
    """A case has no such result: what follows cannot be applied to its shape, or nothing in it has a gradient."""


def split(variant):
    """Return (kernels or None, names of what follows) of a variant."""
    kernels, *followers = (variant or "").split("+")
    return kernels or None, tuple(followers)


def has_small_strips(images):
    """Return whether a case with such images is computed in strips of few tiles, on devices where strips are larger.

    It depends on their number, so that a case that is saved runs the same way, and not on whether that is odd, which
    decides about gradients of pooling. What has no axes is none of them.
    """
    return images.ndim > 0 and images.shape[0] % 4 >= 2


def followed(case, followers):
    """Return a case whose x is such as the masks before it give, whose dy has the shape of what follows.

    It is the case itself if nothing follows. There is no dy where what follows has inputs of its own.

    Raises
    ------
    NoSuchResult
        If there is no window that fits into the result, or the result has not as many axes as windows have. Or if
        the operation is of whole numbers, which nothing is fused with.
    """
    if not followers:
        return case
    x = case.inputs[0]
    if x.dtype.kind != "f":
        raise NoSuchResult
    for name in _masks(followers):
        x, _ = _reference(name).forward(x, **_attributes(name))
    case = dataclasses.replace(case, inputs=(x, *case.inputs[1:]))
    if case.dy is None:
        return case
    if not has_gradient(followers):
        return dataclasses.replace(case, dy=None)
    first, *others = results_of(case.dy)
    y = np.zeros(first.shape)
    try:
        for name in followers:
            window = _attributes(name).get("kernel")
            if window is not None and len(window) != y.ndim - 2:
                raise NoSuchResult
            y, _ = _reference(name).forward(y, **_attributes(name))
    except ShapeError:
        raise NoSuchResult from None
    dy = np.ascontiguousarray(first[tuple(map(slice, y.shape))])
    return dataclasses.replace(case, dy=_with_first(case.dy, dy))


def forward_bounds(operation, case, followers, y, algorithms):
    """Return the bounds of the results of an operation, the first of what follows it, if anything does.

    Parameters
    ----------
    operation : str
    case : Case
    followers : sequence of str
    y : ndarray of float64
        The exact result of the operation alone, the first of several; of use only if something follows.
    algorithms : dict
        As :func:`~refcnn.backend.algorithms_of` returned it.
    """
    room = rooms.require(rooms.CONFORMANCE, operation)
    bound, *others = results_of(room.forward_bound(case.inputs, case.attributes, **algorithms))
    for name in followers:
        own, fold = _inputs(name, y.shape), _trait(name, "folded")
        bound = _trait(name, "fused_bound")(y, bound, *own)
        if fold is not None:
            folded = _folded_bound(room, case, fold(*case.inputs[1:], *own), algorithms)
            bound = widest((bound, np.broadcast_to(folded, y.shape)))
        y, _ = _reference(name).forward(y, *own, **_attributes(name))
    return bound, *others


def _folded_bound(room, case, weights, algorithms):
    """Return the bound of a convolution with kernels and a bias that are rounded after something is folded into them.

    It is that of weights as large as they may be, for what is rounded, and of what their errors make of the result.
    """
    x, kernels, errors = case.inputs[0], weights[0], [entry.error for entry in weights]
    may_vanish = (np.abs(kernels.exact) <= kernels.error) & (kernels.exact != 0)
    # A kernel that vanishes makes NaN of an infinity.
    if not all(np.isfinite(error).all() for error in errors) or (may_vanish.any() and not np.isfinite(x).all()):
        return np.asarray(UNDEFINED)
    largest = (entry.exact + np.sign(entry.exact) * entry.error for entry in weights)
    return room.forward_bound((x, *largest), case.attributes, (None, *errors), **algorithms)


def masked_bound(x, gradient, bound, followers):
    """Return the bound of the gradient of x after the masks before it, None where there is none."""
    for name in _masks(followers) if bound is not None else ():
        bound = rooms.require(rooms.CONFORMANCE, name).masked_bound(x, gradient, bound)
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
    is_open, spread = np.zeros(y.shape, dtype=bool), dy
    result, all_saved = y, []
    for name in followers:
        is_open, spread = _trait(name, "may_route")(y, bound, is_open, dy)
        result, saved = _reference(name).forward(result, **_attributes(name))
        all_saved.append(saved)
    for name, saved in zip(reversed(followers), reversed(all_saved), strict=True):
        (dy,) = _reference(name).backward(dy, saved, (True,), **_attributes(name))
    return np.where(is_open, spread, dy), np.where(is_open, np.abs(spread), 0)


def _with_first(results, first):
    """Return results, one or a tuple of several, with another first one."""
    return (first, *results[1:]) if isinstance(results, tuple) else first


def _reference(name):
    return rooms.require(rooms.REFERENCE, name)


def _trait(name, trait):
    return rooms.trait(rooms.CONFORMANCE, name, trait)


def _attributes(name):
    return _trait(name, "AS_FOLLOWER")


def _inputs(name, shape):
    return _trait(name, "inputs_as_follower")(shape)


def _masks(followers):
    """Return which of what follows comes before the operation too, in that order."""
    return [name for name in followers if _trait(name, "MASKS")]


class Composition:
    """An operation, what masks its gradient and what follows it, as one implementation.

    Parameters
    ----------
    before, followers : sequence of (object, dict, callable)
        The implementations of what comes before and after, which have ``forward`` and ``backward``, their attributes,
        and what returns their own inputs for a result of some shape.
    implementation : object
        Has both too.
    """

    def __init__(self, before, implementation, followers):
        self._before, self._first, self._followers = before, implementation, followers

    @classmethod
    def on(cls, backend, implementation, names):
        """Return what is judged: an implementation followed by operations of some names, if any, or as it is."""
        if hasattr(implementation, "forward_all"):
            # Alone, it would not show whether one launch updates several parameters.
            return _AmongOthers(backend, implementation)
        if not names:
            return implementation

        def following(name):
            def own(shape):
                return map(backend.array, _inputs(name, shape))

            return backend.operation(name), _attributes(name), own

        return cls([following(name) for name in _masks(names)], implementation, [following(name) for name in names])

    def forward(self, x, *inputs, **attributes):
        """As in :mod:`refcnn.reference`."""
        x, of_before = _forward(self._before, x)
        results, of_first = self._first.forward(x, *inputs, **attributes)
        y, of_followers = _forward(self._followers, results_of(results)[0])
        return _with_first(results, y), (of_before, of_first, of_followers)

    def backward(self, dy, saved, needs, **attributes):
        """As in :mod:`refcnn.reference`."""
        of_before, of_first, of_followers = saved
        given, dy = dy, results_of(dy)[0]
        for (operation, own, _), of_forward in zip(reversed(self._followers), reversed(of_followers), strict=True):
            (dy,) = operation.backward(dy, of_forward, (True,), **own)
            if dy.shape[0] % 2 and hasattr(dy, "computed"):
                # As for a kernel that does not spread a pooled gradient over the windows itself, as others do.
                dy.computed()
        dx, *gradients = self._first.backward(_with_first(given, dy), of_first, needs, **attributes)
        if dx is not None:
            for (operation, own, _), of_forward in zip(reversed(self._before), reversed(of_before), strict=True):
                (dx,) = operation.backward(dx, of_forward, (True,), **own)
        return (dx, *gradients)


def _forward(operations, y):
    """Return the result of operations one after the other, and what each saved."""
    all_saved = []
    for operation, attributes, own in operations:
        y, saved = operation.forward(y, *own(y.shape), **attributes)
        all_saved.append(saved)
    return y, all_saved


class _AmongOthers:
    """An optimizer's operation that updates a parameter together with others, which come before and after it."""

    def __init__(self, backend, implementation):
        self._backend, self._implementation = backend, implementation

    def forward(self, *arrays, **attributes):
        """As in :mod:`refcnn.reference`."""
        other = tuple(self._backend.array(np.ones(_OTHERS)) for _ in arrays)
        return self._implementation.forward_all([other, arrays, other], **attributes)[1]
