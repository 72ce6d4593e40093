"""Batches of images shifted, flipped, sampled elsewhere, coloured: each by numbers of its own, without a loop."""

import numpy as np

#: So many are sampled at a time: with eight or sixteen bytes of indices and weights each they stay in the caches, and
#: what is allocated on the way stays below the sizes that come from the system anew each time.
PIXELS_AT_ONCE = 2**13
#: Luma of ITU-R recommendation BT.601.
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def shifted(x, down, across, black=0):
    """Shift each image by whole pixels.

    Parameters
    ----------
    x : ndarray, shape (N, C, H, W)
    down, across : ndarray of int, shape (N,)
        Less than H and W, either way.
    black : number
        What comes in.

    Returns
    -------
    ndarray, shape (N, C, H, W), x's dtype
    """
    rows, columns = int(np.abs(down).max()), int(np.abs(across).max())
    padded = _padded(x, (rows, rows), (columns, columns), black)
    windows = np.lib.stride_tricks.sliding_window_view(padded, x.shape[2:], (2, 3))
    return windows[np.arange(len(x)), :, rows - down, columns - across]


def flipped(x, is_chosen, axis):
    """Reverse an axis of the images that are chosen, bool (N,)."""
    y = x.copy()
    y[is_chosen] = np.flip(x[is_chosen], axis)
    return y


def cut_out(x, top, left, size, black=0):
    """Make a square of each image black, as far as it lies in it.

    Parameters
    ----------
    x : ndarray, shape (N, C, H, W)
    top, left : ndarray of int, shape (N,)
        Its first row and column, which may lie outside.
    size : int
        Its side.
    black : number

    Returns
    -------
    ndarray, shape (N, C, H, W), x's dtype
    """
    down, across = (
        (first[:, None] <= np.arange(length)) & (np.arange(length) < first[:, None] + size)
        for first, length in zip((top, left), x.shape[2:], strict=True)
    )
    return np.where((down[:, :, None] & across[:, None, :])[:, None], x.dtype.type(black), x)


def cropped(x, corner, size):
    """Resize a part of each image to the whole, bilinear between the centres of pixels.

    Parameters
    ----------
    x : ndarray, shape (N, C, H, W)
    corner : (ndarray, ndarray), each of shape (N,)
        The part's top and left.
    size : (ndarray, ndarray), each of shape (N,)
        Its height and width, in pixels.

    Returns
    -------
    ndarray of float32, shape (N, C, H, W)
    """
    return _by_parts(_cropped, x, *corner, *size)


def _cropped(x, top, left, height, width):
    corner, size = (top, left), (height, width)
    down, across = (
        np.clip(first[:, None] + (np.arange(length) + 0.5) * (part[:, None] / length) - 0.5, 0, length - 1)
        for first, part, length in zip(corner, size, x.shape[2:], strict=True)
    )
    return _sampled(np.pad(x, ((0, 0), (0, 0), (0, 1), (0, 1)), "edge"), down[:, :, None], across[:, None, :])


def rotated(x, angles, black=0):
    """Turn each image about its centre, bilinear; black comes in.

    Parameters
    ----------
    x : ndarray, shape (N, C, H, W)
    angles : ndarray, shape (N,)
        In radians, counter-clockwise as the image is seen.
    black : number

    Returns
    -------
    ndarray of float32, shape (N, C, H, W)
    """
    return _by_parts(lambda part, turned: _rotated(part, turned, black), x, angles)


def _rotated(x, angles, black):
    height, width = x.shape[2:]
    rows, columns = np.arange(height)[:, None] - (height - 1) / 2, np.arange(width) - (width - 1) / 2
    cosine, sine = np.cos(angles)[:, None, None], np.sin(angles)[:, None, None]
    # One pixel of black around the image, for what lies outside, and one behind that, which counts nothing.
    down, across = cosine * rows + sine * columns, cosine * columns - sine * rows
    for place, length in ((down, height), (across, width)):
        place += (length + 1) / 2
        np.clip(place, 0, length + 1, out=place)
    return _sampled(_padded(x, (1, 2), (1, 2), black), down, across)


def coloured(x, brightness, contrast, saturation, black=0, white=None):
    """Change brightness and contrast, and of three channels the saturation, by a factor for each image.

    Brightness multiplies values, counted from black; contrast what they differ from the image's mean grey; saturation
    what they differ from their pixel's grey.

    Parameters
    ----------
    x : ndarray, shape (N, C, H, W)
    brightness, contrast, saturation : ndarray, shape (N,)
    black, white : number
        Between which values are kept, if white is known.

    Returns
    -------
    ndarray of float32, shape (N, C, H, W)
    """
    brightness, contrast, saturation = (
        factor.astype(np.float32)[:, None, None, None] for factor in (brightness, contrast, saturation)
    )
    black = np.float32(black)
    y = black + brightness * (x.astype(np.float32) - black)
    middle = y.mean(axis=(1, 2, 3), keepdims=True, dtype=np.float32)
    y = middle + contrast * (y - middle)
    if x.shape[1] == len(_LUMA):
        grey = np.einsum("nchw,c->nhw", y, _LUMA)[:, None]
        y = grey + saturation * (y - grey)
    return y if white is None else np.clip(y, min(black, white), max(black, white)).astype(np.float32, copy=False)


def _by_parts(function, x, *numbers):
    """Return what a function makes of images and of numbers of theirs, a few at a time, which stay in the caches."""
    count = max(1, PIXELS_AT_ONCE // (x.shape[2] * x.shape[3]))
    starts = range(0, len(x), count)
    return np.concatenate([function(*(array[first : first + count] for array in (x, *numbers))) for first in starts])


def _padded(x, rows, columns, black):
    """Return images with black before and behind their rows and columns; NumPy's own function takes longer."""
    (top, bottom), (left, right), (height, width) = rows, columns, x.shape[2:]
    y = np.full((*x.shape[:2], top + height + bottom, left + width + right), x.dtype.type(black))
    y[:, :, top : top + height, left : left + width] = x
    return y


def _sampled(x, down, across):
    """Return what lies at places between pixels, bilinear.

    Parameters
    ----------
    x : ndarray, shape (N, C, H, W)
    down, across : ndarray of float64, shapes that broadcast to (N, h, w)
        From 0 to H - 2 and to W - 2; they are overwritten.

    Returns
    -------
    ndarray of float32, shape (N, C, h, w)
    """
    count, channels, height, width = x.shape
    top, left = np.floor(down), np.floor(across)
    below, beside = (
        np.subtract(place, first, out=place).astype(np.float32) for place, first in ((down, top), (across, left))
    )
    above, before = 1 - below, 1 - beside
    weights = above * before, above * beside, below * before, below * beside
    top *= width
    top += (np.arange(count) * float(channels * height * width))[:, None, None]
    # The three others are as far from the first of the four neighbours everywhere.
    places, steps = (top + left).astype(np.intp), (0, 1, width, width + 1)
    values = np.ascontiguousarray(x, np.float32).reshape(-1)
    y = np.empty((count, channels, *places.shape[1:]), np.float32)
    taken, total = np.empty(places.shape, np.float32), np.empty(places.shape, np.float32)
    for channel in range(channels):
        for corner, (step, weight) in enumerate(zip(steps, weights, strict=True)):
            part = taken if corner else total
            # All places lie within: with "wrap" NumPy does not look at each of them before.
            values[channel * height * width + step :].take(places, out=part, mode="wrap")
            part *= weight
            if corner:
                total += part
        y[:, channel] = total
    return y
