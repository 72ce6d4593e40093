"""Convolution by Winograd's algorithm: how far a correct float32 computation may be from the exact result.

For tiles of m x m outputs, m = 2 or 4, and e = m + 2 (Lavin and Gray, "Fast
Algorithms for Convolutional Neural Networks", CVPR 2016), of the points 0, 1,
-1 and infinity if m = 2, or else of 0, 5/8, -5/8, 3/2, -3/2 and infinity, x
and dy cut into tiles and * the product of two matrices element by element:

    y  = A' [sum over c of (G w G') * (B' x B)] A + b           tiles of m x m from tiles of e x e
    dx = the same, of dy and of the kernels turned by 180 degrees with their channels exchanged
    dw = G' [sum over all tiles of (A dy A') * (B' x B)] G      3 x 3

Each of the three is linear in either factor, and is computed in stages. A
stage multiplies from both sides by a small matrix T, in any order of
summation: a row of t terms takes t - 1 roundings for the sum, one more for
the products if an entry of T is no power of two, and one more if it is no
float32 number. So k roundings for T, and

    |computed T z T' - exact| <= |T| e_z |T'| + gamma(2k) |T| (|z| + e_z) |T'|

where z itself is off by e_z. Sums of n products in between err as bounds.py
says. Carried through the stages, this is about

    gamma(n + 2 k_A + 2 k_B + 2 k_G) |A'| [sum of (|G| |w| |G'|) * (|B'| |x| |B|)] |A|,

Higham's argument of chapter 24 (fast Fourier transforms) and section 3.1 for
bilinear algorithms. It is larger than the bound of the direct sum by what the
entries of |A|, |B| and |G| come to, for they cancel only in exact arithmetic.

What is NaN or infinite in one tile of x may make NaN of all outputs of the
tile, what is so in a kernel of all outputs of its channel, and in dw one such
pixel of all kernels that meet its channel: the bound is UNDEFINED there.
"""

import numpy as np

from ...shapes import window_output_shape
from .bounds import UNDEFINED, gamma, input_error, may_overflow, number_format, underflow

#: The algorithms by name, and the side of their tiles: an implementation says so which of them it uses.
ALGORITHMS = {"winograd_2x2": 2, "winograd_4x4": 4}

#: B', which transforms pixels, by the size of a tile.
OF_PIXELS = {
    2: np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], dtype=np.float64),
    4: np.array(
        [
            [225 / 256, 0, -169 / 64, 0, 1, 0],
            [0, -45 / 32, -9 / 4, 5 / 8, 1, 0],
            [0, 45 / 32, -9 / 4, -5 / 8, 1, 0],
            [0, -75 / 128, -25 / 64, 3 / 2, 1, 0],
            [0, 75 / 128, -25 / 64, -3 / 2, 1, 0],
            [0, 225 / 256, 0, -169 / 64, 0, 1],
        ]
    ),
}

#: G, which transforms kernels.
OF_KERNELS = {
    2: np.array([[1, 0, 0], [1 / 2, 1 / 2, 1 / 2], [1 / 2, -1 / 2, 1 / 2], [0, 0, 1]]),
    4: np.array(
        [
            [256 / 225, 0, 0],
            [-2048 / 2975, -256 / 595, -32 / 119],
            [-2048 / 2975, 256 / 595, -32 / 119],
            [128 / 1071, 64 / 357, 32 / 119],
            [128 / 1071, -64 / 357, 32 / 119],
            [0, 0, 1],
        ]
    ),
}

#: A', which transforms products.
OF_PRODUCTS = {
    2: np.array([[1, 1, 1, 0], [0, 1, -1, -1]], dtype=np.float64),
    4: np.array(
        [
            [1, 1, 1, 1, 1, 0],
            [0, 5 / 8, -5 / 8, 3 / 2, -3 / 2, 0],
            [0, 25 / 64, 25 / 64, 9 / 4, 9 / 4, 0],
            [0, 125 / 512, -125 / 512, 27 / 8, -27 / 8, 1],
        ]
    ),
}


def tile_of(algorithms, direction):
    """Return the side of the tiles by which a direction is computed, or None if it is not by Winograd's algorithm.

    Parameters
    ----------
    algorithms : dict of str to str, or None
        By direction, as the backends' ``algorithms`` tells them.
    direction : str
    """
    return ALGORITHMS.get((algorithms or {}).get(direction))


def forward_bound(x, w, b, *, padding, groups, tile, errors=(None, None, None)):
    """Return the bound of y.

    Parameters
    ----------
    x : ndarray
        (N, C, H, W)
    w : ndarray
        (K, C/groups, 3, 3)
    b : ndarray or None
        (1, K, 1, 1)
    padding : (int, int, int, int)
        Top, left, bottom, right.
    groups : int
    tile : int
        2 or 4.
    errors : tuple of (ndarray or None)
        By how much x, w and b may be off.

    Returns
    -------
    ndarray of float64
        (N, K, out_h, out_w)
    """
    out = window_output_shape(x.shape[2:], w.shape[2:], (1, 1), padding)
    kernels = w.reshape(groups, -1, *w.shape[1:])
    kernel_errors = None if errors[1] is None else errors[1].reshape(kernels.shape)
    bound, magnitude = _correlation_bound(x, kernels, padding[:2], out, tile, errors[0], kernel_errors)
    return bound if b is None else _with_bias(bound, magnitude, b, errors[2])


def _with_bias(bound, magnitude, b, error=None):
    """Return the bound of what has a bound, and is a sum of such a magnitude, after a bias is added."""
    is_finite = np.isfinite(b)
    b = np.where(is_finite, b, 0)
    b_error = input_error(b, error)
    total = magnitude + np.abs(b) + b_error
    with_b = np.where(bound == UNDEFINED, UNDEFINED, bound + b_error + gamma(1) * total + underflow())
    with_b[(with_b != UNDEFINED) & (_is_too_large(total) | np.isinf(bound))] = np.inf
    # What is finite leaves an infinite bias as it is.
    return np.where(is_finite, with_b, np.where(np.isinf(with_b), UNDEFINED, np.minimum(with_b, 0)))


def backward_x_bound(dy, w, x_shape, *, padding, groups, tile, b=None):
    """Return the bound of dx, or of a transposed convolution of dy, which may have a bias.

    Parameters
    ----------
    dy : ndarray
        (N, K, out_h, out_w)
    w, padding, groups, tile
        As in :func:`forward_bound`.
    x_shape : tuple of int
    b : ndarray, optional
        (1, C, 1, 1)

    Returns
    -------
    ndarray of float64
        (N, C, H, W)
    """
    kernels = w.reshape(groups, -1, *w.shape[1:]).swapaxes(1, 2)[..., ::-1, ::-1]
    before = 2 - padding[0], 2 - padding[1]
    bound, magnitude = _correlation_bound(dy, kernels, before, tuple(x_shape[2:]), tile)
    return bound if b is None else _with_bias(bound, magnitude, b)


def backward_w_bound(x, dy, w_shape, *, padding, groups, tile):
    """Return the bound of dw.

    Parameters
    ----------
    x : ndarray
        (N, C, H, W)
    dy : ndarray
        (N, K, out_h, out_w)
    w_shape : tuple of int
    padding, groups, tile
        As in :func:`forward_bound`.

    Returns
    -------
    ndarray of float64
        (K, C/groups, 3, 3)
    """
    counts = [-(-size // tile) for size in dy.shape[2:]]
    x_parts = tiles(x, padding[:2], counts, tile, tile + 2)
    dy_parts = tiles(dy, (0, 0), counts, tile, tile)
    x_is_finite, dy_is_finite = (np.isfinite(parts).all(axis=(0, 2, 3, 4, 5)) for parts in (x_parts, dy_parts))
    # (group, channel, position, terms), the terms being all tiles of all images.
    transformed = []
    for parts, matrix in ((x_parts, OF_PIXELS[tile]), (dy_parts, OF_PRODUCTS[tile].T)):
        of_finite = np.where(np.isfinite(parts), parts, 0)
        for entry in _two_sided(matrix, np.abs(of_finite), input_error(of_finite)):
            entry = entry.reshape(*entry.shape[:4], -1).transpose(1, 4, 0, 2, 3)
            transformed.append(entry.reshape(groups, -1, *entry.shape[1:2], entry[0, 0].size))
    x_magnitude, x_error, dy_magnitude, dy_error = (entry.transpose(2, 0, 1, 3) for entry in transformed)
    magnitude, error = _sums_of_products(dy_magnitude, dy_error, x_magnitude.swapaxes(2, 3), x_error.swapaxes(2, 3))
    # (position, group, output, input) -> (output, input, row, column)
    of_kernels = [
        np.moveaxis(entry, 0, -1).reshape(w_shape[0], w_shape[1], tile + 2, tile + 2) for entry in (magnitude, error)
    ]
    bound = _two_sided(OF_KERNELS[tile].T, *of_kernels)[1]
    bound[np.isnan(bound)] = np.inf
    x_is_finite = np.repeat(x_is_finite.reshape(groups, 1, -1), w_shape[0] // groups, axis=1).reshape(w_shape[:2])
    is_finite = x_is_finite & dy_is_finite[:, None]
    return np.where(is_finite[..., None, None], bound, UNDEFINED)


def _correlation_bound(image, kernels, before, out, tile, image_errors=None, kernel_errors=None):
    """Return the bound of a correlation, and the magnitude of what is summed.

    Parameters
    ----------
    image : ndarray
        (N, groups C, H, W)
    kernels : ndarray
        (groups, K, C, 3, 3)
    before : (int, int)
        How far the first window lies outside the image, upwards and to the left; inside if negative.
    out : (int, int)
        Height and width of the result.
    """
    groups, outputs, inputs = kernels.shape[:3]
    N, edge = image.shape[0], tile + 2
    rows, columns = counts = [-(-size // tile) for size in out]
    parts = tiles(image, before, counts, tile, edge)
    errors = None if image_errors is None else tiles(image_errors, before, counts, tile, edge)
    is_undefined = ~np.isfinite(parts).all(axis=(4, 5)).reshape(N, groups, inputs, rows, columns).all(axis=2)
    is_undefined = is_undefined[:, :, None] | ~np.isfinite(kernels).all(axis=(2, 3, 4))[None, :, :, None, None]

    parts, kernels = (np.where(np.isfinite(entry), entry, 0) for entry in (parts, kernels))
    pixels = _two_sided(OF_PIXELS[tile], np.abs(parts), input_error(parts, errors))
    of_kernels = _two_sided(OF_KERNELS[tile], np.abs(kernels), input_error(kernels, kernel_errors))
    # (position, group, K, C) times (position, group, C, tiles of all images)
    pixels = [
        entry.reshape(N, groups, inputs, rows * columns, edge**2)
        .transpose(4, 1, 2, 0, 3)
        .reshape(edge**2, groups, inputs, -1)
        for entry in pixels
    ]
    of_kernels = [entry.reshape(groups, outputs, inputs, edge**2).transpose(3, 0, 1, 2) for entry in of_kernels]
    products = [
        entry.reshape(edge, edge, groups, outputs, N, rows, columns).transpose(4, 2, 3, 5, 6, 0, 1)
        for entry in _sums_of_products(*of_kernels, *pixels)
    ]
    magnitude, error = _two_sided(OF_PRODUCTS[tile], *products)
    error = np.where(is_undefined[..., None, None], UNDEFINED, np.where(np.isnan(error), np.inf, error))

    def assembled(tiles):
        whole = tiles.swapaxes(4, 5).reshape(N, groups * outputs, rows * tile, columns * tile)
        return whole[:, :, : out[0], : out[1]]

    return assembled(error), assembled(magnitude)


def tiles(image, before, counts, step, size):
    """Return (N, C, rows, columns, size, size): tiles ``step`` apart, with zeros outside the image.

    The first begins ``before`` pixels before the image, or behind its first pixel if negative.
    """
    parts = np.zeros((*image.shape[:2], *counts, size, size))
    for row in range(counts[0]):
        for column in range(counts[1]):
            y, x = row * step - before[0], column * step - before[1]
            inside = image[:, :, max(y, 0) : max(y + size, 0), max(x, 0) : max(x + size, 0)]
            top, left = max(-y, 0), max(-x, 0)
            parts[:, :, row, column, top : top + inside.shape[2], left : left + inside.shape[3]] = inside
    return parts


def roundings_of(matrix):
    """Return how many roundings a term passes in the product of a matrix with a vector, whatever the order."""
    most = 0
    for row in matrix:
        entries = row[row != 0]
        is_product = (np.frexp(np.abs(entries))[0] != 0.5).any()
        is_rounded = (entries.astype(number_format().dtype) != entries).any()
        most = max(most, entries.size - 1 + int(is_product) + int(is_rounded))
    return most


def _two_sided(matrix, magnitude, error):
    """Return |T| magnitude |T'|, and by how much the computed T z T' is off, of numbers z as large and as far off.

    The numbers lie in the last two axes. Where partial results may overflow, the error is infinite.
    """
    absolute = np.abs(matrix)
    with np.errstate(invalid="ignore", over="ignore"):
        largest = magnitude + error
        total = absolute @ largest @ absolute.T
        # A row of t terms has 2t - 1 operations; what one of them loses can be multiplied by an entry once more.
        lost = (2 * matrix.shape[1] - 1) * max(1.0, absolute.max()) * underflow()
        lost *= 1 + absolute.sum(axis=1).max()
        roundings = gamma(2 * roundings_of(matrix))
        off = absolute @ error @ absolute.T + roundings * total + lost * (1 + roundings)
        # Sums may be taken before they are multiplied with an entry below 1.
        unscaled = np.where(matrix != 0, np.maximum(absolute, 1), 0)
        is_lost = _is_too_large(unscaled @ largest @ unscaled.T)
        return absolute @ magnitude @ absolute.T, np.where(is_lost, np.inf, off)


def _sums_of_products(left, left_error, right, right_error):
    """Return the matrix product of magnitudes, and by how much it is off, of factors that are so far off."""
    with np.errstate(invalid="ignore", over="ignore"):
        terms = left.shape[-1]
        magnitude = left @ right
        total = (left + left_error) @ (right + right_error)
        # Computed so, rather than by products of the errors, it is off by 2^-53 of the total: nothing beside gamma.
        error = (total - magnitude) + gamma(terms) * total + 2 * terms * (1 + gamma(terms)) * underflow()
        return magnitude, np.where(_is_too_large(total), np.inf, error)


def _is_too_large(magnitude):
    """Return where sums of that magnitude may overflow in some order, or are no numbers."""
    return may_overflow(magnitude) | np.isnan(magnitude)
