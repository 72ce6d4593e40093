"""Slices, which move numbers and compute nothing."""

import numpy as np
import pytest
from hypothesis import given

from refcnn.conformance.operations import slice as slices

from .checks import SIZE, check, check_bits, check_example, check_gradients, check_node_cases, check_onnxruntime


def key(attributes):
    return tuple(map(slice, *(attributes[name] for name in ("starts", "stops", "steps"))))


def test_worked_example(backend):
    check_example(
        "slice",
        ([[0, 1, 2, 3, 4], [10, 11, 12, 13, 14], [20, 21, 22, 23, 24]],),
        {"starts": (1, None), "stops": (None, 0), "steps": (1, -2)},
        [[14, 12], [24, 22]],
        dy=[[5, 6], [7, 8]],
        gradients=([[0, 0, 0, 0, 0], [0, 0, 6, 0, 5], [0, 0, 8, 0, 7]],),
        backend=backend,
    )


@given(case=slices.cases(SIZE))
def test_to_the_bit(backend, case):
    check("slice", case, backend, to_the_bit=True)
    check_bits("slice", case, lambda x: x[key(case.attributes)], backend)


@given(case=slices.cases("tiny", integers=True))
def test_gradients_of_reference(case):
    check_gradients("slice", case, step=1)


@given(case=slices.cases(SIZE))
def test_onnxruntime(case):
    check_onnxruntime("slice", case)


@pytest.mark.parametrize(("start", "stop", "step"), [(3, None, 1), (2, 2, 1), (0, 2, -1), (-9, None, -1)])
def test_an_empty_part(backend, start, stop, step):
    x, attributes = np.ones((3, 2), np.float32), {"starts": (start,), "stops": (stop,), "steps": (step,)}
    operation = backend.operation("slice")
    y, saved = operation.forward(backend.array(x), **attributes)
    assert backend.to_host(y).shape == x[start:stop:step].shape == (0, 2)
    (dx,) = operation.backward(y, saved, (True,), **attributes)
    np.testing.assert_array_equal(backend.to_host(dx), np.zeros((3, 2)))


def test_cases_of_onnx(backend):
    def translate(given, x, starts, stops, axes=None, steps=None):
        parts = [(None, None, 1)] * x.ndim
        axes = range(len(starts)) if axes is None else axes
        steps = np.ones_like(starts) if steps is None else steps
        for axis, *part in zip(axes, starts, stops, steps, strict=True):
            parts[axis] = tuple(map(int, part))
        return (x,), dict(zip(("starts", "stops", "steps"), zip(*parts, strict=True), strict=True))

    check_node_cases("slice", "Slice", translate, backend)
