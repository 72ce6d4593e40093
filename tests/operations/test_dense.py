"""Fully connected layers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx.reference.ops.op_gemm import Gemm_7 as OnnxGemm

import refcnn as rm
from refcnn.conformance.operations import dense
from refcnn.errors import ArgumentError, ShapeError
from refcnn.mode import recording
from refcnn.opencl import variants

from .checks import SIZE, check, check_example, check_gradients, check_needs, check_onnxruntime, check_special_numbers


def test_worked_example(backend):
    check_example(
        "dense",
        ([[1, 2], [3, 4]], [[1, 0, -1], [2, 1, 0]], [[10, 20, 30]]),
        {},
        [[15, 22, 29], [21, 24, 27]],
        dy=[[1, 0, 2], [0, 3, 0]],
        gradients=([[-1, 2], [0, 3]], [[1, 9, 2], [2, 12, 4]], [[1, 3, 2]]),
        backend=backend,
    )


@given(case=dense.cases(SIZE))
def test_within_bound(backend, case):
    check("dense", case, backend)


@given(case=dense.cases(SIZE, integers=True))
def test_integers_exact(backend, case):
    check("dense", case, backend, to_the_bit=True)


@pytest.mark.parametrize("variant", variants.GENERAL)
@given(case=dense.cases(SIZE))
def test_variants_within_bound(opencl_backend, variant, case):
    with variants.use_variant(variant):
        check("dense", case, opencl_backend)


@pytest.mark.parametrize("variant", variants.GENERAL)
@given(case=dense.cases(SIZE, integers=True))
def test_variants_exact(opencl_backend, variant, case):
    with variants.use_variant(variant):
        check("dense", case, opencl_backend, to_the_bit=True)


@given(case=dense.cases(SIZE))
def test_special_numbers(backend, case):
    check_special_numbers("dense", case, backend)


@given(case=dense.cases("tiny"))
def test_each_gradient_alone(backend, case):
    check_needs("dense", case, backend)


@given(case=dense.cases("tiny", integers=True))
def test_gradients_of_reference(case):
    check_gradients("dense", case, step=1)


@given(case=dense.cases(SIZE))
def test_onnxruntime(case):
    check_onnxruntime("dense", case)


@given(data=st.data(), seed=st.integers(0, 999))
def test_gemm_is_that_of_onnx(data, seed):
    """Its meaning is that of ONNX's own implementation, which is NumPy's, and exported it means the same."""
    rng = np.random.default_rng(seed)
    rows, n, columns = (data.draw(st.integers(1, 5)) for _ in range(3))
    turns, factors = (
        data.draw(st.tuples(pair, pair)) for pair in (st.booleans(), st.sampled_from([1.0, 0.5, -2.0, 0.0]))
    )
    sizes = (rows, n), (n, columns)
    a, b = (
        rng.integers(-4, 4, shape[:: -1 if turned else 1]) * 1.0 for shape, turned in zip(sizes, turns, strict=True)
    )
    shape = data.draw(st.sampled_from([None, (), (1,), (columns,), (1, columns), (rows, 1), (rows, columns)]))
    c = None if shape is None else rng.integers(-4, 4, shape) * 1.0
    names = {"alpha": factors[0], "beta": factors[1]}
    expected = OnnxGemm.eval(*(x for x in (a, b, c) if x is not None), transA=turns[0], transB=turns[1], **names)
    with rm.use_backend("reference:float64"):
        found = rm.gemm(a, b, c, transpose_a=turns[0], transpose_b=turns[1], **names)
    np.testing.assert_array_equal(found.as_ndarray(), expected.astype(np.float64))


def test_gemm_has_gradients(backend):
    a, b, c = (rm.Variable(np.array(x, float), requires_grad=True) for x in ([[1, 2, 3]], [[1, 0, 2]], [[5]]))
    with rm.use_backend(backend), recording():
        loss = rm.gemm(a, b, c, alpha=2, beta=3, transpose_b=True).sum()
    assert float(loss) == 2 * 7 + 3 * 5
    gradients = loss.grad()
    for variable, expected in ((a, [[2, 0, 4]]), (b, [[2, 4, 6]]), (c, [[3]])):
        np.testing.assert_array_equal(gradients.get(variable).as_ndarray(), expected)


@pytest.mark.parametrize(
    "shapes", [((2, 3), (2, 3)), ((2,), (2, 3)), ((2, 3), (3, 2, 1)), ((0, 3), (3, 2)), ((2, 3), (3, 4), (2, 3))]
)
def test_what_gemm_does_not_take(shapes):
    with pytest.raises(ShapeError, match="gemm"):
        rm.gemm(*map(np.ones, shapes))
    with pytest.raises(ArgumentError, match="alpha"):
        rm.gemm(np.ones((2, 3)), np.ones((3, 2)), alpha=np.nan)
