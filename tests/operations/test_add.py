"""The sum of two arrays."""

from hypothesis import given

from refcnn.conformance.operations import add

from .checks import SIZE, check, check_example, check_gradients, check_onnxruntime


def test_worked_example(backend):
    check_example(
        "add",
        ([1, -2, 0.5], [10, 2, 0.25]),
        {},
        [11, 0, 0.75],
        dy=[1, 2, 3],
        gradients=([1, 2, 3], [1, 2, 3]),
        backend=backend,
    )


@given(case=add.cases(SIZE))
def test_within_bound(backend, case):
    check("add", case, backend)


@given(case=add.cases(SIZE, integers=True))
def test_integers_exact(backend, case):
    check("add", case, backend, to_the_bit=True)


@given(case=add.cases("tiny", integers=True))
def test_gradients_of_reference(case):
    check_gradients("add", case, step=1)


@given(case=add.cases(SIZE))
def test_onnxruntime(case):
    check_onnxruntime("add", case)
