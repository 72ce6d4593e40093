"""What a number is followed to in a part of a large layer is what it is followed to in the whole."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from refcnn import rooms
from refcnn.conformance.judging import judge
from refcnn.conformance.theory.examples import examples
from refcnn.errors import ArgumentError
from refcnn.explain import Walks, cutting, walk
from refcnn.explain.separating import separated

#: Of which a part is cut out, drawn in all their shapes.
CUT = (
    "average_pool2d",
    "conv2d",
    "lp_pool2d",
    "max_pool2d",
    "batch_normalization",
    "concat",
    "dense",
    "matmul",
    "softmax",
)


@pytest.fixture(autouse=True)
def none_is_small(monkeypatch):
    monkeypatch.setattr(cutting, "_SMALL", 0)


def numbers(case, walks):
    """Return which numbers of a call can be followed: the recording, the result's name, and an index."""
    return [
        (recording, name, index)
        for recording in (walks.forward, walks.backward)
        for name, cells in (recording.results.items() if recording else ())
        for index in np.ndindex(cells.shape)
    ]


def check(operation, case, walks, recording, name, index):
    """Hold one number of a part against that of the whole, and return whether a part was cut out."""
    whole = walks.to(index, name, recording)
    dy = case.dy if recording is walks.backward else None
    piece = cutting.at(operation, case.inputs, case.attributes, index, dy, name)
    found = walk(operation, case.inputs, case.attributes, index, dy=dy, result=name)
    assert (found.index, found.result, found.direction) == (index, name, recording.direction)
    assert found.exact == pytest.approx(whole.exact, rel=1e-9, abs=1e-9, nan_ok=True)
    if np.isfinite(whole.exact) and found.bound is not None and np.isfinite(whole.bound):
        assert found.error <= found.bound
        # How a batch is normalized may hang on whether numbers of another channel are too large for one of the ways.
        if operation != "batch_normalization":
            assert found.bound == pytest.approx(whole.bound, rel=1e-3)
    for array, indices in found.looked_at.items():
        shape = recording.inputs[array].shape if array in recording.inputs else None
        is_inside = [one for one in indices if shape and all(0 <= at < n for at, n in zip(one, shape, strict=True))]
        assert set(is_inside) <= set(whole.looked_at.get(array, []))
    return bool(piece.offsets)


@pytest.mark.parametrize("operation", rooms.operations())
def test_every_operation(operation):
    case = examples(operation)[0].case
    walks = Walks(operation, case.inputs, case.attributes, case.dy)
    there = numbers(case, walks)
    for one in np.random.default_rng(0).permutation(len(there))[:10]:
        check(operation, case, walks, *there[one])


@pytest.mark.parametrize("operation", CUT)
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_the_shape(operation, data):
    case = data.draw(
        judge.conformance(operation).cases("tiny").filter(lambda case: sum(a.size for a in case.arrays) < 700)
    )
    assume(all(np.isfinite(one).all() for one in case.arrays))
    walks = Walks(operation, case.inputs, case.attributes, case.dy)
    there = numbers(case, walks)
    assume(there)
    for recording, name, index in (data.draw(st.sampled_from(there)) for _ in range(4)):
        check(operation, case, walks, recording, name, index)


def drawn(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def of_window(kernel, stride):
    return {"stride": (stride,) * 2, "padding": (1,) * 4, "dilation": (1, 1), **kernel}


@pytest.mark.parametrize(
    "operation, inputs, attributes, dy, most",
    [
        ("dense", (drawn(1, 300), drawn(300, 200), drawn(1, 200)), {}, drawn(1, 200), 1000),
        ("matmul", (drawn(2, 3, 50), drawn(2, 50, 60)), {}, drawn(2, 3, 60), 250),
        ("relu", (drawn(1, 8, 30, 30),), {}, drawn(1, 8, 30, 30), 4),
        ("multiply", (drawn(1, 8, 30, 30), drawn(8, 1, 1)), {}, drawn(1, 8, 30, 30), 4),
        ("global_average_pool2d", (drawn(1, 8, 30, 30),), {}, drawn(1, 8, 1, 1), 902),
        (
            "max_pool2d",
            (drawn(1, 8, 30, 30),),
            of_window({"kernel": (3, 3), "ceil_mode": True}, 2),
            drawn(1, 8, 16, 16),
            1200,
        ),
        (
            "average_pool2d",
            (drawn(1, 8, 30, 30),),
            of_window({"kernel": (3, 3), "count_include_padding": False}, 2),
            drawn(1, 8, 15, 15),
            40,
        ),
        (
            "conv2d",
            (drawn(1, 8, 30, 30), drawn(6, 8, 3, 3), None),
            of_window({"groups": 1}, 1),
            drawn(1, 6, 30, 30),
            800,
        ),
    ],
)
def test_a_part_is_small(operation, inputs, attributes, dy, most):
    for index, gradient in ((np.unravel_index(3, dy.shape), None), (np.unravel_index(5, inputs[0].shape), dy)):
        index = tuple(map(int, index))
        piece = cutting.at(operation, inputs, attributes, index, gradient)
        assert piece.offsets and piece.numbers(operation) <= most
    whole = cutting.Piece(inputs, attributes, dy=dy)
    assert whole.numbers(operation) > 4 * most


def test_pixels_that_no_window_reaches_have_no_gradient():
    x, dy = drawn(1, 1, 8, 8), drawn(1, 1, 2, 2)
    attributes = {"stride": (3, 3), "padding": (0, 0, 0, 0), "dilation": (1, 1), "kernel": (2, 2)}
    for index in ((0, 0, 2, 4), (0, 0, 7, 7)):
        found = walk("max_pool2d", (x,), attributes | {"kernel": (2, 2)}, index, dy=dy)
        assert (found.exact, found.looked_at) == (0, {})


@pytest.mark.parametrize("index", [(0, 200), (1, 0), (0, -1), (0,), (0, 0, 0)])
def test_a_number_outside_is_named_by_the_shape_of_the_whole(index):
    inputs = drawn(1, 300), drawn(300, 200), drawn(1, 200)
    with pytest.raises(ArgumentError, match=r"y has the shape \(1, 200\)"):
        walk("dense", inputs, {}, index)
    with pytest.raises(ArgumentError, match=r"dw has the shape \(300, 200\)"):
        walk("dense", inputs, {}, (300, *index), dy=drawn(1, 200), result="dw")
    with pytest.raises(ArgumentError, match="no result 'db'"):
        walk("dense", (*inputs[:2], None), {}, (0, 0), dy=drawn(1, 200), result="db")


def test_axes_that_are_not_separate_stay_whole():
    x = drawn(4, 6, 5)
    assert separated("softmax", (x,), {"axis": 1}, (1, 2, 3)) == (
        [(slice(1, 2), slice(None), slice(3, 4))],
        (slice(1, 2), slice(None), slice(3, 4)),
    )
    assert separated("transpose", (x,), {"axes": (1, 0, 2)}, (1, 2, 3)) == (
        [(slice(None), slice(None), slice(3, 4))],
        (slice(None), slice(None), slice(3, 4)),
    )
    assert separated("reshape", (x,), {"shape": (4, 6, 5)}, (1, 2, 3)) is None
    # Of what is broadcast all that was computed is needed, of the other the same place alone.
    b = drawn(6, 1)
    of_b, of_y = separated("multiply", (x, b), {}, (2, 0), drawn(4, 6, 5), 1)
    assert of_y == (slice(None), slice(2, 3), slice(None)) and of_b[1] == (slice(2, 3), slice(None))
