"""The limits that a device's own kernels show: arithmetic by a matrix product, memory by elementwise operations."""

import time

from ..backend import use_backend
from ..layers.arithmetic import add
from ..layers.dense import dense
from ..layers.relu import relu
from ..variable import Variable
from . import batches

_REPETITIONS = 8
# Rows and columns of the matrices, and elements of the arrays.
_MATRIX = {"cpu": 1024, "gpu": 4096}
_ELEMENTS = {"cpu": 2**24, "gpu": 2**28}


def matrix_product(backend):
    """Return the GFLOP/s of the product of two large matrices, the best of some repetitions."""
    size = _MATRIX.get(backend.device.kind, _MATRIX["cpu"])
    x, w = (_random(backend, (size, size)) for _ in range(2))
    return 2 * size**3 / _best(backend, lambda: dense(x, w)) / 1e9


def elementwise(backend):
    """Return the GB/s, read and written, of adding and of rectifying long arrays, the better of the two."""
    count = _ELEMENTS.get(backend.device.kind, _ELEMENTS["cpu"])
    x = _random(backend, count)
    return 4e-9 * count * max(3 / _best(backend, lambda: add(x, x)), 2 / _best(backend, lambda: relu(x)))


def _random(backend, shape):
    return Variable.of(backend, backend.array(batches.random(shape)))


def _best(backend, compute):
    """Return the least seconds of some repetitions of what returns a Variable."""
    taken = []
    with use_backend(backend):
        for _ in range(_REPETITIONS + 1):
            backend.device.finish()
            start = time.perf_counter()
            compute().on(backend).computed()
            backend.device.finish()
            taken.append(time.perf_counter() - start)
    # The first one builds the kernels.
    return min(taken[1:])
