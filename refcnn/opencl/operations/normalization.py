"""Normalisation on an OpenCL device; see :mod:`refcnn.reference.normalization`."""

import math

from ..shared.statistics import Rows


class BatchNormalization:
    """The statistics are those of each channel, over the batch and all pixels; x (N, C, ...), all else (C,)."""

    KERNELS = {"normalization": (None,)}

    def forward(self, x, scale, bias, mean, variance, *, epsilon, momentum, training):
        """Return y, in training (y, running mean, running variance)."""
        rows, running = _rows(x), ()
        if training:
            mean, variance, *running = _statistics(rows, x, mean, variance, momentum)
        factor, y = x.device.empty(scale.shape), x.device.empty(x.shape)
        rows.launch(
            "factors",
            rows.channels,
            scale=scale,
            variance=variance,
            factor=factor,
            channels=rows.channels,
            epsilon=epsilon,
        )
        mean_of, factor, bias = map(rows.of_channels, (mean, factor, bias))
        rows.each("normalise", x=x, mean=mean_of, factor=factor, bias=bias, y=y)
        saved = x, scale, mean, variance
        return ((y, *running) if training else y), saved

    def backward(self, dy, saved, needs, *, epsilon, momentum, training):
        """Return the gradients of all five; those of the running statistics reach x too."""
        x, scale, mean, variance = saved
        rows, running = _rows(x), (None, None)
        if training:
            dy, *running = dy
        names = ("dscale", "dbias", "d_mean", "d_variance", "slope", "curve", "shift", "inverse")
        found = {name: x.device.empty(scale.shape) for name in names}
        rows.launch(
            "batch_gradients",
            rows.channels,
            sums=rows.products(dy, x, mean),
            scale=scale,
            variance=variance,
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
        dx = _dx(rows, dy, x, mean, found, training) if needs[0] else None
        return (dx, *(found[name] for name in names[:4]))


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


def _dx(rows, dy, x, mean, found, training):
    dx = dy.device.empty(dy.shape)
    if not training:
        rows.each("scaled", dy=dy, slope=rows.of_channels(found["slope"]), dx=dx)
        return dx
    found = {name: rows.of_channels(found[name]) for name in ("slope", "curve", "shift", "inverse")}
    rows.each("gradient", dy=dy, x=x, mean=rows.of_channels(mean), **found, dx=dx)
    return dx


def _rows(x):
    return Rows(x.device, x.shape[0], x.shape[1], math.prod(x.shape[2:]))


OPERATIONS = {"batch_normalization": BatchNormalization()}
