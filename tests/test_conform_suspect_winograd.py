"""What hides below the proved bounds of Winograd's algorithm is suspect; what is right, in whatever order, is not."""

import types
from fractions import Fraction

import numpy as np
import pytest

from refcnn import backend
from refcnn.conformance.judging import comparison, judge, suspecting
from refcnn.conformance.theory import probable_tiles, winograd
from refcnn.conformance.theory.bounds import number_format
from refcnn.conformance.theory.strategies import Case
from refcnn.conformance.theory.winograd import OF_KERNELS, OF_PIXELS, OF_PRODUCTS

from .test_winograd import correlated, kernel_gradient

ATTRIBUTES = {"stride": (1, 1), "padding": (1, 1, 1, 1), "dilation": (1, 1), "groups": 1}
ROUNDOFF = number_format().roundoff
DIRECTIONS = ("forward", "backward_x", "backward_w")
#: Of results: as many tiles as cover it, whole.
SIDE, TERMS = 8, 2000


def numbers(rng, *shape):
    """As random cases have them."""
    return (np.exp2(rng.uniform(-1, 1, shape)) * rng.choice((-1.0, 1.0), shape)).astype(np.float32)


def drawn(direction, terms=TERMS, tile=4):
    """Return a case of whose sums so many terms are products of transformed numbers."""
    rng, batch = np.random.default_rng(terms), terms // (SIDE // tile) ** 2 if direction == "backward_w" else 1
    c, k = terms if direction == "forward" else 2, terms if direction == "backward_x" else 2
    x, w = numbers(rng, batch, c, SIDE, SIDE), numbers(rng, k, c, 3, 3)
    dy, b = numbers(rng, batch, k, SIDE, SIDE), numbers(rng, 1, k, 1, 1)
    return Case((x, w, b if direction == "forward" else None), ATTRIBUTES, dy, random_signs=True)


def told(algorithms):
    """Return the reference, as if it computed so."""
    subject = backend.Reference()
    subject.algorithms = lambda *arguments: algorithms
    return subject


def expected(direction, case, algorithms):
    """Return the judge's expectation of a direction's result alone."""
    if direction == "forward":
        return judge.expect_forward("conv2d", case, told(algorithms))
    return judge.expect_backward("conv2d", case, told(algorithms), needs=needs_of(direction))


def needs_of(direction):
    return direction == "backward_x", direction == "backward_w", False


def check(direction, case, algorithms, result):
    """Judge what was computed, and return the worst error as a share of its probable bound."""
    statistics = comparison.Statistics()
    if direction == "forward":
        found = types.SimpleNamespace(forward=lambda *inputs, **attributes: (result, None), backward=None)
        judge.check_forward("conv2d", case, told(algorithms), implementation=found, statistics=statistics)
    else:
        needs = needs_of(direction)
        gradients = tuple(result if need else None for need in needs)
        found = types.SimpleNamespace(
            forward=lambda *inputs, **attributes: (case.dy, None), backward=lambda *given, **attributes: gradients
        )
        judge.check_backward("conv2d", case, told(algorithms), implementation=found, needs=needs, statistics=statistics)
    return statistics.worst_probable


def rounded(x, bits):
    mantissa, exponent = np.frexp(x.astype(np.float64))
    return np.ldexp(np.rint(np.ldexp(mantissa, bits)), exponent - bits).astype(np.float32)


def staged(matrices, given, signed, read=None, transformed=None, added=None, last=0):
    """Compute by Winograd's stages in float32, term by term: (A, n, ...) and (n, B, ...) -> (A, B, ...).

    So many of the last terms are added up by themselves; what is read of factors, transformed and added up there goes
    through functions that plant a fault.
    """
    read, transformed, added = (function or (lambda values: values) for function in (read, transformed, added))
    outer, matrix, of_given = (entry.astype(np.float32) for entry in matrices)
    total = part = np.float32(0)
    for n in range(len(signed)):
        left, right = of_given @ given[:, n] @ of_given.T, matrix @ signed[n] @ matrix.T
        if n < len(signed) - last:
            total = total + left[:, None] * right[None]
        else:
            part = added(part + read(left)[:, None] * read(transformed(right))[None])
    return outer @ (total + part) @ outer.T


def computed(direction, case, tile, matrices=None, **planted):
    """Return a direction's result by Winograd's algorithm, of float32's matrices if none are given."""
    (x, w, b), dy = case.inputs, case.dy
    of_products, of_pixels, of_kernels = matrices or (OF_PRODUCTS[tile], OF_PIXELS[tile], OF_KERNELS[tile])
    counts = [-(-SIDE // tile)] * 2
    image = dy if direction == "backward_x" else x
    tiles = winograd.tiles(image, (1, 1), counts, tile, tile + 2).astype(np.float32)
    if direction == "backward_w":
        of_dy = winograd.tiles(dy, (0, 0), counts, tile, tile).astype(np.float32)
        given = tiles.transpose(1, 0, 2, 3, 4, 5).reshape(x.shape[1], -1, tile + 2, tile + 2)
        signed = of_dy.transpose(0, 2, 3, 1, 4, 5).reshape(-1, dy.shape[1], tile, tile)
        return staged((of_kernels.T, of_products.T, of_pixels), given, signed, **planted).swapaxes(0, 1)
    given = w if direction == "forward" else w.swapaxes(0, 1)[..., ::-1, ::-1]
    signed = tiles.transpose(1, 0, 2, 3, 4, 5).reshape(image.shape[1], -1, tile + 2, tile + 2)
    y = staged((of_products, of_pixels, of_kernels), given, signed, **planted)
    y = y.reshape(len(given), len(image), *counts, tile, tile).transpose(1, 0, 2, 4, 3, 5)
    y = y.reshape(len(image), len(given), counts[0] * tile, counts[1] * tile)[..., :SIDE, :SIDE]
    return y if b is None else y + b


#: What is wrong, and in how many of the last terms, as where these fill no vector: so that no result is off by ten
#: probable bounds.
FAULTS = {
    "products of TensorFloat-32": ({"read": lambda x: rounded(x, 11)}, 256),
    "transformed to bfloat16": ({"transformed": lambda x: rounded(x, 8)}, 8),
    "added up in half precision": ({"added": lambda x: rounded(x, 11)}, 32),
}


@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("fault", FAULTS)
def test_what_the_proved_bound_lets_pass_is_suspect(fault, direction, tile):
    algorithms, case = {direction: f"winograd_{tile}x{tile}"}, drawn(direction, tile=tile)
    planted, last = FAULTS[fault]
    assert check(direction, case, algorithms, computed(direction, case, tile, last=last)) < 0.1
    wrong = computed(direction, case, tile, last=last, **planted)
    with pytest.raises(suspecting.Suspect) as suspect:
        check(direction, case, algorithms, wrong)
    assert "probable bound" in str(suspect.value)


@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_no_order_of_summation_is_suspect(direction, tile):
    rng, case = np.random.default_rng(tile), drawn(direction, 64, tile)
    (x, w, b), dy = case.inputs, case.dy
    if direction == "backward_w":
        result = kernel_gradient(rng, x, dy, ATTRIBUTES["padding"], 1, tile)
    else:
        image, kernels = (x, w) if direction == "forward" else (dy, w.swapaxes(0, 1)[..., ::-1, ::-1])
        result = correlated(rng, image[:, None], kernels[None], (1, 1), (SIDE, SIDE), tile)
        result = result if b is None else result + b
    assert check(direction, case, {direction: f"winograd_{tile}x{tile}"}, result) < 0.5


class Worst:
    """Computes exactly but for roundings, each as large as it may be, whose signs alone are random."""

    def __init__(self, matrices):
        self.rng = np.random.default_rng(1)
        # Entries that are no floats are off as well, and are so in each run.
        off = [np.where(entry.astype(np.float32) == entry, 1, 1 + ROUNDOFF) for entry in matrices]
        self.outer, self.matrix, self.of_given = (entry * one for entry, one in zip(matrices, off, strict=True))

    def rounded(self, values):
        return values * (1 + ROUNDOFF * self.rng.choice((-1.0, 1.0), values.shape))

    def combined(self, row, values):
        """One row of a matrix, in some order."""
        total = None
        for place in self.rng.permutation(np.flatnonzero(row)):
            is_power = np.frexp(abs(row[place]))[0] == 0.5
            term = row[place] * values[..., place, :]
            term = term if is_power else self.rounded(term)
            total = term if total is None else self.rounded(total + term)
        return total

    def transformed(self, matrix, values):
        """From both sides, where two rows are each other's mirror image by sums that they have in common."""
        for _ in range(2):
            rows = []
            while len(rows) < len(matrix):
                row, after = matrix[len(rows)], matrix[len(rows) + 1 :][:1]
                if len(after) and (abs(row) == abs(after[0])).all():
                    even, odd = (self.combined((row + sign * after[0]) / 2, values) for sign in (1, -1))
                    rows += [self.rounded(even + odd), self.rounded(even - odd)]
                else:
                    rows.append(self.combined(row, values))
            values = np.stack(rows, axis=-1)
        return values

    def computed(self, given, signed, blocks):
        """(n, ...) and (runs, n, ...) -> (runs, ...), each block of terms transformed by itself."""
        products = self.rounded(self.transformed(self.of_given, given) * self.transformed(self.matrix, signed))
        y = 0.0
        for block in np.array_split(np.arange(len(given)), blocks):
            total = products[:, block[0]]
            for n in block[1:]:
                total = self.rounded(total + products[:, n])
            y = (
                self.transformed(self.outer, total)
                if blocks == 1
                else self.rounded(y + self.transformed(self.outer, total))
            )
        return y


@pytest.mark.parametrize("blocks", [1, 20])
@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize("direction", ["forward", "backward_w"])
@pytest.mark.parametrize(("terms", "runs"), [(1, 3000), (40, 1000), (400, 300)])
def test_the_bound_holds_of_the_worst_roundings_that_are_independent(direction, tile, terms, runs, blocks):
    rng, edge, shared = np.random.default_rng(2), tile + 2, {"padding": (0,) * 4, "groups": 1, "tile": tile}
    pixels = numbers(rng, terms, edge, edge)
    if direction == "forward":
        matrices, given, signed = (
            (OF_PRODUCTS[tile], OF_PIXELS[tile], OF_KERNELS[tile]),
            numbers(rng, terms, 3, 3),
            pixels,
        )
        parts, others = probable_tiles.forward(pixels[None], given[None], **shared), given
    else:
        matrices, given, signed = (
            (OF_KERNELS[tile].T, OF_PRODUCTS[tile].T, OF_PIXELS[tile]),
            pixels,
            numbers(rng, terms, tile, tile),
        )
        parts, others = probable_tiles.backward_w(pixels[:, None], signed[:, None], **shared), signed
    windows = np.lib.stride_tricks.sliding_window_view(np.square(pixels), others.shape[1:], axis=(1, 2))
    squares = np.einsum("nijuv,nuv->ij", windows, np.square(others))
    variance = (parts[2] + parts[0] * squares)[0, 0]
    outer, matrix, of_given = matrices
    signed = signed * rng.choice((-1.0, 1.0), (runs, *signed.shape))
    exact = outer @ ((of_given @ given @ of_given.T) * (matrix @ signed @ matrix.T)).sum(axis=1) @ outer.T
    error = (Worst(matrices).computed(given.astype(np.float64), signed, min(blocks, terms)) - exact) / ROUNDOFF
    share = np.square(error).mean(axis=0) / variance
    assert (share < 0.5).all()
    # It is of the right size for long sums in one order: two parts of the variance may not come together.
    assert terms < 400 or blocks > 1 or (share > 0.08).all()


def matrices_of(points):
    """Return A', B' and G of the algorithm with such points and infinity, by Toom and Cook."""
    tile = len(points) - 1
    powers = np.array([[float(point) ** k for k in range(tile)] for point in points] + [[0] * (tile - 1) + [1]])
    factors = [float(np.prod([point - other for other in points if other != point])) for point in points]
    of_kernels = [[float(point) ** k / by for k in range(3)] for point, by in zip(points, factors, strict=True)]
    of_kernels = np.array([*of_kernels, [0, 0, 1]])
    i, p, d = np.ogrid[:tile, :3, : tile + 2]
    given = np.einsum("ei,ep->ipe", powers, of_kernels).reshape(-1, tile + 2)
    of_pixels = np.linalg.lstsq(given, (d == i + p).reshape(len(given), -1).astype(float), rcond=None)[0]
    return powers.T, np.where(abs(of_pixels) < 1e-12, 0, of_pixels), of_kernels


def by_fourier(case):
    """The result by transformations of whole images, in float32."""
    x, w, b = case.inputs
    size = (SIDE + 2,) * 2
    of_x = np.fft.rfft2(np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))))
    of_w = np.fft.rfft2(w[..., ::-1, ::-1], s=size)
    assert of_x.dtype == of_w.dtype == np.complex64
    total = sum(of_x[:, None, c] * of_w[None, :, c] for c in range(x.shape[1]))
    return np.fft.irfft2(total, s=size).astype(np.float32)[..., 2:, 2:] + b


@pytest.mark.parametrize("terms", [40, 500, 3500])
def test_nothing_that_is_right_is_suspect_where_no_algorithm_is_told(terms):
    case, half = drawn("forward", terms), Fraction(1, 2)
    results = [computed("forward", case, tile) for tile in (2, 4)]
    for points in ((0, 1, -1, 2, -2), (0, 1, -1, half, -half), (0, 1, -1, 2, -2, half, -half)):
        results.append(computed("forward", case, len(points) - 1, matrices=matrices_of(points)))
    for result in (*results, by_fourier(case)):
        assert check("forward", case, {}, result) < 0.5


def test_the_bound_where_no_algorithm_is_told_is_the_widest():
    for direction in DIRECTIONS:
        case = drawn(direction, 500)
        ways = [expected(direction, case, {direction: name}).probable[0] for name in (*winograd.ALGORITHMS, "direct")]
        (found,) = expected(direction, case, {}).probable
        np.testing.assert_array_equal(found, np.maximum.reduce(ways))
        assert (ways[1] > ways[0]).all()


@pytest.mark.parametrize("tile", [2, 4])
def test_groups_are_bounded_one_by_one(tile):
    algorithms, rng = dict.fromkeys(DIRECTIONS, f"winograd_{tile}x{tile}"), np.random.default_rng(tile)
    x, w, dy = numbers(rng, 3, 6, 7, 5), numbers(rng, 4, 3, 3, 3), numbers(rng, 3, 4, 7, 5)

    def bounds(x, w, dy, groups):
        case = Case((x, w, None), ATTRIBUTES | {"groups": groups}, dy, random_signs=True)
        found = [judge.expect_forward("conv2d", case, told(algorithms)).probable]
        return [*found[0], *judge.expect_backward("conv2d", case, told(algorithms)).probable[:2]]

    first, second = (bounds(x[:, i : i + 3], w[j : j + 2], dy[:, j : j + 2], 1) for i, j in ((0, 0), (3, 2)))
    for found, one, other, axis in zip(bounds(x, w, dy, 2), first, second, (1, 1, 0), strict=True):
        np.testing.assert_allclose(found, np.concatenate([one, other], axis), rtol=1e-12)


@pytest.mark.parametrize("tile", [2, 4])
def test_a_transposed_convolution_is_bounded_as_the_gradient_that_it_is(tile):
    name, case = f"winograd_{tile}x{tile}", drawn("backward_x", 40)
    x, w, _ = case.inputs
    transposed = Case((case.dy, w, None), ATTRIBUTES | {"output_padding": (0, 0)}, x, random_signs=True)
    algorithms = dict.fromkeys(DIRECTIONS, name)
    of_y = judge.expect_forward("conv2d", case, told(algorithms)).probable
    of_dx, of_dw = judge.expect_backward("conv2d", case, told(algorithms)).probable
    of_transposed = judge.expect_forward("conv_transpose2d", transposed, told(algorithms)).probable
    turned = Case((case.dy, w.swapaxes(0, 1)[..., ::-1, ::-1], None), ATTRIBUTES, x, random_signs=True)
    of_turned = judge.expect_forward("conv2d", turned, told(algorithms)).probable
    of_its_dx, of_its_dw = judge.expect_backward("conv_transpose2d", transposed, told(algorithms)).probable[:2]
    pairs = zip((*of_transposed, *of_turned, of_its_dx, of_its_dw), (of_dx, of_dx, *of_y, of_dw), strict=True)
    for found, right in pairs:
        np.testing.assert_allclose(found, right, rtol=1e-12)
