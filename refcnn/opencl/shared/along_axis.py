"""Launches of kernels with one work-item for each row of an array along one of its axes."""

import math

from .elementwise import launch_over


def launch_along(stem, kernel, axis, /, **arrays):
    """Run a kernel along an axis of arrays, all of one shape; ``STRIDE`` is 1 or ``inner`` in it."""
    first = next(iter(arrays.values()))
    columns, inner = first.shape[axis], math.prod(first.shape[axis + 1 :])
    rows = first.size // columns
    options = ("-DSTRIDE=1" if inner == 1 else "-DSTRIDE=inner",)
    sizes = {"rows": rows, "columns": columns, "inner": inner}
    launch_over(first.device, stem, kernel, rows, options=options, **arrays, **sizes)
