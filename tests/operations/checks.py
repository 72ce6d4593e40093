"""The checks that every operation passes, whatever it computes."""

import dataclasses
import functools
import importlib
import os
import pkgutil

import numpy as np
import pytest
from hypothesis import assume, event, reject, target

from refcnn.backend import find, results_of
from refcnn.conformance.judging import comparison, judge
from refcnn.conformance.running.known_faults import watch
from refcnn.conformance.subjects.base import NotExpressible
from refcnn.conformance.subjects.finding import find as find_subject
from refcnn.formats import kept

SIZE = os.environ.get("REFCNN_TEST_SIZE", "small")
#: Entries of an input by which its gradient is compared with differences.
_MOST_ENTRIES = 256


def within(y, limits):
    """Return y kept within :class:`refcnn.opencl.shared.fusion.Limits`; NaN stays NaN."""
    return np.minimum(np.maximum(y, np.float32(limits.least)), np.float32(limits.most))


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
    assume(case.dy is not None)
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
    """Compare the reference's gradients with central differences in float64, of every input of floats.

    Of inputs with many entries some are changed, from the first to the last: each takes two passes over all of them.

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
    needs = tuple(entry is not None and entry.dtype.kind == "f" for entry in case.inputs)
    inputs = [entry.astype(np.float64) if need else entry for entry, need in zip(case.inputs, needs, strict=True)]
    assume(case.dy is not None)
    all_dy = [entry.astype(np.float64) for entry in results_of(case.dy)]
    y, saved = reference.forward(*inputs, **case.attributes)
    assert [dy.shape for dy in all_dy] == [result.shape for result in results_of(y)]
    dy = tuple(all_dy) if isinstance(y, tuple) else all_dy[0]
    gradients = reference.backward(dy, saved, needs, **case.attributes)

    def objective():
        results = results_of(reference.forward(*inputs, **case.attributes)[0])
        return sum(np.sum(dy * y) for dy, y in zip(all_dy, results, strict=True))

    for entry, need, gradient in zip(inputs, needs, gradients, strict=True):
        if not need:
            assert gradient is None
            continue
        assert gradient.shape == entry.shape
        places = np.unique(np.linspace(0, entry.size - 1, min(entry.size, _MOST_ENTRIES)).astype(int))
        numeric = []
        for place in places:
            value = entry.flat[place]
            entry.flat[place] = value + step
            above = objective()
            entry.flat[place] = value - step
            numeric.append((above - objective()) / (2 * step))
            entry.flat[place] = value
        weight = sum(np.abs(dy).sum() for dy in all_dy)
        np.testing.assert_allclose(gradient.reshape(-1)[places], numeric, rtol=0, atol=tolerance * weight)


def check_example(operation, inputs, attributes, y, dy=None, gradients=None, *, backend):
    """Compare with literal numbers that float32 holds exactly, or to a few roundings."""
    arrays = [None if entry is None else np.asarray(entry, np.float32) for entry in inputs]
    implementation = backend.operation(operation)
    device = [None if entry is None else backend.array(entry) for entry in arrays]
    result, saved = implementation.forward(*device, **attributes)
    _check_literal(backend.to_host(result), y)
    if dy is None:
        return
    needs = tuple(entry is not None for entry in arrays)
    computed = implementation.backward(backend.array(np.asarray(dy, np.float32)), saved, needs, **attributes)
    for found, expected in zip(computed, gradients, strict=True):
        if expected is not None:
            _check_literal(backend.to_host(found), expected)


def _check_literal(found, expected):
    expected = np.asarray(expected, np.float32)
    # A number that is 0 because others cancel errs as these do, where a device divides with a few roundings.
    largest = max(1, np.abs(expected).max(initial=0, where=np.isfinite(expected)))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7 * largest)


def check_bits(operation, case, expected, backend):
    """Move elements of every size, each bit of which must arrive: what NaN carry too.

    Parameters
    ----------
    expected : callable
        Given an array, returns what NumPy makes of it.
    """
    implementation, shape = backend.operation(operation), case.inputs[0].shape
    random = np.random.default_rng(case.inputs[0].size)
    places = expected(np.arange(case.inputs[0].size).reshape(shape))
    for dtype, bits in (("float32", "uint32"), ("int64", "uint64"), ("bool", "uint8")):
        most = 1 if dtype == "bool" else np.iinfo(bits).max
        x, dy = (random.integers(0, most, size, bits, endpoint=True).view(dtype) for size in (shape, places.shape))
        y, saved = implementation.forward(backend.array(x), **case.attributes)
        (dx,) = implementation.backward(backend.array(dy), saved, (True,), **case.attributes)
        scattered = np.zeros(x.size, bits)
        scattered[places.ravel()] = dy.view(bits).ravel()
        for found, wanted in ((y, expected(x.view(bits))), (dx, scattered.reshape(shape))):
            host = backend.to_host(found)
            assert host.dtype == dtype
            np.testing.assert_array_equal(host.view(bits), wanted)


@functools.cache
def _node_cases(operator):
    """Return the (node, inputs, outputs) by which ONNX defines an operator; it takes seconds to compute some."""
    cases = []
    # Infinity is made of 1 / 0, at the import too.
    with pytest.MonkeyPatch.context() as patch, np.errstate(divide="ignore"):
        module = importlib.import_module(_module_of_cases(operator))
        patch.setattr(module, "expect", lambda node, inputs, outputs, name, **_: cases.append((node, inputs, outputs)))
        definition = getattr(module, operator)
        for name in vars(definition):
            if name.startswith("export"):
                getattr(definition, name)()
    return cases


def check_node_cases(operation, operator, translate, backend, tolerance=0):
    """Compute the cases by which ONNX defines an operator.

    Parameters
    ----------
    operator : str
        ONNX's name.
    translate : callable
        Given a node's attributes and its inputs, returns the operation's inputs and attributes, a tuple and a dict; or
        None for a case that is none of this operation's.
    tolerance : float
        Of a result, relative to it and to 1.
    """
    import onnx

    computed = 0
    for node, inputs, outputs in _node_cases(operator):
        given = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
        translated = translate(given, *inputs)
        if translated is not None:
            arrays, attributes = translated
            y, _ = backend.operation(operation).forward(*map(backend.array, arrays), **attributes)
            # Of outputs that may be left out the operation may give the first ones alone.
            for found, expected in zip(map(backend.to_host, results_of(y)), outputs, strict=False):
                expected = expected.astype(kept(expected.dtype, backend.dtype))
                np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance, strict=True)
            computed += 1
    assert computed


def _module_of_cases(operator):
    """Return the name of ONNX's module with an operator's cases, which its versions write and shorten otherwise."""
    package = importlib.import_module("onnx.backend.test.case.node")
    names = [entry.name for entry in pkgutil.iter_modules(package.__path__)]
    fitting = [name for name in names if operator.lower().startswith(name.replace("_", ""))]
    return f"{package.__name__}.{max(fitting, key=len)}"


def check_onnxruntime(operation, case):
    """Hold onnxruntime's answer against the bound: an outside party on the meaning of the operation.

    What is known of its own faults is passed over, and another case drawn where it has no kernel of the dtype.
    """
    subject = find_subject("onnxruntime")
    try:
        target(judge.check_forward(operation, case, subject), label="onnxruntime")
    except NotExpressible:
        reject()
    except comparison.ConformanceFailure as failure:
        if watch(subject.description, operation, "forward", None).explain(case, failure, failure.difference) is None:
            raise
