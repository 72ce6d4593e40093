"""Fully connected layers."""

import pytest
from hypothesis import given

from refcnn.conformance.operations import dense
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


@pytest.mark.parametrize("variant", variants.VARIANTS)
@given(case=dense.cases(SIZE))
def test_variants_within_bound(opencl_backend, variant, case):
    with variants.use_variant(variant):
        check("dense", case, opencl_backend)


@pytest.mark.parametrize("variant", variants.VARIANTS)
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
