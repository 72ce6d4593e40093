"""Products of matrices, of stacks of them, and of vectors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refcnn as rm
from refcnn.backend import find
from refcnn.conformance.operations import matmul
from refcnn.errors import ShapeError
from refcnn.mode import recording
from refcnn.opencl import variants

from .checks import SIZE, check, check_example, check_gradients, check_needs, check_node_cases, check_onnxruntime


def test_worked_example(backend):
    a, b = [[[1, 2], [3, 4]], [[0, 1], [-1, 0]]], [[1, 0, -1], [2, 1, 0]]
    y = [[[5, 2, -1], [11, 4, -3]], [[2, 1, 0], [-1, 0, 1]]]
    dy = [[[1, 0, 2], [0, 3, 0]], [[0, 0, 1], [1, 1, 1]]]
    da, db = [[[-1, 2], [0, 3]], [[-1, 0], [0, 3]]], [[0, 8, 1], [2, 12, 5]]
    check_example("matmul", (a, b), {}, y, dy=dy, gradients=(da, db), backend=backend)


@given(case=matmul.cases(SIZE))
def test_within_bound(backend, case):
    check("matmul", case, backend)


@pytest.mark.parametrize("variant", variants.GENERAL)
@given(case=matmul.cases(SIZE, integers=True))
def test_variants_exact(opencl_backend, variant, case):
    with variants.use_variant(variant):
        check("matmul", case, opencl_backend, to_the_bit=True)


@given(case=matmul.cases("tiny"))
def test_each_gradient_alone(case):
    check_needs("matmul", case, find("reference"))


@given(case=matmul.cases("tiny", integers=True))
def test_gradients_of_reference(case):
    check_gradients("matmul", case, step=1)


@given(case=matmul.cases(SIZE))
def test_onnxruntime(case):
    check_onnxruntime("matmul", case)


def test_cases_of_onnx(backend):
    check_node_cases("matmul", "MatMul", lambda attributes, a, b: ((a, b), {}), backend, tolerance=1e-5)


@given(case=matmul.cases("tiny", integers=True), data=st.data())
def test_the_operator_is_that_of_numpy(case, data):
    a, b = case.inputs
    with rm.use_backend("reference"), recording():
        operands = data.draw(
            st.sampled_from([(rm.Variable(a), rm.Variable(b)), (a, rm.Variable(b)), (rm.Variable(a), b)])
        )
        np.testing.assert_array_equal((operands[0] @ operands[1]).as_ndarray(), a @ b)


def test_matrices_are_multiplied_as_by_a_fully_connected_layer(backend):
    """The same bits, forward and backward, and no slower way."""
    rng = np.random.default_rng(0)
    x, w, dy = (rng.standard_normal(shape).astype(np.float32) for shape in ((70, 600), (600, 40), (70, 40)))
    found = []
    for operation, further in (("matmul", ()), ("dense", (None,))):
        module = backend.operation(operation)
        y, saved = module.forward(backend.array(x), backend.array(w), *further)
        gradients = module.backward(backend.array(dy), saved, (True, True, False)[: 2 + len(further)])
        found.append([backend.to_host(array) for array in (y, *gradients[:2])])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("operation", ["dense", "matmul"])
@pytest.mark.parametrize("variant", variants.GENERAL)
def test_the_error_of_long_sums_grows_slowly(opencl_backend, operation, variant):
    """In y and in each gradient: one after the other, 2^18 times 0.1 are off by 2e-3."""
    count, tenth = 2**18, np.float32(0.1)
    column, row = np.full((count, 1), tenth), np.full((1, count), tenth)
    one, module = np.ones((1, 1), np.float32), opencl_backend.operation(operation)
    products = {"y": (row, column / tenth), "da": (one, row), "db": (column, one)}
    with variants.use_variant(variant):
        for name, (a, b) in products.items():
            further = (np.zeros((1, b.shape[1]), np.float32),) if operation == "dense" else ()
            y, saved = module.forward(*map(opencl_backend.array, (a, b, *further)))
            if name != "y":
                dy = opencl_backend.array(np.full(y.shape, tenth if name == "db" else 1, np.float32))
                gradients = module.backward(dy, saved, (True,) * len(saved + further))
                y = gradients[0 if name == "da" else 1]
                if operation == "dense" and name == "db":
                    total = opencl_backend.to_host(gradients[2])[0, 0]
                    assert abs(total / (count * np.float64(tenth)) - 1) <= np.sqrt(count) * 2.0**-24
            factor = np.float64(tenth) ** (2 if name == "db" else 1)
            assert abs(opencl_backend.to_host(y)[0, 0] / (count * factor) - 1) <= np.sqrt(count) * 2.0**-24


@pytest.mark.parametrize(
    "shapes",
    [
        ((3,), (2, 3)),
        ((2, 3), (2,)),
        ((2, 3), (2, 3)),
        ((2, 2, 3), (3, 3, 2)),
        ((2, 3), ()),
        ((), (3,)),
        ((0, 3), (3, 2)),
    ],
)
def test_what_does_not_fit_is_refused(shapes):
    a, b = map(np.ones, shapes)
    with pytest.raises(ShapeError, match="matmul: the shapes"):
        rm.Variable(a) @ rm.Variable(b)
