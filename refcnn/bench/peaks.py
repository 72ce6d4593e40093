"""The limits that a device's own kernels show: arithmetic by a matrix product, memory by elementwise operations."""

import time

from . import batches

_REPETITIONS = 8
# Rows and columns of the matrices, and elements of the arrays.
_MATRIX = {"cpu": 1024, "gpu": 4096}
_ELEMENTS = {"cpu": 2**24, "gpu": 2**28}


def matrix_product(backend):
    """Return the GFLOP/s of the product of two large matrices, the best of some repetitions."""
    size = _MATRIX.get(backend.device.kind, _MATRIX["cpu"])
    x, w = (backend.array(batches.random((size, size))) for _ in range(2))
    forward = backend.operation("dense").forward
    return 2 * size**3 / _best(backend, lambda: forward(x, w, None)[0].computed()) / 1e9


def elementwise(backend):
    """Return the GB/s, read and written, of adding and of rectifying long arrays, the better of the two."""
    count = _ELEMENTS.get(backend.device.kind, _ELEMENTS["cpu"])
    x = backend.array(batches.random(count))
    add, relu = backend.operation("add").forward, backend.operation("relu").forward
    return (
        4e-9
        * count
        * max(3 / _best(backend, lambda: add(x, x)[0].computed()), 2 / _best(backend, lambda: relu(x)[0].computed()))
    )


def _best(backend, action):
    action()
    backend.device.finish()
    taken = []
    for _ in range(_REPETITIONS):
        start = time.perf_counter()
        action()
        backend.device.finish()
        taken.append(time.perf_counter() - start)
    return min(taken)
