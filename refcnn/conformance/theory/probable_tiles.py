"""How far convolutions by Winograd's algorithm may be off but for one case in millions, as :mod:`.probable` has it.

All three directions are, of the matrices of :mod:`.winograd`,

    y  = O [sum over n terms of H * (R z R')] O'

with H = G w G' or B' x B of numbers that are given, O = A' or G', R = B' or A, and pixels z with random signs e: x of
y, dy of dx and, since its tiles do not overlap as those of x do, dy of dw too. Multiplied out, y is a sum of monomials,
each a pixel, a given number and an entry of each matrix on either side. Be L_v the sum of those that pass rounding v,
before or after it. What is off in y is the sum of all d_v L_v, to first order in U. L_v is linear in e: let W_iv be its
coefficient of e_i, exactly as in :mod:`.probable`, where nothing else is asked of the sums than

    P(|error| >= f U sqrt(T))  <=  2 exp(-a f) / sqrt(1 - a^2),    T at least the sum of all W_iv^2.

Of what v may be in whatever order, with (u, v) for the pixels of a tile and (p, q) for its products:

Sums over the n terms. A product or a sum of some has the monomials of one (p, q) alone, in which H is complete, so that
W_iv = O_ip O_jq H_pq R_pu R_qv z_uv. Their squares add up to P, over all terms: what the stages make of the squares of
all matrices, of H and of z. Who adds some terms, transforms their sums and adds these up has the n products of the
definition as W_iv there, whose squares add up to S. A term passes n such roundings, of either kind: n (P + S). A bias
is one more term, of S.

Transformations. Two elements may have a sum in common, or be multiplied by what was added before. So be Q_i the sum of
the magnitudes of all monomials of i: if each passes k roundings at most, then, summed over these,

    sum of W_iv^2  <=  (largest |W_iv|) (sum of |W_iv|)  <=  Q_i k Q_i.

For those of z and of the sums k = 2 k_R + 2 k_O, with |H| in Q_i. That of the given numbers has k = 2 k_G with
|G| |w| |G'| in the place of |H|, for what it rounds is a part of H. An entry that is no float is off by the same each
time: two of them change all monomials of i by 2 U Q_i at most. That is one v more, which counts 4 Q_i^2 in place of two
roundings; its d is not random, but without it the mean is no larger: exp(x) <= 1 / sqrt(1 - 2 x).

So T = n (P + S) + (2 k_R + 2 k_O) sum of Q_i^2 + 2 k_G sum of Q'_i^2, and what entries are off. In many channels that
is about n P, which for tiles of 2 x 2 is less than the 9 n S of the sum by definition.
"""

import dataclasses
import functools
import math

import numpy as np

from ...shapes import window_output_shape
from . import winograd
from .bounds import gamma, number_format, underflow
from .probable import FACTOR


@dataclasses.dataclass(frozen=True)
class Tiled:
    """What Winograd's algorithm adds up for an element of a result, as :class:`~.probable.Sum` is it of a sum.

    Attributes
    ----------
    find_parts : callable
        Returns n, the roundings that a monomial passes in the transformations, and T but for n S.
    """

    find_parts: object

    def bound(self, squares):
        """Return the probable bound, given what the convolution makes of the squares of its inputs."""
        terms, roundings, variance = self.find_parts()
        share = FACTOR * number_format().roundoff * (1 + gamma(terms + roundings))
        # In random cases nothing comes near the numbers that underflow.
        return share * np.sqrt(variance + terms * squares) + 2 * (terms + roundings) * underflow()


@dataclasses.dataclass(frozen=True)
class AnyOf:
    """What is computed in one of several ways.

    Attributes
    ----------
    ways : sequence of (Sum or Tiled)
    """

    ways: tuple

    def bound(self, squares):
        """Return the probable bound of the way that errs most."""
        return functools.reduce(np.maximum, (way.bound(squares) for way in self.ways))


def of_algorithms(algorithms, w, attributes, summed, tiled):
    """Return what holds of the result and of the gradients of x, w and b, or None.

    Convolutions of several taps with a stride of 1 may be computed by tiles or by Fourier's transformation, which is as
    right, by whoever does not tell. Where Winograd's algorithm serves, the widest bound is taken. It is not derived of
    Fourier's transformation, which was measured to err by a fiftieth of it, nor of tiles of the points 0, 1, -1, 2, -2
    (a sixth) and these with 1/2 and -1/2 (a half). Of other windows nothing is known.

    Parameters
    ----------
    algorithms : dict of str to str, or None
        As in :func:`~.winograd.tile_of`.
    w : ndarray
        Two axes, and those of the taps.
    attributes : dict
        Those of the convolution.
    summed : tuple of Sum
        What each of the four is if it is summed as defined.
    tiled : tuple of callable
        Return, given the side of the tiles, what :class:`Tiled` asks for of each of the first three.
    """
    (*directions, of_b), kernel = summed, w.shape[2:]
    has_tiles = kernel == (3, 3) and all(set(attributes[name]) == {1} for name in ("stride", "dilation"))
    may_be_tiled = math.prod(kernel) > 1 and set(attributes["stride"]) == {1}

    def found(direction, one, by_tiles):
        told = winograd.tile_of(algorithms, direction)
        if told is not None:
            return Tiled(functools.partial(by_tiles, told))
        if direction in (algorithms or {}) or not may_be_tiled:
            return one
        ways = (Tiled(functools.partial(by_tiles, tile)) for tile in winograd.ALGORITHMS.values())
        return AnyOf((one, *ways)) if has_tiles else None

    forward, *gradients = map(found, ("forward", "backward_x", "backward_w"), directions, tiled)
    return forward, (*gradients, of_b)


def forward(x, w, has_bias=False, *, padding, groups, tile):
    """Return what :class:`Tiled` asks for of a convolution of images x, whose signs are random."""
    kernels = w.reshape(groups, -1, *w.shape[1:])
    out = window_output_shape(x.shape[2:], w.shape[2:], (1, 1), padding)
    return _correlation(x, kernels, padding[:2], out, tile, has_bias)


def backward_x(dy, w, size, has_bias=False, *, padding, groups, tile):
    """Return the same of dx, whose last axes have a size, or of a transposed convolution of dy."""
    kernels = w.reshape(groups, -1, *w.shape[1:]).swapaxes(1, 2)[..., ::-1, ::-1]
    return _correlation(dy, kernels, (2 - padding[0], 2 - padding[1]), size, tile, has_bias)


def backward_w(x, dy, *, padding, groups, tile):
    """Return the same of dw, by the signs of dy."""
    matrices = winograd.OF_KERNELS[tile].T, winograd.OF_PRODUCTS[tile].T, winograd.OF_PIXELS[tile]
    counts = [-(-size // tile) for size in dy.shape[2:]]
    terms = len(x) * math.prod(counts)

    of_x = _by_group(winograd.tiles(x, padding[:2], counts, tile, tile + 2), groups)
    of_dy = _by_group(winograd.tiles(dy, (0, 0), counts, tile, tile), groups).swapaxes(1, 2)
    found = [_variance(*matrices, given, signed, terms) for given, signed in zip(of_x, of_dy, strict=True)]
    # (group, C, K, 3, 3)
    return terms, _passed(*matrices), np.stack(found).swapaxes(1, 2).reshape(dy.shape[1], -1, 3, 3)


def _correlation(image, kernels, before, out, tile, has_bias):
    """Return the same of a correlation of images.

    Parameters
    ----------
    image : ndarray
        (N, groups C, H, W)
    kernels : ndarray
        (groups, K, C, 3, 3)
    before, out : (int, int)
        As :mod:`.winograd` has them.
    tile : int
    has_bias : bool
    """
    matrices = winograd.OF_PRODUCTS[tile], winograd.OF_PIXELS[tile], winograd.OF_KERNELS[tile]
    rows, columns = counts = [-(-size // tile) for size in out]
    terms = kernels.shape[2] + has_bias

    parts = _by_group(winograd.tiles(image, before, counts, tile, tile + 2), len(kernels))
    found = [_variance(*matrices, given, signed, terms) for given, signed in zip(kernels, parts, strict=True)]
    # (group, K, N rows columns, tile, tile)
    found = np.stack(found).reshape(*kernels.shape[:2], len(image), rows, columns, tile, tile)
    whole = found.transpose(2, 0, 1, 3, 5, 4, 6).reshape(len(image), -1, rows * tile, columns * tile)
    return terms, _passed(*matrices), whole[:, :, : out[0], : out[1]]


def _by_group(parts, groups):
    """(N, groups C, rows, columns, u, v) -> (group, C, tiles of all images, u, v)."""
    apart = parts.reshape(len(parts), groups, -1, *parts.shape[2:])
    return apart.transpose(1, 2, 0, 3, 4, 5, 6).reshape(groups, apart.shape[2], -1, *parts.shape[4:])


def _variance(outer, matrix, of_given, given, signed, terms):
    """Return T but for n S.

    Parameters
    ----------
    outer, matrix, of_given : ndarray
        O, R, and what transforms the given numbers.
    given : ndarray of float64
        (A, n, ...), a tile of them for each result and term.
    signed : ndarray of float64
        (n, B, ...), a tile of pixels.
    terms : int

    Returns
    -------
    ndarray of float64
        (A, B, ...), a tile of results.
    """
    magnitude = np.abs(of_given) @ np.abs(given) @ np.abs(of_given).T
    given = np.abs(of_given @ given @ of_given.T)
    # (p, q) of a product -> (i, j) of a result and (u, v) of a pixel.
    along = np.abs(outer.T[:, :, None] * matrix[:, None, :])
    reach = np.einsum("piu,qjv->pqijuv", along, along).reshape(len(matrix) ** 2, -1)
    squares = np.square(signed).reshape(len(signed), signed.shape[1], -1).swapaxes(1, 2).reshape(-1, signed.shape[1])
    shares = terms, _spread(outer) + _spread(matrix), _spread(of_given)
    found = []
    for of_one, magnitude_of_one in zip(given, magnitude, strict=True):
        of_one, magnitude_of_one = (entry.reshape(len(entry), -1) for entry in (of_one, magnitude_of_one))
        parts = np.square(of_one) @ np.square(reach), np.square(of_one @ reach), np.square(magnitude_of_one @ reach)
        total = sum(share * part for share, part in zip(shares, parts, strict=True))
        # (n, results, pixels) -> (results, n pixels)
        total = total.reshape(len(signed), len(outer) ** 2, -1).swapaxes(0, 1).reshape(len(outer) ** 2, -1)
        found.append((total @ squares).T)
    return np.stack(found).reshape(len(given), signed.shape[1], len(outer), len(outer))


def _passed(*matrices):
    return sum(2 * winograd.roundings_of(matrix) for matrix in matrices)


def _spread(matrix):
    """Return how often the square of what a transformation may change counts: for each rounding, and of its entries."""
    is_off = (matrix.astype(number_format().dtype) != matrix).any()
    return 2 * winograd.roundings_of(matrix) + 2 * is_off
