"""What is recorded is what the reference does: to the bit, every number of every result, and no place outside."""

import dataclasses
import math
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from refcnn import rooms
from refcnn.backend import results_of
from refcnn.conformance.judging import judge
from refcnn.conformance.theory.examples import examples
from refcnn.errors import ArgumentError
from refcnn.explain import Formula, Number, Walks, walk
from refcnn.explain.playback import playback
from refcnn.explain.recording import record, results_and_saved

#: Those over which a window slides, with what they are called.
WINDOWS = ("average_pool2d", "conv2d", "conv_transpose2d", "lp_pool2d", "max_pool2d", "max_pool2d_with_indices")
FEW = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
#: So many numbers the arrays of a case have together at most.
MOST = 700


def in_float64(values):
    if isinstance(values, tuple):
        return tuple(map(in_float64, values))
    return values if values is None or values.dtype.kind != "f" else values.astype(np.float64)


def answers(operation, case):
    """Return the results and the gradients of the reference in float64, as it is without a recording."""
    room = rooms.require(rooms.REFERENCE, operation)
    with np.errstate(all="ignore"):
        y, saved = results_and_saved(operation, room.forward(*in_float64(case.inputs), **case.attributes))
        needs = tuple(one is not None for one in case.inputs)
        dx = () if case.dy is None else room.backward(in_float64(case.dy), saved, needs, **case.attributes)
    return results_of(y), [one for one in dx if one is not None]


def recorded(operation, case):
    needs = tuple(one is not None for one in case.inputs)
    with np.errstate(all="ignore"):
        return record(operation, in_float64(case.inputs), case.attributes, in_float64(case.dy), needs)


def small(operation):
    """Draw a case of few numbers."""
    cases = judge.conformance(operation).cases("tiny")
    return cases.filter(lambda case: sum(one.size for one in case.arrays) <= MOST)


@pytest.mark.parametrize("operation", rooms.operations())
def test_what_is_recorded_is_the_reference_to_the_bit(operation):
    case = examples(operation)[0].case
    found = [one for one in recorded(operation, case) if one is not None]
    expected = [one for one in answers(operation, case) if one]
    assert [len(one.results) for one in found] == [len(one) for one in expected]
    for recording, results in zip(found, expected, strict=True):
        for (name, cells), result in zip(recording.results.items(), results, strict=True):
            np.testing.assert_array_equal(cells.values, result, err_msg=name, strict=True)


@pytest.mark.parametrize("operation", WINDOWS)
@FEW
@given(data=st.data())
def test_windows_are_recorded_to_the_bit_whatever_their_shape(operation, data):
    case = data.draw(small(operation))
    for recording, results in zip(recorded(operation, case), answers(operation, case), strict=True):
        for cells, result in zip(recording.results.values() if recording else (), results, strict=True):
            np.testing.assert_array_equal(cells.values, result, strict=True)


@pytest.mark.parametrize("operation", WINDOWS)
@FEW
@given(data=st.data())
def test_every_number_of_a_result_is_written_and_no_place_lies_outside(operation, data):
    case = data.draw(small(operation))
    for recording in filter(None, recorded(operation, case)):
        steps = recording.steps
        for storage, places, *_ in [entry for step in steps for entry in (*step.reads, *step.writes)]:
            assert places.size == 0 or (places.min() >= 0 and places.max() < math.prod(storage.shape))
        for cells in recording.results.values():
            written = [entry[1].ravel() for step in steps for entry in step.writes if entry[0] is cells.storage]
            assert set(cells.places.ravel().tolist()) <= set(np.concatenate(written).tolist())


@FEW
@given(data=st.data())
def test_a_convolution_reads_its_window(data):
    case = data.draw(small("conv2d").filter(lambda case: all(np.isfinite(one).all() for one in case.arrays)))
    x, w, _ = case.inputs
    names = ("stride", "padding", "dilation", "groups")
    stride, padding, dilation, groups = (case.attributes[name] for name in names)
    walks = Walks("conv2d", case.inputs, case.attributes)
    y = walks.forward.results["y"].values
    index = data.draw(st.sampled_from(list(np.ndindex(y.shape))))
    found = walks.to(index)
    channels = w.shape[1]
    first = index[1] // (w.shape[0] // groups) * channels
    taps = [(c, *tap) for c in range(channels) for tap in np.ndindex(w.shape[2:])]
    place = range(len(stride))
    pixels = [
        (index[0], first + c, *(index[2 + k] * stride[k] + tap[k] * dilation[k] - padding[k] for k in place))
        for c, *tap in taps
    ]
    assert set(found.looked_at["x"]) == set(pixels)
    assert found.looked_at["w"] == [(index[1], *tap) for tap in taps]
    assert walks.forward.results["y"].values[index] == found.exact


@pytest.mark.parametrize("operation", ["average_pool2d", "conv2d", "conv_transpose2d", "dense", "matmul"])
@FEW
@given(data=st.data())
def test_the_terms_of_a_sum_give_the_answer(operation, data):
    case = data.draw(small(operation))
    assume(all(np.isfinite(one).all() for one in case.arrays))
    walks = Walks(operation, case.inputs, case.attributes, case.dy)
    for recording in (walks.forward, walks.backward):
        name, cells = data.draw(st.sampled_from(list(recording.results.items())))
        assume(cells.size)
        index = data.draw(st.sampled_from(list(np.ndindex(cells.shape))))
        found = walks.to(index, name, recording)
        assert found.exact == cells.values[index]
        assert value_of(found.formula) == pytest.approx(found.exact, rel=1e-9, abs=1e-9 * magnitude(found.formula))


def value_of(part):
    """Return what a formula is, computed from its parts anew."""
    if isinstance(part, Number):
        return part.value
    parts = [value_of(one) for one in part.parts]
    if part.name == "sum":
        return math.fsum(parts)
    if part.name == "product":
        return math.prod(parts)
    assert part.name == "divide"
    return parts[0] / parts[1]


def magnitude(part):
    if isinstance(part, Number):
        return abs(part.value)
    return sum(map(magnitude, part.parts)) if part.name == "sum" else math.prod(map(magnitude, part.parts))


@FEW
@given(data=st.data())
def test_errors_of_float32_keep_to_the_bound(data):
    operation = data.draw(st.sampled_from([*WINDOWS[:4], "softmax", "dense"]))
    case = data.draw(small(operation))
    walks = Walks(operation, case.inputs, case.attributes, case.dy)
    for recording in (walks.forward, walks.backward):
        for name, cells in recording.results.items():
            for index in list(np.ndindex(cells.shape))[:10]:
                found = walks.to(index, name, recording)
                assert not found.error > found.bound


def test_of_a_large_layer_the_window_is_looked_at_where_it_lies():
    """The last row below a first row of padding, whose mean that of the row above it would be as well."""
    window = {"kernel": (2, 2), "stride": (2, 1), "padding": (1, 0, 0, 0), "dilation": (1, 1), "ceil_mode": True}
    x = np.concatenate([np.float32([[[[1, 2], [3, 4]]]])] * 1251)
    found = walk("average_pool2d", (x,), window | {"count_include_padding": False}, (1250, 0, 1, 0))
    assert found.exact == 3.5
    assert set(found.looked_at["x"]) == {(1250, 0, row, column) for row in (1, 2) for column in (0, 1)}


@pytest.mark.parametrize("operation", ["average_pool2d", "conv2d", "max_pool2d"])
@FEW
@given(data=st.data())
def test_of_a_large_layer_the_window_alone_is_looked_at(operation, data):
    drawn = data.draw(judge.conformance(operation).cases("tiny"))
    assume(all(np.isfinite(one).all() for one in drawn.arrays))
    # Beside itself a thousand times, so that it is too large to be recorded as a whole.
    x = np.concatenate([drawn.inputs[0]] * (1 + 5000 // drawn.inputs[0].size))
    case = dataclasses.replace(drawn, inputs=(x, *drawn.inputs[1:]))
    shape = results_of(drawn.dy)[0].shape
    index = data.draw(st.sampled_from(list(np.ndindex(shape))))
    whole = Walks(operation, drawn.inputs, drawn.attributes).to(index)
    last = (index[0] + len(x) - len(drawn.inputs[0]), *index[1:])
    found = walk(operation, case.inputs, case.attributes, last)
    assert found.index == last
    assert found.exact == pytest.approx(whole.exact, rel=1e-12, abs=1e-12)
    moved = {(one[0] + last[0] - index[0], *one[1:]) for one in whole.looked_at.get("x", [])}
    is_inside = [one for one in moved if all(0 <= at < size for at, size in zip(one, x.shape, strict=True))]
    assert set(is_inside) <= set(found.looked_at.get("x", []))
    assert set(found.looked_at.get("x", [])) <= moved
    assert found.looked_at.get("w") == whole.looked_at.get("w")


def test_max_pooling_tells_the_winner_and_whom_it_beat():
    x = np.array([[[[1, 2], [4, 3]]]], np.float32)
    attributes = {"kernel": (2, 2), "stride": (1, 1), "padding": (0, 0, 0, 0), "dilation": (1, 1)}
    found = walk("max_pool2d", (x,), attributes, (0, 0, 0, 0))
    assert found.formula.name == "taken"
    assert found.formula.parts[0] == Number(4.0, "x", (0, 0, 1, 0))
    assert sorted(found.looked_at["x"]) == [(0, 0, p, q) for p in (0, 1) for q in (0, 1)]


def test_a_gradient_is_walked_backwards():
    x, w = np.array([[2.0, 3.0]], np.float32), np.array([[1.0], [5.0]], np.float32)
    dy = np.array([[10.0]], np.float32)
    found = walk("dense", (x, w, None), {}, (1, 0), dy=dy, result="dw")
    assert found.exact == 30
    assert found.looked_at == {"x": [(0, 1)], "dy": [(0, 0)]}
    assert found.formula == Formula("product", 30.0, (Number(3.0, "x", (0, 1)), Number(10.0, "dy", (0, 0))))


def test_padding_stays_padding_in_the_gradient():
    x, w = np.ones((1, 1, 1, 2), np.float32), np.ones((1, 1, 1, 2), np.float32)
    attributes = {"stride": (1, 1), "padding": (0, 1, 0, 0), "dilation": (1, 1), "groups": 1}
    found = walk("conv2d", (x, w, None), attributes, (0, 0, 0, 0), dy=np.ones((1, 1, 1, 2), np.float32), result="dw")
    pixels = [part.parts[1] for part in found.formula.parts]
    assert [(pixel.index, pixel.is_padding) for pixel in pixels] == [((0, 0, 0, -1), True), ((0, 0, 0, 0), False)]


def test_what_is_not_there_is_named():
    x = np.zeros((2, 3), np.float32)
    with pytest.raises(ArgumentError, match=r"no result 'z' there\. There are: y"):
        walk("softmax", (x,), {"axis": 1}, (0, 0), result="z")
    with pytest.raises(ArgumentError, match=r"shape \(2, 3\), in which there is no element \(2, 0\)"):
        walk("softmax", (x,), {"axis": 1}, (2, 0))


def test_a_debugger_goes_on_afterwards():
    def trace(frame, event, argument):
        return None

    former = sys.gettrace()
    sys.settrace(trace)
    try:
        record("softmax", (np.ones((1, 2)),), {"axis": 1})
        assert sys.gettrace() is trace
    finally:
        sys.settrace(former)


def test_lines_are_told_as_they_run():
    x = np.ones((1, 1, 2, 2))
    attributes = {"kernel": (1, 1), "stride": (1, 1), "padding": (0, 0, 0, 0), "count_include_padding": True}
    forward, _ = record("average_pool2d", (x,), attributes)
    (source,) = forward.sources.values()
    lines = [source.text.splitlines()[step.line - source.first].strip() for step in forward.steps]
    loop = next(line for line in lines if line.startswith("for place in"))
    assert lines.count(loop) == 5
    places = [step.variables["place"] for step in forward.steps if "place" in step.variables]
    assert places == list(np.ndindex(2, 2))
    assert lines[-1].startswith("return")


@pytest.mark.parametrize("operation", rooms.operations())
def test_a_page_shows_every_result_written(operation):
    case = examples(operation)[0].case
    walks = Walks(operation, case.inputs, case.attributes, case.dy)
    for recording in filter(None, (walks.forward, walks.backward)):
        played = playback(recording, walks)
        for number, array in enumerate(played["arrays"]):
            if array["role"] == "result":
                shown = [None] * math.prod(array["shape"])
                for _, places, numbers in [
                    one for step in played["steps"] for one in step.get("writes", ()) if one[0] == number
                ]:
                    for k, place in enumerate(expanded(places, array["shape"])):
                        shown[place] = numbers[k if len(numbers) > 1 else 0]
                walked = {one["place"]: one["exact"] for one in played["walks"][str(number)]}
                assert {place: shown[place] for place in walked} == pytest.approx(walked, rel=1e-6, nan_ok=True)


def expanded(region, shape):
    """Return the places of a region."""
    if not region or isinstance(region[0], int):
        return region or [0]
    axes = [range(first, first + step * count, step) for first, step, count in region]
    return np.ravel_multi_index(np.meshgrid(*axes, indexing="ij"), shape).ravel().tolist()
