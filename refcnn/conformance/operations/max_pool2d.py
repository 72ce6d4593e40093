"""Max pooling: cases and error bounds. Forward is exact; backward adds the gradients of windows that overlap."""

import numpy as np
from hypothesis import strategies as st

from ...reference import average_pool2d, max_pool2d
from ...shapes import image_slices, reached_padding, sides, window_output_shape
from ..theory.bounds import UNDEFINED, extreme_error, input_error, may_be_flushed, sum_of_terms, windows_over_a_pixel
from ..theory.edges import of_pooling
from ..theory.examples import pools
from ..theory.sliding import under
from ..theory.strategies import ZEROS_AND_NOT_FINITE, pooling_cases, subnormal_numbers
from ..theory.windows import pixels_under

EXACT_ON_INTEGERS = True
#: Windows side by side, of which a kernel that computes tiles has each in one of them.
AS_FOLLOWER = {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0, 0, 0)}


@st.composite
def cases(draw, size="small", integers=False, special=True):
    """Draw images, often with ties, at times (``special``) with NaN and infinities, and all attributes."""
    everything = (*ZEROS_AND_NOT_FINITE, *subnormal_numbers())
    return draw(pooling_cases(size, integers, special=everything if special else ()))


def exact_forward(x, *, kernel, stride, padding, dilation=None, ceil_mode=False):
    """As :func:`refcnn.reference.max_pool2d.forward`, one tap of all windows after the other."""
    window = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation, "ceil_mode": ceil_mode}
    if not np.isfinite(x).all():
        # NaN wins, and what is as small as the padding does not.
        return max_pool2d.forward(x, **window)
    out = window_output_shape(x.shape[2:], kernel, stride, padding, dilation, ceil_mode)
    reached, spread = reached_padding(x.shape[2:], **window), dilation or (1,) * len(kernel)
    padded = np.pad(x, ((0, 0), (0, 0), *sides(reached)), constant_values=-np.inf)
    largest, winner = np.full((*x.shape[:2], *out), -np.inf, x.dtype), np.zeros((*x.shape[:2], *out), np.int32)
    for number, tap in enumerate(np.ndindex(*kernel)):
        pixels = padded[:, :, *under(tap, out, stride, spread)]
        wins = pixels > largest
        np.copyto(largest, pixels, where=wins)
        np.putmask(winner, wins, number)
    return largest, (winner, x.shape)


def exact_backward(dy, saved, needs, *, kernel, stride, padding, dilation=None, ceil_mode=False):
    """As :func:`refcnn.reference.max_pool2d.backward`, one tap of all windows after the other."""
    winner, shape = saved
    reached = reached_padding(shape[2:], kernel, stride, padding, dilation, ceil_mode)
    dx = np.pad(np.zeros(shape, dtype=dy.dtype), ((0, 0), (0, 0), *sides(reached)))
    spread = dilation or (1,) * len(kernel)
    for number, tap in enumerate(np.ndindex(*kernel)):
        dx[:, :, *under(tap, dy.shape[2:], stride, spread)] += np.where(winner == number, dy, 0)
    return (dx[:, :, *image_slices(shape[2:], reached)],)


def may_flip(inputs, errors, attributes):
    """How many windows another pixel may win."""
    if errors[0] is None:
        return 0
    values, errors = (
        pixels_under(entry, outside, **attributes) for entry, outside in ((inputs[0], -np.inf), (errors[0], 0))
    )
    winner = values.argmax(axis=-1)[..., None]
    largest, error = np.take_along_axis(values, winner, -1), np.take_along_axis(errors, winner, -1)
    width = errors + error
    may_win = (largest - values <= width) & (width > 0)
    return int(np.count_nonzero(may_win.sum(axis=-1) > 1))


def forward_bound(inputs, attributes, errors=None):
    """A maximum is off by no more than the furthest off of what competes."""
    error = input_error(inputs[0], errors and errors[0])
    # Of a window that lies in the padding alone nothing is off.
    error = np.maximum(exact_forward(error, **attributes)[0], 0) if error.any() else np.zeros(())
    return extreme_error(exact_forward(inputs[0], **attributes)[0], error)


def backward_bound(dy, inputs, attributes, needs):
    """One term for each window that the pixel can win.

    Which of several NaN in a window gets its gradient is not defined, so that any pixel of such a window may; the same
    holds where subnormal numbers may be flushed, and then tie.
    """
    if not needs[0]:
        return (None,)
    _, saved = max_pool2d.forward(inputs[0], **attributes)
    pixels = pixels_under(inputs[0], **attributes)
    is_open = (np.isnan(pixels).sum(axis=-1) > 1) | may_be_flushed(pixels).any(axis=-1)
    # Any pixel of such a window gets something of its mean's gradient.
    reached = reached_padding(inputs[0].shape[2:], **attributes)
    whole = {**attributes, "padding": reached, "ceil_mode": False, "count_include_padding": True}
    either, any_number = (
        average_pool2d.backward(windows.astype(np.float64), inputs[0].shape, needs, **whole)[0] > 0
        for windows in (is_open, is_open & ~np.isfinite(dy))
    )

    def total(dy):
        return max_pool2d.backward(dy, saved, needs, **attributes)[0]

    terms = windows_over_a_pixel(attributes["kernel"], attributes["stride"], attributes.get("dilation"))
    bound = sum_of_terms(total, dy, terms)
    return (np.where(any_number, UNDEFINED, np.where(either, np.inf, bound)),)


def is_copy(direction, case):
    """Of windows of one pixel; of equal pixels the definition does not say which one is the largest."""
    return direction == "forward" and set(case.attributes["kernel"]) == {1}


def fused_bound(y, bound):
    """A maximum is off by no more than the furthest off of its window, and open where one of them is."""
    bound = np.where(bound == UNDEFINED, np.inf, bound)
    bound = max_pool2d.forward(bound, **AS_FOLLOWER)[0]
    return np.where(np.isinf(bound), UNDEFINED, bound)


def may_route(y, bound, is_open, dy):
    """Where another pixel may win a window, or its winner's gradient is open, each of its pixels may get it.

    What was fused before is a rectifier.
    """
    values, errors = _in_windows(y), _in_windows(bound)
    winner = values.argmax(axis=-1)[..., None]
    largest, error = np.take_along_axis(values, winner, -1), np.take_along_axis(errors, winner, -1)
    gap, width = largest - values, error + errors
    np.put_along_axis(gap, winner, np.inf, -1)
    of_window = np.take_along_axis(_in_windows(is_open), winner, -1)
    of_window |= ((gap <= width) & (width > 0)).any(axis=-1, keepdims=True)
    # A window that is surely rectified has no gradient, whoever wins it.
    of_window &= ~(values + errors <= 0).all(axis=-1, keepdims=True)
    is_open, spread = np.zeros(y.shape, dtype=bool), np.zeros(y.shape)
    rows, columns = 2 * dy.shape[2], 2 * dy.shape[3]
    is_open[:, :, :rows, :columns] = of_window[..., 0].repeat(2, axis=2).repeat(2, axis=3)
    spread[:, :, :rows, :columns] = dy.repeat(2, axis=2).repeat(2, axis=3)
    return is_open, spread


def _in_windows(images):
    """Return (N, C, rows, columns, 4): the pixels of windows of 2x2 side by side."""
    rows, columns = images.shape[2] // 2, images.shape[3] // 2
    parts = images[:, :, : 2 * rows, : 2 * columns].reshape(*images.shape[:2], rows, 2, columns, 2)
    return parts.swapaxes(3, 4).reshape(*images.shape[:2], rows, columns, 4)


def edges(case):
    """Those of windows and planes."""
    return of_pooling(case)


def examples():
    """A window over a channel."""
    return pools()
