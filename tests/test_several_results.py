"""Operations with several results: the tape, the graph and the judge, with one that exists here alone."""

import gc
import subprocess
import sys
import weakref

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import refcnn as rm
from refcnn import backend as backends
from refcnn import rooms
from refcnn.conformance.bundles import bundle
from refcnn.conformance.bundles.case_file import read_case, write_case
from refcnn.conformance.judging import comparison, judge
from refcnn.conformance.subjects.implementation import Implementation
from refcnn.conformance.theory.strategies import Case
from refcnn.errors import ExportError, GradientError
from refcnn.mode import recording
from refcnn.onnx import export
from refcnn.program import trace
from refcnn.tape import tape

from . import split_for_test
from .operations import checks
from .split_for_test import STEM, split
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


def test_a_result_of_whole_numbers_has_no_gradient(monkeypatch):
    """As of an operation that gives the largest numbers, and where they are."""
    given_gradients, reference = [], split_for_test.ROOMS[rooms.REFERENCE]

    def backward(dy, saved, needs, *, sizes):
        given_gradients.append(dy)
        return (dy[0] + 0 * saved,)

    monkeypatch.setattr(reference, "forward", lambda x, *, sizes: ((x, x.argmax(axis=1), x), x))
    monkeypatch.setattr(reference, "backward", backward)
    x = rm.Variable(np.ones((3, 2)), requires_grad=True)
    with recording():
        first, places, _ = split(x, (1, 1, 1))
        loss = loss_of([first], (1,), 2)
    assert first.requires_grad and not places.requires_grad and places.dtype == np.int64
    loss.grad()
    ((_, of_places, of_third),) = given_gradients
    assert of_places is None
    np.testing.assert_array_equal(of_third, np.zeros((3, 2)))


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
    assert [node.operation for node in tape(total)] == [STEM, "add"]
    assert [node.operation for node in tape(second)] == [STEM]


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
    assert node.name == f"{STEM}_1" and len(node.output) == 3


def test_a_wrong_result_is_found_by_the_proof_and_named(tmp_path, monkeypatch):
    """The second result alone is wrong in the file."""

    def wrong(graph, x, *, sizes):
        first, second, third = split_for_test.ROOMS[rooms.LAYERS].right(graph, x, sizes=sizes)
        return first, graph.node("Neg", [second]), third

    card = split_for_test.ROOMS[rooms.LAYERS]
    monkeypatch.setattr(card, "right", card.to_onnx, raising=False)
    monkeypatch.setattr(card, "to_onnx", wrong)
    with pytest.raises(ExportError, match=f"{STEM}_1"):
        export(Halves("sum"), tmp_path / "model.onnx", (5,), examples=4, backends=["reference"], opset=13)


def test_a_result_that_nothing_reads_has_no_name_even_if_the_model_keeps_it():
    class Keeping(rm.Model):
        def forward(self, x):
            first, self.kept = split(x, (2, 3))
            return rm.relu(first)

    program = trace(Keeping(), np.ones((2, 5), np.float32), softmax=False)
    assert [step.results for step in program.steps] == [(f"{STEM}_1:0", None), ("relu_1",)]
    assert set(program.variables) == {"image", f"{STEM}_1:0", "relu_1"} and program.outputs == ("relu_1",)


@pytest.mark.parametrize("is_own", [False, True])
def test_what_an_operation_hands_on_or_gives_twice_is_exported(tmp_path, monkeypatch, is_own):
    """An identity in ONNX: both results are the input, or what one operator gave, under names of their own."""

    def twice(graph, x, *, sizes):
        return (graph.node("Identity", [graph.tensor(x)]) if is_own else graph.tensor(x),) * 2

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


# The judge: cases with several results and gradients.

RUNS = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@RUNS
@given(case=split_for_test.cases())
def test_every_device_conforms(backend, case):
    checks.check(STEM, case, backend, to_the_bit=judge.is_exact(STEM, case))


@RUNS
@given(case=split_for_test.cases(integers=True))
def test_the_gradients_of_the_sum_of_all_results_match_differences(case):
    checks.check_gradients(STEM, case, step=1.0)


CASE = Case(
    (np.arange(6, dtype=np.float32).reshape(2, 3),),
    {"sizes": (1, 2)},
    (np.ones((2, 1), np.float32), np.full((2, 2), 2, np.float32)),
)
FAULTS = {
    "the second result is off": ("forward", lambda y: (y[0], y[1] + 1)),
    "a result is missing": ("forward", lambda y: y[:1]),
    "the results are one array": ("forward", lambda y: np.concatenate(y, axis=1)),
    "the results are swapped": ("forward", lambda y: y[::-1]),
    "the gradient is off": ("backward", lambda gradients: (2 * gradients[0],)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_judge_finds(fault):
    right, (direction, change) = split_for_test.ROOMS[rooms.REFERENCE], FAULTS[fault]

    class Wrong:
        @staticmethod
        def forward(x, **attributes):
            y, saved = right.forward(x, **attributes)
            return change(y) if direction == "forward" else y, saved

        @staticmethod
        def backward(dy, saved, needs, **attributes):
            gradients = right.backward(dy, saved, needs, **attributes)
            return change(gradients) if direction == "backward" else gradients

    for name in ("forward", "backward"):
        check = getattr(judge, f"check_{name}")
        if name == direction:
            with pytest.raises(comparison.ConformanceFailure):
                check(STEM, CASE, backends.find("reference"), implementation=Wrong)
        elif name == "forward":
            check(STEM, CASE, backends.find("reference"), implementation=Wrong)


def test_a_tuple_in_the_place_of_one_result_does_not_conform():
    class Wrong:
        @staticmethod
        def forward(x):
            return (np.maximum(x, 0),), None

    case = Case((np.ones((2, 2), np.float32),), {})
    with pytest.raises(comparison.ConformanceFailure, match="tuple"):
        judge.check_forward("relu", case, backends.find("reference"), implementation=Wrong)


def test_your_own_implementation_returns_several_results():
    class Mine:
        def split_for_test(self, x, *, sizes):
            return list(np.split(x, np.cumsum(sizes)[:-1], axis=1))

        def split_for_test_backward(self, dy, x, *, sizes):
            return (np.concatenate(dy, axis=1),)

    subject = Implementation("mine", Mine())
    judge.check_forward(STEM, CASE, subject, implementation=subject.operation(STEM))
    judge.check_backward(STEM, CASE, subject, implementation=subject.operation(STEM))


@RUNS
@given(case=split_for_test.cases())
def test_a_case_is_read_back_as_it_was_written(tmp_path_factory, case):
    path = tmp_path_factory.mktemp("case") / "case.npz"
    write_case(path, STEM, "backward", None, case)
    *called, found = read_case(path)
    assert called == [STEM, "backward", None]
    assert found.attributes == case.attributes and isinstance(found.dy, tuple)
    for one, other in zip(found.arrays, case.arrays, strict=True):
        np.testing.assert_array_equal(one, other)
    assert repr(found) == repr(case)


def test_a_case_says_what_its_gradients_are():
    assert repr(CASE).endswith(
        "dy=(np.array([[1.0], [1.0]], np.float32), np.array([[2.0, 2.0], [2.0, 2.0]], np.float32)))"
    )


def test_the_bundle_of_a_device_shows_every_result(tmp_path, opencl_backend):
    """Its script runs the kernels again, with numpy and pyopencl alone."""
    device = opencl_backend.device
    for direction in ("forward", "backward"):
        capture, results = bundle.capture_case(device, STEM, direction, None, CASE)
        expected = bundle.expected(STEM, direction, CASE)
        found = {
            name: (device.to_host(array), *answer)
            for (name, answer), array in zip(expected.items(), results, strict=True)
        }
        folder = tmp_path / direction
        bundle.write_bundle(
            folder,
            operation=STEM,
            direction=direction,
            variant=None,
            case=CASE,
            results=found,
            device={"specification": device.name, "name": device.device_name},
            capture=(capture, results),
        )
        assert repr(read_case(folder)[-1]) == repr(CASE)
        number = device.name.removeprefix("opencl:")
        command = [sys.executable, folder / "repro.py", number]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("within the bound") == len(expected)
