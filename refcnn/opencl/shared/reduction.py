"""Launches of kernels/reduction.cl: along one run of neighbouring axes after the other, so that any axes will do."""

import math

import numpy as np

from .elementwise import launch_over

# Elements that a work-item reduces: of long axes there are many such pieces, which are reduced again.
_PIECE = 256


def sum_over(x, axes):
    """Return the sums over some axes, in an array of as many elements as there are sums.

    Parameters
    ----------
    x : DeviceArray
        float32
    axes : collection of int

    Returns
    -------
    DeviceArray
        x itself where nothing is to be added.
    """
    device = x.device
    for sizes in _passes(x.shape, axes):
        y = device.empty((sizes["outer"], sizes["pieces"], sizes["inner"]))
        launch_over(device, "reduction", "sum", y.size, x=x, y=y, **sizes)
        x = y
    return x


def largest_over(x, axes):
    """Return the largest over some axes, and at which place of x each is first.

    Parameters
    ----------
    x : DeviceArray
        float32
    axes : collection of int

    Returns
    -------
    (DeviceArray, DeviceArray)
        float32 and int32, each of as many elements as there are results; a place is -1 where there are no elements.
    """
    device, winner = x.device, None
    # Where no axis is reduced, each element is the largest of itself.
    for sizes in list(_passes(x.shape, axes)) or [_pass(1, 1, x.size)]:
        shape = sizes["outer"], sizes["pieces"], sizes["inner"]
        y, y_winner = device.empty(shape), device.empty(shape, np.int32)
        arrays = {"x": x, "x_winner": winner, "y": y, "y_winner": y_winner}
        launch_over(device, "reduction", "largest", y.size, **arrays, **sizes, is_first=int(winner is None))
        x, winner = y, y_winner
    return x, winner


def repeated(x, shape, axes):
    """Return x, from which some axes of a shape are gone or have one element, repeated along those to that shape."""
    for outer, extent, inner in reversed(list(_runs(shape, axes))):
        y = x.device.empty((outer, extent, inner))
        launch_over(x.device, "reduction", "repeat", y.size, x=x, y=y, outer=outer, extent=extent, inner=inner)
        x = y
    return x.reshape(shape)


def divided(x, divisor):
    """Return x divided by a number."""
    y = x.device.empty(x.shape)
    launch_over(x.device, "reduction", "divide_by", x.size, x=x, y=y, count=x.size, divisor=float(divisor))
    return y


def to_winners(dy, winner, shape):
    """Return an array of a shape that has each of dy at its place of :func:`largest_over`, and else 0."""
    dx = dy.device.empty(shape)
    launch_over(dx.device, "reduction", "zeros", dx.size, y=dx, count=dx.size)
    if dx.size:
        launch_over(dx.device, "reduction", "to_winners", dy.size, dy=dy, winner=winner, dx=dx, count=dy.size)
    return dx


def _runs(shape, axes):
    """Yield (outer, extent, inner) of each run of neighbouring axes that are reduced, the last of them first.

    ``inner`` counts what is behind the run when the runs there are reduced already.
    """
    groups = []
    for axis, size in enumerate(shape):
        if size != 1:
            if groups and groups[-1][0] == (axis in axes):
                groups[-1][1] *= size
            else:
                groups.append([axis in axes, size])
    for index in range(len(groups) - 1, -1, -1):
        is_reduced, extent = groups[index]
        if is_reduced:
            outer = math.prod(size for _, size in groups[:index])
            yield outer, extent, math.prod(size for was_reduced, size in groups[index + 1 :] if not was_reduced)


def _passes(shape, axes):
    """Yield the sizes of each launch of a reduction, by the kernels' names."""
    for outer, extent, inner in _runs(shape, axes):
        sizes = _pass(outer, extent, inner)
        yield sizes
        while sizes["pieces"] > 1:
            sizes = _pass(outer, sizes["pieces"], inner)
            yield sizes


def _pass(outer, extent, inner):
    # One piece at least, since the sum of no elements is a number too.
    pieces = max(1, -(-extent // _PIECE))
    return {"outer": outer, "extent": extent, "inner": inner, "piece": _PIECE, "pieces": pieces}
