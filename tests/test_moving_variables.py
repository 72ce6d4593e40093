"""What moves a Variable's numbers, x[...], reshape, transpose and T, does as in NumPy, and @ multiplies matrices."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

import refcnn as rm
from refcnn.errors import ArgumentError, OutOfRangeError, ShapeError
from refcnn.mode import recording


@pytest.fixture(autouse=True)
def reference():
    with rm.use_backend("reference:float64"):
        yield


def check(shape, call):
    """Hold what a call gives, and the gradient of a weighted sum of it, against NumPy."""
    values = np.arange(np.prod(shape, dtype=int), dtype=np.float64).reshape(shape)
    expected, x = call(values), rm.Variable(values, requires_grad=True)
    np.testing.assert_array_equal(call(x).as_ndarray(), expected)
    if not expected.size:
        return
    weights = np.arange(1.0, expected.size + 1).reshape(-1, 1)
    with recording():
        loss = (call(x).reshape(1, -1) @ weights).reshape(())
    gradient = np.zeros(values.size)
    gradient[np.asarray(expected, int).ravel()] = weights.ravel()
    np.testing.assert_array_equal(loss.grad().get(x).as_ndarray(), gradient.reshape(shape))


shapes = st_numpy.array_shapes(min_dims=0, max_dims=4, min_side=1, max_side=5)


@given(st.data())
def test_indices_are_those_of_numpy(data):
    shape = data.draw(shapes)
    key = data.draw(st_numpy.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True))
    check(shape, lambda x: x[key])


@given(st.data())
def test_reshape_is_that_of_numpy(data):
    shape = data.draw(shapes)
    count = int(np.prod(shape))
    first = data.draw(st.sampled_from([size for size in range(1, count + 1) if count % size == 0]))
    for sizes in ((first, -1), (-1, first), (1, count // first, first), (-1,)):
        check(shape, lambda x, sizes=sizes: x.reshape(*sizes))
        check(shape, lambda x, sizes=sizes: x.reshape(sizes))
    check((1, 1), lambda x: x.reshape(()))


@given(st.data())
def test_transpose_is_that_of_numpy(data):
    shape = data.draw(shapes)
    axes = data.draw(st.permutations(range(len(shape))))
    axes = [data.draw(st.sampled_from([axis, axis - len(shape)])) for axis in axes]
    for call in (lambda x: x.transpose(axes), lambda x: x.transpose(), lambda x: x.T):
        check(shape, call)
    if axes:
        check(shape, lambda x: x.transpose(*axes))


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
def test_matrix_products(rows, n, columns):
    random = np.random.default_rng(0)
    a, b = random.integers(-9, 9, (rows, n)).astype(float), random.integers(-9, 9, (n, columns)).astype(float)
    dy = random.integers(-9, 9, (rows, columns)).astype(float)
    x, w = rm.Variable(a, requires_grad=True), rm.Variable(b, requires_grad=True)
    with recording():
        y = x @ w
        gradients = (y.reshape(1, -1) @ dy.reshape(-1, 1)).reshape(()).grad()
    np.testing.assert_array_equal(y.as_ndarray(), a @ b)
    np.testing.assert_array_equal((x @ b).as_ndarray(), a @ b)
    np.testing.assert_array_equal((a @ w).as_ndarray(), a @ b)
    np.testing.assert_array_equal(rm.matmul(a, w).as_ndarray(), a @ b)
    np.testing.assert_array_equal(gradients.get(x).as_ndarray(), dy @ b.T)
    np.testing.assert_array_equal(gradients.get(w).as_ndarray(), a.T @ dy)


def test_a_weight_used_in_parts_gets_the_sum_of_its_gradients():
    w = rm.Parameter(np.ones((3, 2)))
    with recording():
        y = rm.add(w[:2], w[1:])
        loss = (y.reshape(1, 4) @ np.array([[1.0], [2.0], [4.0], [8.0]])).reshape(())
    np.testing.assert_array_equal(loss.grad().get(w).as_ndarray(), [[1, 2], [5, 10], [4, 8]])


@pytest.mark.parametrize(
    "key", [[0, 1], np.array([0, 1]), np.array([True, False]), True, np.True_, 1.0, "a", (0, [1]), rm.Variable(1.0)]
)
def test_arrays_masks_and_all_else_are_refused_as_indices(key):
    with pytest.raises(ArgumentError, match="as_ndarray"):
        rm.Variable(np.ones((2, 2)))[key]


@pytest.mark.parametrize("key", [2, -3, (0, 2), (0, 0, 0), (..., 0, 0, 0), (slice(None),) * 3])
def test_an_index_outside_is_an_index_error(key):
    with pytest.raises(OutOfRangeError) as caught:
        rm.Variable(np.ones((2, 2)))[key]
    assert isinstance(caught.value, IndexError)


@pytest.mark.parametrize("key", [(..., ...), slice(None, None, 0), slice("a"), slice(0.5)])
def test_a_slice_or_ellipsis_that_means_nothing_is_refused(key):
    with pytest.raises(ArgumentError):
        rm.Variable(np.ones((2, 2)))[key]


def test_integers_of_numpy_are_indices():
    x = rm.Variable(np.arange(6.0).reshape(2, 3))
    assert float(x[np.int64(1), np.array(2)]) == 5
    np.testing.assert_array_equal(x[np.int8(-1) :].as_ndarray(), [[3, 4, 5]])


def test_a_variable_is_iterated_over_by_rows_and_holds_nothing():
    x = rm.Variable(np.arange(6.0).reshape(2, 3))
    assert [row.as_ndarray().tolist() for row in x] == [[0, 1, 2], [3, 4, 5]]
    assert [float(entry) for entry in reversed(x[0])] == [2, 1, 0]
    with pytest.raises(TypeError):
        iter(rm.Variable(1.0))
    with pytest.raises(TypeError):
        x[0] in x  # noqa: B015
    with pytest.raises(TypeError):
        x[0] = 1


@pytest.mark.parametrize("axes", [(0,), (0, 0), (0, 2), (-3, 1), (0, 1, 2), (True, 0), (0.0, 1), "ab"])
def test_axes_that_are_no_order_of_all_are_refused(axes):
    with pytest.raises(ArgumentError, match="transpose"):
        rm.transpose(np.ones((2, 3)), axes)


@pytest.mark.parametrize("shape", [(4, 2), (-1, 4), (-1, -1), (-2, 3), (2.0, 3), (True, 6), "ab", None])
def test_shapes_that_do_not_fit_are_refused(shape):
    with pytest.raises((ArgumentError, ShapeError)):
        rm.reshape(np.ones((2, 3)), shape)


def test_the_function_slice_takes_one_entry_for_each_of_the_first_axes():
    x = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(rm.slice(x, [1], [None]).as_ndarray(), x[1:])
    np.testing.assert_array_equal(rm.slice(x, (None, -1), (2, None), (1, -2)).as_ndarray(), x[:2, ::-2])
    with pytest.raises(ArgumentError):
        rm.slice(x, [0], [1, 2])
    with pytest.raises(OutOfRangeError):
        rm.slice(x, [0] * 3, [1] * 3)


def test_integers_and_truth_values_stay_what_they_are(backend):
    with rm.use_backend(backend):
        for array in (np.arange(2**53 + 1, 2**53 + 7), np.arange(6, dtype=np.int32), np.arange(6) % 2 == 0):
            moved = rm.Variable(array, dtype=array.dtype).reshape(2, 3)[:, ::-1].T.as_ndarray()
            assert moved.dtype == array.dtype
            np.testing.assert_array_equal(moved, array.reshape(2, 3)[:, ::-1].T)
