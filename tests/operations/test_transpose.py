"""Transpose, which moves numbers and computes nothing."""

import numpy as np
from hypothesis import given

from refcnn.conformance.operations import transpose

from .checks import SIZE, check, check_bits, check_example, check_gradients, check_node_cases, check_onnxruntime


def test_worked_example(backend):
    check_example(
        "transpose",
        ([[[1, 2, 3]], [[4, 5, 6]]],),
        {"axes": (1, 2, 0)},
        [[[1, 4], [2, 5], [3, 6]]],
        dy=[[[10, 40], [20, 50], [30, 60]]],
        gradients=([[[10, 20, 30]], [[40, 50, 60]]],),
        backend=backend,
    )


@given(case=transpose.cases(SIZE))
def test_to_the_bit(backend, case):
    check("transpose", case, backend, to_the_bit=True)
    check_bits("transpose", case, lambda x: x.transpose(case.attributes["axes"]), backend)


@given(case=transpose.cases("tiny", integers=True))
def test_gradients_of_reference(case):
    check_gradients("transpose", case, step=1)


@given(case=transpose.cases(SIZE))
def test_onnxruntime(case):
    check_onnxruntime("transpose", case)


def test_more_axes_than_a_kernel_has_arguments_for(backend):
    x = np.arange(2**11, dtype=np.float32).reshape((2,) * 11)
    axes = (1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 10)
    y, _ = backend.operation("transpose").forward(backend.array(x), axes=axes)
    np.testing.assert_array_equal(backend.to_host(y), x.transpose(axes))


def test_cases_of_onnx(backend):
    def translate(given, x):
        return (x,), {"axes": tuple(given.get("perm", range(x.ndim)[::-1]))}

    check_node_cases("transpose", "Transpose", translate, backend)


def test_long_arrays_that_are_written_past_the_cache(backend):
    x = np.arange(1100 * 2000, dtype=np.int32).reshape(1100, 2, 1000)
    for part in (x, x[:1088], x[:1088].view(np.int64)):
        y, _ = backend.operation("transpose").forward(backend.array(part), axes=(2, 1, 0))
        np.testing.assert_array_equal(backend.to_host(y), part.transpose(2, 1, 0))
