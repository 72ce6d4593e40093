"""Winograd's algorithm: its kernels hold its bound at any shape, and the bound is one."""

import contextlib
from unittest import mock

import numpy as np
import pytest
from hypothesis import event, given, target
from hypothesis import strategies as st

from refcnn.conformance.judging.comparison import ConformanceFailure, compare
from refcnn.conformance.operations.conv2d import channels
from refcnn.conformance.theory import winograd as bounds
from refcnn.conformance.theory.bounds import UNDEFINED, subnormals, sum_of_terms
from refcnn.conformance.theory.sizes import batches
from refcnn.conformance.theory.strategies import FEW_NOT_FINITE, arrays, image_sizes, winograd_windows
from refcnn.errors import ArgumentError, ShapeError
from refcnn.opencl.convolution import winograd, winograd_weights
from refcnn.opencl.convolution.sizes import Convolution
from refcnn.opencl.shared.fusion import RECTIFIED, Limits, Unpooled
from refcnn.reference import conv2d, max_pool2d
from refcnn.shapes import window_output_shape

from .operations.checks import SIZE, within
from .test_oclgrind import LIBRARY, passes_inside, run  # noqa: F401

STEP = {"stride": (1, 1), "dilation": (1, 1)}
tiles = st.sampled_from((2, 4))

#: (bytes, tiles) of a strip, and the channels of a share: as a rule, one tile, and few, so that small images are cut
#: in every direction; and the vectors, in place of those that suit the device.
strips = st.tuples(
    st.sampled_from([(1 << 18, 16, 64), (1, 1, 16), (1, 3, 16), (1 << 13, 1, 32)]),
    st.sampled_from([None, winograd.Vectors(8, 1), winograd.Vectors(16, 1), winograd.Vectors(16, 2)]),
)


@st.composite
def convolutions(draw, integers=False, special=True):
    """Draw x, w, b, dy, and padding and groups."""
    padding = draw(st.one_of(winograd_windows().map(lambda window: window["padding"]), st.just((0, 5, 7, 1))))
    height, width = draw(image_sizes(SIZE, (3, 3), padding))
    c, k, groups = draw(channels(SIZE))
    out = window_output_shape((height, width), (3, 3), (1, 1), padding)
    batch = draw(batches(SIZE))
    options = FEW_NOT_FINITE if special else {}
    x, w, b, dy = (
        draw(arrays(shape, integers, **options))
        for shape in ((batch, c, height, width), (k, c // groups, 3, 3), (1, k, 1, 1), (batch, k, *out))
    )
    if integers:
        # Halved twice by F(2x2, 3x3), such weights are integers still; b is no finer beside their products than else.
        w, b = w * np.float32(4), b * np.float32(4)
    return x, w, draw(st.sampled_from((b, None))), dy, padding, groups


def convolution(x_shape, w_shape, padding=(0, 0, 0, 0), groups=1, stride=(1, 1), dilation=(1, 1)):
    return Convolution(x_shape, w_shape, stride, padding, dilation, groups)


def exact_forward(x, w, b, padding, groups):
    x, w, b = (None if entry is None else entry.astype(np.float64) for entry in (x, w, b))
    return conv2d.forward(x, w, b, padding=padding, groups=groups, **STEP)[0]


def exact_backward(x, w, dy, padding, groups):
    x, w, dy = (entry.astype(np.float64) for entry in (x, w, dy))
    _, saved = conv2d.forward(x, w, None, padding=padding, groups=groups, **STEP)
    return conv2d.backward(dy, saved, (True, True, True), padding=padding, groups=groups, **STEP)


def on_device(backend, function, *inputs, **attributes):
    """Call a function of winograd with host arrays, and return its results on the host."""
    inputs = [backend.array(entry) if isinstance(entry, np.ndarray) else entry for entry in inputs]
    result = function(*inputs, **attributes)
    if isinstance(result, tuple):
        return tuple(entry if entry is None else backend.to_host(entry) for entry in result)
    return backend.to_host(result)


def cut_into(strip, backend):
    """Cut convolutions into strips of so many bytes, or at least so many tiles, and gradients into shares."""
    _forget_plans()
    (nbytes, least_tiles, share), vectors = strip
    patches = contextlib.ExitStack()
    for module in (winograd, winograd_weights):
        patches.enter_context(mock.patch.multiple(module, _STRIP_BYTES=nbytes, _LEAST_TILES=least_tiles))
        if vectors is not None and vectors.width in backend.device.vector_widths:
            patches.enter_context(mock.patch.object(module, "vectors", lambda *_: vectors))
    patches.enter_context(mock.patch.object(winograd_weights, "_SHARE_CHANNELS", share))
    return patches


def _forget_plans():
    winograd._plan.cache_clear()
    winograd_weights._plan.cache_clear()


@pytest.fixture(autouse=True)
def plans_as_a_rule():
    yield
    _forget_plans()


@given(case=convolutions(), tile=tiles, strip=strips)
def test_within_bound(opencl_backend, case, tile, strip):
    x, w, b, dy, padding, groups = case
    attributes = {"padding": padding, "groups": groups, "tile": tile}
    geometry = convolution(x.shape, w.shape, padding, groups)
    with cut_into(strip, opencl_backend):
        y = on_device(opencl_backend, winograd.forward, x, w, b, geometry, tile)
        dx = on_device(opencl_backend, winograd.backward_x, dy, w, geometry, tile)
        dw, db = on_device(opencl_backend, winograd_weights.backward_w, x, dy, geometry, tile, bias=True)
    with np.errstate(all="ignore"), subnormals(are_kept=opencl_backend.denormals):
        of_y = bounds.forward_bound(x, w, b, **attributes)
        of_dx = bounds.backward_x_bound(dy, w, x.shape, **attributes)
        of_dw = bounds.backward_w_bound(x, dy, w.shape, **attributes)
        exact = exact_forward(x, w, b, padding, groups), *exact_backward(x, w, dy, padding, groups)
        of_db = sum_of_terms(lambda of: of.sum(axis=(0, 2, 3), keepdims=True), dy, dy[:, 0].size)
        worst = max(
            compare("y", y, exact[0], of_y),
            compare("dx", dx, exact[1], of_dx),
            compare("dw", dw, exact[2], of_dw),
            compare("db", db, exact[3], of_db),
        )
    target(worst, label="error / bound")
    event(f"error / bound in hundredths: {int(100 * worst)}")


@given(case=convolutions(integers=True), strip=strips)
def test_integers_exact(opencl_backend, case, strip):
    """F(2x2, 3x3) divides by 4 only, so that weights that are multiples of 4 leave nothing to round."""
    x, w, b, dy, padding, groups = case
    geometry, tile = convolution(x.shape, w.shape, padding, groups), 2
    with cut_into(strip, opencl_backend):
        y = on_device(opencl_backend, winograd.forward, x, w, b, geometry, tile)
        dx = on_device(opencl_backend, winograd.backward_x, dy, w, geometry, tile)
        dw, db = on_device(opencl_backend, winograd_weights.backward_w, x, dy, geometry, tile, bias=True)
    compare("y", y, exact_forward(x, w, b, padding, groups), 0, to_the_bit=True)
    for name, computed, exact in zip(
        ("dx", "dw", "db"), (dx, dw, db), exact_backward(x, w, dy, padding, groups), strict=True
    ):
        compare(name, computed, exact, 0, to_the_bit=True)


@given(case=convolutions(), tile=tiles, strip=strips)
def test_rectified_and_pooled_to_the_bit(opencl_backend, case, tile, strip):
    """Rectifying and pooling in the kernel, and masking a gradient there, is what one does to its results."""
    x, w, b, dy, padding, groups = case
    # Which of them are taken for zero, and mask a gradient, is the device's.
    x = np.where(np.abs(x) < np.finfo(x.dtype).tiny, np.float32(0), x)
    geometry = convolution(x.shape, w.shape, padding, groups)
    with cut_into(strip, opencl_backend):
        y = on_device(opencl_backend, winograd.forward, x, w, b, geometry, tile)
        rectified = on_device(opencl_backend, winograd.forward, x, w, b, geometry, tile, limits=RECTIFIED)
        clipped = on_device(opencl_backend, winograd.forward, x, w, b, geometry, tile, limits=Limits(-0.5, 0.25))
        pooled, winner = on_device(opencl_backend, winograd.forward_pooled, x, w, b, geometry, tile)
        dx = on_device(opencl_backend, winograd.backward_x, dy, w, geometry, tile)
        kept = opencl_backend.array(x)
        masked = on_device(opencl_backend, winograd.backward_x, dy, w, geometry, tile, kept=kept)
    np.testing.assert_array_equal(rectified, within(y, RECTIFIED))
    np.testing.assert_array_equal(clipped, within(y, Limits(-0.5, 0.25)))
    np.testing.assert_array_equal(masked, np.where(x <= 0, np.float32(0), dx))
    assert winner.dtype == np.uint8
    if min(y.shape[2:]) < 2:
        assert pooled.size == winner.size == 0
        return
    expected, (places, _) = max_pool2d.forward(rectified, kernel=(2, 2), stride=(2, 2), padding=(0, 0, 0, 0))
    np.testing.assert_array_equal(pooled, expected)
    np.testing.assert_array_equal(winner, np.where(expected <= 0, 255, places))


@given(case=convolutions(), tile=tiles, strip=strips, seed=st.integers(0, 2**32 - 1))
def test_gradients_of_what_was_pooled_to_the_bit(opencl_backend, case, tile, strip, seed):
    """Spreading a gradient over its windows in the kernel is what one does before it."""
    x, w, _, dy, padding, groups = case
    height, width = dy.shape[2] // 2, dy.shape[3] // 2
    geometry = convolution(x.shape, w.shape, padding, groups)
    of_maxima = np.ascontiguousarray(dy[:, :, :height, :width])
    winner = np.random.default_rng(seed).choice(np.array([0, 1, 2, 3, 255], np.uint8), of_maxima.shape)
    dense = np.zeros_like(dy)
    for place in range(4):
        into = dense[:, :, place // 2 : 2 * height : 2, place % 2 : 2 * width : 2]
        into[...] = np.where(winner == place, of_maxima, np.float32(0))

    device = opencl_backend.device

    def put_off():
        def fail():
            raise AssertionError("it was spread beforehand")

        return Unpooled(device.array(of_maxima), device.array(winner), dy.shape, fail).array()

    with cut_into(strip, opencl_backend):
        dx = on_device(opencl_backend, winograd.backward_x, dense, w, geometry, tile)
        gradients = on_device(opencl_backend, winograd_weights.backward_w, x, dense, geometry, tile, bias=True)
        same_dx = on_device(opencl_backend, winograd.backward_x, put_off(), w, geometry, tile)
        same = on_device(opencl_backend, winograd_weights.backward_w, x, put_off(), geometry, tile, bias=True)
    for expected, found in zip((dx, *gradients), (same_dx, *same), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("x_shape", "outputs"), [((1, 9, 2, 261), 3), ((1, 2, 130, 5), 17), ((37, 5, 4, 4), 2), ((1, 300, 3, 3), 40)]
)
@pytest.mark.parametrize("tile", [2, 4])
def test_shapes_that_are_cut(opencl_backend, x_shape, outputs, tile):
    """Wide and high images, many small ones, and many channels, as they are cut without being forced to."""
    rng = np.random.default_rng(0)
    x = rng.integers(-4, 4, x_shape).astype(np.float32)
    w = 4 * rng.integers(-4, 4, (outputs, x_shape[1], 3, 3)).astype(np.float32)
    geometry = convolution(x_shape, w.shape, (1, 1, 1, 1))
    y = on_device(opencl_backend, winograd.forward, x, w, None, geometry, tile)
    exact = exact_forward(x, w, None, (1, 1, 1, 1), 1)
    bound = bounds.forward_bound(x, w, None, padding=(1, 1, 1, 1), groups=1, tile=tile)
    compare("y", y, exact, bound, to_the_bit=tile == 2)
    dy = rng.integers(-4, 4, y.shape).astype(np.float32)
    dw, none = on_device(opencl_backend, winograd_weights.backward_w, x, dy, geometry, tile)
    assert none is None
    bound = bounds.backward_w_bound(x, dy, w.shape, padding=(1, 1, 1, 1), groups=1, tile=tile)
    compare("dw", dw, exact_backward(x, w, dy, (1, 1, 1, 1), 1)[1], bound, to_the_bit=tile == 2)


@pytest.mark.parametrize("tile", [2, 4])
def test_the_gradient_of_a_bias_counts_each_pixel_once(opencl_backend, tile):
    """So too where the image is cut in every direction, and its last tiles reach beyond it."""
    rng = np.random.default_rng(0)
    x, dy = (rng.integers(-4, 4, (2, count, 13, 9)).astype(np.float32) for count in (8, 17))
    geometry = convolution(x.shape, (17, 8, 3, 3), (1, 1, 1, 1))
    with cut_into(((1, 1, 16), None), opencl_backend):
        _, db = on_device(opencl_backend, winograd_weights.backward_w, x, dy, geometry, tile, bias=True)
    np.testing.assert_array_equal(db, dy.sum(axis=(0, 2, 3), keepdims=True))


def test_the_same_bits_every_time(opencl_backend):
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(shape).astype(np.float32) for shape in ((5, 20, 13, 11), (18, 20, 3, 3)))
    geometry = convolution(x.shape, w.shape, (1, 1, 1, 1))
    first, *others = (on_device(opencl_backend, winograd.forward, x, w, None, geometry, 4) for _ in range(5))
    assert all((first == other).all() for other in others)


def test_large_tiles_err_little(opencl_backend):
    """As a rule, and in many channels: with the points 1, -1, 2 and -2 the gradients err twice as much.

    So does y if the products of its 192 channels are one sum.
    """
    rng = np.random.default_rng(0)
    shapes = (4, 192, 14, 14), (16, 192, 3, 3), (4, 16, 14, 14)
    x, w, dy = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    padding, geometry = (1, 1, 1, 1), convolution(x.shape, w.shape, (1, 1, 1, 1))
    y = on_device(opencl_backend, winograd.forward, x, w, None, geometry, 4)
    dx = on_device(opencl_backend, winograd.backward_x, dy, w, geometry, 4)
    gradients = on_device(opencl_backend, winograd_weights.backward_w, x, dy, geometry, 4, bias=True)
    exact = exact_forward(x, w, None, padding, 1), *exact_backward(x, w, dy, padding, 1)
    for found, right, roundings in zip((y, dx, *gradients), exact, (13, 11, 13, 3), strict=True):
        error = np.sqrt(np.square(found - right).mean() / np.square(right).mean())
        assert error < roundings * 2**-24


def test_no_images(opencl_backend):
    x, w = np.zeros((0, 3, 5, 5), np.float32), np.ones((2, 3, 3, 3), np.float32)
    geometry, tile = convolution(x.shape, w.shape), 4
    y = on_device(opencl_backend, winograd.forward, x, w, None, geometry, tile)
    assert y.shape == (0, 2, 3, 3)
    dw, db = on_device(opencl_backend, winograd_weights.backward_w, x, y, geometry, tile, bias=True)
    assert dw.shape == w.shape and db.shape == (1, 2, 1, 1)
    assert not dw.any() and not db.any()


@pytest.mark.skipif(LIBRARY is None, reason="Oclgrind is not installed (Debian's package: oclgrind)")
def test_inside_oclgrind(run):  # noqa: F811
    passes_inside(run, __file__, "exact or pooled")


def test_what_it_applies_to():
    assert winograd.applies(convolution((1, 2, 9, 9), (4, 2, 3, 3)))
    assert not winograd.applies(convolution((1, 2, 9, 9), (4, 2, 3, 1)))
    assert not winograd.applies(convolution((1, 2, 9, 9), (4, 2, 3, 3), stride=(1, 2)))
    assert not winograd.applies(convolution((1, 2, 9, 9), (4, 2, 3, 3), dilation=(2, 1)))


def test_refusals(opencl_backend):
    def array(*shape):
        return opencl_backend.array(np.zeros(shape, np.float32))

    def forward(x_shape, w_shape, tile=4):
        return winograd.forward(array(*x_shape), array(*w_shape), None, convolution(x_shape, w_shape), tile)

    with pytest.raises(ArgumentError, match="2 or 4 outputs, but 3 was given"):
        forward((1, 1, 3, 3), (1, 1, 3, 3), tile=3)
    with pytest.raises(ShapeError, match=r"needs w of shape \(K, C/groups, 3, 3\)"):
        forward((1, 1, 3, 3), (1, 1, 3, 2))
    with pytest.raises(ShapeError, match="does not go with w"):
        forward((1, 2, 3, 3), (1, 1, 3, 3))
    with pytest.raises(ShapeError, match="smaller than the kernel"):
        forward((1, 1, 2, 3), (1, 1, 3, 3))
    w, geometry = array(1, 1, 3, 3), convolution((1, 1, 3, 3), (1, 1, 3, 3))
    with pytest.raises(ShapeError, match=r"dy has shape \(1, 1, 2, 1\)"):
        winograd.backward_x(array(1, 1, 2, 1), w, geometry, 4)
    with pytest.raises(ShapeError, match=r"dy has shape \(1, 1, 2, 1\)"):
        winograd_weights.backward_w(array(1, 1, 3, 3), array(1, 1, 2, 1), geometry, 4)
    with pytest.raises(ShapeError, match=r"rectifier's output has shape \(1, 1, 3, 2\)"):
        winograd.backward_x(array(1, 1, 1, 1), w, geometry, 4, kept=array(1, 1, 3, 2))
    with pytest.raises(ShapeError, match="count in 32 bits"):
        winograd.backward_x(array(1, 1, 1, 1), w, convolution((1, 1, 2**16, 2**16), (1, 1, 3, 3)), 4)


@pytest.mark.parametrize("tile", [2, 4])
def test_matrices_give_a_correlation(tile):
    """On unit vectors, in one dimension: those are all that a bilinear identity needs."""
    of_pixels, of_kernels, of_products = (
        table[tile] for table in (bounds.OF_PIXELS, bounds.OF_KERNELS, bounds.OF_PRODUCTS)
    )
    # y[i] is the sum over p of d[i + p] g[p], and dw[p] that over i of d[i + p] dy[i]: one table read in two ways.
    i, d, p = np.ogrid[:tile, : tile + 2, :3]
    table = np.einsum("ie,ed,ep->idp", of_products, of_pixels, of_kernels)
    np.testing.assert_allclose(table, d == i + p, atol=1e-15)


# Winograd's algorithm in float32, every sum in a random order.


def transformed(rng, matrix, tiles):
    """T z T', one multiplication and addition after the other."""
    for _ in range(2):
        rows = []
        for row in matrix:
            total = np.zeros(tiles[..., 0, :].shape, np.float32)
            for place in rng.permutation(np.flatnonzero(row)):
                total = total + np.float32(row[place]) * tiles[..., place, :]
            rows.append(total)
        # Transposed: the second time round the columns are transformed.
        tiles = np.stack(rows, axis=-1)
    return tiles


def correlated(rng, image, kernels, before, out, tile):
    """image (N, groups, C, H, W), kernels (groups, K, C, 3, 3) -> (N, groups K, *out), tile by tile."""
    y = np.zeros((image.shape[0], *kernels.shape[:2], out[0] + tile, out[1] + tile), np.float32)
    of_kernels = transformed(rng, bounds.OF_KERNELS[tile], kernels)
    height, width = image.shape[3:]
    around = np.zeros((*image.shape[:3], height + out[0] + 30, width + out[1] + 30), np.float32)
    around[..., 10 : 10 + height, 10 : 10 + width] = image
    for i in range(0, out[0], tile):
        for j in range(0, out[1], tile):
            first = 10 + i - before[0], 10 + j - before[1]
            part = around[..., first[0] : first[0] + tile + 2, first[1] : first[1] + tile + 2]
            of_pixels = transformed(rng, bounds.OF_PIXELS[tile], part)
            total = np.zeros((image.shape[0], *kernels.shape[:2], tile + 2, tile + 2), np.float32)
            for c in rng.permutation(kernels.shape[2]):
                total = total + of_kernels[:, :, c] * of_pixels[:, :, None, c]
            y[..., i : i + tile, j : j + tile] = transformed(rng, bounds.OF_PRODUCTS[tile], total)
    return y.reshape(image.shape[0], -1, *y.shape[3:])[:, :, : out[0], : out[1]]


def kernel_gradient(rng, x, dy, padding, groups, tile):
    """x (N, C, H, W), dy (N, K, out_h, out_w) -> dw, the sum over tiles and images in a random order."""
    (top, left), (height, width), (out_h, out_w) = padding[:2], x.shape[2:], dy.shape[2:]
    around = np.zeros((*x.shape[:2], height + top + out_h + 9, width + left + out_w + 9), np.float32)
    around[:, :, top : top + height, left : left + width] = x
    dy_around = np.zeros((*dy.shape[:2], out_h + tile, out_w + tile), np.float32)
    dy_around[:, :, :out_h, :out_w] = dy
    places = [(n, i, j) for n in range(len(x)) for i in range(0, out_h, tile) for j in range(0, out_w, tile)]
    total = np.float32(0)
    for n, i, j in rng.permutation(places):
        of_pixels = transformed(rng, bounds.OF_PIXELS[tile], around[n, :, i : i + tile + 2, j : j + tile + 2])
        of_dy = transformed(rng, bounds.OF_PRODUCTS[tile].T, dy_around[n, :, i : i + tile, j : j + tile])
        of_pixels = of_pixels.reshape(groups, 1, -1, tile + 2, tile + 2)
        total = total + of_dy.reshape(groups, -1, 1, tile + 2, tile + 2) * of_pixels
    return transformed(rng, bounds.OF_KERNELS[tile].T, total).reshape(dy.shape[1], -1, 3, 3)


@given(case=convolutions(), tile=tiles, seed=st.integers(0, 2**32 - 1))
def test_no_order_of_summation_exceeds_the_bound(case, tile, seed):
    x, w, b, dy, padding, groups = case
    rng = np.random.default_rng(seed)
    attributes = {"padding": padding, "groups": groups, "tile": tile}
    grouped = w.reshape(groups, -1, *w.shape[1:])
    with np.errstate(all="ignore"), subnormals(are_kept=True):
        y = correlated(rng, x.reshape(len(x), groups, -1, *x.shape[2:]), grouped, padding[:2], dy.shape[2:], tile)
        y = y if b is None else y + b
        turned, before = grouped.swapaxes(1, 2)[..., ::-1, ::-1], (2 - padding[0], 2 - padding[1])
        dx = correlated(rng, dy.reshape(len(dy), groups, -1, *dy.shape[2:]), turned, before, x.shape[2:], tile)
        dw = kernel_gradient(rng, x, dy, padding, groups, tile)
        exact_dx, exact_dw, _ = exact_backward(x, w, dy, padding, groups)
        worst = max(
            compare("y", y, exact_forward(x, w, b, padding, groups), bounds.forward_bound(x, w, b, **attributes)),
            compare("dx", dx, exact_dx, bounds.backward_x_bound(dy, w, x.shape, **attributes)),
            compare("dw", dw, exact_dw, bounds.backward_w_bound(x, dy, w.shape, **attributes)),
        )
    target(worst, label="error / bound")
    event(f"error / bound in hundredths: {int(100 * worst)}")


@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize("tap", range(9))
def test_a_lost_tap_exceeds_the_bound(tile, tap):
    """In one of 32 channels, of numbers all of one size."""
    rng = np.random.default_rng(tap)
    x, w, dy = (rng.standard_normal(shape).astype(np.float32) for shape in ((2, 32, 9, 9), (3, 32, 3, 3), (2, 3, 9, 9)))
    wrong = w.copy()
    wrong[:, 7].reshape(3, 9)[:, tap] = 0
    attributes = {"padding": (1, 1, 1, 1), "groups": 1}
    y = exact_forward(x, wrong, None, **attributes).astype(np.float32)
    dx = exact_backward(x, wrong, dy, **attributes)[0].astype(np.float32)
    exact = exact_forward(x, w, None, **attributes), *exact_backward(x, w, dy, **attributes)
    dw = exact[2].astype(np.float32)
    dw[:, 7].reshape(3, 9)[:, tap] -= x[0, 7, 4, 4] * dy[0, :, 4, 4]
    attributes["tile"] = tile
    with pytest.raises(ConformanceFailure):
        compare("y", y, exact[0], bounds.forward_bound(x, w, None, **attributes))
    with pytest.raises(ConformanceFailure):
        compare("dx", dx, exact[1], bounds.backward_x_bound(dy, w, x.shape, **attributes))
    with pytest.raises(ConformanceFailure):
        compare("dw", dw, exact[2], bounds.backward_w_bound(x, dy, w.shape, **attributes))


@pytest.mark.parametrize("tile", [2, 4])
def test_what_is_not_finite_spreads_over_its_tiles_only(tile):
    x, w, b = np.ones((1, 4, 12, 12), np.float32), np.ones((6, 2, 3, 3), np.float32), np.ones((1, 6, 1, 1), np.float32)
    attributes = {"padding": (1, 1, 1, 1), "groups": 2, "tile": tile}
    x[0, 3, 5, 0] = np.inf
    b[0, 1] = np.nan
    bound = bounds.forward_bound(x, w, b, **attributes)
    undefined = bound == UNDEFINED
    assert not undefined[0, :3].any() and (bound[0, 1] == 0).all()
    rows = [i for i in range(12) if i // tile * tile - 1 <= 5 <= i // tile * tile + tile]
    expected = np.zeros((12, 12), bool)
    expected[rows, :tile] = True
    assert all((undefined[0, k] == expected).all() for k in range(3, 6))
    x[0, 3, 5, 0], w[2, 0, 0, 0] = 1, -np.inf
    undefined = bounds.forward_bound(x, w, b, **attributes) == UNDEFINED
    assert undefined[0, 2].all() and not undefined[0, [0, 1, 3, 4, 5]].any()
    x[0, 2] = np.nan
    dw = bounds.backward_w_bound(x, np.ones((1, 6, 12, 12)), w.shape, **attributes)
    assert (dw[3:, 0] == UNDEFINED).all() and (dw[3:, 1] > 0).all() and (dw[:3] > 0).all()
