"""Convolution with few channels by its definition: its kernels hold the bound of a sum, and run where they should."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import event, given, target
from hypothesis import strategies as st

from refcnn.conformance.judging.comparison import compare
from refcnn.conformance.operations import conv2d as bounds
from refcnn.conformance.theory.bounds import subnormals
from refcnn.conformance.theory.sizes import KERNELS, LIMITS, batches, extents
from refcnn.conformance.theory.strategies import FEW_NOT_FINITE, arrays, image_sizes, spans, windows
from refcnn.errors import ShapeError
from refcnn.opencl import variants
from refcnn.opencl.convolution import choice, direct
from refcnn.opencl.convolution.sizes import Convolution
from refcnn.opencl.operations import conv2d as operation
from refcnn.opencl.shared.fusion import RECTIFIED, UNLIMITED, Limits
from refcnn.reference import conv2d
from refcnn.shapes import window_output_shape

from .operations.checks import SIZE, within
from .test_oclgrind import LIBRARY, passes_inside, run  # noqa: F401

#: (bytes of a strip, work-items for each core): as a rule, strips of the fewest rows, and one work-item for them all.
cuts = st.sampled_from([(1 << 16, 4), (1, 64), (1 << 11, 1)])


@st.composite
def convolutions(draw, integers=False, array=None):
    """Draw (x, w, b, dy, geometry): few inputs in a group, few outputs, or both, as in depthwise convolutions."""
    window = draw(windows(KERNELS[SIZE], dilations=True))
    if draw(st.booleans()):
        window["padding"] = tuple(draw(st.integers(0, 9)) for _ in range(4))
    height, width = draw(image_sizes(SIZE, spans(window["kernel"], window["dilation"]), window["padding"]))
    groups, few = draw(st.integers(1, 5)), st.integers(1, direct.MOST_INPUTS)
    inputs, outputs = draw(st.tuples(few, extents(LIMITS[SIZE][1] // groups)) | st.tuples(st.integers(1, 9), few))
    batch, kernel = draw(batches(SIZE)), window.pop("kernel")
    geometry = Convolution(
        (batch, groups * inputs, height, width), (groups * outputs, inputs, *kernel), *window.values(), groups
    )
    out = window_output_shape((height, width), kernel, *window.values())
    shapes = geometry.x_shape, geometry.w_shape, (1, groups * outputs, 1, 1), (batch, groups * outputs, *out)
    x, w, b, dy = (
        draw(arrays(shape, integers, **FEW_NOT_FINITE)) if array is None else array(draw, shape) for shape in shapes
    )
    return x, w, draw(st.sampled_from((b, None))), dy, geometry


def attributes(geometry):
    return dict(zip(("stride", "padding", "dilation", "groups"), geometry[2:], strict=True))


def compute(backend, case, cut=(1 << 16, 4), limits=UNLIMITED):
    """Return what the kernels make of a case, by name, as host arrays."""
    x, w, b, dy, geometry = case
    on_device = [None if entry is None else backend.array(entry) for entry in (x, w, b, dy)]
    results = {}
    with mock.patch.multiple(direct, _STRIP_BYTES=cut[0], _ITEMS_PER_CORE=cut[1]):
        if direct.applies("forward", geometry):
            results["y"] = direct.forward(*on_device[:3], geometry, limits=limits)
        if direct.applies("backward_w", geometry):
            results["dw"], results["db"] = direct.backward_w(on_device[0], on_device[3], geometry)
        if direct.applies("backward_x", geometry):
            results["dx"] = direct.backward_x(on_device[3], on_device[1], geometry)
        return {name: backend.to_host(result) for name, result in results.items()}


def exact(case):
    """Return the float64 reference's results by name."""
    *arrays64, geometry = (entry.astype(np.float64) if isinstance(entry, np.ndarray) else entry for entry in case)
    x, w, b, dy = arrays64
    y, saved = conv2d.forward(x, w, b, **attributes(geometry))
    gradients = conv2d.backward(dy, saved, (True, True, True), **attributes(geometry))
    return {"y": y, **dict(zip(("dx", "dw", "db"), gradients, strict=True))}


@given(case=convolutions(), cut=cuts)
def test_within_bound(opencl_backend, case, cut):
    x, w, b, dy, geometry = case
    results = compute(opencl_backend, case, cut)
    with np.errstate(all="ignore"), subnormals(are_kept=opencl_backend.denormals):
        of_y = bounds.forward_bound((x, w, b), attributes(geometry))
        of_gradients = bounds.backward_bound(dy, (x, w, b), attributes(geometry), (True, True, True))
        of_all = {"y": of_y, **dict(zip(("dx", "dw", "db"), of_gradients, strict=True))}
        expected = exact(case)
    worst = max(compare(name, result, expected[name], of_all[name]) for name, result in results.items())
    target(worst, label="error / bound")
    event(f"computed: {', '.join(results)}")


@given(case=convolutions(integers=True), cut=cuts)
def test_integers_exact(opencl_backend, case, cut):
    expected = exact(case)
    for name, result in compute(opencl_backend, case, cut).items():
        compare(name, result, expected[name], 0, to_the_bit=True)


@given(case=convolutions(), cut=cuts, limits=st.sampled_from((RECTIFIED, Limits(-0.5, 0.25))))
def test_rectified_or_clipped_to_the_bit(opencl_backend, case, cut, limits):
    y, limited = (compute(opencl_backend, case, cut, entry).get("y") for entry in (UNLIMITED, limits))
    if y is not None:
        np.testing.assert_array_equal(limited, within(y, limits))


def with_some_not_finite(draw, shape):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    array, share = rng.uniform(0.5, 1, shape), draw(st.sampled_from((0, 0, 0.02, 0.3)))
    places = rng.random(shape) < share
    return np.where(places, rng.choice([np.nan, np.inf, -np.inf], shape), array).astype(np.float32)


def by_definition(case):
    """Return y, dx and dw as sums of those products alone that the definition names: what is padded has none."""
    x, w, b, dy, geometry = case
    (_, _, height, width), (_, inputs, kernel_h, kernel_w) = geometry.x_shape, geometry.w_shape
    y, dx, dw = np.zeros(dy.shape), np.zeros(x.shape), np.zeros(w.shape)
    outputs = w.shape[0] // geometry.groups
    rows, columns = [
        np.arange(side) * geometry.stride[axis] - geometry.padding[axis] for axis, side in enumerate(dy.shape[2:])
    ]
    for p, q in np.ndindex(kernel_h, kernel_w):
        of_row, of_column = rows + p * geometry.dilation[0], columns + q * geometry.dilation[1]
        i, j = (np.flatnonzero((0 <= at) & (at < side)) for at, side in ((of_row, height), (of_column, width)))
        there, here = np.ix_(of_row[i], of_column[j]), np.ix_(i, j)
        for k in range(w.shape[0]):
            for c in range(inputs):
                at_x = k // outputs * inputs + c
                y[(slice(None), k, *here)] += x[(slice(None), at_x, *there)] * np.float64(w[k, c, p, q])
                dx[(slice(None), at_x, *there)] += dy[(slice(None), k, *here)] * np.float64(w[k, c, p, q])
                products = x[(slice(None), at_x, *there)].astype(np.float64) * dy[(slice(None), k, *here)]
                dw[k, c, p, q] = products.sum()
    return {"y": y if b is None else y + b, "dx": dx, "dw": dw, "db": dy.sum(axis=(0, 2, 3), keepdims=True)}


@given(case=convolutions(array=with_some_not_finite), cut=cuts)
def test_what_is_not_finite_spreads_as_in_the_definition(opencl_backend, case, cut):
    """A place of the padding contributes nothing, even where 0 times infinity would be NaN."""
    with np.errstate(all="ignore"):
        expected = by_definition(case)
        for name, result in compute(opencl_backend, case, cut).items():
            np.testing.assert_allclose(result, expected[name], rtol=1e-3, err_msg=name)


@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("width", [19, 40, 61])
def test_rows_of_several_vectors(opencl_backend, step, dilation, width):
    """Drawn cases seldom have both a stride and rows that are long enough to be read in whole vectors."""
    rng = np.random.default_rng(0)
    geometry = Convolution((2, 6, 9, width), (6, 1, 3, 3), (step, step), (2, 1, 0, 3), (dilation, dilation), 6)
    out = window_output_shape((9, width), (3, 3), *geometry[2:5])
    shapes = geometry.x_shape, geometry.w_shape, (1, 6, 1, 1), (2, 6, *out)
    case = *(rng.integers(-8, 9, shape).astype(np.float32) for shape in shapes), geometry
    expected = exact(case)
    for name, result in compute(opencl_backend, case).items():
        compare(name, result, expected[name], 0, to_the_bit=True)


def test_the_same_bits_every_time(opencl_backend):
    rng = np.random.default_rng(0)
    geometry = Convolution((5, 3, 23, 19), (9, 3, 3, 5), (2, 1), (1, 2, 0, 1), (1, 2), 1)
    out = window_output_shape((23, 19), (3, 5), *geometry[2:5])
    shapes = geometry.x_shape, geometry.w_shape, (1, 9, 1, 1), (5, 9, *out)
    case = *(rng.standard_normal(shape).astype(np.float32) for shape in shapes), geometry
    first, *others = (compute(opencl_backend, case) for _ in range(5))
    assert set(first) == {"y", "dw", "db"}
    for other in others:
        for name, result in other.items():
            np.testing.assert_array_equal(result, first[name])


def test_no_images(opencl_backend):
    geometry = Convolution((0, 2, 5, 5), (4, 1, 3, 3), (1, 1), (0, 0, 0, 0), (1, 1), 2)
    case = *(np.ones(shape, np.float32) for shape in ((0, 2, 5, 5), (4, 1, 3, 3), (1, 4, 1, 1), (0, 4, 3, 3))), geometry
    results = compute(opencl_backend, case)
    assert results["y"].shape == (0, 4, 3, 3) and results["dx"].shape == (0, 2, 5, 5)
    assert not results["dw"].any() and not results["db"].any()


@pytest.mark.skipif(LIBRARY is None, reason="Oclgrind is not installed (Debian's package: oclgrind)")
def test_inside_oclgrind(run):  # noqa: F811
    passes_inside(run, __file__, "exact or definition or rectified")


def geometry_of(x_shape, w_shape, stride=1, padding=0, groups=1):
    return Convolution(x_shape, w_shape, (stride, stride), (padding,) * 4, (1, 1), groups)


FIRST = geometry_of((64, 1, 28, 28), (32, 1, 3, 3), padding=1)
DEPTHWISE = geometry_of((8, 64, 14, 14), (128, 1, 3, 3), stride=2, padding=1, groups=64)
COLUMN = geometry_of((64, 1, 128, 1), (32, 1, 5, 1))
PATCHES = geometry_of((4, 3, 224, 224), (96, 3, 16, 16), stride=16)
MANY = geometry_of((64, 32, 28, 28), (64, 32, 5, 5), padding=1)


def test_what_it_applies_to():
    assert [direct.applies("forward", one) for one in (FIRST, DEPTHWISE, COLUMN, MANY)] == [True, True, True, False]
    assert direct.applies("backward_x", DEPTHWISE) and not direct.applies("backward_x", FIRST)
    assert "direct" in choice.candidates("backward_w", FIRST)
    assert "direct" not in choice.candidates("backward_w", MANY)


def test_where_it_is_chosen(opencl_backend):
    device = opencl_backend.device
    chosen = "direct" if device.kind == "cpu" else "gpu"
    for geometry, directions in ((FIRST, ("forward", "backward_w")), (DEPTHWISE, ("forward", "backward_x"))):
        for direction in directions:
            assert choice.choose(device, direction, geometry) == chosen
    for geometry in (COLUMN, PATCHES, MANY):
        assert choice.choose(device, "forward", geometry) != "direct"


@pytest.mark.parametrize("geometry", [FIRST, DEPTHWISE])
def test_it_is_what_runs(opencl_backend, geometry):
    x, w = (opencl_backend.array(np.ones(shape, np.float32)) for shape in (geometry.x_shape, geometry.w_shape))
    with variants.use_variant("direct"), opencl_backend.device.profiling() as timings:
        y, saved = operation.forward(x, w, None, **attributes(geometry))
        dy = opencl_backend.array(np.ones(y.shape, np.float32))
        assert opencl_backend.to_host(y).shape == dy.shape
        operation.backward(dy, saved, (geometry is DEPTHWISE, True, True), **attributes(geometry))
    expected = ["correlate"] * (1 + (geometry is DEPTHWISE)) + ["correlate_weights", "sum_partials"]
    assert [(stem, kernel) for stem, kernel, *_ in timings] == [("conv2d_direct", kernel) for kernel in expected]


def test_refusals(opencl_backend):
    array = opencl_backend.array(np.zeros((1, 1, 3, 3), np.float32))
    large = geometry_of((1, 1, 2**16, 2**16), (1, 1, 3, 3))
    for call in (
        lambda: direct.forward(array, array, None, large),
        lambda: direct.backward_x(array, array, large),
        lambda: direct.backward_w(array, array, large),
    ):
        with pytest.raises(ShapeError, match="count in 32 bits"):
            call()
