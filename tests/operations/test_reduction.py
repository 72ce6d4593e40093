"""Reductions over axes, and where the largest is."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refcnn as rm
from refcnn import rooms
from refcnn.conformance.operations.reduction import OPERATIONS
from refcnn.conformance.theory.strategies import Case
from refcnn.errors import ArgumentError, ShapeError
from refcnn.mode import recording

from .checks import SIZE, check_example, check_gradients, check_node_cases, check_onnxruntime

PLACES = ["arg_max", "arg_min"]
REDUCTIONS = [stem for stem in OPERATIONS if stem not in PLACES]


def _log_sum_exp(x, **axes):
    return np.log(np.sum(np.exp(x), **axes))


#: What NumPy says instead.
NUMPY = {
    "arg_max": np.argmax,
    "arg_min": np.argmin,
    "reduce_l1": lambda x, **axes: np.sum(np.abs(x), **axes),
    "reduce_l2": lambda x, **axes: np.sqrt(np.sum(np.square(x), **axes)),
    "reduce_log_sum": lambda x, **axes: np.log(np.sum(x, **axes)),
    "reduce_log_sum_exp": _log_sum_exp,
    "reduce_max": np.max,
    "reduce_mean": np.mean,
    "reduce_min": np.min,
    "reduce_prod": np.prod,
    "reduce_sum": np.sum,
    "reduce_sum_square": lambda x, **axes: np.sum(np.square(x), **axes),
}
X = [[[1, 5], [3, 4]], [[5, 5], [-1, 0]]]

#: Of X, for axes (0, 2) without and axis 1 with keepdims: y, and what becomes of dy = (8, 4) or ((8, 4), (2, 6)).
EXAMPLES = {
    "reduce_sum": (
        [16, 6],
        [[[8, 8], [4, 4]], [[8, 8], [4, 4]]],
        [[[4, 9]], [[4, 5]]],
        [[[8, 4], [8, 4]], [[2, 6], [2, 6]]],
    ),
    "reduce_mean": (
        [4, 1.5],
        [[[2, 2], [1, 1]], [[2, 2], [1, 1]]],
        [[[2, 4.5]], [[2, 2.5]]],
        [[[4, 2], [4, 2]], [[1, 3], [1, 3]]],
    ),
    # The first of several that are the largest gets the gradient.
    "reduce_max": (
        [5, 4],
        [[[0, 8], [0, 4]], [[0, 0], [0, 0]]],
        [[[3, 5]], [[5, 5]]],
        [[[0, 4], [8, 0]], [[2, 6], [0, 0]]],
    ),
    "reduce_min": (
        [1, -1],
        [[[8, 0], [0, 0]], [[0, 0], [4, 0]]],
        [[[1, 4]], [[-1, 0]]],
        [[[8, 0], [0, 4]], [[0, 0], [2, 6]]],
    ),
    # By the others, right where one of them is 0.
    "reduce_prod": (
        [125, 0],
        [[[1000, 200], [0, 0]], [[200, 200], [0, -48]]],
        [[[3, 20]], [[-5, 0]]],
        [[[24, 16], [8, 20]], [[-2, 0], [10, 30]]],
    ),
    "reduce_l1": (
        [16, 8],
        [[[8, 8], [4, 4]], [[8, 8], [-4, 0]]],
        [[[4, 9]], [[6, 5]]],
        [[[8, 4], [8, 4]], [[2, 6], [-2, 0]]],
    ),
    "reduce_l2": (
        [8.717798, 5.0990195],
        [[[0.91766294, 4.5883147], [2.3533936, 3.1378582]], [[4.5883147, 4.5883147], [-0.78446454, 0]]],
        [[[3.1622777, 6.4031242]], [[5.0990195, 5]]],
        [[[2.5298221, 3.1234752], [7.5894664, 2.4987802]], [[1.9611614, 6], [-0.39223227, 0]]],
    ),
    "reduce_sum_square": (
        [76, 26],
        [[[16, 80], [24, 32]], [[80, 80], [-8, 0]]],
        [[[10, 41]], [[26, 25]]],
        [[[16, 40], [48, 32]], [[20, 60], [-4, 0]]],
    ),
    "reduce_log_sum": (
        [2.7725887, 1.7917595],
        [[[0.5, 0.5], [0.6666667, 0.6666667]], [[0.5, 0.5], [0.6666667, 0.6666667]]],
        [[[1.3862944, 2.1972246]], [[1.3862944, 1.609438]]],
        [[[2, 0.44444445], [2, 0.44444445]], [[0.5, 1.2], [0.5, 1.2]]],
    ),
    "reduce_log_sum_exp": (
        [6.1046989, 4.3314116],
        [[[0.048545324, 2.6504849], [1.0564167, 2.8716384]], [[2.6504849, 2.6504849], [0.019348947, 0.052595892]]],
        [[[3.126928, 5.313262]], [[5.0024757, 5.006715]]],
        [[[0.95362338, 2.9242343], [7.0463766, 1.0757657]], [[1.9950549, 5.9598428], [0.0049452461, 0.040157108]]],
    ),
}


@pytest.mark.parametrize("operation", REDUCTIONS)
def test_worked_example(page_backend, operation):
    y, dx, y_kept, dx_kept = EXAMPLES[operation]
    attributes = {"axes": (0, 2), "keepdims": False}
    check_example(operation, (X,), attributes, y, dy=[8, 4], gradients=(dx,), backend=page_backend)
    attributes, dy = {"axes": (1,), "keepdims": True}, [[[8, 4]], [[2, 6]]]
    check_example(operation, (X,), attributes, y_kept, dy=dy, gradients=(dx_kept,), backend=page_backend)


@pytest.mark.parametrize("operation", REDUCTIONS)
@given(data=st.data())
def test_gradients_of_reference(operation, data):
    case = data.draw(OPERATIONS[operation].cases("tiny", integers=True).filter(lambda case: case.dy is not None))
    # All different, so that a step changes no winner; near 1, so that products are small; none 0, a corner of |x|.
    x = np.random.default_rng(0).permutation(case.inputs[0].size).reshape(case.inputs[0].shape)
    x = (0.75 + x / (2 * x.size)).astype(np.float32) if operation not in LINEAR else x.astype(np.float32)
    case = Case((x,), case.attributes, case.dy)
    step, tolerance = (0.25, 1e-12) if operation in LINEAR else (2.0**-13, 1e-6)
    check_gradients(operation, case, step=step, tolerance=tolerance)


LINEAR = {"reduce_sum", "reduce_mean", "reduce_max", "reduce_min"}


@pytest.mark.parametrize("operation", REDUCTIONS)
@pytest.mark.parametrize(
    ("shape", "axes"),
    [((70_001,), (0,)), ((3, 700, 5), (1,)), ((2, 300, 2, 300), (1, 3)), ((), ()), ((2, 3), ()), ((0, 3), (1,))],
)
def test_long_axes_and_none(page_backend, operation, shape, axes):
    x = np.random.default_rng(0).integers(1, 8, shape).astype(np.float32)
    # Neither small nor large, however many there are.
    x = np.asarray(np.where(x == 1, 1, -1) if operation == "reduce_prod" else x * 1.25, np.float32)
    y, saved = page_backend.operation(operation).forward(page_backend.array(x), axes=axes, keepdims=False)
    expected = NUMPY[operation](x.astype(np.float64), axis=axes)
    np.testing.assert_allclose(page_backend.to_host(y), expected, rtol=1e-6)
    dy = np.random.default_rng(1).integers(1, 8, y.shape).astype(np.float32)
    (dx,) = page_backend.operation(operation).backward(
        page_backend.array(dy), saved, (True,), axes=axes, keepdims=False
    )
    dx = page_backend.to_host(dx)
    assert dx.shape == shape
    if operation in ("reduce_max", "reduce_min"):
        assert np.count_nonzero(dx) == dy.size
    if operation in LINEAR:
        share = dy.size / max(dx.size, 1) if operation == "reduce_sum" else 1
        np.testing.assert_allclose(dx.sum(axis=axes, dtype=np.float64) * share, dy, rtol=1e-5)


#: Of 2^20 terms: a row, columns that lie apart and side by side, and two axes with one in between.
LONG = {"row": ((2**20,), (0,)), "columns": ((2**20, 2), (0,)), "apart": ((2**10, 3, 2**10), (0, 2))}


@pytest.mark.parametrize("shape, axes", LONG.values(), ids=LONG)
@pytest.mark.parametrize("operation", ["reduce_sum", "reduce_mean", "reduce_l1", "reduce_sum_square", "reduce_log_sum"])
def test_the_error_of_long_sums_grows_slowly(page_backend, operation, shape, axes):
    """One term after the other, 2^20 times 0.1 are off by 9e-3 of their sum, sqrt(2^20) roundings by 6e-5 at most."""
    count = 2**20
    for x in (np.full(shape, np.float32(0.1)), np.random.default_rng(0).random(shape, np.float32)):
        y, _ = page_backend.operation(operation).forward(page_backend.array(x), axes=axes, keepdims=False)
        exact = NUMPY[operation](x.astype(np.float64), axis=axes)
        relative = np.abs(page_backend.to_host(y) - exact) / np.abs(exact)
        assert relative.max() <= np.sqrt(count) * 2.0**-24
    one_after_the_other = np.cumsum(np.full(count, np.float32(0.1)), dtype=np.float32)[-1]
    assert abs(one_after_the_other / (count * np.float64(np.float32(0.1))) - 1) > 100 * np.sqrt(count) * 2.0**-24


@pytest.mark.parametrize("operation", ["reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_l1"])
@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_integers_stay_what_they_are(page_backend, operation, dtype):
    least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
    x = np.array([[least, 3, -7], [most, most, 5], [2**24 + 1, 1, 1]], dtype)
    expected = {
        "reduce_sum": [least - 4, most + most + 5, 2**24 + 3],
        "reduce_max": [3, most, 2**24 + 1],
        "reduce_min": [least, 5, 1],
        "reduce_prod": [least * -21, most * most * 5, 2**24 + 1],
        "reduce_l1": [-least + 10, most + most + 5, 2**24 + 3],
    }[operation]
    bits = np.iinfo(dtype).bits
    expected = [(number + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1) for number in expected]
    y, _ = page_backend.operation(operation).forward(page_backend.array(x), axes=(1,), keepdims=False)
    np.testing.assert_array_equal(page_backend.to_host(y), np.array(expected, dtype), strict=True)


def test_truth_values_have_a_largest_and_a_smallest():
    x = rm.Variable([[True, False], [False, False], [True, True]])
    np.testing.assert_array_equal(rm.reduce_max(x, 1).as_ndarray(), [True, False, True], strict=True)
    np.testing.assert_array_equal(rm.reduce_min(x, 1).as_ndarray(), [False, False, True], strict=True)
    with pytest.raises(ArgumentError, match="bool"):
        rm.reduce_sum(x)


@pytest.mark.parametrize("operation", ["reduce_mean", "reduce_l2", "reduce_log_sum", "reduce_log_sum_exp"])
def test_what_is_no_integer_is_not_made_of_integers(operation):
    with pytest.raises(ArgumentError, match="int64"):
        getattr(rm, operation)(rm.Variable([1, 2]))


def test_no_exponential_overflows(page_backend):
    inf, attributes = np.inf, {"axes": (1,), "keepdims": False}
    x = [[1000, 1000], [-1000, -1000], [-inf, 3], [-inf, -inf], [inf, 1], [inf, -inf], [np.nan, inf], [3e38, -3e38]]
    y = [1000 + np.log(2), -1000 + np.log(2), 3, -inf, inf, inf, np.nan, 3e38]
    dx = [[2, 2], [2, 2], [0, 4], None, None, None, None, [4, 0]]
    operation = page_backend.operation("reduce_log_sum_exp")
    with np.errstate(all="ignore"):
        found, saved = operation.forward(page_backend.array(np.float32(x)), **attributes)
        (gradient,) = operation.backward(page_backend.array(np.full(8, 4, np.float32)), saved, (True,), **attributes)
    np.testing.assert_allclose(page_backend.to_host(found), y, rtol=1e-6)
    for row, expected in zip(page_backend.to_host(gradient), dx, strict=True):
        if expected is not None:
            np.testing.assert_allclose(row, expected, rtol=1e-3)


def test_the_gradient_of_a_length_of_zero_is_zero(page_backend):
    x, attributes = np.zeros((2, 3)), {"axes": (1,), "keepdims": False}
    check_example("reduce_l2", (x,), attributes, [0, 0], dy=[1, 2], gradients=(x,), backend=page_backend)


def test_where_nothing_is_larger_than_minus_infinity(page_backend):
    x, attributes = np.full((2, 2, 2), -np.inf), {"axes": (0, 2), "keepdims": False}
    dx = [[[1, 0], [2, 0]], [[0, 0], [0, 0]]]
    check_example("reduce_max", (x,), attributes, x[0, 0], dy=[1, 2], gradients=(dx,), backend=page_backend)


def test_the_first_of_several_nan_gets_the_gradient(page_backend):
    x, attributes = [[[1, np.nan], [np.nan, 9]], [[np.nan, 2], [3, np.nan]]], {"axes": (0, 2), "keepdims": False}
    dx = [[[0, 8], [4, 0]], [[0, 0], [0, 0]]]
    check_example("reduce_max", (x,), attributes, [np.nan] * 2, dy=[8, 4], gradients=(dx,), backend=page_backend)


@pytest.mark.parametrize(
    ("operation", "y"),
    [
        ("reduce_sum", 0),
        ("reduce_mean", np.nan),
        ("reduce_max", -np.inf),
        ("reduce_min", np.inf),
        ("reduce_prod", 1),
        ("reduce_l2", 0),
        ("reduce_log_sum", -np.inf),
        ("reduce_log_sum_exp", -np.inf),
    ],
)
def test_of_no_elements(page_backend, operation, y):
    """As ONNX has it; NumPy refuses the largest of none."""
    x, attributes = np.zeros((2, 0, 3), np.float32), {"axes": (1,), "keepdims": False}
    with np.errstate(all="ignore"):
        check_example(
            operation, (x,), attributes, np.full((2, 3), y), dy=np.ones((2, 3)), gradients=(x,), backend=page_backend
        )


def test_of_no_integers(page_backend):
    for dtype, least, most in (("int32", -(2**31), 2**31 - 1), ("int64", -(2**63), 2**63 - 1), ("bool", False, True)):
        for operation, expected in (("reduce_max", least), ("reduce_min", most)):
            x = page_backend.array(np.zeros((2, 0), dtype))
            y, _ = page_backend.operation(operation).forward(x, axes=(1,), keepdims=False)
            np.testing.assert_array_equal(page_backend.to_host(y), np.full(2, expected, dtype), strict=True)


@pytest.mark.parametrize("operation", REDUCTIONS)
def test_axes_are_given_as_in_numpy(operation):
    x, function = np.arange(24.0).reshape(2, 3, 4) / 4, getattr(rm, operation)
    with rm.use_backend("reference:float64"):
        for axes, keepdims in itertools.product((None, 0, -1, (0, 2), [2, -3], ()), (False, True)):
            expected = NUMPY[operation](x, axis=tuple(axes) if isinstance(axes, list) else axes, keepdims=keepdims)
            found = function(x, axes, keepdims=keepdims).as_ndarray()
            np.testing.assert_allclose(found, expected, rtol=1e-15, atol=1e-15, strict=True)
        for axes in (3, -4, (0, 0), (0, -3), "0", 1.0, True, (0, None)):
            with pytest.raises(ArgumentError, match=f"{operation}: ax[ei]s"):
                function(x, axes)


def test_a_loss_may_be_a_mean():
    with rm.use_backend("reference:float64"):
        v = rm.Variable([[1.0, 2.0, 3.0], [4.0, 5.0, 9.0]], requires_grad=True)
        with recording():
            loss = (v.max(axis=1) * v.mean(axis=1)).sum()
        assert float(loss) == 3 * 2 + 9 * 6
        np.testing.assert_allclose(loss.grad().get(v).as_ndarray(), [[1, 1, 3], [3, 3, 9]])


@pytest.mark.parametrize("operation", PLACES)
@pytest.mark.parametrize("dtype", ["float32", "int32", "int64"])
def test_the_first_or_the_last_of_the_extreme_ones(page_backend, operation, dtype):
    x = np.array([[[1, 5], [3, 4], [1, 5]], [[5, 5], [-1, 0], [5, 0]]], dtype)
    first = {"arg_max": [[1, 0], [0, 0]], "arg_min": [[0, 1], [1, 1]]}[operation]
    last = {"arg_max": [[1, 2], [2, 0]], "arg_min": [[2, 1], [1, 2]]}[operation]
    for expected, is_last in ((first, False), (last, True)):
        attributes = {"axis": 1, "keepdims": False, "select_last_index": is_last}
        y, _ = page_backend.operation(operation).forward(page_backend.array(x), **attributes)
        np.testing.assert_array_equal(page_backend.to_host(y), np.array(expected, np.int64), strict=True)


@pytest.mark.parametrize("operation", PLACES)
def test_nan_is_beyond_all_numbers(page_backend, operation):
    x = np.array([[1, np.nan, np.inf, np.nan, -np.inf], [np.inf, 1, np.inf, np.inf, 0], [-np.inf] * 5], np.float32)
    first, last = ([1, 0, 0], [3, 3, 4]) if operation == "arg_max" else ([1, 4, 0], [3, 4, 4])
    for expected, is_last in ((first, False), (last, True)):
        attributes = {"axis": 1, "keepdims": True, "select_last_index": is_last}
        y, _ = page_backend.operation(operation).forward(page_backend.array(x), **attributes)
        np.testing.assert_array_equal(page_backend.to_host(y), np.array(expected)[:, None], strict=True)


@pytest.mark.parametrize("operation", PLACES)
@pytest.mark.parametrize(("shape", "axis"), [((70_001,), 0), ((3, 700, 5), 1), ((2, 3, 1), 2), ((0, 3), 1)])
def test_places_along_long_axes(page_backend, operation, shape, axis):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    attributes = {"axis": axis, "keepdims": False, "select_last_index": False}
    y, _ = page_backend.operation(operation).forward(page_backend.array(x), **attributes)
    np.testing.assert_array_equal(page_backend.to_host(y), NUMPY[operation](x, axis=axis), strict=True)


@pytest.mark.parametrize("operation", PLACES)
def test_an_axis_of_places_is_given_as_in_numpy(operation):
    x, function = np.random.default_rng(0).integers(0, 3, (2, 3, 4)), getattr(rm, operation)
    for axis, keepdims in itertools.product((None, 0, -1, np.int64(1)), (False, True)):
        found = function(x, axis, keepdims=keepdims)
        np.testing.assert_array_equal(
            found.as_ndarray(), NUMPY[operation](x, axis=axis, keepdims=keepdims), strict=True
        )
    for axis in (3, -4, (0,), "0", 1.0, True):
        with pytest.raises(ArgumentError, match=f"{operation}: ax"):
            function(x, axis)
    with pytest.raises(ArgumentError, match=f"{operation}: ax[ei]s"):
        function(1.0, 0)
    with pytest.raises(ShapeError, match=operation):
        function(np.zeros((2, 0)), 1)
    with pytest.raises(ArgumentError, match="bool"):
        function(rm.Variable([True, False]))


def test_a_place_has_no_gradient():
    v = rm.Variable([[1.0, 2.0, 3.0]], requires_grad=True)
    with recording():
        assert not rm.arg_max(v, 1).requires_grad
        loss = (v * rm.arg_max(v, 1).astype("float32")).sum()
    np.testing.assert_array_equal(loss.grad().get(v).as_ndarray(), [[2, 2, 2]])


@pytest.mark.parametrize("operation", OPERATIONS)
@given(data=st.data())
def test_onnxruntime(operation, data):
    check_onnxruntime(operation, data.draw(OPERATIONS[operation].cases(SIZE)))


#: ONNX's names of the operators.
ONNX = {
    "arg_max": "ArgMax",
    "arg_min": "ArgMin",
    "reduce_l1": "ReduceL1",
    "reduce_l2": "ReduceL2",
    "reduce_log_sum": "ReduceLogSum",
    "reduce_log_sum_exp": "ReduceLogSumExp",
    "reduce_max": "ReduceMax",
    "reduce_mean": "ReduceMean",
    "reduce_min": "ReduceMin",
    "reduce_prod": "ReduceProd",
    "reduce_sum": "ReduceSum",
    "reduce_sum_square": "ReduceSumSquare",
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_cases_of_onnx(page_backend, operation):
    (accepted,) = rooms.trait(rooms.LAYERS, operation, "DTYPES")

    def translate(attributes, x, axes=None):
        if x.dtype not in accepted:
            return None
        if x.dtype == np.float64:
            x = x.astype(np.float32)
        keepdims = bool(attributes.get("keepdims", 1))
        if operation in PLACES:
            chosen = {"axis": attributes.get("axis", 0) % x.ndim, "keepdims": keepdims}
            return (x,), {**chosen, "select_last_index": bool(attributes.get("select_last_index", 0))}
        is_all = axes is None or (axes.size == 0 and not attributes.get("noop_with_empty_axes", 0))
        numbers = range(x.ndim) if is_all else sorted(axes % x.ndim)
        return (x,), {"axes": tuple(map(int, numbers)), "keepdims": keepdims}

    check_node_cases(operation, ONNX[operation], translate, page_backend, tolerance=2e-6)
