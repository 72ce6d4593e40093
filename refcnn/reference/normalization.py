"""Normalisation: each value less a mean and divided by a standard deviation, then scaled and shifted.

    y = scale xhat + bias,   xhat = (x - mean) / sqrt(variance + epsilon)

An operation says over which values the statistics are taken. The variance is that of the population, the mean of the
squares of what x is off from its mean; from ``mean(x^2) - mean^2``, which is the same number, all digits may cancel.
"""

import numpy as np


def mean_and_variance(rows):
    """Return the mean and the variance of each row, in columns."""
    mean = rows.mean(axis=1, keepdims=True)
    return mean, np.square(rows - mean).mean(axis=1, keepdims=True)


def through_statistics(dxhat, xhat):
    """Return sqrt(variance + epsilon) dx, where the mean and the variance are those of each row of x.

    A change of one x moves both: sqrt(variance + epsilon) dx = dxhat - mean(dxhat) - xhat mean(dxhat xhat).
    """
    mean, product = (rows.mean(axis=1, keepdims=True) for rows in (dxhat, dxhat * xhat))
    return dxhat - mean - xhat * product


class BatchNormalization:
    """The statistics are those of each channel, over the batch and all pixels; x (N, C, ...), all else (C,).

    In training they are taken of x, and what is kept of former batches follows them slowly:
    running = momentum running + (1 - momentum) batch. Otherwise what is kept takes their place. Source: Ioffe and
    Szegedy, "Batch normalization" (2015), with the population's variance in both places, as ONNX has it.
    """

    def forward(self, x, scale, bias, mean, variance, *, epsilon, momentum, training):
        """Return y, in training (y, running mean, running variance)."""
        channels = _channels(x)
        of_batch = mean_and_variance(channels) if training else (mean[:, None], variance[:, None])
        deviation = np.sqrt(of_batch[1] + x.dtype.type(epsilon))
        xhat = (channels - of_batch[0]) / deviation
        y = _images(scale[:, None] * xhat + bias[:, None], x.shape)
        saved = x, xhat, of_batch[0], deviation, scale
        if not training:
            return y, saved
        kept, share = x.dtype.type(momentum), x.dtype.type(1 - momentum)
        pairs = zip((mean, variance), of_batch, strict=True)
        return (y, *(kept * former + share * new[:, 0] for former, new in pairs)), saved

    def backward(self, dy, saved, needs, *, epsilon, momentum, training):
        """Return the gradients of all five; those of the running statistics reach x too."""
        x, xhat, mean, deviation, scale = saved
        dy, *d_running = dy if training else (dy,)
        channels, dy = _channels(x), _channels(dy)
        dbias, dscale, dxhat = dy.sum(axis=1), (dy * xhat).sum(axis=1), dy * scale[:, None]
        if not training:
            d_mean = -scale * dbias / deviation[:, 0]
            d_variance = -scale * dscale / (2 * np.square(deviation[:, 0]))
            return _images(dxhat / deviation, x.shape), dscale, dbias, d_mean, d_variance
        kept, share = x.dtype.type(momentum), x.dtype.type((1 - momentum) / channels.shape[1])
        of_mean, of_variance = (share * entry[:, None] for entry in d_running)
        dx = through_statistics(dxhat, xhat) / deviation + of_mean + 2 * (channels - mean) * of_variance
        return _images(dx, x.shape), dscale, dbias, *(kept * entry for entry in d_running)


class LayerNormalization:
    """The statistics are those of each example over all axes from ``axis`` on, of whose shape scale and bias are.

    Source: Ba, Kiros and Hinton, "Layer normalization" (2016).
    """

    def forward(self, x, scale, bias, *, axis, epsilon):
        """x of any shape -> y of that shape."""
        return _forward(x, scale, bias, x.reshape(-1, scale.size), scale.shape, epsilon)

    def backward(self, dy, saved, needs, *, axis, epsilon):
        """Return the gradients of all three."""
        return _backward(dy, saved)


class InstanceNormalization:
    """The statistics are those of each channel of each image; x (N, C, ...), scale and bias (C,).

    Source: Ulyanov, Vedaldi and Lempitsky, "Instance normalization" (2016).
    """

    def forward(self, x, scale, bias, *, epsilon):
        """x (N, C, ...) -> y of that shape."""
        return _forward(x, scale, bias, x.reshape(x.shape[0] * x.shape[1], -1), _of_channels(x), epsilon)

    def backward(self, dy, saved, needs, *, epsilon):
        """Return the gradients of all three."""
        return _backward(dy, saved)


class GroupNormalization:
    """The statistics are those of each group of neighbouring channels of each image; x (N, C, ...), else (C,).

    Source: Wu and He, "Group normalization" (2018).
    """

    def forward(self, x, scale, bias, *, groups, epsilon):
        """x (N, C, ...) -> y of that shape."""
        return _forward(x, scale, bias, x.reshape(x.shape[0] * groups, -1), _of_channels(x), epsilon)

    def backward(self, dy, saved, needs, *, groups, epsilon):
        """Return the gradients of all three."""
        return _backward(dy, saved)


class RMSNormalization:
    """Each example divided by the root of the mean of its squares over all axes from ``axis`` on.

    y = scale xhat, xhat = x / sqrt(mean of x^2 + epsilon); scale has the shape of these axes. Source: Zhang and
    Sennrich, "Root mean square layer normalization" (2019).
    """

    def forward(self, x, scale, *, axis, epsilon):
        """x of any shape -> y of that shape."""
        rows = x.reshape(-1, scale.size)
        deviation = np.sqrt(np.square(rows).mean(axis=1, keepdims=True) + x.dtype.type(epsilon))
        xhat = rows / deviation
        return scale * xhat.reshape(x.shape), (xhat, deviation, scale)

    def backward(self, dy, saved, needs, *, axis, epsilon):
        """sqrt(mean of x^2 + epsilon) dx = dxhat - xhat mean(dxhat xhat), where dxhat = scale dy."""
        xhat, deviation, scale = saved
        dxhat = (dy * scale).reshape(xhat.shape)
        dx = (dxhat - xhat * (dxhat * xhat).mean(axis=1, keepdims=True)) / deviation
        return dx.reshape(dy.shape), _summed_to(dy * xhat.reshape(dy.shape), scale.shape)


def _forward(x, scale, bias, rows, form, epsilon):
    """Normalise rows of x; scale and bias are broadcast with x in a form."""
    mean, variance = mean_and_variance(rows)
    deviation = np.sqrt(variance + x.dtype.type(epsilon))
    xhat = (rows - mean) / deviation
    y = scale.reshape(form) * xhat.reshape(x.shape) + bias.reshape(form)
    return y, (xhat, deviation, scale, form)


def _backward(dy, saved):
    xhat, deviation, scale, form = saved
    dxhat = (dy * scale.reshape(form)).reshape(xhat.shape)
    dx = (through_statistics(dxhat, xhat) / deviation).reshape(dy.shape)
    dscale, dbias = (_summed_to(entry, form).reshape(scale.shape) for entry in (dy * xhat.reshape(dy.shape), dy))
    return dx, dscale, dbias


def _summed_to(array, form):
    """Return the sums over the axes along which an array of that form is repeated when it is broadcast."""
    padded = (1,) * (array.ndim - len(form)) + tuple(form)
    return array.sum(axis=tuple(axis for axis, size in enumerate(padded) if size == 1)).reshape(form)


def _of_channels(x):
    """Return the form in which an array of a number for each channel is broadcast with x."""
    return (x.shape[1], *[1] * (x.ndim - 2))


def _channels(x):
    """Return (N, C, ...) as a row of values for each channel, which lie beside each other."""
    return np.ascontiguousarray(x.swapaxes(0, 1)).reshape(x.shape[1], -1)


def _images(channels, shape):
    """Return rows of :func:`_channels` in the shape (N, C, ...) again."""
    return np.ascontiguousarray(channels.reshape(shape[1], shape[0], *shape[2:]).swapaxes(0, 1))


OPERATIONS = {
    "batch_normalization": BatchNormalization(),
    "group_normalization": GroupNormalization(),
    "instance_normalization": InstanceNormalization(),
    "layer_normalization": LayerNormalization(),
    "rms_normalization": RMSNormalization(),
}
