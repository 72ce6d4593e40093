"""Flatten, which has no arithmetic: only the shape changes."""

from hypothesis import given

from refcnn.conformance.operations import flatten

from .checks import SIZE, check, check_example, check_gradients, check_onnxruntime


def test_worked_example(backend):
    check_example(
        "flatten",
        ([[[1, 2], [3, 4]], [[5, 6], [7, 8]]],),
        {},
        [[1, 2, 3, 4], [5, 6, 7, 8]],
        dy=[[1, 2, 3, 4], [5, 6, 7, 8]],
        gradients=([[[1, 2], [3, 4]], [[5, 6], [7, 8]]],),
        backend=backend,
    )


@given(case=flatten.cases(SIZE))
def test_within_bound(backend, case):
    check("flatten", case, backend)


@given(case=flatten.cases(SIZE, integers=True))
def test_integers_exact(backend, case):
    check("flatten", case, backend, to_the_bit=True)


@given(case=flatten.cases("tiny", integers=True))
def test_gradients_of_reference(case):
    check_gradients("flatten", case, step=1)


@given(case=flatten.cases(SIZE))
def test_onnxruntime(case):
    check_onnxruntime("flatten", case)
