"""Arithmetic of two arrays that are broadcast."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import refcnn as rm
from refcnn import formats
from refcnn.conformance.operations.arithmetic import OPERATIONS
from refcnn.conformance.theory.strategies import Case
from refcnn.errors import ArgumentError, ShapeError
from refcnn.mode import recording
from refcnn.shapes import broadcast_shape

from .checks import SIZE, check_example, check_gradients, check_needs, check_node_cases, check_onnxruntime

NUMPY = {
    "add": np.add,
    "divide": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "multiply": np.multiply,
    "power": np.power,
    "prelu": lambda a, b: np.where(a >= 0, a, a * b),
    "subtract": np.subtract,
}

#: Of (2, 2) and (2,) with dy = ((1, 2), (3, 4)): a, b, y, da, db.
EXAMPLES = {
    "add": ([[1, -2], [3, 4]], [10, 20], [[11, 18], [13, 24]], [[1, 2], [3, 4]], [4, 6]),
    "subtract": ([[1, -2], [3, 4]], [10, 20], [[-9, -22], [-7, -16]], [[1, 2], [3, 4]], [-4, -6]),
    "multiply": ([[1, -2], [3, 4]], [10, 20], [[10, -40], [30, 80]], [[10, 40], [30, 80]], [10, 12]),
    "divide": ([[1, -2], [3, 4]], [2, 4], [[0.5, -0.5], [1.5, 1]], [[0.5, 0.5], [1.5, 1]], [-2.5, -0.75]),
    # db = y log(a) dy: 16 log(4) 3 beside 1 log(1) 1, and 8 log(2) 2 beside 27 log(3) 4.
    "maximum": ([[1, 20], [30, 4]], [10, 20], [[10, 20], [30, 20]], [[0, 1], [3, 0]], [1, 5]),
    "minimum": ([[1, 20], [30, 4]], [10, 20], [[1, 20], [10, 4]], [[1, 1], [0, 4]], [3, 1]),
    "prelu": ([[1, -2], [-3, 0]], [10, 20], [[1, -40], [-30, 0]], [[1, 40], [30, 80]], [-9, -4]),
    "power": ([[1, 2], [4, 3]], [2, 3], [[1, 8], [16, 27]], [[2, 24], [24, 108]], [66.5421293338, 129.7404915]),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_worked_example(page_backend, operation):
    a, b, y, *gradients = EXAMPLES[operation]
    check_example(operation, (a, b), {}, y, dy=[[1, 2], [3, 4]], gradients=gradients, backend=page_backend)


@pytest.mark.parametrize("operation", OPERATIONS)
@given(data=st.data())
def test_one_gradient_at_a_time(page_backend, operation, data):
    check_needs(operation, data.draw(OPERATIONS[operation].cases("tiny")), page_backend)


@pytest.mark.parametrize("operation", OPERATIONS)
@given(data=st.data())
def test_gradients_of_reference(operation, data):
    case = data.draw(OPERATIONS[operation].cases("tiny", integers=True))
    assume(case.dy is not None)
    a, b = case.inputs
    # Positive, and far enough from zero and each other that all is smooth over a step.
    a, b = (np.asarray(1 + np.abs(entry) / 4) for entry in (a, b + 0.5))
    check_gradients(operation, Case((a, b), {}, case.dy), step=2.0**-12, tolerance=1e-4)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        # No axes, missing ones, both repeated, and more kinds of axes in turn than a kernel has arguments for.
        ((), ()),
        ((1,), ()),
        ((), (2, 3)),
        ((4, 1), (1, 5)),
        ((2, 3, 4, 5), (3, 1, 1)),
        ((2, 1, 3, 1), (5, 1, 4)),
        ((2, 1, 2, 1, 2, 1, 3), (1, 2, 1, 2, 1, 2, 1)),
        ((0, 3), (1,)),
        ((3, 1), (0,)),
        ((1200, 3), (1200, 1)),
        ((2, 1500), (1500,)),
    ],
)
@pytest.mark.parametrize("operation", ["subtract", "divide"])
def test_shapes_broadcast_as_in_numpy(page_backend, operation, a, b):
    rng = np.random.default_rng(0)
    a, b = (1 + rng.random(shape).astype(np.float32) for shape in (a, b))
    for left, right in ((a, b), (b, a)):
        expected = NUMPY[operation](left.astype(np.float64), right)
        y, saved = page_backend.operation(operation).forward(page_backend.array(left), page_backend.array(right))
        np.testing.assert_allclose(page_backend.to_host(y), expected, rtol=1e-6)
        assert y.shape == expected.shape == broadcast_shape(left.shape, right.shape)
        dy = page_backend.array(np.ones(expected.shape))
        gradients = page_backend.operation(operation).backward(dy, saved, (True, True))
        for operand, gradient in zip((left, right), gradients, strict=True):
            assert page_backend.to_host(gradient).shape == operand.shape


@given(a=st.lists(st.integers(0, 3), max_size=5), b=st.lists(st.integers(0, 3), max_size=5))
def test_broadcast_shapes_are_those_of_numpy(a, b):
    try:
        expected = np.broadcast_shapes(a, b)
    except ValueError:
        with pytest.raises(ShapeError, match="broadcast"):
            broadcast_shape(a, b)
    else:
        assert broadcast_shape(a, b) == expected


@pytest.mark.parametrize("operation", OPERATIONS)
def test_functions_compute_as_numpy_and_name_what_does_not_fit(operation):
    a, b = np.array([[1.0, 2.0], [3.0, 4.0]]), [2.0, 0.5]
    with rm.use_backend("reference:float64"):
        np.testing.assert_array_equal(getattr(rm, operation)(a, b).as_ndarray(), NUMPY[operation](a, b))
        with pytest.raises(ShapeError, match=rf"{operation}: .*\(2, 2\) and \(3,\)"):
            getattr(rm, operation)(a, np.ones(3))


@given(case=OPERATIONS["add"].cases(SIZE))
def test_what_is_passed_on_is_not_copied(case):
    assume(case.dy is not None and case.inputs[0].shape == case.inputs[1].shape)
    with rm.use_backend("reference") as backend, np.errstate(all="ignore"):
        _, saved = backend.operation("add").forward(*case.inputs)
        assert all(entry is case.dy for entry in backend.operation("add").backward(case.dy, saved, (True, True)))


#: Base, exponent, power and both gradients where the formula alone gives NaN, as PyTorch has them.
@pytest.mark.parametrize(
    ("a", "b", "y", "da", "db"),
    [
        (0, 0, 1, 0, 0),
        (0, 2, 0, 0, 0),
        (0, 1, 0, 1, 0),
        (0, 0.5, 0, np.inf, 0),
        (-2, 2, 4, -4, np.nan),
        (-2, 0, 1, 0, np.nan),
        (-2, 0.5, np.nan, np.nan, np.nan),
        (0, -1, np.inf, -np.inf, -np.inf),
    ],
)
def test_powers_at_the_edge(page_backend, a, b, y, da, db):
    with np.errstate(all="ignore"):
        check_example("power", ([a], [b]), {}, [y], dy=[1], gradients=([da], [db]), backend=page_backend)


@pytest.mark.parametrize("operation", OPERATIONS)
@given(data=st.data())
def test_onnxruntime(operation, data):
    check_onnxruntime(operation, data.draw(OPERATIONS[operation].cases(SIZE)))


ONNX = {
    "add": "Add",
    "divide": "Div",
    "maximum": "Max",
    "minimum": "Min",
    "multiply": "Mul",
    "power": "Pow",
    "prelu": "PRelu",
    "subtract": "Sub",
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_cases_of_onnx(page_backend, operation):
    def translate(attributes, a, b=None, *others):
        # Those of integers are of another arithmetic; a power takes the base's dtype; more than two are folded.
        is_taken = a.dtype == np.float32 and b is not None and not others
        return ((a, np.asarray(b, np.float32)), {}) if is_taken else None

    check_node_cases(operation, ONNX[operation], translate, page_backend, tolerance=2e-6)


#: The ends of a format of integers, and what an operation may treat as a case of its own.
EDGES = [0, 1, -1, 2, -2, 3, -7]


def exact(operation, a, b, bits):
    """Return what Python's integers give, modulo 2^bits."""
    if operation == "divide":
        return 0 if b == 0 else wrapped((abs(a) // abs(b)) * (1 if (a < 0) == (b < 0) else -1), bits)
    if operation == "power":
        return wrapped(a**b, bits) if b >= 0 else {1: 1, -1: 1 if b % 2 == 0 else -1}.get(a, 0)
    by_name = {
        "add": lambda: a + b,
        "subtract": lambda: a - b,
        "multiply": lambda: a * b,
        "maximum": lambda: max(a, b),
        "minimum": lambda: min(a, b),
    }
    return wrapped(by_name[operation](), bits)


def wrapped(number, bits):
    return (number + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)


@pytest.mark.parametrize("dtype", [np.int64, np.int32])
@pytest.mark.parametrize("operation", ["add", "divide", "maximum", "minimum", "multiply", "power", "subtract"])
@given(data=st.data())
def test_integers_are_those_of_python_modulo_their_size(page_backend, operation, dtype, data):
    limits, bits = np.iinfo(dtype), np.iinfo(dtype).bits
    numbers = st.sampled_from([*EDGES, limits.min, limits.min + 1, limits.max]) | st.integers(limits.min, limits.max)
    exponents = st.integers(-3, 70) if operation == "power" else numbers
    pairs = data.draw(st.lists(st.tuples(numbers, exponents), min_size=1, max_size=9))
    a, b = np.array(pairs, dtype).T
    with rm.use_backend(page_backend), np.errstate(all="ignore"):
        y = getattr(rm, operation)(rm.Variable(a), rm.Variable(b)).as_ndarray()
    assert y.dtype == dtype
    assert y.tolist() == [exact(operation, *pair, bits) for pair in pairs]


def test_operators_of_integers_stay_integers(page_backend):
    """Beside a Variable of integers whole numbers are such too, as in NumPy; floats are not mixed in unasked."""
    with rm.use_backend(page_backend):
        x = rm.Variable([7, -7, 2**53 + 1])
        for y, expected in (
            (x + 1, [8, -6, 2**53 + 2]),
            (1 - x, [-6, 8, -(2**53)]),
            (x * np.int32(3), [21, -21, 3 * 2**53 + 3]),
            (x / 2, [3, -3, 2**52]),
            (x**2, [49, 49, 2**54 + 1]),
            (-x, [-7, 7, -(2**53) - 1]),
            (abs(x), [7, 7, 2**53 + 1]),
            (rm.sign(x), [1, -1, 1]),
            (rm.maximum(x, [[0]], True), [[7, 1, 2**53 + 1]]),
        ):
            assert y.dtype == np.int64
            np.testing.assert_array_equal(y.as_ndarray(), expected)
        for mixed in (lambda: x + 0.5, lambda: x + rm.Variable([1.0]), lambda: x + rm.Variable([1], dtype="int32")):
            with pytest.raises(ArgumentError, match="astype"):
                mixed()
        with pytest.raises(ArgumentError, match="int32"):
            rm.Variable([1], dtype="int32") + 2**31
        for truth in (lambda: rm.Variable([True]) + True, lambda: rm.Variable([True]) + 1):
            with pytest.raises(ArgumentError):
                truth()


def test_integers_take_no_part_in_the_gradient(page_backend):
    with rm.use_backend(page_backend):
        x, n = rm.Variable([1.0, 2.0], requires_grad=True), rm.Variable([3, 4])
        with recording():
            count = n * 2 + 1
            loss = (x * count.astype("float32")).sum()
        np.testing.assert_array_equal(loss.grad().get(x).as_ndarray(), [7, 9])


@pytest.mark.parametrize("operation", ["maximum", "minimum"])
def test_nan_of_either_side_is_kept_and_ties_share_the_gradient(page_backend, operation):
    a, b = [np.nan, 1, np.nan, 2, np.inf], [1, np.nan, np.nan, 2, np.inf]
    y = [np.nan, np.nan, np.nan, 2, np.inf]
    halves = [1, 1, 1, 0.5, 0.5]
    check_example(operation, (a, b), {}, y, dy=[1] * 5, gradients=(halves, halves), backend=page_backend)


def test_several_arrays_are_folded():
    a, b, c = [1.0, 5.0], [[4.0], [2.0]], 3.0
    whole = np.broadcast_arrays(a, b, c)
    with rm.use_backend("reference:float64"):
        for function, expected in (
            (rm.maximum, np.max),
            (rm.minimum, np.min),
            (rm.sum_of, np.sum),
            (rm.mean_of, np.mean),
        ):
            np.testing.assert_allclose(function(a, b, c).as_ndarray(), expected(whole, axis=0), rtol=1e-15)
        for function in (rm.sum_of, rm.mean_of):
            np.testing.assert_array_equal(function(a).as_ndarray(), a)


def test_a_rectifier_learns_its_slope_of_each_channel(page_backend):
    with rm.use_backend(page_backend):
        layer = rm.PRelu()
        x = np.array([[[-1.0, 2.0], [-3.0, -4.0]]])
        with recording():
            y = layer(x)
            gradient = y.sum().grad().get(layer.params.slope)
        np.testing.assert_array_equal(y.as_ndarray(), [[[-0.25, 2], [-0.75, -1]]])
        assert layer.params.slope.shape == (2,)
        np.testing.assert_array_equal(gradient.as_ndarray(), [-1, -7])
        assert rm.PRelu(0.5)(np.array([[-2.0]])).as_ndarray() == -1
        for wrong in (np.ones((1, 3, 2)), np.ones(2), np.ones((1, 0))):
            with pytest.raises(ShapeError, match="PRelu"):
                layer(wrong)
        for slope in (np.ones(3), np.ones((2, 1, 2, 2)), np.ones((1, 1, 2, 2))):
            with pytest.raises(ShapeError, match="prelu"):
                rm.prelu(x, slope)
        with pytest.raises(ArgumentError, match="slope"):
            rm.PRelu(None)


def test_a_network_with_learned_slopes_is_exported(tmp_path):
    rm.set_seed(0)
    network = rm.Sequential([rm.Conv2d(3, 3), rm.PRelu(), rm.Flatten(), rm.Dense(2)])
    with rm.use_backend("reference"):
        proof = rm.onnx.export(network, tmp_path / "network.onnx", (1, 4, 4))
    assert "PRelu" in (tmp_path / "network.onnx").read_bytes().decode("latin1") and str(proof)


@pytest.mark.parametrize("of", formats.EXACT)
def test_conversions_of_what_is_given_are_refused_where_they_lose(of):
    with rm.use_backend("reference"):
        x = rm.Variable(np.ones(2, of.dtype))
        assert x.as_given(of.dtype) is x
        assert rm.equal(x, [True, True]).as_ndarray().all()
        if of is formats.BOOL:
            with pytest.raises(ArgumentError, match="bool"):
                rm.equal(x, [2, 1])
