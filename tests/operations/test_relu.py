"""The rectifier."""

import dataclasses

import numpy as np
from hypothesis import assume, given

from refcnn.conformance.operations import relu

from .checks import SIZE, check, check_example, check_gradients, check_onnxruntime


def test_worked_example(backend):
    x = [[-2, 0, 3], [np.nan, np.inf, -np.inf]]
    check_example(
        "relu",
        (x,),
        {},
        [[0, 0, 3], [np.nan, np.inf, 0]],
        dy=[[1, 2, 3], [4, 5, 6]],
        gradients=([[0, 0, 3], [0, 5, 0]],),
        backend=backend,
    )


@given(case=relu.cases(SIZE))
def test_exact(backend, case):
    # Which subnormal numbers are taken for zero is the device's.
    x, dy = (
        np.where(np.abs(entry) < np.finfo(entry.dtype).tiny, entry.dtype.type(0), entry)
        for entry in (case.inputs[0], case.dy)
    )
    check("relu", dataclasses.replace(case, inputs=(x,), dy=dy), backend, to_the_bit=True)


@given(case=relu.cases("tiny", integers=True))
def test_gradients_of_reference(case):
    # Half-way between integers there is no step to either side of the kink at zero.
    check_gradients("relu", dataclasses.replace(case, inputs=(case.inputs[0] + 0.5,)), step=0.25)


@given(case=relu.cases(SIZE))
def test_onnxruntime(case):
    assume(not np.isnan(case.inputs[0]).any())
    check_onnxruntime("relu", case)


def test_either_gradient_will_do_where_the_derivative_is_not_defined():
    x, dy = np.array([np.nan, -1, 1], np.float32), np.ones(3, np.float32)
    (bound,) = relu.backward_bound(dy, (x,), {}, (True,))
    np.testing.assert_array_equal(bound, [np.inf, 0, 0])
