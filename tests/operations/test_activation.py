"""Functions of one number: activations, the absolute value and the negative."""

import dataclasses
import inspect
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refcnn as rm
from refcnn import rooms
from refcnn.conformance.operations.activation import OPERATIONS
from refcnn.errors import ArgumentError
from refcnn.opencl.operations.activation import Activation
from refcnn.opencl.runtime import kernels

from .checks import SIZE, check_example, check_gradients, check_node_cases, check_onnxruntime

#: Numbers, attributes, results and slopes; those of e are rounded to float32.
EXAMPLES = {
    "absolute": ([-2, 0, 3], {}, [2, 0, 3], [-1, 0, 1]),
    "leaky_relu": ([-4, 0, 3], {"alpha": 0.25}, [-1, 0, 3], [0.25, 0.25, 1]),
    "negative": ([-2, 0, 3], {}, [2, 0, -3], [-1, -1, -1]),
    "sigmoid": ([0, 1, -1], {}, [0.5, 0.7310585786, 0.2689414214], [0.25, 0.1966119332, 0.1966119332]),
    "softplus": ([0, 1, -1], {}, [0.6931471806, 1.3132616875, 0.3132616875], [0.5, 0.7310585786, 0.2689414214]),
    "tanh": ([0, 1, -1], {}, [0, 0.7615941560, -0.7615941560], [1, 0.4199743416, 0.4199743416]),
}

#: What becomes of 1000, -1000, infinity, -infinity and NaN.
LIMITS = {
    "absolute": [1000, 1000, np.inf, np.inf, np.nan],
    "leaky_relu": [1000, -250, np.inf, -np.inf, np.nan],
    "negative": [-1000, 1000, -np.inf, np.inf, np.nan],
    "sigmoid": [1, 0, 1, 0, np.nan],
    "softplus": [1000, 0, np.inf, 0, np.nan],
    "tanh": [1, -1, 1, -1, np.nan],
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_worked_example(page_backend, operation):
    x, attributes, y, slope = EXAMPLES[operation]
    dy = [1, 2, 4]
    gradient = [one * other for one, other in zip(dy, slope, strict=True)]
    check_example(operation, (x,), attributes, y, dy=dy, gradients=(gradient,), backend=page_backend)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_limits_without_a_warning(page_backend, operation):
    with np.errstate(all="raise", under="ignore"):
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
    # Half-way between integers there is no step to either side of a kink at zero.
    check_gradients(operation, dataclasses.replace(case, inputs=(case.inputs[0] + 0.5,)), step=2.0**-10, tolerance=1e-6)


@pytest.mark.parametrize("operation", ["sigmoid", "softplus", "tanh"])
def test_functions_are_those_of_float64(operation):
    """Far beyond a formula's comfort too, where a naive one has no digits left or overflows."""
    x = np.concatenate([np.linspace(-80, 80, 4001), 2.0 ** np.arange(-100.0, 10), -(2.0 ** np.arange(-100.0, 6))])
    x = x.astype(np.float32).astype(np.float64)
    exact = {"sigmoid": np.exp(-np.logaddexp(0, -x)), "softplus": np.logaddexp(0, x), "tanh": np.tanh(x)}[operation]
    with rm.use_backend("reference"):
        y = getattr(rm, operation)(x).as_ndarray()
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, exact, rtol=4 * np.finfo(np.float32).eps, atol=1e-38)


@pytest.mark.parametrize(
    ("layer", "function"),
    [
        (rm.Sigmoid(), rm.sigmoid),
        (rm.Tanh(), rm.tanh),
        (rm.Softplus(), rm.softplus),
        (rm.LeakyRelu(), rm.leaky_relu),
        (rm.LeakyRelu(0.5), lambda x: rm.leaky_relu(x, alpha=0.5)),
    ],
)
def test_layers_are_their_functions(layer, function):
    x = np.array([[-3, 0.5], [2, 0]])
    with rm.use_backend("reference:float64"):
        np.testing.assert_array_equal(layer(x).as_ndarray(), function(x).as_ndarray())


def test_alpha_is_one_hundredth_as_a_rule_and_a_number():
    with rm.use_backend("reference:float64"):
        assert rm.leaky_relu([-1.0]).as_ndarray() == rm.LeakyRelu()([-1.0]).as_ndarray() == -0.01
    for alpha in ("much", np.nan, 1e39):
        with pytest.raises(ArgumentError, match="alpha"):
            rm.LeakyRelu(alpha)
        with pytest.raises(ArgumentError, match="alpha"):
            rm.leaky_relu([1.0], alpha=alpha)


@pytest.mark.parametrize("operation", OPERATIONS)
@given(data=st.data())
def test_onnxruntime(operation, data):
    check_onnxruntime(operation, data.draw(OPERATIONS[operation].cases(SIZE)))


ONNX = {
    "absolute": "Abs",
    "leaky_relu": "LeakyRelu",
    "negative": "Neg",
    "sigmoid": "Sigmoid",
    "softplus": "Softplus",
    "tanh": "Tanh",
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_cases_of_onnx(page_backend, operation):
    defaults = {"leaky_relu": {"alpha": 0.01}}.get(operation, {})

    def translate(attributes, x):
        return (x,), defaults | attributes

    check_node_cases(operation, ONNX[operation], translate, page_backend, tolerance=1e-6)


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
    line = Activation("line", "a", "b")
    x = np.array([-2, 0, 3], np.float32)
    y, saved = line.forward(opencl_backend.array(x), a=2, b=5)
    np.testing.assert_array_equal(opencl_backend.to_host(y), [1, 5, 11])
    (dx,) = line.backward(opencl_backend.array(x), saved, (True,), a=2, b=5)
    np.testing.assert_array_equal(opencl_backend.to_host(dx), [-4, 0, 6])
