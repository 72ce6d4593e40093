"""Normalisation on an OpenCL device; see :mod:`refcnn.reference.normalization`."""

import dataclasses
import functools
import math

from ...mode import is_recording
from ..runtime.array import DeviceArray
from ..shared.fusion import UNLIMITED, Pending, folded, unmasked
from ..shared.statistics import EachRow, Rows
from ..variants import CHOSEN


@dataclasses.dataclass(eq=False)
class _Saved:
    """What the gradients of batch normalisation need; ``factor`` is what the kernels multiply by."""

    x: DeviceArray
    scale: DeviceArray
    bias: DeviceArray
    mean: DeviceArray
    variance: DeviceArray
    factor: DeviceArray | None


class BatchNormalization:
    """The statistics are those of each channel, over the batch and all pixels; x (N, C, ...), all else (C,).

    What is normalised is computed when it is first needed, together with the limits that follow. In training the
    kernels of the gradients mask what comes back by these limits, as they read it: they compute anew what was
    normalised, which takes less time than to read it.
    """

    VARIANTS = (CHOSEN,)
    FUSED = {"relu": (CHOSEN,), "clip": (CHOSEN,)}
    KERNELS = {"normalization": (CHOSEN,)}

    def forward(self, x, scale, bias, mean, variance, *, epsilon, momentum, training):
        """Return y, in training (y, running mean, running variance)."""
        if not training and not is_recording():
            # Recorded, the gradients need x itself.
            y = folded(x, functools.partial(_folded, scale, bias, mean, variance, epsilon))
            if y is not None:
                return y, _Saved(x, scale, bias, mean, variance, None)
        rows, running = _rows(x.computed()), ()
        if training:
            mean, variance, *running = _statistics(rows, x, mean, variance, momentum)
        factor = x.device.empty(scale.shape)
        rows.launch(
            "factors",
            rows.channels,
            scale=scale,
            variance=variance,
            factor=factor,
            channels=rows.channels,
            epsilon=epsilon,
        )
        saved = _Saved(x, scale, bias, mean, variance, factor)
        origin = saved if training else None
        run = functools.partial(_normalised, rows, saved)
        y = Pending(x.device, x.shape, run, folds=not training and not is_recording(), origin=origin).array()
        return ((y, *running) if training else y), saved

    def backward(self, dy, saved, needs, *, epsilon, momentum, training):
        """Return the gradients of all five; those of the running statistics reach x too."""
        x, scale, limits = saved.x, saved.scale, UNLIMITED
        rows, running = _rows(x), (None, None)
        if training:
            dy, *running = dy
            dy, limits = unmasked(dy, saved)
        names = ("dscale", "dbias", "d_mean", "d_variance", "slope", "curve", "shift", "inverse")
        found = {name: x.device.empty(scale.shape) for name in names}
        masked = rows.masked(limits, saved.factor, saved.bias)
        rows.launch(
            "batch_gradients",
            rows.channels,
            sums=rows.products(dy, x, saved.mean, masked),
            scale=scale,
            variance=saved.variance,
            d_running_mean=running[0],
            d_running_variance=running[1],
            **found,
            channels=rows.channels,
            count=float(rows.count),
            epsilon=epsilon,
            momentum=momentum,
            share=(1 - momentum) / rows.count,
            training=int(training),
        )
        dx = _dx(rows, dy, saved, found, masked if training else None) if needs[0] else None
        return (dx, *(found[name] for name in names[:4]))


def _folded(scale, bias, mean, variance, epsilon, w, b):
    """Return kernels and bias of a convolution that gives what is normalised of one with w and b."""
    device, channels = w.device, w.shape[0]
    rows = Rows(device, 1, channels, w.size // channels)
    factor, shift = device.empty(scale.shape), device.empty((1, channels, *(1,) * (w.ndim - 2)))
    rows.launch(
        "fold",
        channels,
        scale=scale,
        bias=bias,
        mean=mean,
        variance=variance,
        b=b,
        has_bias=int(b is not None),
        factor=factor,
        shift=shift,
        channels=channels,
        epsilon=epsilon,
    )
    kernels = device.empty(w.shape)
    rows.each("scaled", dy=w, slope=rows.of_channels(factor), dx=kernels)
    return kernels, shift


def _statistics(rows, x, mean, variance, momentum):
    """Return mean and variance of a batch, and what is kept of it and of former ones."""
    sums, squares = rows.statistics(x)
    results = {
        name: x.device.empty(mean.shape)
        for name in ("batch_mean", "batch_variance", "running_mean", "running_variance")
    }
    rows.launch(
        "batch_statistics",
        rows.channels,
        sums=sums,
        squares=squares,
        mean=mean,
        variance=variance,
        **results,
        channels=rows.channels,
        count=float(rows.count),
        momentum=momentum,
        share=1 - momentum,
    )
    return results.values()


def _normalised(rows, saved, limits, fold=None):
    y = saved.x.device.empty(saved.x.shape)
    factor, bias = saved.factor, saved.bias
    if fold is not None:
        factor, bias = fold(factor, bias)
    of_channels = {"mean": saved.mean, "factor": factor, "bias": bias}
    of_channels = {name: rows.of_channels(array) for name, array in of_channels.items()}
    rows.each("normalise", x=saved.x, **of_channels, **limits.arguments, y=y)
    return y


def _dx(rows, dy, saved, found, masked):
    """Return dx; ``masked`` is None where the statistics are not those of the batch."""
    dx = dy.device.empty(dy.shape)
    if masked is None:
        rows.each("scaled", dy=dy, slope=rows.of_channels(found["slope"]), dx=dx)
        return dx
    found = {name: rows.of_channels(found[name]) for name in ("slope", "curve", "shift", "inverse")}
    rows.each("gradient", dy=dy, x=saved.x, mean=rows.of_channels(saved.mean), **found, dx=dx, masked=masked)
    return dx


def _rows(x):
    return Rows(x.device, x.shape[0], x.shape[1], math.prod(x.shape[2:]))


class LayerNormalization:
    """The statistics are those of each example over all axes from ``axis`` on, of whose shape scale and bias are."""

    KERNELS = {"normalization": (None,)}

    def forward(self, x, scale, bias, *, axis, epsilon):
        """x of any shape -> y of that shape."""
        return _forward(_examples(x, axis), x, scale, bias, epsilon)

    def backward(self, dy, saved, needs, *, axis, epsilon):
        """Return the gradients of all three."""
        return _examples(dy, axis).backward(dy, *saved)


class InstanceNormalization:
    """The statistics are those of each channel of each image; x (N, C, ...), scale and bias (C,)."""

    KERNELS = {"normalization": (None,)}

    def forward(self, x, scale, bias, *, epsilon):
        """x (N, C, ...) -> y of that shape."""
        return _forward(_groups(x, x.shape[1]), x, scale, bias, epsilon)

    def backward(self, dy, saved, needs, *, epsilon):
        """Return the gradients of all three."""
        return _groups(dy, dy.shape[1]).backward(dy, *saved)


class GroupNormalization:
    """The statistics are those of each group of neighbouring channels of each image; x (N, C, ...), else (C,)."""

    KERNELS = {"normalization": (None,)}

    def forward(self, x, scale, bias, *, groups, epsilon):
        """x (N, C, ...) -> y of that shape."""
        return _forward(_groups(x, groups), x, scale, bias, epsilon)

    def backward(self, dy, saved, needs, *, groups, epsilon):
        """Return the gradients of all three."""
        return _groups(dy, groups).backward(dy, *saved)


class RMSNormalization:
    """Each example divided by the root of the mean of its squares over all axes from ``axis`` on."""

    KERNELS = {"normalization": (None,)}

    def forward(self, x, scale, *, axis, epsilon):
        """x of any shape -> y of that shape."""
        return _forward(_examples(x, axis, is_centred=False), x, scale, None, epsilon)

    def backward(self, dy, saved, needs, *, axis, epsilon):
        """Return the gradients of both."""
        dx, dscale, _ = _examples(dy, axis, is_centred=False).backward(dy, *saved)
        return dx, dscale


def _forward(rows, x, scale, bias, epsilon):
    y, mean, inverse = rows.forward(x, scale, bias, epsilon)
    return y, (x, scale, mean, inverse)


def _examples(x, axis, is_centred=True):
    rows, length = math.prod(x.shape[:axis]), math.prod(x.shape[axis:])
    return EachRow(x.device, rows, 1, length, is_centred=is_centred)


def _groups(x, groups):
    batch, channels, *pixels = x.shape
    return EachRow(x.device, batch * groups, channels // groups, math.prod(pixels), channels)


OPERATIONS = {
    "batch_normalization": BatchNormalization(),
    "group_normalization": GroupNormalization(),
    "instance_normalization": InstanceNormalization(),
    "layer_normalization": LayerNormalization(),
    "rms_normalization": RMSNormalization(),
}
