"""Exports without a proof, and those whose proof has little time: what was not judged is said."""

import threading

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refcnn as rm
from refcnn.errors import ArgumentError, ExportError
from refcnn.layers import dense
from refcnn.onnx import export, open_exported
from refcnn.onnx.proof import clock as proof_clock
from refcnn.onnx.proof import drawing, proving
from refcnn.onnx.proof.exact import Exact
from refcnn.onnx.proof.executors import OnnxRuntimeExecutor
from refcnn.onnx.proof.together import together
from refcnn.program import trace

SHAPE = (1, 4, 4)


@pytest.fixture(autouse=True)
def reference():
    with rm.use_backend("reference"):
        yield


@pytest.fixture
def clock(monkeypatch, a_second_each_look):
    """Let a second pass each time that the proof looks at the clock, which judges one input after the other."""
    monkeypatch.setattr(proving, "_AT_ONCE", 1)
    a_second_each_look(proof_clock)


def network():
    rm.set_seed(3)
    model = rm.Sequential([rm.Conv2d(2, 3), rm.Relu(), rm.Flatten(), rm.Dense(3)])
    model(np.zeros((1, *SHAPE)))
    return model


def test_without_a_proof_the_file_is_the_same_and_nothing_was_judged(tmp_path):
    proof = export(network(), tmp_path / "proved.onnx", SHAPE, backends=["reference"], examples=2)
    assert proof.examples == 2 and str(proof).startswith("proved on 2 drawn inputs")
    proof = export(network(), tmp_path / "model.onnx", SHAPE, proof=False)
    assert proof.examples == 0 and str(proof).startswith("not proved")
    assert (tmp_path / "model.onnx").read_bytes() == (tmp_path / "proved.onnx").read_bytes()


def test_without_a_proof_the_file_is_checked_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(dense, "to_onnx", lambda graph, x, *_, **__: graph.node("NoOperator", [graph.tensor(x)]))
    with pytest.raises(ExportError, match="NoOperator"):
        export(network(), tmp_path / "model.onnx", SHAPE, proof=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("seconds", [1, 3])
def test_a_proof_that_has_no_time_says_that_nothing_was_judged(tmp_path, clock, seconds):
    """The first input takes more steps than that."""
    proof = export(network(), tmp_path / "model.onnx", SHAPE, backends=["reference"], proof_time=seconds)
    assert proof.examples == 0
    assert str(proof) == (f"not proved (20 of 20 inputs were not judged: the proof's {seconds} s were over)")
    onnx.checker.check_model(onnx.load(tmp_path / "model.onnx"), full_check=True)
    assert open_exported(tmp_path / "model.onnx").predict(np.zeros((2, *SHAPE), np.float32)).shape == (2, 3)


@pytest.mark.parametrize("seconds", [15, 60])
def test_a_proof_whose_time_is_over_says_what_was_not_judged(tmp_path, clock, seconds, monkeypatch):
    """Four operations are computed three times for each input, once for each of both executors, which is 13 seconds."""
    begun, computed = [], OnnxRuntimeExecutor.computed
    monkeypatch.setattr(OnnxRuntimeExecutor, "computed", lambda *given: begun.append(given) or computed(*given))
    proof = export(network(), tmp_path / "model.onnx", SHAPE, backends=["reference"], proof_time=seconds)
    assert 0 < proof.examples < 20
    assert f"proved on {proof.examples} drawn input" in str(proof)
    assert f"({20 - proof.examples} of 20 inputs were not judged" in str(proof)
    # An input that is drawn twice is judged once.
    assert len(begun) == seconds // 13 + 1 and proof.examples >= seconds // 13
    assert all(0 <= ratio <= 1 for ratio in proof.ratios.values())


@pytest.mark.parametrize("most", [1, 3])
def test_as_many_as_are_judged_at_the_same_time_the_proof_is_the_same(tmp_path, monkeypatch, most):
    proof = export(network(), tmp_path / "model.onnx", SHAPE, backends=["reference"])
    monkeypatch.setattr(proving, "_AT_ONCE", most)
    assert proof == export(network(), tmp_path / "model.onnx", SHAPE, backends=["reference"])


def test_inputs_of_all_sizes_are_drawn():
    drawn = []
    drawing.search(lambda patterns: drawing.drawn_inputs([SHAPE], 1, patterns), 200, drawn.append)
    assert {len(one.arrays[0]) for one in drawn} == {1, 2, 3, 6}


@given(batch=st.integers(1, 5), place=st.integers(0, 4), seed=st.integers(0, 2**32 - 1))
def test_the_bounds_are_those_of_the_example_where_they_are_widest(batch, place, seed):
    """The bound of a sum of few numbers that nearly cancel is wide beside the sum."""
    place %= batch
    model = rm.Sequential([rm.Dense(1)])
    model(np.zeros((1, 3)))
    model[0].set_parameters({"w": np.ones((3, 1), np.float32), "b": np.zeros((1, 1), np.float32)})
    x = np.random.default_rng(seed).uniform(1, 2, (batch, 3)).astype(np.float32)
    x[place] = 100, -100, 0.5
    program = trace(model, [x])
    width, (example,) = proving._loosest(program, Exact(program).chain([x]), (x,))
    assert np.array_equal(example, x[place : place + 1])
    alone, _ = proving._loosest(program, Exact(program).chain([example]), (example,))
    assert width == pytest.approx(alone, rel=1e-6) and width > 0


def test_enough_time_changes_nothing(tmp_path):
    proofs = [
        export(network(), tmp_path / "model.onnx", SHAPE, backends=["reference"], examples=5, proof_time=limit)
        for limit in (None, 1000)
    ]
    assert proofs[0] == proofs[1] and proofs[0].examples == 5


def test_a_fault_that_was_found_is_told_whole_though_the_time_is_over(tmp_path, clock, monkeypatch):
    """The output is wrong in the first second, and which operation made it so is looked for after the time."""
    mapping = dense.to_onnx
    monkeypatch.setattr(dense, "to_onnx", lambda graph, x, w, b, **attributes: mapping(graph, x, w, None, **attributes))
    model = network()
    model[3].set_parameters({"b": np.full(model[3].params.b.shape, 3.0, np.float32)})
    with pytest.raises(ExportError, match="departs from the exact answer at dense_1"):
        export(model, tmp_path / "model.onnx", SHAPE, backends=["reference"], proof_time=6)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), "1m"])
def test_times_that_are_none(tmp_path, seconds):
    with pytest.raises(ArgumentError, match="proof_time"):
        export(network(), tmp_path / "model.onnx", SHAPE, proof_time=seconds)


def test_bounds_and_certificate_are_left_out_where_the_time_is_over(tmp_path, clock):
    """Two inputs are judged in 26 seconds; what comes after them ends with the time, as they do."""
    images = np.zeros((5, *SHAPE), np.float32)
    options = {"backends": ["reference"], "examples": 2, "certify": images}
    proof = export(network(), tmp_path / "model.onnx", SHAPE, proof_time=27, **options)
    assert proof.examples == 2 and proof.certificate is None and proof.bounds is None
    proof = export(network(), tmp_path / "model.onnx", SHAPE, proof_time=500, **options)
    assert proof.examples == 2 and proof.certificate.images == 5 and proof.bounds is not None


def test_what_has_not_begun_does_not_begin_once_something_failed():
    begun, is_failing = [], threading.Event()

    def fail():
        begun.append("fail")
        is_failing.set()
        raise ArgumentError("first")

    def wait():
        begun.append("wait")
        is_failing.wait()

    with pytest.raises(ArgumentError, match="first"):
        together([fail, wait, *(lambda: begun.append("later") for _ in range(50))], 2)
    assert begun == ["fail", "wait"]


@pytest.mark.parametrize("most", [1, 2, None])
def test_results_of_tasks_come_in_their_order(most):
    assert together([lambda n=n: n for n in range(20)], most) == list(range(20))
    assert together([], most) == []
