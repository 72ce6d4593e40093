"""The checks that every operation passes, whatever it computes."""

import dataclasses
import os

import numpy as np
from hypothesis import assume, event, target

from refcnn.backend import find, results_of
from refcnn.conformance.judging import judge
from refcnn.conformance.targets.finding import find as find_target

SIZE = os.environ.get("REFCNN_TEST_SIZE", "small")


def check(operation, case, backend, *, to_the_bit=False, implementation=None):
    """Hold forward, and backward where there is one, against the error bound; drive the search to the worst error."""
    options = {"to_the_bit": to_the_bit, "implementation": implementation}
    worst = judge.check_forward(operation, case, backend, **options)
    if case.dy is not None:
        worst = max(worst, judge.check_backward(operation, case, backend, **options))
    if not to_the_bit:
        target(worst, label=f"{operation}: error / bound")
    event(f"error / bound in tenths: {int(10 * worst)}")
    return worst


def check_all_at_once(operation, cases, backend):
    """Update several parameters together, which is to give what each gives alone."""
    module, attributes = backend.operation(operation), cases[0].attributes
    rows = [tuple(map(backend.array, case.inputs)) for case in cases]
    together = module.forward_all(rows, **attributes)
    for row, results in zip(rows, together, strict=True):
        for alone, result in zip(module.forward(*row, **attributes), results, strict=True):
            np.testing.assert_array_equal(backend.to_host(result), backend.to_host(alone))


def check_needs(operation, case, backend):
    """Ask for the gradient of one input at a time."""
    for index, entry in enumerate(case.inputs):
        if entry is not None:
            needs = tuple(position == index for position in range(len(case.inputs)))
            judge.check_backward(operation, case, backend, needs=needs)


def check_special_numbers(operation, case, backend):
    """Put NaN and infinities into x: they must reach what depends on them, and nothing else."""
    x = case.inputs[0].copy()
    x.flat[:: 1 + x.size // 3] = [np.nan, np.inf, -np.inf][: len(x.flat[:: 1 + x.size // 3])]
    judge.check_forward(operation, dataclasses.replace(case, inputs=(x, *case.inputs[1:])), backend)


def check_gradients(operation, case, step, tolerance=0.0):
    """Compare the reference's gradients with central differences in float64, every entry of every input.

    The scalar that is differentiated is sum(dy * y), over all results. Where an operation is
    linear in each single entry, the difference is exact for any step, and with
    integers and a power of two as step it is so in float64 too, but for
    divisions. Elsewhere it errs by step^2 / 6 of the third derivative.

    Parameters
    ----------
    step : float
    tolerance : float
        Of a gradient, relative to the sum of |dy|.
    """
    reference = find("reference:float64").operation(operation)
    inputs = [None if entry is None else entry.astype(np.float64) for entry in case.inputs]
    assume(case.dy is not None)
    all_dy = [entry.astype(np.float64) for entry in results_of(case.dy)]
    needs = tuple(entry is not None for entry in inputs)
    y, saved = reference.forward(*inputs, **case.attributes)
    assert [dy.shape for dy in all_dy] == [result.shape for result in results_of(y)]
    dy = tuple(all_dy) if isinstance(y, tuple) else all_dy[0]
    gradients = reference.backward(dy, saved, needs, **case.attributes)

    def objective():
        results = results_of(reference.forward(*inputs, **case.attributes)[0])
        return sum(np.sum(dy * y) for dy, y in zip(all_dy, results, strict=True))

    for entry, gradient in zip(inputs, gradients, strict=True):
        if entry is None:
            assert gradient is None
            continue
        assert gradient.shape == entry.shape
        numeric = np.zeros_like(entry)
        for index in np.ndindex(entry.shape):
            value = entry[index]
            entry[index] = value + step
            above = objective()
            entry[index] = value - step
            numeric[index] = (above - objective()) / (2 * step)
            entry[index] = value
        weight = sum(np.abs(dy).sum() for dy in all_dy)
        np.testing.assert_allclose(gradient, numeric, rtol=0, atol=tolerance * weight)


def check_example(operation, inputs, attributes, y, dy=None, gradients=None, *, backend):
    """Compare with literal numbers that float32 holds exactly, or to a few roundings."""
    arrays = [None if entry is None else np.asarray(entry, np.float32) for entry in inputs]
    implementation = backend.operation(operation)
    device = [None if entry is None else backend.array(entry) for entry in arrays]
    result, saved = implementation.forward(*device, **attributes)
    np.testing.assert_allclose(backend.to_host(result), np.asarray(y, np.float32), rtol=1e-6, atol=1e-7)
    if dy is None:
        return
    needs = tuple(entry is not None for entry in arrays)
    computed = implementation.backward(backend.array(np.asarray(dy, np.float32)), saved, needs, **attributes)
    for found, expected in zip(computed, gradients, strict=True):
        if expected is not None:
            np.testing.assert_allclose(backend.to_host(found), np.asarray(expected, np.float32), rtol=1e-6, atol=1e-7)


def check_onnxruntime(operation, case):
    """Hold onnxruntime's answer against the bound: an outside party on the meaning of the operation."""
    target(judge.check_forward(operation, case, find_target("onnxruntime")), label="onnxruntime")
