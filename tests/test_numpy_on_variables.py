"""What is no operation of refcnn would cut the gradient: while operations are recorded it raises, else it works."""

import math

import numpy as np
import pytest

import refcnn as rm
from refcnn import models
from refcnn.errors import GradientError, ShapeError
from refcnn.mode import recording


@pytest.fixture(autouse=True)
def reference():
    with rm.use_backend("reference:float64"):
        yield


VALUES = np.array([[0.25, 2.0], [0.5, 1.0]])
ONES = np.ones((2, 2))


def in_place(v):
    array = ONES.copy()
    array += v
    return array


# What computes with a Variable v, and the same with an array.
COMPUTING = {
    "tanh": np.tanh,
    "array += v": in_place,
    "array < v": lambda v: ONES < v,
    "array == v": lambda v: ONES == v,
    "v == number": lambda v: v == 1,
    "number != v": lambda v: 0.25 != v,
    "maximum": lambda v: np.maximum(v, 1),
    "add": lambda v: np.add(v, ONES),
    "add into an array": lambda v: np.add(ONES, v, out=np.empty((2, 2))),
    "power where": lambda v: np.power(ONES, v, where=True),
    "ufunc.reduce": np.add.reduce,
    "ufunc.outer": lambda v: np.multiply.outer(v, ONES),
    "mean": np.mean,
    "sum of an axis": lambda v: np.sum(v, axis=0),
    "max": np.max,
    "amax": lambda v: np.amax(v, axis=1, keepdims=True),
    "reshape": lambda v: np.reshape(v, -1),
    "transpose": np.transpose,
    "moveaxis": lambda v: np.moveaxis(v, 0, 1),
    "trim_zeros": lambda v: np.trim_zeros(v[0]),
    "stack": lambda v: np.stack([v, ONES]),
    "stack of two": lambda v: np.stack([v, v]),
    "concatenate": lambda v: np.concatenate((ONES, v)),
    "where": lambda v: np.where(ONES > 0, v, ONES),
    "norm": np.linalg.norm,
    "einsum": lambda v: np.einsum("ij->i", v),
    "argmax": lambda v: np.argmax(v, axis=1),
}
# What only makes an array of it.
READING = {
    "asarray": np.asarray,
    "array of a list": lambda v: np.array([v, v]),
    "vectorize": lambda v: np.vectorize(math.exp)(v),
    "relu of a list": lambda v: relu([v, v]),
    "variable of a variable": lambda v: rm.Variable(v).as_ndarray() if isinstance(v, rm.Variable) else v,
    "parameter of a variable": lambda v: rm.Parameter(v).as_ndarray() if isinstance(v, rm.Variable) else v,
    "one of a list": lambda v: relu([[v, ONES], [ONES, ONES]]),
}


def relu(x):
    return rm.relu(x).as_ndarray()


@pytest.mark.parametrize("call", [*COMPUTING.values(), *READING.values()], ids=[*COMPUTING, *READING])
def test_while_recording_it_raises_and_else_it_computes_as_with_an_array(call):
    variable, expected = rm.Variable(VALUES, requires_grad=True), call(VALUES)
    with recording():
        recorded = rm.relu(variable)
        for argument in (variable, recorded):
            with pytest.raises(GradientError, match="as_ndarray"):
                call(argument)
    for argument in (variable, recorded, rm.relu(variable)):
        found = call(argument)
        assert not isinstance(found, rm.Variable)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("call", COMPUTING.values(), ids=COMPUTING)
def test_a_constant_is_no_exception_for_what_computes(call):
    with recording(), pytest.raises(GradientError):
        call(rm.Variable(VALUES))


def test_a_constant_may_be_read():
    with recording():
        np.testing.assert_array_equal(np.asarray(rm.Variable(VALUES)), VALUES)
        assert rm.relu([rm.Variable(VALUES), VALUES]).shape == (2, 2, 2)


ARITHMETIC = {
    "+": lambda v, w: v + w,
    "-": lambda v, w: v - w,
    "*": lambda v, w: v * w,
    "/": lambda v, w: v / w,
    "**": lambda v, w: v**w,
}
OTHERS = {
    "a variable": lambda: rm.Variable(3 * ONES),
    "an array": lambda: 3 * ONES,
    "a row": lambda: np.array([3.0, 5.0], np.float32),
    "an array of integers": lambda: np.array([[3], [2]]),
    "a list": lambda: [[1.0, 2.0], [3.0, 4.0]],
    "an integer": lambda: 3,
    "a float": lambda: 0.3,
    "a truth value": lambda: True,
    "a float of NumPy": lambda: np.float32(0.3),
    "an integer of NumPy": lambda: np.int64(2),
    "an array without axes": lambda: np.array(2.0),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("operator", ARITHMETIC.values(), ids=ARITHMETIC)
def test_operators_are_operations_on_either_side(operator, other):
    v, other = rm.Variable(VALUES, requires_grad=True), other()
    numbers = other.as_ndarray() if isinstance(other, rm.Variable) else np.asarray(other, np.float64)
    step = 1e-6
    for operands, computed in (
        (lambda variable: (variable, other), lambda x: operator(x, numbers)),
        (lambda variable: (other, variable), lambda x: operator(numbers, x)),
    ):
        with recording():
            y = operator(*operands(v))
            gradient = y.sum().grad().get(v).as_ndarray()
        assert isinstance(y, rm.Variable) and isinstance(operator(*operands(v)), rm.Variable)
        np.testing.assert_allclose(y.as_ndarray(), computed(VALUES), rtol=1e-12)
        slope = (computed(VALUES + step) - computed(VALUES - step)) / (2 * step)
        np.testing.assert_allclose(gradient, slope, rtol=1e-6, atol=1e-8)


def test_a_residual_is_written_as_everyone_does():
    v = rm.Variable(VALUES - 1, requires_grad=True)
    with recording():
        y = v + rm.relu(v)
        y += 1
        loss = (-abs(y) / 2 + (2 - sum([v, v])) * v**2).mean()
    x = VALUES - 1
    y = x + np.maximum(x, 0) + 1
    np.testing.assert_allclose(float(loss), (-np.abs(y) / 2 + (2 - 2 * x) * x**2).mean())
    gradient = (-np.sign(y) / 2 * (1 + (x > 0)) + 4 * x - 6 * x**2) / 4
    np.testing.assert_allclose(loss.grad().get(v).as_ndarray(), gradient)


def test_signs_and_reductions_are_operations():
    v = rm.Variable(VALUES)
    np.testing.assert_array_equal((-v).as_ndarray(), -VALUES)
    np.testing.assert_array_equal(abs(-v).as_ndarray(), VALUES)
    assert +v is v
    for name in ("sum", "mean", "max"):
        for arguments in ((), (0,), (-1,), ((0, 1),), (1, True)):
            found = getattr(v, name)(*arguments).as_ndarray()
            expected = getattr(np, name)(VALUES, *arguments[:1], keepdims=len(arguments) > 1)
            assert found.shape == expected.shape
            np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("operator", ARITHMETIC.values(), ids=ARITHMETIC)
def test_operators_refuse_what_does_not_fit(operator):
    v = rm.Variable(VALUES)
    for other in ("text", None, object(), {1: 2}):
        for one, two in ((v, other), (other, v)):
            if one != "text":
                with pytest.raises(TypeError, match="operand|sequence"):
                    operator(one, two)
    for other in (np.ones(3), rm.Variable(np.ones((3, 2)))):
        for one, two in ((v, other), (other, v)):
            with pytest.raises(ShapeError, match="cannot be broadcast"):
                operator(one, two)


def test_a_power_takes_no_modulus():
    with pytest.raises(TypeError):
        pow(rm.Variable(VALUES), 2, 3)


OPERATORS = [lambda v, w: v // w, lambda v, w: v % w, divmod]


@pytest.mark.parametrize("operator", OPERATORS)
def test_other_operators_of_variables_and_numbers_raise(operator):
    v, w = rm.Variable(VALUES, requires_grad=True), rm.Variable(ONES)
    for one, other in ((v, w), (w, v), (v, 2), (2.0, v), (v, True)):
        with recording(), pytest.raises(GradientError, match="operator"):
            operator(one, other)
        with pytest.raises(TypeError, match="unsupported operand"):
            operator(one, other)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda v: np.add(v, v), r"refcnn\.add"),
        (lambda v: np.maximum(v, 0), r"refcnn\.maximum"),
        (np.tanh, r"refcnn\.tanh"),
        (np.sum, r"refcnn\.reduce_sum"),
        (np.abs, r"refcnn\.absolute"),
        (lambda v: np.true_divide(v, 2), r"refcnn\.divide"),
        (lambda v: np.matmul(v, ONES), r"refcnn\.matmul"),
        (lambda v: np.dot(v, ONES), r"refcnn\.matmul"),
        (lambda v: np.reshape(v, (2, -1)), r"refcnn\.reshape"),
        (lambda v: np.ravel(v), r"refcnn\.reshape"),
        (lambda v: np.swapaxes(v, 0, 1), r"refcnn\.transpose"),
        (lambda v: np.flip(v, 0), r"x\[::-1\]"),
    ],
)
def test_the_message_names_the_function_to_use(call, name):
    with recording(), pytest.raises(GradientError, match=name):
        call(rm.Variable(VALUES))


def test_no_function_is_named_that_refcnn_lacks():
    with recording(), pytest.raises(GradientError, match="numpy.sinh.*no function for it") as caught:
        np.sinh(rm.Variable(VALUES))
    assert "refcnn.sinh" not in str(caught.value)


def test_numbers_can_be_read_while_recording():
    v = rm.Variable(VALUES, requires_grad=True)
    with recording():
        loss = rm.softmax_cross_entropy(rm.relu(v), [[1.0, 0.0], [0.0, 1.0]])
        assert float(loss) == loss.as_ndarray() > 0 and "Variable" in repr(loss)
        np.testing.assert_array_equal(np.tanh(v.as_ndarray()), np.tanh(VALUES))
    assert np.any(loss.grad().get(v).as_ndarray())


def test_a_single_number_is_shown_and_decides_as_a_number_does():
    with recording():
        loss = (rm.Variable(VALUES, requires_grad=True) * 2).mean()
        assert f"{loss:.3f} {loss:>8.1e}" == f"{float(loss):.3f} {float(loss):>8.1e}"
    assert f"{loss}" == str(loss) and f"{rm.Variable([7])[0]:03d}" == "007"
    for value in (0.0, 0.5, True, False, 0, math.nan):
        assert bool(rm.Variable(value)) is bool(value)
    assert not rm.Variable(VALUES).sum() * 0


def test_variables_are_equal_to_themselves_alone():
    one, two = rm.Variable(1.0), rm.Variable(1.0)
    assert one == one and one != two and one is not None and one != "text"
    assert {one: "one", two: "two"}[one] == "one" and two in [one, two] and len({one, two}) == 2


@pytest.mark.parametrize("call", [bool, float, int, "{:.3f}".format])
@pytest.mark.parametrize("value", [[0.5], [], [[1, 2]], [True, False]])
def test_an_array_is_no_single_number(call, value):
    with pytest.raises(ShapeError, match="single number"):
        call(rm.Variable(value))


def test_what_asks_for_the_shape_alone_is_no_computation():
    with recording():
        v = rm.relu(rm.Variable(VALUES, requires_grad=True))
        assert np.shape(v) == (2, 2) and np.ndim(v) == 2 and np.size(v) == 4 and len(v) == 2
        np.testing.assert_array_equal(rm.add(v, np.ones_like(v)).as_ndarray(), VALUES + 1)
        np.testing.assert_array_equal(np.full_like(v, 3), 3 * ONES)


def test_a_variable_takes_no_results_of_numpy():
    v = rm.Variable(VALUES)
    for call in (lambda: np.add(ONES, ONES, out=v), lambda: np.mean(ONES, axis=0, out=v), lambda: np.copyto(v, ONES)):
        with pytest.raises(TypeError):
            call()
    np.testing.assert_array_equal(v.as_ndarray(), VALUES)


def test_a_step_that_trains_nothing_is_refused():
    dense, optimizer = rm.Dense(2, input_size=2), rm.Sgd()
    with recording():
        loss = rm.softmax_cross_entropy(dense(VALUES).as_ndarray(), np.eye(2))
    with pytest.raises(GradientError, match="no Parameter"):
        loss.grad().update(optimizer)


def test_a_model_that_cuts_its_gradient_is_refused_before_it_trains(monkeypatch):
    class Net(rm.Model):
        def __init__(self):
            super().__init__()
            self.hidden, self.output = rm.Dense(4), rm.Dense(3)

        def forward(self, x):
            return self.output(np.tanh(self.hidden(rm.flatten(x))))

    monkeypatch.setitem(models.NAMED, "net", lambda image_shape, classes: Net())
    with pytest.raises(GradientError, match="numpy.tanh"):
        models.build("net", (1, 4, 4), 3)
    assert Net()(np.ones((2, 1, 4, 4))).shape == (2, 3)
