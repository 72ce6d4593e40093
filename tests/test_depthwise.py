"""Depthwise convolution plane by plane: its kernels hold the bound of a sum, and run where they should."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, target
from hypothesis import strategies as st

from refcnn.conformance.judging.comparison import compare
from refcnn.conformance.operations import conv2d as bounds
from refcnn.conformance.theory.bounds import subnormals
from refcnn.conformance.theory.sizes import KERNELS
from refcnn.conformance.theory.strategies import FEW_NOT_FINITE, arrays, image_sizes, spans, windows
from refcnn.opencl import variants
from refcnn.opencl.convolution import choice, depthwise, depthwise_gpu
from refcnn.opencl.convolution.sizes import Convolution
from refcnn.opencl.operations import conv2d as operation
from refcnn.opencl.shared.fusion import RECTIFIED, UNLIMITED, Limits
from refcnn.shapes import window_output_shape

from .operations.checks import SIZE, within
from .test_direct import attributes, exact, geometry_of
from .test_oclgrind import LIBRARY, passes_inside, run  # noqa: F401


@st.composite
def convolutions(draw, integers=False):
    """Draw (x, w, b, dy, geometry): more images than are computed together, fewer, and some more than a multiple."""
    window = draw(windows(KERNELS[SIZE], dilations=True))
    if draw(st.booleans()):
        window["padding"] = tuple(draw(st.integers(0, 9)) for _ in range(4))
    image = draw(image_sizes("tiny", spans(window["kernel"], window["dilation"]), window["padding"], window["stride"]))
    if draw(st.booleans()):
        # Rows that are copied in more than two vectors.
        image = image[0], image[1] + draw(st.integers(8, 24))
    batch, channels = draw(st.sampled_from((1, 2, 7, 8, 9, 17))), draw(st.integers(1, 5))
    kernel = window.pop("kernel")
    geometry = Convolution((batch, channels, *image), (channels, 1, *kernel), *window.values(), channels)
    out = window_output_shape(image, kernel, *window.values())
    shapes = geometry.x_shape, geometry.w_shape, (1, channels, 1, 1), (batch, channels, *out)
    x, w, b, dy = (draw(arrays(shape, integers, **FEW_NOT_FINITE)) for shape in shapes)
    return x, w, draw(st.sampled_from((b, None))), dy, geometry


each_module = pytest.mark.parametrize("module", [depthwise, depthwise_gpu], ids=["cpu", "gpu"])


def compute(backend, case, limits=UNLIMITED, module=depthwise):
    """Return what the kernels make of a case, by name, as host arrays."""
    x, w, b, dy, geometry = case
    x, w, b, dy = (None if entry is None else backend.array(entry) for entry in (x, w, b, dy))
    dw, db = module.backward_w(x, dy, geometry)
    results = {"y": module.forward(x, w, b, geometry, limits=limits), "dw": dw, "db": db}
    results["dx"] = module.backward_x(dy, w, geometry)
    return {name: backend.to_host(result) for name, result in results.items()}


@each_module
@given(case=convolutions())
def test_within_bound(opencl_backend, module, case):
    x, w, b, dy, geometry = case
    results = compute(opencl_backend, case, module=module)
    with np.errstate(all="ignore"), subnormals(are_kept=opencl_backend.denormals):
        of_y = bounds.forward_bound((x, w, b), attributes(geometry))
        of_gradients = bounds.backward_bound(dy, (x, w, b), attributes(geometry), (True, True, True))
        of_all = {"y": of_y, **dict(zip(("dx", "dw", "db"), of_gradients, strict=True))}
        expected = exact(case)
    target(max(compare(name, result, expected[name], of_all[name]) for name, result in results.items()), label="bound")


@each_module
@given(case=convolutions(integers=True))
def test_integers_exact(opencl_backend, module, case):
    expected = exact(case)
    for name, result in compute(opencl_backend, case, module=module).items():
        compare(name, result, expected[name], 0, to_the_bit=True)


@each_module
@given(case=convolutions(), limits=st.sampled_from((RECTIFIED, Limits(-0.5, 0.25))))
def test_rectified_or_clipped_to_the_bit(opencl_backend, module, case, limits):
    y, limited = (compute(opencl_backend, case, entry, module)["y"] for entry in (UNLIMITED, limits))
    if not opencl_backend.denormals:
        # A number that is only moved may stay what it is, and then be 0 to who compares it.
        y, limited = (np.where(np.abs(entry) < np.finfo(np.float32).tiny, 0, entry) for entry in (y, limited))
    np.testing.assert_array_equal(limited, within(y, limits))


@pytest.mark.parametrize("step", [1, 2, 3])
def test_rows_of_every_length(opencl_backend, step):
    """Rows are copied one by one, by four or by eight, the last ones together with some before them."""
    rng = np.random.default_rng(0)
    for width in range(1, 36):
        geometry = geometry_of((2, 3, 5, width), (3, 1, 3, 3), stride=step, padding=1, groups=3)
        shapes = geometry.x_shape, geometry.w_shape, (1, 3, 1, 1), geometry.y_shape
        case = *(rng.integers(-8, 9, shape).astype(np.float32) for shape in shapes), geometry
        expected = exact(case)
        for name, result in compute(opencl_backend, case).items():
            compare(name, result, expected[name], 0, to_the_bit=True)


@pytest.mark.parametrize("kernel", [(5, 3), (7, 7), (9, 4)], ids=str)
@given(data=st.data())
def test_several_rows_are_computed_together(opencl_backend, kernel, data):
    """Of large windows whose rows nearly fill whole vectors, from any number of rows on, and no image meets another."""
    width = 2 * opencl_backend.device.vector_width * data.draw(st.integers(1, 2)) - data.draw(st.integers(0, 1))
    height, batch = data.draw(st.integers(1, 13)), data.draw(st.integers(1, 4))
    x_shape, padding = (batch, 2, height, width), (kernel[0] // 2, kernel[1] // 2, kernel[0] // 2, kernel[1] // 2)
    geometry = Convolution(x_shape, (2, 1, *kernel), (1, 1), padding, (1, 1), 2)
    assert depthwise._layout(geometry).by_rows(opencl_backend.device.vector_width, width)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), "seed"))
    shapes = geometry.x_shape, geometry.w_shape, (1, 2, 1, 1), geometry.y_shape
    x, w, b, dy = (rng.integers(-8, 9, shape).astype(np.float32) for shape in shapes)
    expected = exact((x, w, b, dy, geometry))
    for name, result in compute(opencl_backend, (x, w, b, dy, geometry)).items():
        compare(name, result, expected[name], 0, to_the_bit=True)
    for array in (x, dy):
        array[1:] = np.nan
    found = compute(opencl_backend, (x, w, b, dy, geometry))
    for name in ("y", "dx"):
        compare(name, found[name][:1], expected[name][:1], 0, to_the_bit=True)


@pytest.mark.skipif(LIBRARY is None, reason="Oclgrind is not installed (Debian's package: oclgrind)")
def test_inside_oclgrind(run):  # noqa: F811
    passes_inside(run, __file__, "exact or rectified or (together and 5)")


PLANES = geometry_of((8, 64, 14, 14), (64, 1, 3, 3), padding=1, groups=64)
HALVED = geometry_of((8, 64, 64, 64), (64, 1, 3, 3), stride=2, padding=1, groups=64)
LARGE = geometry_of((1, 3, 1024, 1024), (3, 1, 3, 3), padding=1, groups=3)
MORE_OUTPUTS = geometry_of((8, 64, 14, 14), (128, 1, 3, 3), padding=1, groups=64)


def test_what_it_applies_to():
    assert all("depthwise" in choice.candidates("forward", one) for one in (PLANES, HALVED, LARGE))
    assert "depthwise" not in choice.candidates("forward", MORE_OUTPUTS)


def test_where_it_is_chosen(opencl_backend):
    device = opencl_backend.device
    chosen, strips = ("depthwise", "direct") if device.kind == "cpu" else ("gpu", "gpu")
    assert choice.choose(device, "forward", PLANES) == choice.choose(device, "backward_w", HALVED) == chosen
    assert choice.choose(device, "backward_x", HALVED) == choice.choose(device, "forward", LARGE) == strips


def test_it_is_what_runs(opencl_backend):
    x, w = (opencl_backend.array(np.ones(shape, np.float32)) for shape in (PLANES.x_shape, PLANES.w_shape))
    with variants.use_variant("depthwise"), opencl_backend.device.profiling() as timings:
        y, saved = operation.forward(x, w, None, **attributes(PLANES))
        dy = opencl_backend.array(np.ones(opencl_backend.to_host(y).shape, np.float32))
        operation.backward(dy, saved, (True, True, True), **attributes(PLANES))
    expected = ["correlate", "correlate", "correlate_weights", "sum_partials"]
    assert [(stem, kernel) for stem, kernel, *_ in timings] == [("conv2d_depthwise", kernel) for kernel in expected]


@given(units=st.integers(1, 500), images=st.integers(1, 9))
def test_on_gpus_sums_are_cut_for_all_compute_units(opencl_backend, units, images):
    geometry = geometry_of((images, 2, 40, 40), (2, 1, 3, 3), padding=1, groups=2)
    rng = np.random.default_rng(units)
    shapes = geometry.x_shape, geometry.w_shape, (1, 2, 1, 1), geometry.y_shape
    case = *(rng.integers(-8, 9, shape).astype(np.float32) for shape in shapes), geometry
    expected = exact(case)
    with mock.patch.object(opencl_backend.device, "_compute_units", units):
        results = compute(opencl_backend, case, module=depthwise_gpu)
    for name, result in results.items():
        compare(name, result, expected[name], 0, to_the_bit=True)


def test_gpus_have_kernels_of_their_own(opencl_backend):
    x, w = (opencl_backend.array(np.ones(shape, np.float32)) for shape in (PLANES.x_shape, PLANES.w_shape))
    with variants.use_variant("gpu"), opencl_backend.device.capture() as capture:
        y, saved = operation.forward(x, w, None, **attributes(PLANES))
        dy = opencl_backend.array(np.ones(opencl_backend.to_host(y).shape, np.float32))
        operation.backward(dy, saved, (True, True, True), **attributes(PLANES))
    launched = {launch.kernel_name for launch in capture.launches}
    assert launched - {"sum_chunks"} == {"correlate", "correlate_weights"}
