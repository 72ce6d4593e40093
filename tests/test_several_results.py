"""Operations with several results: the tape, the graph and the judge, with one that exists here alone."""

import gc
import weakref

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import refcnn as rm
from refcnn import rooms
from refcnn.errors import ExportError, GradientError
from refcnn.mode import recording
from refcnn.onnx import export
from refcnn.variable import tape

from . import split_for_test
from .split_for_test import split
from .test_variable import numeric_gradient, one_hot


@pytest.fixture(autouse=True)
def operation(monkeypatch):
    split_for_test.enter(monkeypatch)
    with rm.use_backend("reference:float64"):
        yield


def loss_of(parts, used, width):
    """Return a scalar that is computed from some of the parts, each as often as ``used`` says."""
    total = np.zeros((3, width))
    for index, part in enumerate(parts):
        for count in range(used[index]):
            w = np.random.default_rng([index, count]).normal(size=(part.shape[1], width))
            total = rm.add(total, rm.dense(part, w))
    return rm.softmax_cross_entropy(total, one_hot([0, 1, 0], width))


PARTS = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2)), min_size=1, max_size=4).filter(
    lambda parts: any(count for _, count in parts)
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=PARTS, holds_all=st.booleans(), is_leaf=st.booleans())
def test_gradients_match_central_differences_whichever_results_are_used_and_held(parts, holds_all, is_leaf):
    sizes, used = zip(*parts, strict=True)
    x = np.random.default_rng(0).normal(size=(3, sum(sizes)))
    leaf = rm.Variable(x, requires_grad=True)

    def loss(entry):
        split_up = split(entry if is_leaf else rm.softmax(entry), sizes)
        held = [part if holds_all or count else None for part, count in zip(split_up, used, strict=True)]
        return loss_of([part for part in held if part is not None], [n for n in used if holds_all or n], 2), held

    with recording():
        recorded, _held = loss(leaf)
    found = recorded.grad().get(leaf).as_ndarray()
    expected = numeric_gradient(lambda: float(loss(x)[0]), x)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


def test_the_backward_pass_runs_once_and_is_given_zeros_for_what_nobody_used(monkeypatch):
    given_gradients, backward = [], split_for_test.ROOMS[rooms.REFERENCE].backward

    def noting(dy, saved, needs, **attributes):
        given_gradients.append([gradient.copy() for gradient in dy])
        return backward(dy, saved, needs, **attributes)

    monkeypatch.setattr(split_for_test.ROOMS[rooms.REFERENCE], "backward", noting)
    x = rm.Variable(np.ones((3, 6)), requires_grad=True)
    with recording():
        first, _, third = split(x, (1, 2, 3))
        loss = loss_of([first, third], (1, 2), 2)
    loss.grad()
    ((dy_first, dy_second, dy_third),) = given_gradients
    assert dy_first.any() and dy_third.any()
    np.testing.assert_array_equal(dy_second, np.zeros((3, 2)))


def test_a_single_result_in_a_tuple_stays_a_tuple():
    x = rm.Variable(np.ones((3, 2)), requires_grad=True)
    (outside,) = split(x, (2,))
    with recording():
        (inside,) = split(x, (2,))
        loss = loss_of([inside], (1,), 2)
    assert outside.shape == inside.shape == (3, 2)
    assert loss.grad().get(x).shape == (3, 2)


def test_results_that_nobody_holds_are_freed_at_once_and_the_others_as_the_tape_is_walked():
    x = rm.Variable(np.ones((3, 6)), requires_grad=True)
    with recording():
        parts = split(x, (3, 3))
        unused, used = map(weakref.ref, parts)
        node = parts[0].node
        loss = loss_of([parts[0]], (1,), 2)
        used, unused = unused, used
        del parts
    gc.disable()
    try:
        assert unused() is None and used() is not None
        assert [result is None for result in node.results()] == [False, True]
        loss.grad()
        assert used() is None
    finally:
        gc.enable()


def test_a_second_loss_from_another_result_of_a_walked_operation_is_refused():
    x = rm.Variable(np.ones((3, 4)), requires_grad=True)
    with recording():
        first, second = split(x, (2, 2))
        losses = loss_of([first], (1,), 2), loss_of([second], (1,), 2)
    losses[0].grad()
    with pytest.raises(GradientError, match="another loss"):
        losses[1].grad()


def test_each_operation_is_on_the_tape_once():
    with recording():
        first, second = split(rm.Variable(np.ones((3, 4)), requires_grad=True), (2, 2))
        total = rm.add(first, second)
    assert [node.operation for node in tape(total)] == [split_for_test.STEM, "add"]
    assert [node.operation for node in tape(second)] == [split_for_test.STEM]


def test_devices_compute_the_same(backend):
    x = np.random.default_rng(1).normal(size=(3, 6)).astype(np.float32)

    def run():
        leaf = rm.Variable(x, requires_grad=True)
        with recording():
            first, _, third = split(leaf, (1, 2, 3))
            loss = loss_of([first, third], (1, 2), 2)
        return [first.as_ndarray(), third.as_ndarray(), loss.grad().get(leaf).as_ndarray()]

    exact = run()
    with rm.use_backend(backend):
        found = run()
    np.testing.assert_array_equal(found[0], x[:, :1])
    np.testing.assert_array_equal(found[1], x[:, 3:])
    np.testing.assert_allclose(found[2], exact[2], rtol=1e-4, atol=1e-5)


class Halves(rm.Model):
    """Gives or adds parts of what Dense computed; one of them nobody reads."""

    def __init__(self, end):
        super().__init__()
        self.dense, self.end = rm.Dense(7), end

    def forward(self, x):
        first, second, _ = split(self.dense(x), (3, 3, 1))
        return {"sum": lambda: rm.add(rm.relu(second), first), "part": lambda: second}[self.end]()


@pytest.mark.parametrize("end", ["sum", "part"])
@pytest.mark.parametrize("softmax", [False, True])
def test_the_exported_file_is_proved_and_computes_the_same(tmp_path, end, softmax):
    model, x = Halves(end), np.random.default_rng(2).normal(size=(4, 5)).astype(np.float32)
    proof = export(model, tmp_path / "model.onnx", (5,), examples=4, backends=["reference"], softmax=softmax, opset=13)
    assert proof.examples == 4
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"image": x})
    expected = rm.softmax(model(x)) if softmax else model(x)
    np.testing.assert_allclose(found, expected.as_ndarray(), rtol=1e-4, atol=1e-5)
    (node,) = (node for node in onnx.load(tmp_path / "model.onnx").graph.node if node.op_type == "Split")
    assert node.name == f"{split_for_test.STEM}_1" and len(node.output) == 3


def test_a_wrong_result_is_found_by_the_proof_and_named(tmp_path, monkeypatch):
    """The second result alone is wrong in the file."""

    def wrong(graph, x, *, sizes):
        first, second, third = split_for_test.ROOMS[rooms.LAYERS].right(graph, x, sizes=sizes)
        return first, graph.node("Neg", [second]), third

    card = split_for_test.ROOMS[rooms.LAYERS]
    monkeypatch.setattr(card, "right", card.to_onnx, raising=False)
    monkeypatch.setattr(card, "to_onnx", wrong)
    with pytest.raises(ExportError, match=f"{split_for_test.STEM}_1"):
        export(Halves("sum"), tmp_path / "model.onnx", (5,), examples=4, backends=["reference"], opset=13)


def test_what_an_operation_hands_on_or_gives_twice_is_exported(tmp_path, monkeypatch):
    """An identity in ONNX: both results are the input, under names of their own."""

    def twice(graph, x, *, sizes):
        return (graph.tensor(x),) * 2

    reference = split_for_test.ROOMS[rooms.REFERENCE]
    monkeypatch.setattr(reference, "forward", lambda x, *, sizes: ((x, x), None))
    monkeypatch.setattr(split_for_test.ROOMS[rooms.LAYERS], "to_onnx", twice)
    bound = split_for_test.ROOMS[rooms.CONFORMANCE]
    monkeypatch.setattr(
        bound,
        "forward_bound",
        lambda inputs, attributes, errors=(None,): (np.zeros(inputs[0].shape) if errors[0] is None else errors[0],) * 2,
    )

    class Twice(rm.Model):
        def forward(self, x):
            first, second = split(x, (1, 1))
            return rm.add(rm.relu(first), second)

    export(Twice(), tmp_path / "model.onnx", (5,), examples=2, backends=["reference"])
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"image": np.array([[-1, 2, 0, 1, -3]], np.float32)})
    np.testing.assert_array_equal(found, [[-1, 4, 0, 2, -3]])
