"""What slides over pixels as formulas of NumPy's functions: windows are gathered, and summed or compared."""

import math

import numpy as np

from ...shapes import sides, transposed_output_shape, window_extent
from .formulas import Formulas, reached


class WindowFormulas(Formulas):
    """All formulas, those of windows among them, over any number of spatial axes."""

    def conv2d(self, x, w, b, *, stride, padding, dilation, groups):
        taps = self._taps(x, 0, w.shape[2:], stride, padding, dilation)
        n, out, kernel = len(x), taps.shape[2:-1], math.prod(w.shape[2:])
        rows, pixels, number = w.shape[1] * kernel, math.prod(out), len(w) // groups
        taps = taps.reshape(n, groups, w.shape[1], pixels, kernel).transpose((1, 0, 3, 2, 4))
        kernels = w.reshape(groups, number, rows).transpose((0, 2, 1))
        y = self.xp.matmul(taps.reshape(groups, n * pixels, rows), kernels)
        y = y.reshape(groups, n, pixels, number).transpose((1, 0, 3, 2)).reshape(n, len(w), *out)
        return y if b is None else y + b

    def conv_transpose2d(self, x, w, b, *, stride, padding, output_padding, dilation, groups):
        """A convolution with the kernels turned about, of x with zeros between its pixels."""
        kernel, ones = w.shape[2:], (1,) * len(stride)
        whole = transposed_output_shape(x.shape[2:], kernel, stride, (0,) * 2 * len(stride), output_padding, dilation)
        for axis, step in enumerate(stride, start=2):
            x = self._spread(x, axis, step)
        w = w.reshape(groups, len(w) // groups, *w.shape[1:])[(..., *[slice(None, None, -1)] * len(stride))]
        w = self.xp.swapaxes(w, 1, 2).reshape(groups * w.shape[2], w.shape[1], *kernel)
        reach = tuple(window_extent(size, step) - 1 for size, step in zip(kernel, dilation, strict=True))
        y = self.conv2d(x, w, None, stride=ones, padding=(*reach, *reach), dilation=dilation, groups=groups)
        y = self.xp.pad(y, ((0, 0), (0, 0), *((0, count) for count in output_padding)), "constant")
        cut = (slice(before, size - after) for (before, after), size in zip(sides(padding), whole, strict=True))
        y = y[(slice(None), slice(None), *cut)]
        return y if b is None else y + b

    def max_pool2d(self, x, **geometry):
        return self.max_pool2d_with_indices(x, **geometry)[0]

    def max_pool2d_with_indices(self, x, **geometry):
        constant = np.asarray(self.constant(x))
        under = self._windows(constant, 0, **geometry)
        places = self._windows(np.arange(constant.size).reshape(x.shape), -1, **geometry)
        # The first of the largest, or of those that are not a number; never what lies in the padding.
        ranked = np.where(places < 0, -np.inf, under)
        largest = ranked.max(axis=-1, keepdims=True)
        wins = (places >= 0) & ((ranked == largest) | np.isnan(ranked))
        places = np.take_along_axis(places, wins.argmax(axis=-1)[..., None], -1)[..., 0]
        return x.reshape(-1)[places], places

    def max_unpool2d(self, x, indices, *, size):
        last = np.full(math.prod((*x.shape[:2], *size)), -1)
        last[indices] = np.arange(indices.size).reshape(indices.shape)
        return self.xp.where(last < 0, 0, x.reshape(-1)[last]).reshape(*x.shape[:2], *size)

    def average_pool2d(self, x, *, count_include_padding, **geometry):
        near, far = geometry["padding"], reached(x.shape[2:], **geometry)
        counted = np.pad(np.ones(x.shape[2:], x.dtype), sides(near), constant_values=count_include_padding)
        behind = tuple(b - a for a, b in zip(near, far, strict=True))
        counts = self._taps(
            counted[None, None], 0, geometry["kernel"], geometry["stride"], behind, geometry["dilation"]
        )
        return self._windows(x, 0, **geometry).sum(axis=-1) / counts.sum(axis=-1)

    def lp_pool2d(self, x, *, p, **geometry):
        under = self.xp.abs(self._windows(x, 0, **geometry))
        return under.sum(axis=-1) if p == 1 else (under**p).sum(axis=-1) ** (1 / p)

    def global_average_pool2d(self, x):
        return self.xp.mean(x, axis=tuple(range(2, x.ndim)), keepdims=True)

    def global_max_pool2d(self, x):
        return self.xp.max(x, axis=tuple(range(2, x.ndim)), keepdims=True)

    def _windows(self, x, value, **geometry):
        padding = reached(x.shape[2:], **geometry)
        return self._taps(x, value, geometry["kernel"], geometry["stride"], padding, geometry["dilation"])

    def _taps(self, x, value, kernel, stride, padding, dilation):
        """Return what lies under each place of a window, on the last axis, where x has a value outside its borders."""
        x = self.xp.pad(x, ((0, 0), (0, 0), *sides(padding)), "constant", constant_values=value)
        axes, places = len(kernel), []
        for axis, (size, taps, step, gap) in enumerate(zip(x.shape[2:], kernel, stride, dilation, strict=True)):
            first = np.arange(0, size - window_extent(taps, gap) + 1, step)
            form = [1] * 2 * axes
            form[axis], form[axes + axis] = len(first), taps
            places.append((first[:, None] + gap * np.arange(taps)).reshape(form))
        under = x[(slice(None), slice(None), *places)]
        return under.reshape(*under.shape[: 2 + axes], math.prod(kernel))

    def _spread(self, x, axis, step):
        """Return x with step - 1 zeros between its pixels along an axis."""
        shape, size = x.shape, (x.shape[axis] - 1) * step + 1
        widths = [(0, 0)] * (axis + 1) + [(0, step - 1)] + [(0, 0)] * (len(shape) - axis - 1)
        x = self.xp.pad(x.reshape(*shape[: axis + 1], 1, *shape[axis + 1 :]), widths, "constant")
        x = x.reshape(*shape[:axis], shape[axis] * step, *shape[axis + 1 :])
        return x[(slice(None),) * axis + (slice(0, size),)]
