"""Arithmetic of two numbers on an OpenCL device: formulas and gradients are functions of kernels/arithmetic.cl."""

import functools

from ...formats import FLOAT32
from ...mode import is_recording
from ...shapes import broadcast_shape, repeated_axes
from ..shared.broadcasting import launch_binary
from ..shared.elementwise import options_of_types, width_option
from ..shared.fusion import RECTIFIED, Pending, folded
from ..shared.reduction import sum_over
from ..variants import CHOSEN


class Binary:
    """An operation of two arrays, element by element, that are broadcast as in NumPy: y = formula(a, b).

    Parameters
    ----------
    formula : str
        The function of kernels/arithmetic.cl, and of kernels/integer.cl where it takes integers; in the former stand
        ``<formula>_of_a`` and ``<formula>_of_b`` beside it, what dy makes of the gradients.
    passes_dy_to : collection of str
        Of ``a`` and ``b`` those whose gradient is dy itself, for which there is no such function.
    in_vectors : bool
        As in :class:`refcnn.opencl.operations.elementary.Unary`.
    of_channels : callable, optional
        What becomes of kernels and bias of a convolution, ``of_channels(c, w, b) -> (w, b)``, where the other operand
        has a number c for each channel of the result.
    """

    KERNELS: dict[str, tuple] = {"elementwise": (None,)}

    def __init__(self, formula, passes_dy_to=(), in_vectors=False, of_channels=None):
        functions = {f"-DOF_{name.upper()}={formula}_of_{name}" for name in "ab" if name not in passes_dy_to}
        self._in_vectors, self._of_channels = in_vectors, of_channels
        self._passes_dy_to, self._options = passes_dy_to, (f"-DOPERATION={formula}", *sorted(functions))

    def forward(self, a, b):
        """a, b of shapes that broadcast -> y of the shape that they broadcast to."""
        y = None
        if self._of_channels is not None and not is_recording():
            # Recorded, the gradients need what is scaled itself.
            y = _folded(a, b, self._of_channels) or _folded(b, a, self._of_channels)
        y = y or self._result(a, b)
        # What no gradient is computed from is not kept in memory for it.
        return y, (a.shape, b.shape, (a, b, y) if len(self._passes_dy_to) < 2 else None)

    def _result(self, a, b):
        return self._launched(a, b, self._of(a))

    def _launched(self, a, b, options):
        y = a.device.empty(_shape(a, b), a.dtype)
        launch_binary("forward", a=a, b=b, y=y, options=(*options_of_types(a.dtype), *options))
        return y

    def backward(self, dy, saved, needs):
        """Each operand's gradient is summed over the axes along which the operand was repeated."""
        *shapes, arrays = saved
        rows = zip("ab", shapes, needs, strict=True)
        return tuple(self._gradient(name, dy, arrays, shape) if need else None for name, shape, need in rows)

    def _of(self, operand):
        return *self._options, width_option(operand, self._in_vectors)

    def _gradient(self, name, dy, arrays, shape):
        gradient = dy
        if name not in self._passes_dy_to:
            a, b, y = arrays
            gradient = dy.device.empty(y.shape)
            launch_binary(f"backward_{name}", a=a, b=b, y=y, dy=dy, options=self._of(a), **{f"d{name}": gradient})
        if gradient.shape == shape:
            return gradient
        return sum_over(gradient, repeated_axes(shape, gradient.shape)).reshape(shape)


def _folded(x, c, fold):
    """Return what a number c for each channel makes of x, if x is not computed yet and that can be had, or None."""
    axes = len(x.shape)
    if x.pending is None or c.dtype != FLOAT32.dtype or len(c.shape) > axes or axes < 2:
        return None
    if (1,) * (axes - len(c.shape)) + c.shape != (1, x.shape[1], *(1,) * (axes - 2)):
        return None
    return folded(x, functools.partial(fold, c))


def _scaled(c, w, b):
    multiply, channels = OPERATIONS["multiply"], w.shape[0]
    rows, column = w.reshape((channels, w.size // channels)), c.reshape((channels, 1))
    w = multiply.forward(rows, column)[0].reshape(w.shape)
    return w, None if b is None else multiply.forward(b.reshape((channels,)), c.reshape((channels,)))[0]


def _shifted(c, w, b):
    c = c.reshape((w.shape[0],))
    return w, c if b is None else OPERATIONS["add"].forward(b.reshape(c.shape), c)[0].computed()


def _shape(a, b):
    return a.shape if a.shape == b.shape else broadcast_shape(a.shape, b.shape)


class Add(Binary):
    """y = a + b, of floats together with the rectifier that may follow it, as after a connection that skips layers."""

    VARIANTS = (CHOSEN,)
    FUSED = {"relu": (CHOSEN,)}
    KERNELS = {"elementwise": (CHOSEN,)}

    def __init__(self):
        super().__init__("add", passes_dy_to=("a", "b"), of_channels=_shifted)

    def _result(self, a, b):
        if a.dtype != FLOAT32.dtype:
            return super()._result(a, b)
        # Computed now, lest one sum wait for the next in a long row of them.
        run = functools.partial(self._run, a.computed(), b.computed())
        return Pending(a.device, _shape(a, b), run, only_limits=RECTIFIED).array()

    def _run(self, a, b, limits):
        options = ("-DOPERATION=add_rectified", width_option(a, False)) if limits == RECTIFIED else self._of(a)
        return self._launched(a, b, options)


OPERATIONS = {
    "add": Add(),
    "divide": Binary("divide"),
    "maximum": Binary("maximum"),
    "minimum": Binary("minimum"),
    "multiply": Binary("multiply", of_channels=_scaled),
    "power": Binary("power", in_vectors=True),
    "prelu": Binary("prelu", in_vectors=True),
    "subtract": Binary("subtract", passes_dy_to=("a",)),
}
