"""Arrays made larger or smaller, interpolated, as ONNX's Resize has it."""

import itertools

import numpy as np
import onnx
import pytest
from hypothesis import assume, given, settings
from onnx.reference import ReferenceEvaluator

import refcnn as rm
from refcnn.conformance.operations import resize
from refcnn.errors import ArgumentError, ExportError, ShapeError
from refcnn.interpolation import coordinates, resized_axes
from refcnn.mode import recording
from refcnn.onnx import export, open_exported
from refcnn.onnx.writing.graph import build_alone

from .checks import SIZE, check, check_gradients, check_onnxruntime

X = np.array([[[[1, 2], [3, 4]]]], np.float32)


def resized(x, **arguments):
    return rm.resize(x, **arguments).as_ndarray()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"scales": 2}, [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]),
        ({"scales": 2, "axes": -1, "mode": "linear"}, [[1, 1.25, 1.75, 2], [3, 3.25, 3.75, 4]]),
        (
            {"sizes": (3, 3), "mode": "linear", "coordinate_transformation_mode": "align_corners"},
            [[1, 1.5, 2], [2, 2.5, 3], [3, 3.5, 4]],
        ),
        ({"sizes": 1, "mode": "linear"}, [[2.5]]),
        ({"sizes": (1, 2), "mode": "linear", "coordinate_transformation_mode": "asymmetric"}, [[1, 2]]),
        (
            {"sizes": (1, 4), "mode": "cubic", "cubic_coeff_a": -0.5, "axes": (2, 3)},
            [[1.9296875, 2.203125, 2.796875, 3.0703125]],
        ),
        (
            {
                "sizes": (2, 3),
                "coordinate_transformation_mode": "tf_crop_and_resize",
                "roi": (0, -1, 1, 1),
                "extrapolation_value": 9,
            },
            [[9, 1, 2], [9, 3, 4]],
        ),
        ({"sizes": (4, 6), "keep_aspect_ratio_policy": "not_larger"}, [[1, 1, 2, 2]] * 2 + [[3, 3, 4, 4]] * 2),
    ],
)
def test_worked_example(backend, arguments, expected):
    with rm.use_backend(backend):
        np.testing.assert_allclose(resized(X, **arguments)[0, 0], expected, rtol=1e-6)


def test_worked_gradient(backend):
    """Of four pixels made of two by (1, 3/4, 1/4, 0) and the other way round."""
    with rm.use_backend(backend):
        x = rm.Variable([[[1.0, 2.0]]], requires_grad=True)
        with recording():
            loss = (rm.resize(x, scales=2, mode="linear") * [[[1, 4, 16, 64]]]).sum()
        assert loss.grad().get(x).as_ndarray().tolist() == [[[1 + 3 + 4, 1 + 12 + 64]]]


@given(case=resize.cases(SIZE))
def test_within_bound(backend, case):
    check("resize", case, backend)


@settings(max_examples=15)
@given(case=resize.cases("tiny", integers=True))
def test_gradients_of_reference(case):
    check_gradients("resize", case, step=1, tolerance=1e-12)


@given(case=resize.cases(SIZE))
def test_onnxruntime(case):
    check_onnxruntime("resize", case)


def lengths_are_fractions(attributes, shape):
    """Return whether the sizes after were rounded off, of which ONNX's reference then takes the fractions for lengths.

    Its text does not, nor does any runtime.
    """
    axes, scales = attributes["axes"], attributes["scales"]
    if scales is not None:
        return any(shape[axis] * scale % 1 for axis, scale in zip(axes, scales, strict=True))
    return attributes["keep_aspect_ratio_policy"] != "stretch"


def hangs_on_the_last_bit(attributes, shape):
    """Return whether a coordinate is a whole number that divisions may miss, where ONNX's reference may be one off.

    It rounds such a coordinate down to one pixel, and after adding a whole number to another.
    """
    names = ("axes", "scales", "sizes", "keep_aspect_ratio_policy", "roi")
    axes = resized_axes(shape, **{name: attributes[name] for name in names})
    mode = attributes["coordinate_transformation_mode"]
    # The mode that takes off alike at both ends divides by what the length should be, too.
    divides = [
        axis.scale.numerator.bit_count() > 1
        or (mode == "half_pixel_symmetric" and axis.scale * axis.size != axis.length)
        for axis in axes
    ]
    places = [coordinates(axis, mode) for axis, may_miss in zip(axes, divides, strict=True) if may_miss]
    return any((np.abs(place - np.rint(place)) < 1e-9).any() for place in places)


#: Where 2 of 1.5 elements are taken off alike at both ends, by a third that float64 rounds: 0 becomes less than it.
TAKEN_OFF_ALIKE = {
    "axes": (2, 3),
    "scales": None,
    "sizes": (2, 1),
    "mode": "cubic",
    "coordinate_transformation_mode": "half_pixel_symmetric",
    "nearest_mode": "round_prefer_floor",
    "cubic_coeff_a": -0.75,
    "exclude_outside": True,
    "antialias": False,
    "keep_aspect_ratio_policy": "not_smaller",
    "roi": None,
    "extrapolation_value": 0.0,
}


def test_a_pixel_that_a_third_puts_outside_for_others_is_where_it_should_be():
    x = np.array([[1, 2, 3], [4, 5, 6], [7, 1, 2], [3, 4, 5]], np.float64).reshape(1, 1, 4, 3)
    with rm.use_backend("reference:float64"):
        y = resized(x, **TAKEN_OFF_ALIKE)
    # Columns 0 and 2 of x; of rows 19/32 of those beside and -3/32 of the next, of which one lies outside.
    expected = [
        (19 * (x[0, 0, 0] + x[0, 0, 1]) - 3 * x[0, 0, 2])[[0, 2]] / 35,
        (19 * (x[0, 0, 2] + x[0, 0, 3]) - 3 * x[0, 0, 1])[[0, 2]] / 35,
    ]
    np.testing.assert_allclose(y[0, 0], expected, rtol=1e-12)
    assert hangs_on_the_last_bit(TAKEN_OFF_ALIKE, x.shape)


@settings(max_examples=60)
@given(case=resize.cases("tiny", integers=True))
def test_reference_of_onnx(case):
    """The other outside party, on what it says as ONNX's text does."""
    (x,), of = case.inputs, case.attributes
    mode = of["coordinate_transformation_mode"]
    model, feeds = build_alone("resize", (x.astype(np.float32),), of, 19)
    with rm.use_backend("reference:float64"):
        expected = resized(x.astype(np.float64), **of)
    # Which is nearest, or whether one is outside, may hang on the last bit.
    is_open = (of["mode"] == "nearest" or mode == "tf_crop_and_resize") and not resize.is_copy("forward", case)
    is_open = is_open or (of["mode"] != "nearest" and hangs_on_the_last_bit(of, x.shape))
    takes_length = mode in ("align_corners", "tf_crop_and_resize", "pytorch_half_pixel")
    assume(not is_open and not (takes_length and (1 in expected.shape or lengths_are_fractions(of, x.shape))))
    (found,) = ReferenceEvaluator(model).run(None, feeds)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


def node_cases():
    from onnx.backend.test.case.node.resize import Resize

    found = []
    with pytest.MonkeyPatch.context() as patch:
        module = __import__("onnx.backend.test.case.node.resize", fromlist=["expect"])
        patch.setattr(module, "expect", lambda node, inputs, outputs, name: found.append((node, inputs, outputs, name)))
        for name in vars(Resize):
            if name.startswith("export"):
                getattr(Resize, name)()
    return found


#: In these the reference takes scale times size, 2.4 of 4, for the length of the result, where ONNX's text, onnxruntime
#: and PyTorch take the elements that it has.
FRACTIONS = {"test_resize_downsample_scales_linear_align_corners", "test_resize_downsample_scales_cubic_align_corners"}


def test_cases_of_onnx(backend):
    computed = 0
    for node, inputs, (expected,), name in node_cases():
        if name in FRACTIONS:
            continue
        given = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
        given = {key: value.decode() if isinstance(value, bytes) else value for key, value in given.items()}
        arrays = dict(zip(filter(None, node.input), inputs, strict=True))
        arguments = {key: arrays[key].tolist() for key in ("scales", "sizes", "roi") if key in arrays}
        with rm.use_backend(backend):
            found = resized(arrays["X"], **{"axes": tuple(range(arrays["X"].ndim)), **given, **arguments})
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5, err_msg=name)
        computed += 1
    assert computed > 35


@pytest.mark.parametrize("dtype", ["int64", "int32", "bool"])
def test_the_nearest_stays_what_it_is(backend, dtype):
    x = np.array([[[0, 2**40 + 1, 1]]]).astype(dtype)
    with rm.use_backend(backend):
        y = resized(rm.Variable(x), scales=2)
    np.testing.assert_array_equal(y, x.repeat(2, axis=2), strict=True)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_upsampling_layer(backend, mode):
    layer = rm.Upsample2d((2, 1), mode)
    with rm.use_backend(backend):
        np.testing.assert_array_equal(
            layer(rm.Variable(X)).as_ndarray(), resized(X, scales=(2, 1), mode=mode), strict=True
        )
        assert rm.Upsample2d(1.5)(rm.Variable(X)).shape == (1, 1, 3, 3)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({}, ArgumentError),
        ({"scales": 2, "sizes": 2}, ArgumentError),
        ({"scales": 0}, ArgumentError),
        ({"scales": -1.0}, ArgumentError),
        ({"scales": np.nan}, ArgumentError),
        ({"scales": (1, 1, 1, 1, 1)}, ArgumentError),
        ({"scales": (1, 2), "axes": 2}, ArgumentError),
        ({"scales": 2, "axes": (2, 2)}, ArgumentError),
        ({"scales": 2, "axes": 4}, ArgumentError),
        ({"sizes": 0}, ArgumentError),
        ({"sizes": 2.0}, ArgumentError),
        ({"sizes": 2, "mode": "bilinear"}, ArgumentError),
        ({"sizes": 2, "coordinate_transformation_mode": "corners"}, ArgumentError),
        ({"sizes": 2, "nearest_mode": "round"}, ArgumentError),
        ({"sizes": 2, "keep_aspect_ratio_policy": "fit"}, ArgumentError),
        ({"sizes": 2, "antialias": True}, ArgumentError),
        ({"sizes": 2, "coordinate_transformation_mode": "tf_crop_and_resize"}, ArgumentError),
        ({"sizes": 2, "coordinate_transformation_mode": "tf_crop_and_resize", "roi": (0, 1)}, ArgumentError),
        ({"scales": 0.3}, ShapeError),
    ],
)
def test_what_does_not_fit_is_refused(arguments, error):
    with rm.use_backend("reference"), pytest.raises(error, match="resize"):
        rm.resize(X, **arguments)


def test_other_arrays_and_layers_that_do_not_fit_are_refused():
    with rm.use_backend("reference"):
        with pytest.raises(ArgumentError, match="int64"):
            rm.resize(rm.Variable([[[1, 2]]]), scales=2, mode="linear")
        with pytest.raises(ShapeError, match="resize"):
            rm.resize(np.ones((1, 0)), sizes=(1, 1))
        with pytest.raises(ShapeError, match="Upsample2d"):
            rm.Upsample2d(2)(rm.Variable([[1.0]]))
    for arguments in ((0,), ((1, 2, 3),), (2, "cubic"), ("2",)):
        with pytest.raises(ArgumentError, match="Upsample2d"):
            rm.Upsample2d(*arguments)


class Resized(rm.Model):
    def __init__(self, **arguments):
        super().__init__()
        self.arguments = arguments

    def forward(self, x):
        return rm.resize(x, **self.arguments)


@pytest.mark.parametrize(
    ("arguments", "opset"),
    [
        *itertools.product(({"scales": 1.7, "mode": "cubic"}, {"sizes": (5, 3), "mode": "linear"}), (13, 17, 18, 22)),
        ({"sizes": (5, 4), "keep_aspect_ratio_policy": "not_smaller"}, 18),
        ({"scales": 0.6, "mode": "linear", "antialias": True}, 18),
        ({"scales": 1.3, "mode": "linear", "coordinate_transformation_mode": "half_pixel_symmetric"}, 19),
        ({"scales": 2, "axes": 1, "mode": "linear"}, 13),
    ],
)
def test_a_model_is_exported_for_any_batch(tmp_path, arguments, opset):
    model = Resized(**arguments)
    with rm.use_backend("reference"):
        export(model, tmp_path / "model.onnx", (2, 4, 3), opset=opset, examples=3, backends=["reference"])
        x = np.random.default_rng(0).normal(size=(5, 2, 4, 3)).astype(np.float32)
        found = open_exported(tmp_path / "model.onnx").predict(x)
        np.testing.assert_allclose(found, model(rm.Variable(x)).as_ndarray(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        ({"scales": 0.6, "mode": "linear", "antialias": True}, 18),
        ({"scales": 1.3, "coordinate_transformation_mode": "half_pixel_symmetric"}, 19),
        ({"sizes": (5, 5), "keep_aspect_ratio_policy": "not_larger"}, 18),
    ],
)
def test_versions_that_cannot_say_it_are_refused(tmp_path, arguments, needed):
    with rm.use_backend("reference"), pytest.raises(ExportError, match=f"{needed} at least"):
        export(Resized(**arguments), tmp_path / "model.onnx", (2, 4, 3), opset=needed - 1, backends=["reference"])
