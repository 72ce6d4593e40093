"""Functions of one number: activations and elementary functions."""

import dataclasses
import inspect
import math
import shutil

import numpy as np
import pytest
import scipy.special
from hypothesis import example, given
from hypothesis import strategies as st

import refcnn as rm
from refcnn import rooms
from refcnn.conformance.judging import judge
from refcnn.conformance.operations import activation, elementary
from refcnn.conformance.theory.strategies import Case
from refcnn.errors import ArgumentError
from refcnn.opencl.operations.elementary import Unary
from refcnn.opencl.runtime import kernels

from .checks import SIZE, check_example, check_gradients, check_node_cases, check_onnxruntime

OPERATIONS = activation.OPERATIONS | elementary.OPERATIONS

SUBNORMAL = 2.0**-145

#: Numbers, attributes, results and slopes; those of e are rounded to float32.
EXAMPLES = {
    "absolute": ([-2, 0, 3], {}, [2, 0, 3], [-1, 0, 1]),
    "ceil": ([-1.5, 0.25, 3], {}, [-1, 1, 3], [0, 0, 0]),
    "celu": ([-2, 0, 3], {"alpha": 2}, [-1.2642411177, 0, 3], [0.3678794412, 1, 1]),
    "clip": ([-4, 2, 3], {"min": -1, "max": 2}, [-1, 2, 2], [0, 1, 0]),
    "elu": ([-1, 0, 3], {"alpha": 2}, [-1.2642411177, 0, 3], [0.7357588823, 2, 1]),
    "erf": ([0, 1, -1], {}, [0, 0.8427007929, -0.8427007929], [1.1283791671, 0.4151074974, 0.4151074974]),
    "exp": ([0, 1, -1], {}, [1, 2.7182818285, 0.3678794412], [1, 2.7182818285, 0.3678794412]),
    "floor": ([-1.5, 0.25, 3], {}, [-2, 0, 3], [0, 0, 0]),
    "gelu": ([0, 1, -2], {"approximate": "none"}, [0, 0.8413447461, -0.0455002639], [0.5, 1.0833154705, -0.0852318319]),
    "hard_sigmoid": ([-3, 1, 3], {"alpha": 0.25, "beta": 0.5}, [0, 0.75, 1], [0, 0.25, 0]),
    "hard_swish": ([-3, 1, 4], {}, [0, 0.6666666667, 4], [0, 0.8333333333, 1]),
    "leaky_relu": ([-4, 0, 3], {"alpha": 0.25}, [-1, 0, 3], [0.25, 0.25, 1]),
    "log": ([1, 2, 0.5], {}, [0, 0.6931471806, -0.6931471806], [1, 0.5, 2]),
    "mish": ([0, 1, -1], {}, [0, 0.8650983883, -0.3034014613], [0.6, 1.0490362200, 0.0592167345]),
    "negative": ([-2, 0, 3], {}, [2, 0, -3], [-1, -1, -1]),
    "reciprocal": ([-2, 1, 4], {}, [-0.5, 1, 0.25], [-0.25, -1, -0.0625]),
    "round": ([-1.5, 0.5, 2.75], {}, [-2, 0, 3], [0, 0, 0]),
    "selu": ([-1, 0, 3], {"alpha": 2, "gamma": 3}, [-3.7927233530, 0, 9], [2.2072766470, 6, 3]),
    "sigmoid": ([0, 1, -1], {}, [0.5, 0.7310585786, 0.2689414214], [0.25, 0.1966119332, 0.1966119332]),
    "sign": ([-2, 0, 3], {}, [-1, 0, 1], [0, 0, 0]),
    "softplus": ([0, 1, -1], {}, [0.6931471806, 1.3132616875, 0.3132616875], [0.5, 0.7310585786, 0.2689414214]),
    "softsign": ([0, 1, -3], {}, [0, 0.5, -0.75], [1, 0.25, 0.0625]),
    "sqrt": ([1, 4, 0.25], {}, [1, 2, 0.5], [0.5, 0.25, 1]),
    "swish": ([0, 1, -1], {"alpha": 2}, [0, 0.8807970780, -0.1192029220], [0.5, 1.0907842488, -0.0907842488]),
    "tanh": ([0, 1, -1], {}, [0, 0.7615941560, -0.7615941560], [1, 0.4199743416, 0.4199743416]),
}

#: What becomes of 1000, -1000, infinity, -infinity and NaN. Where 0 meets -infinity it is NaN, as elsewhere.
LIMITS = {
    "absolute": [1000, 1000, np.inf, np.inf, np.nan],
    "ceil": [1000, -1000, np.inf, -np.inf, np.nan],
    "celu": [1000, -2, np.inf, -2, np.nan],
    "clip": [2, -1, 2, -1, np.nan],
    "elu": [1000, -2, np.inf, -2, np.nan],
    "erf": [1, -1, 1, -1, np.nan],
    "exp": [np.inf, 0, np.inf, 0, np.nan],
    "floor": [1000, -1000, np.inf, -np.inf, np.nan],
    "gelu": [1000, 0, np.inf, np.nan, np.nan],
    "hard_sigmoid": [1, 0, 1, 0, np.nan],
    "hard_swish": [1000, 0, np.inf, np.nan, np.nan],
    "leaky_relu": [1000, -250, np.inf, -np.inf, np.nan],
    "log": [6.9077552790, np.nan, np.inf, np.nan, np.nan],
    "mish": [1000, 0, np.inf, np.nan, np.nan],
    "negative": [-1000, 1000, -np.inf, np.inf, np.nan],
    "reciprocal": [1e-3, -1e-3, 0, 0, np.nan],
    "round": [1000, -1000, np.inf, -np.inf, np.nan],
    "selu": [3000, -6, np.inf, -6, np.nan],
    "sigmoid": [1, 0, 1, 0, np.nan],
    "sign": [1, -1, 1, -1, np.nan],
    "softplus": [1000, 0, np.inf, 0, np.nan],
    "softsign": [0.9990009990, -0.9990009990, np.nan, np.nan, np.nan],
    "sqrt": [31.6227766017, np.nan, np.inf, np.nan, np.nan],
    "swish": [1000, 0, np.inf, np.nan, np.nan],
    "tanh": [1, -1, 1, -1, np.nan],
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_worked_example(page_backend, operation):
    x, attributes, y, slope = EXAMPLES[operation]
    dy = [1, 2, 4]
    gradient = [one * other for one, other in zip(dy, slope, strict=True)]
    check_example(operation, (x,), attributes, y, dy=dy, gradients=(gradient,), backend=page_backend)


def test_worked_example_of_the_approximate_gelu(page_backend):
    y, slope = [0, 0.8411919906, -0.0454023059], [0.5, 1.0829641, -0.0860992]
    attributes = {"approximate": "tanh"}
    check_example("gelu", ([0, 1, -2],), attributes, y, dy=[1, 1, 1], gradients=(slope,), backend=page_backend)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_limits_without_a_warning(page_backend, operation):
    """But of what is infinite or no number, though its argument is a finite one or a number."""
    is_number, is_finite = (test(LIMITS[operation]) for test in (lambda y: ~np.isnan(y), np.isfinite))
    over, invalid = ("raise" if all(here) else "ignore" for here in (is_finite[:2] | ~is_number[:2], is_number[:4]))
    with np.errstate(all="raise", under="ignore", over=over, invalid=invalid):
        check_example(
            operation,
            ([1e3, -1e3, np.inf, -np.inf, np.nan],),
            EXAMPLES[operation][1],
            LIMITS[operation],
            backend=page_backend,
        )


@pytest.mark.parametrize("operation", OPERATIONS)
@given(data=st.data())
def test_gradients_of_reference(operation, data):
    case = data.draw(OPERATIONS[operation].cases("tiny", integers=True))
    # Between integers and halves, where there are kinks and steps.
    x = case.inputs[0] + 0.25
    x = np.abs(x) if operation in ("log", "sqrt") else x
    with np.errstate(invalid="ignore"):
        check_gradients(operation, dataclasses.replace(case, inputs=(x,)), step=2.0**-16, tolerance=1e-6)


#: As SciPy and NumPy have them, in float64.
EXACT = {
    "celu": lambda x: np.where(x > 0, x, scipy.special.expm1(np.minimum(x, 0))),
    "elu": lambda x: np.where(x > 0, x, scipy.special.expm1(np.minimum(x, 0))),
    "erf": scipy.special.erf,
    "exp": np.exp,
    "gelu": lambda x: x * scipy.special.ndtr(x),
    "log": np.log,
    "mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
    "reciprocal": lambda x: 1 / x,
    "selu": lambda x: 1.05070098735 * np.where(x > 0, x, 1.67326324235 * scipy.special.expm1(np.minimum(x, 0))),
    "sigmoid": lambda x: np.exp(-np.logaddexp(0, -x)),
    "softplus": lambda x: np.logaddexp(0, x),
    "sqrt": np.sqrt,
    "swish": lambda x: x * scipy.special.expit(x),
    "tanh": np.tanh,
}


@pytest.mark.parametrize("operation", EXACT)
def test_functions_are_those_of_float64(operation):
    """Far beyond a formula's comfort too, where a naive one has no digits left or overflows."""
    x = np.concatenate([np.linspace(-80, 80, 4000), 2.0 ** np.arange(-100.0, 10), -(2.0 ** np.arange(-100.0, 6))])
    x = x.astype(np.float32).astype(np.float64)
    with rm.use_backend("reference"), np.errstate(all="ignore"):
        exact, y = EXACT[operation](x), getattr(rm, operation)(x).as_ndarray()
    assert y.dtype == np.float32
    # Of gelu the argument of erfc, off by a rounding, is squared and raised to a power.
    roundings = 400 if operation == "gelu" else 6
    with np.errstate(over="ignore"):
        exact = exact.astype(np.float32)
    np.testing.assert_allclose(y, exact, rtol=roundings * np.finfo(np.float32).eps, atol=1e-36)


@pytest.mark.parametrize("operation", ["gelu", "mish", "swish"])
def test_slopes_far_from_zero(page_backend, operation):
    """Where squares of x overflow, or the digits of what the slope is made of would cancel."""
    x = np.float32([3e38, 1e20, 60, 9, -9, -60, -1e20, -3e38])
    for attributes in [{"approximate": entry} for entry in ("none", "tanh")] if operation == "gelu" else [{}]:
        attributes |= {"alpha": 1.0} if operation == "swish" else {}
        slope = [1, 1, 1, 1, 0, 0, 0, 0]
        _, saved = page_backend.operation(operation).forward(page_backend.array(x), **attributes)
        ones = page_backend.array(np.ones(8))
        (dx,) = page_backend.operation(operation).backward(ones, saved, (True,), **attributes)
        np.testing.assert_allclose(page_backend.to_host(dx), slope, atol=1.1e-3)


@pytest.mark.parametrize(
    ("layer", "function"),
    [
        (rm.Sigmoid(), rm.sigmoid),
        (rm.Tanh(), rm.tanh),
        (rm.Softplus(), rm.softplus),
        (rm.Softsign(), rm.softsign),
        (rm.LeakyRelu(), rm.leaky_relu),
        (rm.LeakyRelu(0.5), lambda x: rm.leaky_relu(x, alpha=0.5)),
        (rm.Elu(), rm.elu),
        (rm.Elu(0.5), lambda x: rm.elu(x, alpha=0.5)),
        (rm.Selu(), rm.selu),
        (rm.Celu(), rm.celu),
        (rm.Celu(0.5), lambda x: rm.celu(x, alpha=0.5)),
        (rm.Gelu(), rm.gelu),
        (rm.Gelu("tanh"), lambda x: rm.gelu(x, approximate="tanh")),
        (rm.HardSigmoid(), rm.hard_sigmoid),
        (rm.HardSigmoid(0.5, 0.25), lambda x: rm.hard_sigmoid(x, alpha=0.5, beta=0.25)),
        (rm.HardSwish(), rm.hard_swish),
        (rm.Swish(), rm.swish),
        (rm.Swish(2), lambda x: rm.swish(x, alpha=2)),
        (rm.Mish(), rm.mish),
        (rm.Clip(-1, 0.25), lambda x: rm.clip(x, -1, 0.25)),
        (rm.Clip(max=0.25), lambda x: rm.clip(x, max=0.25)),
        (rm.Relu6(), lambda x: rm.clip(x, 0, 6)),
    ],
)
def test_layers_are_their_functions(layer, function):
    x = np.array([[-3, 0.5], [2, 0]])
    with rm.use_backend("reference:float64"):
        np.testing.assert_array_equal(layer(x).as_ndarray(), function(x).as_ndarray())


def test_defaults_are_those_of_onnx():
    x = np.array([-2.0, 0.5])
    with rm.use_backend("reference:float64"):
        for layer, expected in (
            (rm.LeakyRelu(), [-0.02, 0.5]),
            (rm.Elu(), [math.expm1(-2), 0.5]),
            (rm.Celu(), [math.expm1(-2), 0.5]),
            (rm.Selu(), [1.05070102214813232 * 1.67326319217681885 * math.expm1(-2), 1.05070102214813232 * 0.5]),
            (rm.HardSigmoid(), [0.1, 0.6]),
            (rm.Swish(), [-2 * scipy.special.expit(-2), 0.5 * scipy.special.expit(0.5)]),
            (rm.Gelu(), [-2 * scipy.special.ndtr(-2), 0.5 * scipy.special.ndtr(0.5)]),
            (rm.Clip(), x),
        ):
            np.testing.assert_allclose(layer(x).as_ndarray(), expected, rtol=1e-14)


#: Attributes that are no numbers, or outside: the layer, the function, and the attribute's name.
REFUSED = [
    *((rm.LeakyRelu, rm.leaky_relu, "alpha", value) for value in ("much", np.nan, 1e39)),
    (rm.Elu, rm.elu, "alpha", None),
    (rm.Celu, rm.celu, "alpha", 0),
    (rm.Celu, rm.celu, "alpha", -1.0),
    (rm.Swish, rm.swish, "alpha", np.inf),
    (rm.HardSigmoid, rm.hard_sigmoid, "alpha", True),
    (rm.HardSigmoid, rm.hard_sigmoid, "beta", "0.5"),
    (rm.Gelu, rm.gelu, "approximate", "erf"),
    (rm.Gelu, rm.gelu, "approximate", None),
    (rm.Clip, rm.clip, "min", "0"),
    (rm.Clip, rm.clip, "max", np.nan),
    (None, rm.selu, "gamma", None),
]


@pytest.mark.parametrize(("layer", "function", "name", "value"), REFUSED)
def test_attributes_that_are_none_are_refused_by_name(layer, function, name, value):
    if layer is not None:
        with pytest.raises(ArgumentError, match=name):
            layer(**{name: value})
    with pytest.raises(ArgumentError, match=name):
        function([1.0], **{name: value})


@given(limits=st.tuples(*[st.none() | st.floats(-3, 3, width=32)] * 2))
@example((-SUBNORMAL, None))
@example((None, SUBNORMAL))
def test_clip_is_numpys(backend, limits):
    x = np.float32([-np.inf, -2.5, -1, 0, 0.5, 2.5, np.inf, np.nan])
    with rm.use_backend(backend):
        y = rm.clip(x, *limits).as_ndarray()
    expected = x if limits == (None, None) else np.clip(x, *limits)
    # A device that takes subnormal numbers for zero may give either of two of them.
    room = 0 if backend.denormals else np.finfo(np.float32).tiny
    np.testing.assert_allclose(y, expected, rtol=0, atol=room)


@pytest.mark.parametrize("limits", [(-SUBNORMAL, 2), (-1, SUBNORMAL), (SUBNORMAL, 2 * SUBNORMAL)])
def test_limits_that_are_subnormal_numbers_conform(backend, limits):
    x = np.float32([-3, -SUBNORMAL, -0.0, 0, SUBNORMAL, 3])
    case = Case((x,), dict(zip(("min", "max"), limits, strict=True)), np.ones_like(x))
    assert judge.check_forward("clip", case, backend) <= 1
    assert judge.check_backward("clip", case, backend) <= 1


@pytest.mark.parametrize("operation", OPERATIONS)
@given(data=st.data())
def test_onnxruntime(operation, data):
    check_onnxruntime(operation, data.draw(OPERATIONS[operation].cases(SIZE)))


ONNX = {
    "absolute": "Abs",
    "hard_sigmoid": "HardSigmoid",
    "hard_swish": "HardSwish",
    "leaky_relu": "LeakyRelu",
    "negative": "Neg",
    "swish": "Swish",
}

#: ONNX's defaults of attributes.
DEFAULTS = {
    "celu": {"alpha": 1},
    "elu": {"alpha": 1},
    "gelu": {"approximate": "none"},
    "hard_sigmoid": {"alpha": 0.2, "beta": 0.5},
    "leaky_relu": {"alpha": 0.01},
    "selu": {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875},
    "swish": {"alpha": 1},
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_cases_of_onnx(page_backend, operation):
    def translate(attributes, x, *limits):
        if x.dtype != np.float32 or operation == "clip" and len(limits) != 2:
            return None
        attributes = {name: value.decode() if isinstance(value, bytes) else value for name, value in attributes.items()}
        return (x,), DEFAULTS.get(operation, {}) | attributes | dict(zip(("min", "max"), limits, strict=False))

    operator = ONNX.get(operation, operation.capitalize())
    check_node_cases(operation, operator, translate, page_backend, tolerance=1e-6)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_both_backends_take_the_attributes_of_the_formula(operation):
    reference, opencl = (rooms.require(wing, operation) for wing in (rooms.REFERENCE, rooms.OPENCL))
    for function in (reference.formula, reference.slope):
        parameters = inspect.signature(function).parameters.values()
        keywords = {parameter.name for parameter in parameters if parameter.kind == parameter.KEYWORD_ONLY}
        assert keywords == set(opencl.attributes)


def test_a_formula_may_have_two_attributes(opencl_backend, tmp_path, monkeypatch):
    folder = tmp_path / "kernels"
    shutil.copytree(kernels.kernel_folder(), folder)
    with open(folder / "activation.cl", "a", encoding="utf-8") as page:
        page.write("inline float line(float x, float a, float b) { return a * x + b; }\n")
        page.write("inline float line_slope(float x, float y, float a, float b) { return a + 0.0f * b; }\n")
    monkeypatch.setattr(kernels, "kernel_folder", lambda: folder)
    # Programs are kept by the names of their files: another function of the page is another program.
    line = Unary("line", "a", "b")
    x = np.array([-2, 0, 3], np.float32)
    y, saved = line.forward(opencl_backend.array(x), a=2, b=5)
    np.testing.assert_array_equal(opencl_backend.to_host(y), [1, 5, 11])
    (dx,) = line.backward(opencl_backend.array(x), saved, (True,), a=2, b=5)
    np.testing.assert_array_equal(opencl_backend.to_host(dx), [-4, 0, 6])
