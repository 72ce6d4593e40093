"""Launches of kernels that work along one axis of an array."""

import math

import numpy as np

from .elementwise import launch_in_chunks, launch_over

# Of how many terms of each result, if all have as many, there is a kernel of its own.
_TERMS = (1, 2, 3, 4)


def launch_along(stem, kernel, axis, /, **arrays):
    """Run a kernel with a work-item for each row along an axis of arrays, all of one shape.

    ``STRIDE`` is 1 or ``inner`` in it.
    """
    first = next(iter(arrays.values()))
    columns, inner = first.shape[axis], math.prod(first.shape[axis + 1 :])
    rows = first.size // columns
    options = ("-DSTRIDE=1" if inner == 1 else "-DSTRIDE=inner",)
    sizes = {"rows": rows, "columns": columns, "inner": inner}
    launch_over(first.device, stem, kernel, rows, options=options, **arrays, **sizes)


def sum_along(x, axis, places, offsets, weights=None):
    """Sum along an axis terms that a table names: y = A x, where A has few numbers in a row that are not 0.

    Return y with y[..., k, ...] = the sum over j from offsets[k] to offsets[k + 1] of w[j] x[..., places[j], ...].

    Parameters
    ----------
    x : DeviceArray
        float32
    axis : int
    places : sequence of int
    offsets : sequence of int
        One more than there are results along the axis.
    weights : sequence of float, optional
        w; without them each is 1.
    """
    device, inner = x.device, math.prod(x.shape[axis + 1 :])
    y = device.empty((*x.shape[:axis], len(offsets) - 1, *x.shape[axis + 1 :]))
    tables = {"places": places, "offsets": offsets}
    arrays = {name: device.array(np.asarray(table, np.int32)) for name, table in tables.items()}
    options = () if weights is None else ("-DWEIGHTED",)
    terms = np.unique(np.diff(offsets))
    if len(terms) == 1 and terms[0] in _TERMS:
        options = *options, f"-DTERMS={terms[0]}"
    arrays["weights"] = None if weights is None else device.array(np.asarray(weights, np.float32))
    sizes = {"count": y.size, "x_size": x.shape[axis], "y_size": y.shape[axis], "inner": inner}
    launch_in_chunks(device, "along", "sum_along", y.size, options=options, x=x, y=y, **arrays, **sizes)
    return y
