"""What the judge computes in place of the reference's loops: the same, but for the order of sums."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refcnn import rooms
from refcnn.backend import results_of
from refcnn.conformance.judging import comparison, judge
from refcnn.conformance.theory import sliding
from refcnn.conformance.theory.bounds import UNDEFINED


def with_trait(name):
    found = [one for one in rooms.operations() if rooms.find(rooms.CONFORMANCE, one) is not None]
    return [one for one in found if rooms.trait(rooms.CONFORMANCE, one, name) is not None]


def exactly(inputs):
    return [None if one is None or one.dtype.kind != "f" else one.astype(np.float64) for one in inputs]


def compare(computed, expected, magnitude):
    """To 1e-12 of the sum of magnitudes where that is a number, and else the same."""
    assert computed.shape == expected.shape and computed.dtype == expected.dtype
    is_number = np.isfinite(magnitude)
    assert (np.abs(computed[is_number] - expected[is_number]) <= 1e-12 * magnitude[is_number]).all()
    np.testing.assert_array_equal(computed[~is_number], expected[~is_number])


def magnitudes(arrays):
    return [None if one is None else np.abs(one) for one in arrays]


#: What sums products, or chooses, of which the sums of magnitudes say how far off they may be.
OF_PRODUCTS = ("conv2d", "conv_transpose2d", "max_pool2d")


def test_convolutions_and_pooling_have_quick_answers():
    assert set(OF_PRODUCTS) <= set(with_trait("exact_forward"))
    assert set(OF_PRODUCTS) <= set(with_trait("exact_backward"))


@pytest.mark.parametrize("operation", sorted(set(with_trait("exact_forward")) - set(OF_PRODUCTS)))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_what_is_no_sum_of_products_is_the_same_to_a_millionth_of_its_bound(operation, data):
    room, reference = (rooms.require(wing, operation) for wing in (rooms.CONFORMANCE, rooms.REFERENCE))
    case = data.draw(room.cases("tiny", data.draw(st.booleans())))
    inputs = [exact if exact is not None else one for exact, one in zip(exactly(case.inputs), case.inputs, strict=True)]
    dy, needs = case.dy.astype(np.float64), judge.all_gradients(case)
    with np.errstate(all="ignore"):
        quick, quick_saved = room.exact_forward(*inputs, **case.attributes)
        slow, saved = reference.forward(*inputs, **case.attributes)
        bound = room.forward_bound(case.inputs, case.attributes)
        triples = [(quick, slow, bound)]
        found = room.exact_backward(dy, quick_saved, needs, **case.attributes)
        exact = reference.backward(dy, saved, needs, **case.attributes)
        triples += zip(found, exact, room.backward_bound(case.dy, case.inputs, case.attributes, needs), strict=True)
        for quick, slow, bound in triples:
            if slow is None:
                assert quick is None
                continue
            tight = np.where(bound == UNDEFINED, bound, bound * 1e-6 + 1e-300)
            assert comparison.verdict(quick, slow, tight, dtype=np.float64).within


@pytest.mark.parametrize("operation", [one for one in with_trait("exact_forward") if one in OF_PRODUCTS])
@settings(max_examples=60)
@given(data=st.data())
def test_results(operation, data):
    room, reference = (rooms.require(wing, operation) for wing in (rooms.CONFORMANCE, rooms.REFERENCE))
    case = data.draw(room.cases(data.draw(st.sampled_from(("tiny", "small")))))
    inputs = exactly(case.inputs)
    with np.errstate(all="ignore"):
        computed, _ = room.exact_forward(*inputs, **case.attributes)
        expected, _ = reference.forward(*inputs, **case.attributes)
        magnitude, _ = reference.forward(*magnitudes(inputs), **case.attributes)
    for triple in zip(*map(results_of, (computed, expected, magnitude)), strict=True):
        compare(*triple)


@pytest.mark.parametrize("most", [1, 3000])
@pytest.mark.parametrize("operation", [one for one in with_trait("exact_backward") if one in OF_PRODUCTS])
@settings(max_examples=60)
@given(data=st.data())
def test_gradients(operation, most, data):
    """Also where windows are taken in parts."""
    room, reference = (rooms.require(wing, operation) for wing in (rooms.CONFORMANCE, rooms.REFERENCE))
    case = data.draw(room.cases("tiny"))
    inputs, (dy,) = exactly(case.inputs), exactly([case.dy])
    needs = True, *(one is not None and data.draw(st.booleans()) for one in inputs[1:])
    with pytest.MonkeyPatch.context() as patch, np.errstate(all="ignore"):
        patch.setattr(sliding, "_MOST_ELEMENTS", most)
        _, saved = room.exact_forward(*inputs, **case.attributes)
        computed = room.exact_backward(dy, saved, needs, **case.attributes)
        _, saved = reference.forward(*inputs, **case.attributes)
        expected = reference.backward(dy, saved, needs, **case.attributes)
        _, saved = reference.forward(*magnitudes(inputs), **case.attributes)
        magnitude = reference.backward(np.abs(dy), saved, needs, **case.attributes)
    for needed, found, exact, largest in zip(needs, computed, expected, magnitude, strict=True):
        if not needed:
            assert found is None
        elif operation == "max_pool2d":
            # The largest of magnitudes is another pixel.
            compare(found, exact, np.where(np.isfinite(exact), np.abs(dy[np.isfinite(dy)]).sum(), np.nan))
        else:
            compare(found, exact, largest)


@pytest.mark.parametrize("operation", ["conv2d", "dense", "add", "relu", "clip", "max_pool2d", "global_average_pool2d"])
@settings(max_examples=40)
@given(data=st.data())
def test_where_no_slope_can_turn_an_operation_is_linear(operation, data):
    """Then it gives of the mean of two inputs, as far off as they may be, the mean of what it gives of each."""
    room, reference = (rooms.require(wing, operation) for wing in (rooms.CONFORMANCE, rooms.REFERENCE))
    case = data.draw(room.cases("tiny", **({"special": False} if operation == "max_pool2d" else {})))
    inputs = [None if one is None else np.asarray(one, np.float64) for one in case.inputs]
    if any(one is not None and not (np.abs(one) < 1e6).all() for one in inputs) or case.inputs[0].dtype.kind != "f":
        return
    size = data.draw(st.sampled_from((1e-6, 1e-2, 1.0)))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    error = random.random(inputs[0].shape) * size
    turns = room.may_flip(inputs, [error, *[None] * (len(inputs) - 1)], case.attributes)
    assert turns is not None and turns >= 0
    if turns:
        return

    def of(x):
        return reference.forward(x, *inputs[1:], **case.attributes)[0]

    one, other = (inputs[0] + error * random.uniform(-1, 1, error.shape) for _ in range(2))
    scale = 1 + sum(np.abs(entry).sum() for entry in inputs if entry is not None)
    np.testing.assert_allclose(of((one + other) / 2), (of(one) + of(other)) / 2, rtol=0, atol=1e-10 * scale**2)


def test_where_slopes_turn():
    relu, pool = (rooms.require(rooms.CONFORMANCE, one) for one in ("relu", "max_pool2d"))
    x, error = np.array([-1.0, -0.1, 0.0, 0.1, 5.0]), np.array([0.5, 0.2, 0.0, 0.05, 5.0])
    assert relu.may_flip([x], [error], {}) == 2
    window = {"kernel": (1, 2), "stride": (1, 2), "padding": (0, 0, 0, 0)}
    images = np.array([1.0, 1.1, 3, 7, 2, 2]).reshape(1, 1, 1, 6)
    errors = np.array([0.06, 0.06, 1, 1, 0, 0]).reshape(images.shape)
    # The first window's pixels may come to the same, the last one's are equal, and exact.
    assert pool.may_flip([images], [errors], window) == 1
    assert pool.may_flip([images], [np.zeros(images.shape)], window) == 0
