"""The tape: gradients through chains, branches and shared variables, and its errors."""

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refcnn as rm
from refcnn.backend import Reference
from refcnn.mode import recording, training
from refcnn.tape import tape


@pytest.fixture(autouse=True)
def float64_reference():
    with rm.use_backend("reference:float64"):
        yield


def one_hot(labels, classes):
    return np.eye(classes)[labels]


def numeric_gradient(function, array, step=1e-5):
    gradient = np.zeros_like(array)
    for index in np.ndindex(array.shape):
        former = array[index]
        array[index] = former + step
        above = function()
        array[index] = former - step
        gradient[index] = (above - function()) / (2 * step)
        array[index] = former
    return gradient


class Graph(rm.Model):
    """A drawn graph: each step adds or transforms results that stand already, so that some are used many times."""

    def __init__(self, steps):
        super().__init__()
        self.steps = steps
        self.shared = rm.Dense(4)

    def forward(self, x):
        values = [x]
        for kind, first, second in self.steps:
            a, b = values[first % len(values)], values[second % len(values)]
            step = {"add": rm.add, "dense": lambda a, _: self.shared(a), "softmax": lambda a, _: rm.softmax(a)}[kind]
            values.append(step(a, b))
        return values[-1]


STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "dense", "softmax"]), st.integers(0, 9), st.integers(0, 9)),
    min_size=1,
    max_size=6,
)


@given(steps=STEPS, seed=st.integers(0, 1000))
def test_gradients_of_drawn_graphs_match_central_differences(steps, seed):
    rm.set_seed(seed)
    random = np.random.default_rng(seed)
    x, target = random.normal(size=(3, 4)), one_hot(random.integers(0, 4, 3), 4)
    model = Graph([*steps, ("dense", len(steps), 0)])
    model(x)
    parameters = dict(model.parameters())
    arrays = model.state()

    def loss():
        model.set_state(arrays)
        return float(rm.softmax_cross_entropy(model(x), target))

    leaf = rm.Variable(x, requires_grad=True)
    with model.train():
        recorded = rm.softmax_cross_entropy(model(leaf), target)
    grads = recorded.grad()
    for name, parameter in parameters.items():
        np.testing.assert_allclose(grads.get(parameter).as_ndarray(), numeric_gradient(loss, arrays[name]), atol=1e-6)
    if any(tape_uses(leaf, model, x)):
        np.testing.assert_allclose(grads.get(leaf).as_ndarray(), numeric_gradient(loss, x), atol=1e-6)


def tape_uses(leaf, model, x):
    with recording():
        result = model(leaf)
    for node in tape(result):
        yield any(entry is leaf for entry in node.inputs)


def test_a_variable_used_twice_gets_the_sum():
    x = rm.Variable([[1.0, 2.0]], requires_grad=True)
    with recording():
        loss = rm.softmax_cross_entropy(rm.add(x, x), [[1.0, 0.0]])
    p = np.exp([2.0, 4.0]) / np.exp([2.0, 4.0]).sum()
    np.testing.assert_allclose(loss.grad().get(x).as_ndarray(), 2 * (p - [1, 0])[None], rtol=1e-12)


def test_grad_outside_recording_says_what_to_do():
    loss = rm.softmax_cross_entropy([[1.0, 2.0]], [[0.0, 1.0]])
    with pytest.raises(rm.errors.GradientError, match="with model.train"):
        loss.grad()


def test_second_grad_says_what_to_do():
    x = rm.Variable([[1.0, 2.0]], requires_grad=True)
    with recording():
        loss = rm.softmax_cross_entropy(x, [[0.0, 1.0]])
    loss.grad()
    with pytest.raises(rm.errors.GradientError, match="called before"):
        loss.grad()


def test_two_losses_of_one_forward_pass_are_refused_rather_than_half_done():
    x = rm.Variable([[1.0, 2.0]], requires_grad=True)
    with recording():
        hidden = rm.relu(x)
        first, second = (rm.softmax_cross_entropy(hidden, [target]) for target in ([0.0, 1.0], [1.0, 0.0]))
    first.grad()
    with pytest.raises(rm.errors.GradientError, match="another loss"):
        second.grad()


def test_grad_of_an_array_names_its_shape():
    with recording():
        y = rm.relu([[1.0, 2.0]])
    with pytest.raises(rm.errors.GradientError, match=r"\(1, 2\)"):
        y.grad()


def test_gradient_of_a_variable_that_asks_for_none():
    x, constant = rm.Variable([[1.0, 2.0]], requires_grad=True), rm.Variable([[1.0, 2.0]])
    with recording():
        loss = rm.softmax_cross_entropy(rm.add(x, constant), [[0.0, 1.0]])
    with pytest.raises(rm.errors.GradientError, match="requires_grad"):
        loss.grad().get(constant)


def test_grad_lets_the_forward_pass_go():
    x = rm.Variable(np.ones((1, 2)), requires_grad=True)
    with recording():
        hidden = rm.relu(x)
        loss = rm.softmax_cross_entropy(hidden, [[0.0, 1.0]])
    node = weakref.ref(hidden)
    del hidden
    assert node() is not None
    loss.grad()
    gc.collect()
    assert node() is None


def test_nothing_is_recorded_outside_training():
    assert rm.relu([[1.0]]).node is None
    with training():
        assert rm.relu([[1.0]]).node is not None
    assert rm.relu([[1.0]]).node is None


def test_mode_is_left_after_an_error():
    with pytest.raises(ZeroDivisionError), training():
        raise ZeroDivisionError
    assert rm.relu([[1.0]]).node is None


def test_backend_switched_in_between_is_refused():
    x = rm.Variable([[1.0, 2.0]], requires_grad=True)
    with recording():
        hidden = rm.relu(x)
        with rm.use_backend(Reference(np.float32)), pytest.raises(rm.errors.BackendError, match="in between"):
            rm.relu(hidden)


def test_backward_runs_where_forward_ran():
    x = rm.Variable([[1.0, 2.0]], requires_grad=True)
    with recording():
        loss = rm.softmax_cross_entropy(x, [[0.0, 1.0]])
    with rm.use_backend("reference"):
        assert loss.grad().get(x).dtype == np.float64


@pytest.mark.parametrize("value", [["a"], [[1.0], [1.0, 2.0]], [None], object()])
def test_no_numbers(value):
    with pytest.raises(rm.errors.ShapeError, match="array of numbers"):
        rm.Variable(value)
    with pytest.raises(rm.errors.ShapeError, match="array of numbers"):
        rm.relu(value)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, np.float32, np.float64, bool])
def test_input_of_any_number_type_is_taken(dtype):
    with rm.use_backend("reference"):
        y = rm.relu(np.array([[0, 1], [1, 0]], dtype=dtype))
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y.as_ndarray(), [[0, 1], [1, 0]])


@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (0, 2)])
def test_every_shape_is_kept(backend, shape):
    host = np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)
    with rm.use_backend(backend):
        variable = rm.Variable(host)
        assert variable.shape == shape
        np.testing.assert_array_equal(variable.as_ndarray(), host)
    with rm.use_backend("reference"):
        assert rm.relu(variable).shape == shape


def test_conversions():
    x = rm.Variable([[1.0, 2.0]])
    assert x.shape == (1, 2) and len(x) == 1
    np.testing.assert_array_equal(np.asarray(x), [[1.0, 2.0]])
    assert float(rm.Variable(3.0)) == 3.0
    with pytest.raises(rm.errors.ShapeError):
        float(x)
    array = x.as_ndarray()
    array[:] = 0
    np.testing.assert_array_equal(x.as_ndarray(), [[1.0, 2.0]])
