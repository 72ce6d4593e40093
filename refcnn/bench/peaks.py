"""The limits of a device: arithmetic by multiply-adds in registers, memory by elementwise operations.

Beside them what its own matrix product reaches.
"""

import time

from ..backend import use_backend
from ..errors import BackendError
from ..layers.arithmetic import add
from ..layers.dense import dense
from ..layers.relu import relu
from ..opencl.shared.multiply_adds import MultiplyAdds
from ..variable import Variable
from . import batches

_REPETITIONS = 8
# Rows and columns of the matrices, and elements of the arrays.
_MATRIX = {"cpu": 1024, "gpu": 4096}
_ELEMENTS = {"cpu": 2**24, "gpu": 2**28}
# Seconds that a launch of multiply-adds takes at least, beside which the launch itself is little; it is repeated more
# often than the others, since on a machine with other work few of them have all cores for themselves.
_LAUNCH_SECONDS, _LAUNCHES = 2e-3, 100
# No processor does so many steps in less time than a launch shall take.
_MOST_STEPS = 2**30


def multiply_adds(backend):
    """Return the GFLOP/s of multiply-adds in registers alone, by those vectors with which it does the most.

    Raises
    ------
    BackendError
        If the time does not grow with the number of steps.
    """
    device = backend.device
    return max(_multiply_adds(device, MultiplyAdds(device, width)) for width in MultiplyAdds.widths(device))


def _multiply_adds(device, work):
    def once(steps):
        return _seconds(device, lambda: work.launch(steps))

    steps = 2**10
    # It builds the kernel.
    once(steps)
    while (taken := once(steps)) < _LAUNCH_SECONDS:
        if steps == _MOST_STEPS:
            raise BackendError(
                f"{device.name} takes {taken * 1e3:.3g} ms for {steps} steps of multiply-adds, as no processor can: "
                "its compiler leaves them out, so that its peak cannot be measured. Tell the makers of its driver."
            )
        steps *= 2
    return work.flop(steps) / min(once(steps) for _ in range(_LAUNCHES)) / 1e9


def matrix_product(backend):
    """Return the GFLOP/s of the product of two large matrices, the best of some repetitions."""
    size = _MATRIX.get(backend.device.kind, _MATRIX["cpu"])
    x, w = (_random(backend, (size, size)) for _ in range(2))
    return 2 * size**3 / _best(backend, lambda: dense(x, w)) / 1e9


def elementwise(backend):
    """Return the GB/s, read and written, of adding and of rectifying long arrays, the better of the two.

    These are longer than a CPU's caches: what lies there already may be faster.
    """
    count = _ELEMENTS.get(backend.device.kind, _ELEMENTS["cpu"])
    x = _random(backend, count)
    return 4e-9 * count * max(3 / _best(backend, lambda: add(x, x)), 2 / _best(backend, lambda: relu(x)))


def _random(backend, shape):
    return Variable.of(backend, backend.array(batches.random(shape)))


def _best(backend, compute):
    """Return the least seconds of some repetitions of what returns a Variable."""
    with use_backend(backend):
        # The first one builds the kernels.
        taken = [_seconds(backend.device, lambda: compute().on(backend).computed()) for _ in range(_REPETITIONS + 1)]
    return min(taken[1:])


def _seconds(device, queue):
    device.finish()
    start = time.perf_counter()
    queue()
    device.finish()
    return time.perf_counter() - start
