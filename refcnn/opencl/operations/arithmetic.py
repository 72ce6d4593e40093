"""Arithmetic of two numbers on an OpenCL device: formulas and gradients are functions of kernels/arithmetic.cl."""

import itertools
import math

from ...shapes import broadcast_shape, repeated_axes
from ..shared.elementwise import launch_in_chunks
from ..shared.reduction import repeated, sum_over


class Binary:
    """An operation of two arrays, element by element, that are broadcast as in NumPy: y = formula(a, b).

    Parameters
    ----------
    formula : str
        The function of kernels/arithmetic.cl; beside it stand ``<formula>_of_a`` and ``<formula>_of_b``, what dy makes
        of the gradients.
    passes_dy_to : collection of str
        Of ``a`` and ``b`` those whose gradient is dy itself, for which there is no such function.
    """

    KERNELS = {"elementwise": (None,)}

    def __init__(self, formula, passes_dy_to=()):
        functions = {f"-DOF_{name.upper()}={formula}_of_{name}" for name in "ab" if name not in passes_dy_to}
        self._passes_dy_to, self._options = passes_dy_to, (f"-DOPERATION={formula}", *sorted(functions))

    def forward(self, a, b):
        """a, b of shapes that broadcast -> y of the shape that they broadcast to."""
        y = a.device.empty(a.shape if a.shape == b.shape else broadcast_shape(a.shape, b.shape))
        self._launch("forward", a=a, b=b, y=y)
        # What no gradient is computed from is not kept in memory for it.
        return y, (a.shape, b.shape, (a, b, y) if len(self._passes_dy_to) < 2 else None)

    def backward(self, dy, saved, needs):
        """Each operand's gradient is summed over the axes along which the operand was repeated."""
        *shapes, arrays = saved
        rows = zip("ab", shapes, needs, strict=True)
        return tuple(self._gradient(name, dy, arrays, shape) if need else None for name, shape, need in rows)

    def _gradient(self, name, dy, arrays, shape):
        gradient = dy
        if name not in self._passes_dy_to:
            a, b, y = arrays
            gradient = dy.device.empty(y.shape)
            self._launch(f"backward_{name}", a=a, b=b, y=y, dy=dy, **{f"d{name}": gradient})
        if gradient.shape == shape:
            return gradient
        return sum_over(gradient, repeated_axes(shape, gradient.shape)).reshape(shape)

    def _launch(self, kernel, *, a, b, y, **gradients):
        if a.shape != b.shape:
            groups = _groups(a.shape, b.shape, y.shape)
            if len(groups) > _MOST_GROUPS:
                a, b = (repeated(entry, y.shape, repeated_axes(entry.shape, y.shape)) for entry in (a, b))
            elif len(groups) > 1 or groups[0][1:] != (1, 1):
                _, a_step, b_step = groups[-1]
                options = (*self._options, f"-DA_STEP={a_step}", f"-DB_STEP={b_step}")
                self._launch_kernel(f"broadcast_{kernel}", options, a=a, b=b, y=y, **gradients, **_places(groups))
                return
        self._launch_kernel(f"binary_{kernel}", self._options, a=a, b=b, y=y, **gradients)

    @staticmethod
    def _launch_kernel(kernel, options, *, y, **arguments):
        launch_in_chunks(y.device, "elementwise", kernel, y.size, options=options, y=y, count=y.size, **arguments)


# Axes of a result, neighbours along which the same operands are repeated taken as one, that kernels/elementwise.cl has
# arguments for.
_MOST_GROUPS = 4


def _groups(a, b, y):
    """Return (size, whether a moves along, whether b does) of the axes of a result, those that are alike as one."""
    padded = ((1,) * (len(y) - len(shape)) + shape for shape in (a, b))
    axes = [(size, int(in_a != 1), int(in_b != 1)) for size, in_a, in_b in zip(y, *padded, strict=True) if size != 1]
    found = []
    for moves, entries in itertools.groupby(axes, key=lambda axis: axis[1:]):
        found.append((math.prod(size for size, *_ in entries), *moves))
    return found or [(1, 1, 1)]


def _places(groups):
    """Return where elements lie, by the kernels' names: sizes of the groups, and the operands' strides along them."""
    outer = [(1, 0, 0)] * (_MOST_GROUPS - len(groups)) + groups[:-1]
    found = {"axis1": outer[1][0], "axis2": outer[2][0], "last": groups[-1][0]}
    for operand, name in ((1, "a"), (2, "b")):
        stride = 1
        for place, group in reversed(list(enumerate([*outer, groups[-1]]))):
            if place < len(outer):
                found[f"{name}_stride{place}"] = stride * group[operand]
            stride *= group[0] if group[operand] else 1
    return found


OPERATIONS = {
    "add": Binary("add", passes_dy_to=("a", "b")),
    "divide": Binary("divide"),
    "multiply": Binary("multiply"),
    "power": Binary("power"),
    "subtract": Binary("subtract", passes_dy_to=("a",)),
}
