"""Results that are put off, so that what follows can be computed by the same kernel.

An operation whose kernel can rectify what it stores returns an array that is
:class:`Pending`. A rectifier that gets such an array makes a pending array of
its own, and the first is never computed unless something else reads it.
Numbers, errors and the tape are the same as without; only the passes over
memory are fewer. So it is with what scales and shifts channels of a convolution
by numbers that are known, but that it is done to the kernels and the bias, which
rounds otherwise.
"""

from ...formats import FLOAT32
from .. import variants
from ..runtime.array import DeviceArray


class Pending:
    """A float32 result that is still to be computed.

    Parameters
    ----------
    device : Device
    shape : tuple of int
    run : callable
        ``run(rectify, *fold) -> DeviceArray``: the result, or where ``rectify`` is true max(result, 0), with NaN kept.
    run_pooled : callable, optional
        ``run_pooled(*fold) -> (DeviceArray, DeviceArray)``: the maxima of max(result, 0) over windows of 2x2 pixels
        side by side, and which pixel of its window each is, 0 to 3, or 255 where it is not above 0 (uint8).
    folds : bool
        Whether both take a ``fold(w, b) -> (w, b)``, which changes the kernels and the bias of a convolution.
    rectify : bool
    fold : tuple of callable
        One, or none.
    """

    __slots__ = ("_device", "_shape", "_run", "_run_pooled", "_folds", "_rectify", "_fold", "_is_pooled", "_variant")

    def __init__(self, device, shape, run, run_pooled=None, folds=False, rectify=False, fold=()):
        self._device, self._shape, self._run, self._run_pooled = device, shape, run, run_pooled
        self._folds, self._rectify, self._fold, self._is_pooled = folds, rectify, fold, False
        # Computed later, it is still computed as was asked for now.
        self._variant = variants.forced()

    def array(self):
        """Return an array that is computed when it is first read."""
        return DeviceArray(self._device, self._shape, FLOAT32.dtype, None, self)

    def wrap(self, around):
        """Put ``around(function)`` in the place of each function that computes a result: for measurements."""
        self._run = around(self._run)
        if self._run_pooled is not None:
            self._run_pooled = around(self._run_pooled)

    def compute(self):
        """Return the result."""
        if self._is_pooled:
            _read_beside_pooling.add(self._shape)
        with variants.use_variant(*self._variant):
            return self._run(self._rectify, *self._fold)

    def reshaped(self, shape):
        """Return the same with a result of another shape, in the same memory."""

        def run(*after):
            return self._run(*after).reshape(shape)

        return Pending(self._device, shape, run, None, self._folds, self._rectify, self._fold)

    def rectified(self):
        """Return the same with max(result, 0) as its result."""
        return self._with(rectify=True, fold=self._fold)

    def folded(self, fold):
        """Return the same of a convolution whose kernels and bias are changed, or None if that cannot be had."""
        if not self._folds or self._rectify or self._fold:
            return None
        return self._with(rectify=False, fold=(fold,))

    def _with(self, **after):
        return Pending(self._device, self._shape, self._run, self._run_pooled, self._folds, **after)

    def pooled(self):
        """Return what ``run_pooled`` does, or None if there is none, or if the result itself would be needed too."""
        if not self._rectify or self._run_pooled is None or self._shape in _read_beside_pooling:
            return None
        self._is_pooled = True
        with variants.use_variant(*self._variant):
            return self._run_pooled(*self._fold)


class Unpooled:
    """The gradient of what was pooled by :meth:`Pending.pooled`, still to be spread over the windows.

    Parameters
    ----------
    dy : DeviceArray
        (N, C, out_h, out_w), float32: the gradient of the maxima.
    winner : DeviceArray
        As ``run_pooled`` returned it.
    shape : tuple of int
        (N, C, H, W)
    run : callable
        ``run() -> DeviceArray`` of that shape.
    """

    __slots__ = ("dy", "winner", "compute", "_shape")

    def __init__(self, dy, winner, shape, run):
        self.dy, self.winner, self._shape, self.compute = dy, winner, shape, run

    def array(self):
        """Return an array that is computed when it is first read."""
        return DeviceArray(self.dy.device, self._shape, FLOAT32.dtype, None, self)

    def rectified(self):
        """Nothing is gained by rectifying it in the same kernel."""

    pooled = rectified

    def folded(self, fold):
        """There is nothing to fold into."""


# Shapes of results that were read after they had been pooled, as by a connection that skips the pooling. Such a result
# is computed twice; the next one of its shape is stored, and pooled from there.
_read_beside_pooling = set()


def reshaped(x, shape):
    """Return x in another shape, put off as x is; x itself is not to be used any more, or it is computed twice."""
    pending = x.pending
    return x.reshape(shape) if pending is None else pending.reshaped(shape).array()


def rectified(x):
    """Return an array that will be max(x, 0), computed together with x, or None if x is computed already."""
    pending = x.pending
    pending = pending and pending.rectified()
    return pending and pending.array()


def folded(x, fold):
    """Return what x, a convolution's result, is with kernels and bias (w, b) = fold(w, b), or None if it is none.

    None too if x is computed already, or if there are more kernels to change than results.
    """
    pending = x.pending
    pending = pending and pending.folded(fold)
    return pending and pending.array()


def pooled(x):
    """Return max pooling of x over 2x2 windows side by side, without storing x, or None if that cannot be had."""
    pending = x.pending
    return None if pending is None else pending.pooled()


def unpooled(dy):
    """Return (gradient of the maxima, winner) of an :class:`Unpooled` array that is not computed, or (dy, None)."""
    pending = dy.pending
    return (pending.dy, pending.winner) if isinstance(pending, Unpooled) else (dy, None)
