"""An operation with several results, which exists in tests alone: the columns of a matrix, cut into parts.

Its rooms are entered among the loaded modules, where :mod:`refcnn.rooms` looks for those of every operation.
"""

import sys
import types

import numpy as np
from hypothesis import strategies as st

import refcnn as rm
from refcnn import rooms
from refcnn.conformance.theory.bounds import input_error
from refcnn.conformance.theory.strategies import Case, arrays
from refcnn.function import apply
from refcnn.variable import as_variable

STEM = "split_for_test"


def split(x, sizes):
    """Return the columns of x (N, C) as a tuple of Variables that have so many columns each."""
    return apply(STEM, as_variable(x), sizes=tuple(sizes))


def _forward(x, *, sizes):
    return tuple(np.split(x, np.cumsum(sizes)[:-1], axis=1)), None


def _backward(dy, saved, needs, *, sizes):
    return (np.concatenate(dy, axis=1) if needs[0] else None,)


def _parts(sizes):
    """Return for each result the matrix of zeros and ones that takes its columns."""
    return np.split(np.eye(sum(sizes), dtype=np.float32), np.cumsum(sizes)[:-1], axis=1)


def _forward_on_device(x, *, sizes):
    dense = rooms.find(rooms.OPENCL, "dense")
    return tuple(dense.forward(x, x.device.array(part), None)[0] for part in _parts(sizes)), x.device


def _backward_on_device(dy, saved, needs, *, sizes):
    dense, add = (rooms.find(rooms.OPENCL, stem) for stem in ("dense", "add"))
    if not needs[0]:
        return (None,)
    total = None
    for gradient, part in zip(dy, _parts(sizes), strict=True):
        spread, _ = dense.forward(gradient, saved.array(np.ascontiguousarray(part.T)), None)
        total = spread if total is None else add.forward(total, spread)[0]
    return (total,)


@st.composite
def cases(draw, size="small", integers=False):
    """Draw a matrix and up to four parts."""
    sizes = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
    rows, finite = draw(st.integers(1, 5)), {"scales": (1.0, 2.0**-10, 1e3)}
    x = draw(arrays((rows, sum(sizes)), integers, **finite))
    dy = tuple(draw(arrays((rows, columns), integers, **finite)) for columns in sizes)
    return Case((x,), {"sizes": sizes}, dy)


def _forward_bound(inputs, attributes, errors=(None,)):
    return _forward(input_error(inputs[0], errors[0]), **attributes)[0]


def _backward_bound(dy, inputs, attributes, needs):
    return (np.concatenate(list(map(input_error, dy)), axis=1),)


def _to_onnx(graph, x, *, sizes):
    return graph.node("Split", [graph.tensor(x), graph.constant(np.array(sizes, np.int64))], outputs=len(sizes), axis=1)


ROOMS = {
    rooms.REFERENCE: types.SimpleNamespace(forward=_forward, backward=_backward),
    rooms.OPENCL: types.SimpleNamespace(forward=_forward_on_device, backward=_backward_on_device),
    rooms.CONFORMANCE: types.SimpleNamespace(cases=cases, forward_bound=_forward_bound, backward_bound=_backward_bound),
    rooms.LAYERS: types.SimpleNamespace(to_onnx=_to_onnx),
}


def enter(monkeypatch):
    """Let the operation exist until the end of a test."""
    for wing, room in ROOMS.items():
        monkeypatch.setitem(sys.modules, f"{rm.__name__}.{wing}.{STEM}", room)
