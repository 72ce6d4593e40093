"""What is computed with choices of one's own: it is what the library's call gives, and all else is refused in words."""

import json
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

import refcnn as rm
from refcnn import rooms
from refcnn.errors import ArgumentError, RefcnnError
from refcnn.explain.calling import call_of
from refcnn.explain.choices import MOST_NUMBERS, read
from refcnn.explain.families import families
from refcnn.explain.live import computed, offered
from refcnn.explain.live_pages import operation_page
from refcnn.mode import training

from .schema import VALIDATOR

#: An operation's example is found by Hypothesis, once. The lowest version that is declared has no check of nesting.
EXAMPLES_ARE_FOUND = [check for check in HealthCheck if check.name in {"nested_given", "too_slow"}]


def live(operation, **said):
    """Return the one case of an answer, which is as its schema says."""
    found = json.loads(json.dumps(computed(operation, read(json.dumps(said).encode())), allow_nan=False))
    VALIDATOR.validate(found)
    ((case,),) = (one["cases"] for one in found["operations"])
    return case


def given_arrays(case):
    """Return by name the arrays that a case says it was given, in float64, with those that float32 has."""
    run = case["runs"][0]
    shapes = {array["name"]: array["inner"] for array in run["arrays"]}
    return {name: np.float64(np.float32(values)).reshape(shapes[name]) for name, values in case["inputs"].items()}


def assert_told(run, name, expected):
    """Assert that what is told of a result is what was expected, to the bit."""
    number, array = next((number, array) for number, array in enumerate(run["arrays"]) if array["name"] == name)
    assert tuple(array["inner"]) == expected.shape
    index = np.reshape(array["origin"], (-1, *[1] * expected.ndim)) + np.indices(expected.shape)
    places = np.ravel_multi_index(tuple(index), array["shape"]) if expected.ndim else np.zeros((), int)
    walks = run["walks"][str(number)]
    rows = [[walk["place"], walk["exact"]] for walk in walks]
    assert rows == [list(row) for row in zip(places.flat, expected.flat, strict=True)][: len(rows)]
    assert rows


def gradient_of(case):
    (dy,) = (array for array in case["runs"][1]["arrays"] if array["name"] == "dy")
    own = tuple(slice(first, first + size) for first, size in zip(dy["origin"], dy["inner"], strict=True))
    # Of one decimal, of which seven digits are enough.
    return np.float64(np.float32(dy["values"])).reshape(dy["shape"])[own]


@pytest.mark.parametrize("operation", rooms.operations())
def test_every_operation_opens_with_a_form(operation):
    page = operation_page(operation)
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])
    VALIDATOR.validate(data)
    fields = set(re.findall(r'data-of="arguments" name="(\w+)"', page))
    assert fields == call_of(operation).arguments.keys()
    # What stands in the fields is what was computed.
    typed = {kind: {} for kind in ("shapes", "arguments")}
    for field in re.findall(r"<input [^>]*data-of[^>]*>", page):
        of, name = (re.search(rf' {key}="(\w+)"', field)[1] for key in ("data-of", "name"))
        is_flag = 'type="checkbox"' in field
        typed[of][name] = " checked" in field if is_flag else re.search(r' value="([^"]*)"', field)[1]
    assert live(operation, **typed) == data["operations"][0]["cases"][0]


def test_each_operation_is_in_one_family():
    listed = [name for family in families() for name in family.operations]
    assert sorted(listed) == list(rooms.operations())
    assert all(family.operations for family in families())


def _pairs(*numbers):
    """Return a strategy of one of some numbers for both axes, or of one for each."""
    return st.one_of(st.sampled_from(numbers), st.tuples(*[st.sampled_from(numbers)] * 2))


@st.composite
def windows(draw, of_transposed=False):
    """Draw images under a window, and how it slides, as they are typed; some do not fit."""
    groups, of_group = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    sides = [draw(st.sampled_from((5, 4, 6, 2))) for _ in range(2)]
    padding = st.one_of(st.integers(0, 2), st.tuples(*[st.integers(0, 1)] * 4))
    padding = padding if of_transposed else st.one_of(padding, st.sampled_from(("same", "same_lower", "valid")))
    said = {"filter": draw(_pairs(2, 3)), "stride": draw(_pairs(1, 3)), "dilation": draw(_pairs(1, 1, 2))}
    said["padding"] = draw(padding)
    return (draw(st.integers(1, 2)), groups * of_group, *sides), said, groups


def typed(arguments):
    return {name: str(value).strip("()") if isinstance(value, tuple) else value for name, value in arguments.items()}


def expected_or_refused(operation, said, compute):
    """Return the case and what the library gives for it, (None, None) if both refuse with one message.

    What is only too large for a page is not of interest.
    """
    try:
        case = live(operation, **said)
    except RefcnnError as error:
        assume("are not shown" not in str(error))
        with pytest.raises(RefcnnError) as found:
            compute(None)
        assert str(found.value) == str(error)
        return None, None
    return case, compute(given_arrays(case))


@settings(max_examples=12)
@given(st.data(), st.sampled_from((rm.conv2d, rm.conv_transpose2d)), st.integers(0, 3))
def test_convolutions_are_the_library_s(data, function, seed):
    is_transposed = function is rm.conv_transpose2d
    shape, window, groups = data.draw(windows(is_transposed))
    window |= {"groups": groups}
    if is_transposed:
        window |= {"output_padding": data.draw(st.integers(0, 1))}
    channel = groups * data.draw(st.integers(1, 2))
    layer = {rm.conv2d: rm.Conv2d, rm.conv_transpose2d: rm.ConvTranspose2d}[function]
    kernel = window.pop("filter")

    def compute(arrays):
        if arrays is None:
            return layer(channel, filter=kernel, **window)(np.zeros(shape))
        variables = [rm.Variable(arrays[name], requires_grad=True) for name in "xwb"]
        with training():
            return variables, function(*variables, **window)

    with rm.use_backend("reference:float64"):
        arguments = {"channel": channel, **typed({"filter": kernel, **window})}
        case, found = expected_or_refused(
            function.__name__, {"shapes": {"x": list(shape)}, "arguments": arguments, "seed": seed}, compute
        )
        if case is None:
            return
        variables, y = found
        assert_told(case["runs"][0], "y", y.as_ndarray())
        # The gradients that the library's own walk backwards gives for the same gradient of the result.
        implementation = y.backend.operation(function.__name__)
        _, saved = implementation.forward(*(one.on(y.backend) for one in variables), **y.node.attributes)
        gradients = implementation.backward(gradient_of(case), saved, (True,) * 3, **y.node.attributes)
    for name, gradient in zip("xwb", gradients, strict=True):
        assert_told(case["runs"][1], f"d{name}", gradient)


@settings(max_examples=12)
@given(windows(), st.sampled_from((rm.max_pool2d, rm.average_pool2d, rm.lp_pool2d)), st.booleans(), st.integers(0, 3))
@example(((1, 1, 4, 4), {"filter": 2, "stride": 1, "dilation": 1, "padding": 2}, 1), rm.max_pool2d, False, 0)
def test_pools_are_the_library_s(drawn, function, ceil_mode, seed):
    shape, window, _ = drawn

    def compute(arrays):
        x = np.zeros(shape) if arrays is None else arrays["x"]
        return function(x, **window, ceil_mode=ceil_mode).as_ndarray()

    with rm.use_backend("reference:float64"):
        said = {"shapes": {"x": list(shape)}, "arguments": typed(window) | {"ceil_mode": ceil_mode}, "seed": seed}
        case, y = expected_or_refused(function.__name__, said, compute)
        if case is not None:
            assert_told(case["runs"][0], "y", y)


OF_ARRAYS = {
    rm.softmax: {"axis": st.integers(-3, 2)},
    rm.elu: {"alpha": st.floats(-2, 2)},
    rm.reduce_mean: {"axes": st.integers(-3, 2), "keepdims": st.booleans()},
    rm.transpose: {"axes": st.permutations(range(2)).map(tuple)},
    rm.pad: {"pads": st.tuples(*[st.integers(0, 2)] * 4), "mode": st.sampled_from(("constant", "reflect", "edge"))},
    rm.tile: {"repeats": st.tuples(*[st.integers(1, 3)] * 2)},
}


@settings(max_examples=20, suppress_health_check=EXAMPLES_ARE_FOUND)
@given(st.data(), st.sampled_from(list(OF_ARRAYS)), st.tuples(*[st.integers(1, 4)] * 2), st.integers(0, 3))
def test_other_operations_are_the_library_s(data, function, shape, seed):
    arguments = {name: data.draw(values, name) for name, values in OF_ARRAYS[function].items()}

    def compute(arrays):
        return function(np.zeros(shape) if arrays is None else arrays["x"], **arguments).as_ndarray()

    with rm.use_backend("reference:float64"):
        said = {"shapes": {"x": list(shape)}, "arguments": typed(arguments), "seed": seed}
        case, y = expected_or_refused(function.__name__, said, compute)
        if case is not None:
            assert_told(case["runs"][0], "y", y)


@settings(suppress_health_check=EXAMPLES_ARE_FOUND)
@given(st.lists(st.floats(-9, 9, width=32), min_size=6, max_size=6), st.booleans())
def test_numbers_of_one_s_own_are_taken(values, is_text):
    given = ", ".join(map(repr, values)) if is_text else values
    case = live("negative", shapes={"x": "2, 3"}, values={"x": given})
    # As short as they are, they are the same numbers in float32.
    np.testing.assert_array_equal(np.float32(case["inputs"]["x"]), np.float32(values))
    assert_told(case["runs"][0], "y", -np.float64(np.float32(values)).reshape(2, 3))


def test_weights_of_a_layer_may_be_one_s_own():
    case = live("dense", arguments={"output_size": 1}, values={"w": "1 0 0", "b": [5]})
    x = given_arrays(case)["x"]
    assert_told(case["runs"][0], "y", x[:, :1] + 5)


def test_the_seed_decides():
    first, again, other = (live("relu", seed=seed)["inputs"] for seed in (1, 1, 2))
    assert first == again != other
    dropped = [live("dropout", shapes={"x": "40"}, seed=seed)["runs"][0]["walks"] for seed in (1, 1, 2)]
    assert dropped[0] == dropped[1] != dropped[2]


@pytest.mark.parametrize(("said", "expected"), [("2", 2), ("1, 2", (1, 2)), ("(3,)", (3,)), ("same", "same")])
def test_what_is_typed_is_what_is_meant(said, expected):
    arguments = {"padding": said, "channel": 1}
    assert read(json.dumps({"arguments": arguments}).encode()).arguments["padding"] == expected


REFUSED = [
    ("conv2d", {"arguments": {"channel": 1, "filter": 9}}, "Conv2d: the image is smaller than the kernel: 5 pixels"),
    ("conv2d", {"arguments": {"channel": 3, "groups": 2}}, "Conv2d: channel is 3, which 2 groups do not divide"),
    ("conv2d", {"arguments": {"channel": -1}}, "Conv2d: channel is -1"),
    ("conv2d", {"arguments": {"channel": 1, "stride": "nan"}}, "Conv2d: stride is nan"),
    ("conv2d", {"arguments": {"channel": 1, "strides": 1}}, "there is no argument 'strides'"),
    ("conv2d", {"arguments": {"channel": 4000}}, "more than 1,152 are not shown"),
    ("conv2d", {"arguments": {"channel": 10**9}}, "what comes of numbers so large is not shown"),
    ("conv2d", {"shapes": {"x": "1, 8, 12, 12"}, "arguments": {"channel": 9}}, "multiplications, and more than 20,000"),
    ("conv2d", {"shapes": {"x": "1, 1, 9999, 9999"}}, "The shape of 'x' is 1, 1, 9999, 9999. Give"),
    ("conv2d", {"shapes": {"x": "1, 1, 100, 100"}}, "more than 1,152 are not shown"),
    ("conv2d", {"shapes": {"x": "5, 5"}, "arguments": {"channel": 1}}, "Give images of shape (N, C, H, W)"),
    ("conv2d", {"shapes": {"w": "1, 1, 3, 3"}}, "conv2d is given no 'w', but x."),
    ("dense", {"arguments": {"output_size": ""}}, "dense: give a value for output_size."),
    ("tile", {"arguments": {"repeats": "4095, 4095"}}, "numbers so large"),
    ("tile", {"arguments": {"repeats": "4095"}}, "The result would have the shape (12285,)"),
    (
        "max_pool2d",
        {"shapes": {"x": "1, 1, 33, 33"}, "arguments": {"filter": 7, "padding": 3}},
        "more than 6,000 lines",
    ),
    ("max_pool2d", {"arguments": {"return_indices": True}}, "max_pool2d_with_indices is computed in its place"),
    ("elu", {"arguments": {"alpha": "inf"}}, "alpha is inf"),
    ("elu", {"arguments": {"alpha": "x" * 201}}, "At most 200 characters are taken, not 201."),
    ("elu", {"values": {"x": "1, 2"}}, "2 numbers are given for x, but its shape is (2, 3), of 6 numbers."),
    ("elu", {"values": {"x": "1, 2, 3, 4, 5, six"}}, "are to be numbers with commas between them"),
    ("gather", {"values": {"indices": "0.5, 1, 2"}}, "indices is of int64, which does not hold"),
    ("add", {"shapes": {"a": "2", "b": "3"}}, "add: "),
    ("slice", {"arguments": {"starts": 1, "stops": 1}}, "the result has no numbers"),
    ("adam", {"arguments": {"step": 0}}, "Adam: step is 0"),
    ("adam", {"shapes": {"w": "2"}}, "Adam: give arrays of one shape"),
    ("cast", {"arguments": {"dtype": "\ud800"}}, "the dtype is"),
    ("cast", {"arguments": {"dtype": "float32"}}, "nothing is computed in its place"),
]


@pytest.mark.parametrize(("operation", "said", "message"), REFUSED)
def test_what_is_not_taken_is_said_in_words(operation, said, message):
    with pytest.raises(RefcnnError) as found:
        live(operation, **said)
    assert message in str(found.value)


CONTENTS = [
    b"",
    b"null",
    b"[]",
    b"{",
    b'{"x": 1}',
    b'{"arguments": 1}',
    b'{"arguments": {"channel": {"a": 1}}}',
    b"\xff",
]
CONTENTS += [
    b"[" * 9999,
    b'{"arguments": {"p": NaN}}',
    b'{"seed": -1}',
    b'{"seed": 1.5}',
    b'{"seed": "x"}',
    b"9" * 9999,
]


@pytest.mark.parametrize("content", CONTENTS)
def test_what_are_no_choices_is_said_in_words(content):
    with pytest.raises(ArgumentError, match="These are no choices"):
        read(content)


JUNK = st.one_of(
    st.sampled_from(("", "0", "-1", "3, 1", "1, 2, 3, 4", "nan", "-inf", "1e30", "None", "same", "linear", "x" * 150)),
    st.sampled_from(("int64", "float16", "object", "()", "\ud800", "\0", "9" * 40, "64, 63", "-2, 3", "1, None")),
    st.one_of(st.integers(-5, 5), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none()),
    st.lists(st.integers(-3, 5), max_size=5),
    st.text(max_size=20),
)
SHAPES = st.one_of(
    st.sampled_from(("()", "1, 1152", "1, 2, 4, 4", "1, 3, 4, 4, 4", "x", "0", "1,1,1,1,1,1,1")),
    st.lists(st.integers(1, 5), max_size=5),
)


@settings(max_examples=30, suppress_health_check=EXAMPLES_ARE_FOUND)
@given(st.data(), st.sampled_from(rooms.operations()))
def test_whatever_is_asked_is_computed_or_refused_in_words(data, operation):
    call = call_of(operation)
    changed = data.draw(st.dictionaries(st.sampled_from(list(call.arguments) or ["none"]), JUNK, max_size=2))
    shape = data.draw(SHAPES)
    shapes = data.draw(st.sampled_from([{}, dict.fromkeys(call.inputs, shape), {call.inputs[0]: shape}]))
    values = data.draw(st.dictionaries(st.sampled_from(call.inputs), JUNK, max_size=1))
    try:
        case = live(operation, arguments=offered(call) | changed, shapes=shapes, values=values)
    except RefcnnError as error:
        assert 0 < len(str(error)) < 2000
        str(error).encode()
    else:
        assert all(len(numbers) <= MOST_NUMBERS for numbers in case["inputs"].values())
