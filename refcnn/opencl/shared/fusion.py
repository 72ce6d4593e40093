"""Results that are put off, so that what follows can be computed by the same kernel.

An operation whose kernel can keep what it stores within limits, as a rectifier
does, returns an array that is :class:`Pending`. A rectifier that gets such an
array makes a pending array of its own, and the first is never computed unless
something else reads it. Numbers, errors and the tape are the same as without;
only the passes over memory are fewer. So it is with what scales and shifts
channels of a convolution by numbers that are known, but that it is done to the
kernels and the bias, which rounds otherwise. Backward, the gradient of what was
kept within limits is put off where the kernels before can mask it as they read
it; their sums may round otherwise.
"""

import math
import typing

from ...formats import FLOAT32
from .. import variants
from ..runtime.array import DeviceArray


class Limits(typing.NamedTuple):
    """What an activation keeps numbers within, that changes none between: the rectifier, ``clip``.

    Attributes
    ----------
    least, most : float
    passes_least : bool
        Whether the gradient of a number that is ``least`` itself is passed on; that of one that is ``most`` is.
    """

    least: float
    most: float
    passes_least: bool = True

    @property
    def arguments(self):
        """Those of kernels that keep what they store within limits."""
        return {"least": self.least, "most": self.most}


UNLIMITED = Limits(-math.inf, math.inf)
RECTIFIED = Limits(0.0, math.inf, passes_least=False)


class Pending:
    """A float32 result that is still to be computed.

    Parameters
    ----------
    device : Device
    shape : tuple of int
    run : callable
        ``run(limits, *fold) -> DeviceArray``: the result within :class:`Limits`, with NaN kept.
    run_pooled : callable, optional
        ``run_pooled(*fold) -> (DeviceArray, DeviceArray)``: the maxima of max(result, 0) over windows of 2x2 pixels
        side by side, and which pixel of its window each is, 0 to 3, or 255 where it is not above 0 (uint8).
    folds : bool
        Whether both take a ``fold(w, b) -> (w, b)``, which changes the kernels and the bias of a convolution.
    origin : object, optional
        What the operation saved, if its ``backward`` takes a :class:`Masked` gradient apart.
    only_limits : Limits, optional
        The only ones that ``run`` takes beside ``UNLIMITED``, if it does not take all.
    limits : Limits
    fold : callable, optional
        What ``run`` and ``run_pooled`` are given.
    """

    __slots__ = (
        *("_device", "_shape", "_run", "_run_pooled", "_folds", "origin"),
        *("_only_limits", "_limits", "_fold", "_is_pooled", "_variant"),
    )

    def __init__(
        self,
        device,
        shape,
        run,
        run_pooled=None,
        folds=False,
        origin=None,
        only_limits=None,
        limits=UNLIMITED,
        fold=None,
    ):
        self._device, self._shape, self._run, self._run_pooled = device, shape, run, run_pooled
        self._folds, self.origin, self._only_limits = folds, origin, only_limits
        self._limits, self._fold, self._is_pooled = limits, fold, False
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
            return self._run(self._limits, *self._folding())

    def reshaped(self, shape):
        """Return the same with a result of another shape, in the same memory."""

        def run(*after):
            return self._run(*after).reshape(shape)

        return Pending(
            self._device,
            shape,
            run,
            folds=self._folds,
            only_limits=self._only_limits,
            limits=self._limits,
            fold=self._fold,
        )

    def limited(self, limits):
        """Return the same with a result within limits, or None if it has some already or cannot have these."""
        if self._limits != UNLIMITED or self._only_limits not in (None, limits):
            return None
        return self._with(limits=limits, fold=self._fold)

    def folded(self, fold):
        """Return the same with kernels and bias changed, after what changed them before; None if that cannot be had."""
        if not self._folds or self._limits != UNLIMITED:
            return None
        former = self._fold
        return self._with(limits=UNLIMITED, fold=fold if former is None else lambda w, b: fold(*former(w, b)))

    def _with(self, **after):
        kept = self._run_pooled, self._folds, self.origin, self._only_limits
        return Pending(self._device, self._shape, self._run, *kept, **after)

    def pooled(self):
        """Return what ``run_pooled`` does, or None if there is none, or if the result itself would be needed too."""
        if self._limits != RECTIFIED or self._run_pooled is None or self._shape in _read_beside_pooling:
            return None
        self._is_pooled = True
        with variants.use_variant(*self._variant):
            return self._run_pooled(*self._folding())

    def _folding(self):
        return () if self._fold is None else (self._fold,)


class _Gradient:
    """A float32 gradient that is still to be computed, ``compute() -> DeviceArray``; nothing is gained after it."""

    __slots__ = ("dy", "compute", "_shape")
    origin = None

    def __init__(self, dy, shape, run):
        self.dy, self._shape, self.compute = dy, shape, run

    def array(self):
        """Return an array that is computed when it is first read."""
        return DeviceArray(self.dy.device, self._shape, FLOAT32.dtype, None, self)

    def limited(self, limits):
        """None: it has a kernel of its own."""

    def folded(self, fold):
        """None as well."""

    def pooled(self):
        """None as well."""


class Unpooled(_Gradient):
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

    __slots__ = ("winner",)

    def __init__(self, dy, winner, shape, run):
        super().__init__(dy, shape, run)
        self.winner = winner


class Masked(_Gradient):
    """The gradient of what was kept within limits, still to be made 0 where that was outside.

    Parameters
    ----------
    dy : DeviceArray
        The gradient of what is within the limits, of the shape of what was not.
    limits : Limits
    origin : object
        As :class:`Pending` has it, of what was kept within them.
    run : callable
        ``run() -> DeviceArray``
    """

    __slots__ = ("limits", "origin")

    def __init__(self, dy, limits, origin, run):
        super().__init__(dy, dy.shape, run)
        self.limits, self.origin = limits, origin


# Shapes of results that were read after they had been pooled, as by a connection that skips the pooling. Such a result
# is computed twice; the next one of its shape is stored, and pooled from there.
_read_beside_pooling = set()


def reshaped(x, shape):
    """Return x in another shape, put off as x is; x itself is not to be used any more, or it is computed twice."""
    pending = x.pending
    return x.reshape(shape) if pending is None else pending.reshaped(shape).array()


def origin(x):
    """Return what the operation saved that x is the result of, if x is not computed and that masks gradients itself."""
    return None if x.pending is None else x.pending.origin


def limited(x, limits):
    """Return an array that will be x within limits, computed together with x, or None if x is computed already."""
    pending = x.pending
    pending = pending and pending.limited(limits)
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


def unmasked(dy, saved):
    """Return (gradient, limits that mask it) of a :class:`Masked` array that is not computed, or (dy, UNLIMITED).

    The latter too if what was kept within limits is not the result of what saved this.
    """
    pending = dy.pending
    is_own = isinstance(pending, Masked) and pending.origin is saved
    return (pending.dy, pending.limits) if is_own else (dy, UNLIMITED)
