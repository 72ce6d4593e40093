"""The same numbers in another dtype."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refcnn as rm
from refcnn.conformance.operations import cast

from .checks import SIZE, check, check_onnxruntime


@pytest.mark.parametrize(
    ("x", "dtype", "expected"),
    [
        (np.array([-2.7, -0.5, 0, 0.5, 2.7], np.float32), "int64", [-2, 0, 0, 0, 2]),
        (np.array([-2.7, -0.5, 0, 0.5, 2.7], np.float32), "int32", [-2, 0, 0, 0, 2]),
        (np.array([-2.7, -0.0, 0, 1e-40, np.nan, np.inf], np.float32), "bool", [True, False, False, True, True, True]),
        (np.array([2**31, -(2**31) - 1, 2**32 + 7, 2**53 + 1]), "int32", [-(2**31), 2**31 - 1, 7, 1]),
        (np.array([2**24 + 1, 2**24 + 3, -(2**63), 2**53 + 1]), "float32", [2.0**24, 2.0**24 + 4, -(2.0**63), 2.0**53]),
        (np.array([-7, 2**31 - 1], np.int32), "int64", [-7, 2**31 - 1]),
        (np.array([0, 2**32, -1]), "bool", [False, True, True]),
        (np.array([True, False]), "float32", [1.0, 0.0]),
        (np.array([True, False]), "int64", [1, 0]),
        (np.array([-1.5, np.nan], np.float32), "float32", [-1.5, np.nan]),
    ],
)
def test_worked_example(backend, x, dtype, expected):
    y, _ = backend.operation("cast").forward(backend.array(x), dtype=dtype)
    y = backend.to_host(y)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, np.array(expected, dtype))


@given(case=cast.cases(SIZE))
def test_exact(backend, case):
    check("cast", case, backend, to_the_bit=True)


@given(case=cast.cases(SIZE))
def test_onnxruntime(case):
    check_onnxruntime("cast", case)


@given(data=st.data(), dtype=st.sampled_from(["int64", "int32", "bool", "float32"]), is_whole=st.booleans())
def test_the_errors_of_x_are_in_the_bound(data, dtype, is_whole):
    # Few digits, so that their sums are exact in float64.
    numbers = st.integers(-(2**30), 2**30) if is_whole else st.integers(-(2**14), 2**14).map(lambda one: one / 2**10)
    errors = st.integers(0, 3) if is_whole else st.sampled_from([0.0, 2.0**-30, 0.25, 1.5])
    rows = data.draw(st.lists(st.tuples(numbers, errors, st.sampled_from([-1, 0, 1])), min_size=1, max_size=9))
    x, error, side = (np.array(column) for column in zip(*rows, strict=True))
    bound = cast.forward_bound((x,), {"dtype": dtype}, (error.astype(np.float64),))
    exact, off = x, x + side * error
    if is_whole or dtype != "float32":
        exact, off = (entry.astype(dtype).astype(np.float64) for entry in (exact, off))
    assert np.all(np.abs(off - exact) <= bound)


def test_only_floats_have_a_gradient(backend):
    module, dy = backend.operation("cast"), backend.array(np.ones(3, np.float32))
    _, saved = module.forward(backend.array(np.ones(3, np.float32)), dtype="float32")
    (dx,) = module.backward(dy, saved, (True,), dtype="float32")
    np.testing.assert_array_equal(backend.to_host(dx), np.ones(3))
    _, saved = module.forward(backend.array(np.ones(3, np.int64)), dtype="float32")
    assert module.backward(dy, saved, (True,), dtype="float32") == (None,)


@pytest.mark.parametrize("like", [np.ones(2, np.int32), np.array([True]), [1, 2], 1.5])
def test_like_another_array(like):
    with rm.use_backend("reference"):
        expected = np.asarray(like).dtype if not isinstance(like, float) else np.float32
        assert rm.cast_like([1.0, 2.0], like).dtype == expected
        assert rm.cast_like([1.0, 2.0], rm.Variable(like)).dtype == expected
