"""Integers and truth values stay what they are, on every backend; conversions are explicit; floats are as ever."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as np_strategies

import refcnn as rm
from refcnn import models
from refcnn.conformance.judging import comparison, judge
from refcnn.conformance.theory.strategies import Case
from refcnn.errors import ArgumentError, GradientError
from refcnn.mode import recording


@pytest.fixture(autouse=True)
def reference():
    with rm.use_backend("reference"):
        yield


EDGES = [0, 1, -1, 2**24 + 1, 2**31 - 1, -(2**31), 2**53 + 1, 2**63 - 1, -(2**63)]
SHAPES = np_strategies.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5)


def numbers(dtype):
    edges = [edge for edge in EDGES if np.iinfo(dtype).min <= edge <= np.iinfo(dtype).max]
    return st.sampled_from(edges) | np_strategies.from_dtype(np.dtype(dtype))


EXACT_ARRAYS = st.one_of(
    np_strategies.arrays(np.int64, SHAPES, elements=numbers(np.int64)),
    np_strategies.arrays(np.int32, SHAPES, elements=numbers(np.int32)),
    np_strategies.arrays(np.bool_, SHAPES),
)


@given(host=EXACT_ARRAYS)
def test_integers_and_truth_values_come_back_to_the_bit(backend, host):
    with rm.use_backend(backend):
        variable = rm.Variable(host)
    assert variable.dtype == host.dtype and variable.shape == host.shape
    for found in (variable.as_ndarray(), np.asarray(variable), backend.to_host(backend.array(host))):
        assert found.dtype == host.dtype
        np.testing.assert_array_equal(found, host)


@given(host=EXACT_ARRAYS)
def test_they_move_between_backends_as_they_are(backend, host):
    variable = rm.Variable(host)
    there = variable.on(backend)
    assert there.dtype == host.dtype
    np.testing.assert_array_equal(backend.to_host(there), host)


@given(host=EXACT_ARRAYS.filter(lambda host: host.ndim and host.size))
def test_what_moves_numbers_keeps_their_dtype(backend, host):
    with rm.use_backend(backend):
        y = rm.flatten(rm.Variable(host))
    assert y.dtype == host.dtype
    np.testing.assert_array_equal(y.as_ndarray(), host.reshape(len(host), -1))


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        ([1, 2**53 + 1], "int64"),
        (7, "int64"),
        ([True, False], "bool"),
        ([1.0, 2.0], "float32"),
        (np.array([1, 2], ">i8"), "int64"),
        (np.array([1, 2], np.uint8), "float32"),
        (np.array([1, 2], np.int16), "float32"),
        (np.array([1, 2], np.uint64), "float32"),
        (np.array([1, 2], np.float16), "float32"),
        (np.array([1, 2], np.float64), "float32"),
    ],
)
def test_a_variable_has_the_dtype_of_its_value_or_floats(backend, value, dtype):
    with rm.use_backend(backend):
        variable = rm.Variable(value)
    assert variable.dtype == dtype
    np.testing.assert_array_equal(variable.as_ndarray(), np.array(value, dtype))


def test_a_dtype_can_be_given(backend):
    with rm.use_backend(backend):
        for dtype in ("int64", np.int32, bool, np.dtype("float32"), "float64", float):
            found = rm.Variable([0.0, 1.0, 2.0], dtype=dtype)
            expected = backend.dtype if np.dtype(dtype).kind == "f" else np.dtype(dtype)
            assert found.dtype == expected
            np.testing.assert_array_equal(found.as_ndarray(), np.array([0, 1, 2]).astype(expected))
        assert rm.Variable([1, 2], requires_grad=True, dtype="float32").requires_grad


@pytest.mark.parametrize("dtype", ["uint8", "complex64", "float33", object, "<U1", 3])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(ArgumentError, match="int64, int32 or bool"):
        rm.Variable([1.0], dtype=dtype)
    with pytest.raises(ArgumentError, match="int64, int32 or bool"):
        rm.Variable([1.0]).astype(dtype)


@pytest.mark.parametrize("value", [[1, 2], np.array([1], np.int32), [True]])
def test_only_floats_have_gradients(value):
    with pytest.raises(GradientError, match="only floats"):
        rm.Variable(value, requires_grad=True)
    leaf = rm.Variable([1.5, 2.5], requires_grad=True)
    with recording():
        whole = leaf.astype("int64")
        assert not whole.requires_grad
        loss = rm.Variable(3.7, requires_grad=True).astype("int32")
        with pytest.raises(GradientError, match="only floats"):
            loss.grad()


@pytest.mark.parametrize("value", [[[1, 2]], [[True, False]]])
def test_floats_are_not_made_of_a_variable_unasked(value):
    x = rm.Variable(value)
    for call in (
        lambda: rm.relu(x),
        lambda: rm.add([[1.0, 2.0]], x),
        lambda: rm.softmax_cross_entropy([[1.0, 2.0]], x),
        lambda: rm.Dense(2)(x),
        lambda: rm.dropout(x),
    ):
        with pytest.raises(ArgumentError, match=r'astype\("float32"\)'), rm.Model().train():
            call()
    np.testing.assert_array_equal(rm.relu(x.astype("float32")).as_ndarray(), x.as_ndarray())


@given(host=EXACT_ARRAYS)
def test_what_is_given_as_an_array_is_taken_as_floats(backend, host):
    with rm.use_backend(backend):
        for value in (host, *([host.tolist()] if host.size else [])):
            y = rm.add(value, value)
            assert y.dtype == np.float32
            np.testing.assert_array_equal(y.as_ndarray(), 2 * host.astype(np.float32))


def test_one_hot_rows_of_integers_train(backend):
    def trained(targets):
        rm.set_seed(3)
        model, optimizer = rm.Sequential([rm.Flatten(), rm.Dense(3)]), rm.Sgd(lr=0.1)
        for _ in range(3):
            with model.train():
                loss = rm.softmax_cross_entropy(model(np.arange(8).reshape(2, 2, 2)), targets)
            loss.grad().update(optimizer)
        return [array.tobytes() for array in model.state().values()]

    with rm.use_backend(backend):
        floats = trained(np.eye(3, dtype=np.float32)[[0, 2]])
        for targets in (np.eye(3, dtype=np.int64)[[0, 2]], np.eye(3, dtype=bool)[[0, 2]], [[1, 0, 0], [0, 0, 1]]):
            assert trained(targets) == floats


def test_what_is_given_may_change_afterwards():
    class Net(rm.Model):
        def forward(self, x):
            host[:] = 0
            return rm.cast(x, "int64")

    host = np.array([[2**53 + 1]])
    np.testing.assert_array_equal(Net()(host).as_ndarray(), [[2**53 + 1]])


def test_parameters_are_floats_whatever_they_are_made_of(backend):
    with rm.use_backend(backend):
        assert rm.Parameter([1, 2]).dtype == rm.Parameter(np.array([True])).dtype == np.float32


def test_a_single_number_becomes_an_int_without_loss(backend):
    with rm.use_backend(backend):
        assert int(rm.Variable(2**53 + 1)) == 2**53 + 1 and int(rm.Variable(True)) == 1
        with pytest.raises(rm.errors.ShapeError):
            int(rm.Variable([1]))


@given(host=EXACT_ARRAYS, dtype=st.sampled_from(["int64", "int32", "bool", "float32"]))
def test_astype_is_numpys(backend, host, dtype):
    with rm.use_backend(backend):
        x = rm.Variable(host)
        for y in (x.astype(dtype), rm.cast(x, dtype), rm.cast(host, dtype)):
            assert y.dtype == dtype
            np.testing.assert_array_equal(y.as_ndarray(), host.astype(dtype))
        assert x.astype(host.dtype) is x


def test_the_gradient_passes_what_is_float_already():
    x = rm.Variable([[1.0, 2.0]], requires_grad=True)
    with recording():
        loss = rm.softmax_cross_entropy(x.astype("float32"), [[1, 0]])
    assert loss.grad().get(x).shape == (1, 2)


@given(data=st.data(), host=EXACT_ARRAYS.filter(lambda host: host.size))
def test_the_judge_finds_a_wrong_integer(data, host):
    comparison.compare("y", host.copy(), host, np.zeros(host.shape))
    wrong = host.copy()
    place = data.draw(st.integers(0, host.size - 1))
    wrong.flat[place] ^= 1
    with pytest.raises(comparison.ConformanceFailure, match="1 of") as failure:
        comparison.compare("y", wrong, host, np.zeros(host.shape), to_the_bit=True)
    assert "rounding" not in str(failure.value)


@pytest.mark.parametrize("dtype", [np.int32, np.float32, np.float64, bool])
def test_the_judge_finds_a_wrong_dtype(dtype):
    exact = np.array([0, 1])
    with pytest.raises(comparison.ConformanceFailure, match="int64"):
        comparison.compare("y", exact.astype(dtype), exact, np.zeros(2))


def test_cases_of_integers_are_judged_on_a_backend(backend):
    class TooFew:
        """Converts by way of float32, as everything was before."""

        def forward(self, x, *, dtype):
            return backend.array(backend.to_host(x).astype(np.float32).astype(dtype)), None

        def backward(self, dy, saved, needs, *, dtype):
            return (None,)

    case = Case((np.array([2**24 + 1, 5]),), {"dtype": "int32"})
    judge.check_forward("cast", case, backend)
    with pytest.raises(comparison.ConformanceFailure, match="1 of 2"):
        judge.check_forward("cast", case, backend, implementation=TooFew())


def test_models_say_what_they_take_where_an_integer_variable_is_given():
    model = models.NAMED["lenet5"]((1, 28, 28), 10)
    with pytest.raises(ArgumentError, match="conv2d"):
        model(rm.Variable(np.zeros((1, 1, 28, 28), np.int64)))
    assert model(np.zeros((1, 1, 28, 28), np.int64)).dtype == np.float32
