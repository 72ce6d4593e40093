"""Exports with a planted fault: refused, the right layer named, and nothing changed on the disk."""

import os
import types

import hypothesis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refcnn as rm
from refcnn import backend as backends
from refcnn import rooms
from refcnn.conformance.theory import hypothesis_folder
from refcnn.errors import ExportError
from refcnn.formats import FLOAT32
from refcnn.layers import average_pool2d, conv2d, dense, relu
from refcnn.onnx import export, runtime
from refcnn.onnx.proof import drawing, exact
from refcnn.program import trace

SHAPE = (2, 9, 9)


@pytest.fixture(autouse=True)
def reference():
    with rm.use_backend("reference"):
        yield


def network():
    rm.set_seed(5)
    model = rm.Sequential(
        [
            rm.Conv2d(3, filter=3, padding=(1, 1, 0, 1)),
            rm.Relu(),
            rm.Conv2d(3, filter=3, padding=(1, 0, 1, 2)),
            rm.AveragePool2d(2, padding=1, stride=2),
            rm.Flatten(),
            rm.Dense(4),
        ]
    )
    model(np.zeros((1, *SHAPE)))
    random = np.random.default_rng(0)
    state = {name: random.standard_normal(value.shape) for name, value in model.state().items()}
    model.set_state(state)
    return model


def refused(tmp_path, **options):
    """Return the message of a refused export, whose path held another file before."""
    path = tmp_path / "model.onnx"
    path.write_bytes(b"what stood here before")
    with pytest.raises(ExportError) as caught:
        export(network(), path, SHAPE, **{"backends": ["reference"], **options})
    assert path.read_bytes() == b"what stood here before" and os.listdir(tmp_path) == ["model.onnx"]
    assert "was not written" in str(caught.value) and not getattr(caught.value, "__notes__", None)
    return str(caught.value)


def only_call(number, wrong, right):
    """Return a mapping that is wrong at one call only."""
    calls = 0

    def to_onnx(*arguments, **attributes):
        nonlocal calls
        calls += 1
        return (wrong if calls == number else right)(*arguments, **attributes)

    return to_onnx


def swapped_padding(graph, x, w, b, *, padding, **attributes):
    top, left, bottom, right = padding
    return CONVOLUTION(graph, x, w, b, padding=(bottom, right, top, left), **attributes)


def transposed_kernel(graph, x, w, b, **attributes):
    return with_kernel(graph, x, w, b, w.as_ndarray().transpose(0, 1, 3, 2), attributes)


def flipped_kernel(graph, x, w, b, **attributes):
    return with_kernel(graph, x, w, b, w.as_ndarray()[..., ::-1, ::-1], attributes)


def with_kernel(graph, x, w, b, kernel, attributes):
    name = graph.constant(kernel, "changed")

    def tensor(variable, shape=None):
        return name if variable is w else graph.tensor(variable, shape)

    return CONVOLUTION(types.SimpleNamespace(tensor=tensor, node=graph.node), x, w, b, **attributes)


def without_bias(graph, x, w, b, **attributes):
    return CONVOLUTION(graph, x, w, None, **attributes)


CONVOLUTION, POOLING, DENSE = conv2d.to_onnx, average_pool2d.to_onnx, dense.to_onnx


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("wrong", [swapped_padding, transposed_kernel, flipped_kernel, without_bias])
def test_a_wrong_convolution_in_the_file(tmp_path, monkeypatch, wrong, number):
    monkeypatch.setattr(conv2d, "to_onnx", only_call(number, wrong, CONVOLUTION))
    message = refused(tmp_path)
    layer = {1: 0, 2: 2}[number]
    assert f"{runtime.NAME} departs from the exact answer at conv2d_{number} (with {layer}.w, {layer}.b" in message
    assert "refcnn/layers/conv2d.py" in message and "on a batch of 1" in message
    assert f"Conv(X={'image' if number == 1 else 'relu_1'}, W=" in message and "dilations=[1, 1]" in message


def test_padding_that_does_not_count_as_it_should(tmp_path, monkeypatch):
    def to_onnx(graph, x, *, count_include_padding, **attributes):
        return POOLING(graph, x, count_include_padding=not count_include_padding, **attributes)

    monkeypatch.setattr(average_pool2d, "to_onnx", to_onnx)
    assert "at average_pool2d_1 (operation 4 of 6)" in refused(tmp_path)


def test_padding_that_changes_the_shape_is_named_by_the_check(tmp_path, monkeypatch):
    def two_sided(graph, x, w, b, *, padding, **attributes):
        return CONVOLUTION(graph, x, w, b, padding=padding[:2] * 2, **attributes)

    monkeypatch.setattr(conv2d, "to_onnx", only_call(2, two_sided, CONVOLUTION))
    message = refused(tmp_path)
    assert "ONNX's check refuses the file" in message and "conv2d_2" in message


def test_a_baked_in_batch_size_is_refused(tmp_path, monkeypatch):
    def to_onnx(graph, x, w, b):
        name = graph.tensor(x)
        shape = graph.constant(np.array([2, w.shape[0]], np.int64))
        return graph.node("Gemm", [graph.node("Reshape", [name, shape]), graph.tensor(w), graph.tensor(b)])

    monkeypatch.setattr(dense, "to_onnx", to_onnx)
    assert "dense_1" in refused(tmp_path)


class Faulty:
    """A backend of its own name in which one operation is wrong."""

    name = "opencl:9:9"

    def __init__(self, operation, forward):
        self._reference, self._operation, self._forward = backends.find("reference"), operation, forward
        self.array, self.to_host = self._reference.array, self._reference.to_host

    def operation(self, stem):
        implementation = self._reference.operation(stem)
        if stem != self._operation:
            return implementation
        return types.SimpleNamespace(
            forward=lambda *arrays, **attributes: self._forward(implementation, *arrays, **attributes)
        )


def scaled(implementation, *arrays, **attributes):
    y, saved = implementation.forward(*arrays, **attributes)
    return y * np.float32(1 + 2.0**-13), saved


def not_a_number(implementation, *arrays, **attributes):
    y, saved = implementation.forward(*arrays, **attributes)
    y = y.copy()
    y[-1, -1] = np.nan
    return y, saved


def wrong_shape(implementation, *arrays, **attributes):
    y, saved = implementation.forward(*arrays, **attributes)
    return y[:, :1], saved


@pytest.mark.parametrize("operation", ["conv2d", "relu", "average_pool2d", "dense"])
def test_a_backend_that_is_off_a_little(tmp_path, operation):
    message = refused(tmp_path, backends=["reference", Faulty(operation, scaled)])
    assert f"opencl:9:9 departs from the exact answer at {operation}_1 (" in message
    assert f"refcnn/opencl/operations/{operation}.py" in message


def test_a_fault_smaller_than_the_bound_of_the_output(tmp_path):
    def scaled_by_a_bit(implementation, x):
        y, saved = implementation.forward(x)
        return y * np.float32(1 + 2.0**-22), saved

    # ReLU rounds nothing, but the convolution after it rounds more than this.
    message = refused(tmp_path, backends=[Faulty("relu", scaled_by_a_bit)], examples=3)
    assert "opencl:9:9 departs from the exact answer at relu_1 (operation 2 of 6)" in message


def test_a_backend_that_gives_nan_or_another_shape(tmp_path):
    message = refused(tmp_path, backends=[Faulty("dense", not_a_number)])
    assert "dense_1" in message and "is nan, where" in message
    message = refused(tmp_path, backends=[Faulty("dense", wrong_shape)])
    assert "dense_1" in message and "shape (1, 1), but an array of shape (1, 4) is needed" in message


def verdict_on(model, x, computed):
    """Return the verdict on the result of a model of one operation, judged as each step of an export is."""
    image = np.array(x, np.float32)
    program = trace(model, image, softmax=False)
    ((_, _, verdict),) = exact.Exact(program).verdicts([image], {program.outputs[0]: np.array(computed, np.float32)})
    return verdict


@given(seed=st.integers(0, 2**32 - 1), off=st.sampled_from([0, 1e-7, 1e-6, 1e-4]), batch=st.integers(1, 3))
def test_bounds_of_the_least_magnitudes_change_no_judgement(seed, off, batch):
    program, random = trace(network(), np.zeros((1, *SHAPE), np.float32), softmax=False), np.random.default_rng(seed)
    image = random.standard_normal((batch, *SHAPE)).astype(np.float32)
    image[random.random(image.shape) < 0.1] = random.choice([0, 1e-40])
    right = exact.Exact(program).chain([image]).arrays
    names = [name for step in program.steps for name in step.results]

    def computed():
        return {
            name: (right[name] * (1 + off * random.standard_normal(right[name].shape))).astype(np.float32)
            for name in names
        }

    several = [computed() for _ in range(3)]
    least = exact.Least(exact.Exact(program), [image], several)
    for one in several:
        own = list(exact.Exact(program).verdicts([image], one))
        told = list(exact.Exact(program).verdicts([image], one, None, least))
        assert [verdict.within for *_, verdict in told] == [verdict.within for *_, verdict in own]
        worst = max((verdict.ratio for *_, verdict in own if verdict.within), default=0)
        assert max((verdict.ratio for *_, verdict in told if verdict.within), default=0) == worst
        outside = [(mine, its) for (*_, mine), (*_, its) in zip(own, told, strict=True) if not mine.within]
        assert all(mine == its for mine, its in outside)
        assert all(its.ratio >= mine.ratio for (*_, mine), (*_, its) in zip(own, told, strict=True))


def test_what_may_be_flushed_of_one_widens_no_bound_of_another():
    """Of two inputs near the smallest normal number one may be read as zero, the other is off by nothing."""
    program = trace(rm.Sequential([rm.Relu(), weighing(1.0)]), np.zeros((1, 1), np.float32), softmax=False)
    of_relu, of_dense = program.steps
    several = [{of_relu.results[0]: np.full((1, 1), x, np.float32)} for x in (1.1e-38, 1.2e-38)]
    judged = exact.Exact(program)
    (least,) = exact.Least(judged, [np.zeros((1, 1), np.float32)], several).bounds(of_dense, [np.zeros((1, 1))])
    (weights,) = judged.constants.values()
    given = [exact.exactly(several[1][of_relu.results[0]]), weights, None]
    (own,) = judged.bound(of_dense, given, (None,) * 3, (None,), [np.zeros((1, 1))])
    assert 0 < least <= own


def test_infinity_is_right_where_it_is_exact():
    assert verdict_on(rm.Sequential([rm.Relu()]), [[np.inf, 1]], [[np.inf, 1]]).within
    assert not verdict_on(rm.Sequential([rm.Relu()]), [[np.inf, 1]], [[FLOAT32.largest, 1]]).within
    assert not verdict_on(rm.Sequential([rm.Relu()]), [[np.inf, 1]], [[np.nan, 1]]).within
    assert verdict_on(rm.Sequential([rm.Relu()]), [[np.nan, 1]], [[np.nan, 1]]).within


def weighing(*weights):
    model = rm.Sequential([rm.Dense(1, input_size=len(weights), ignore_bias=True)])
    model.set_state({"0.w": np.array(weights)[:, None]})
    return model


@pytest.mark.parametrize("computed", [np.nan, np.inf, -np.inf, 0])
def test_anything_is_right_where_the_definition_leaves_it_open(computed):
    # The sum is infinity and what passes the largest float32, or not, by its order.
    assert verdict_on(weighing(1, -8, 8), [[np.inf, FLOAT32.largest, FLOAT32.largest]], [[computed]]).within
    # Likewise without infinity: large numbers of either sign.
    assert verdict_on(weighing(-8, 8), [[FLOAT32.largest, FLOAT32.largest]], [[computed]]).within


def leaking(graph, x):
    """A rectifier that is off by so much that every bound of it notices, and none of other operations."""
    return graph.node("LeakyRelu", [graph.tensor(x)], alpha=1e-3)


def off_by_one(graph, x):
    return graph.node("Add", [graph.node("Relu", [graph.tensor(x)]), graph.constant(np.float32(1))])


@pytest.fixture
def known(request, tmp_path_factory, monkeypatch):
    """A list of known faults that has one of onnxruntime's rectifier, and by how much it may be off."""
    path = tmp_path_factory.mktemp("known") / "faults.toml"
    path.write_text(
        '[[fault]]\nid = "leak"\noperation = "relu"\ndirection = "forward"\ndevice = "onnxruntime"\ndriver = "*"\n'
        'condition = "any"\nlink = "https://example.org/leak"\nseen = "1"\n'
        + f"difference = {getattr(request, 'param', 1e9)}"
    )
    monkeypatch.setenv("REFCNN_KNOWN_FAULTS", str(path))


def test_a_known_fault_of_onnxruntime_is_remarked(tmp_path, monkeypatch, known):
    monkeypatch.setattr(relu, "to_onnx", leaking)
    proof = export(network(), tmp_path / "model.onnx", SHAPE, backends=["reference"], examples=9)
    assert proof.examples == 9 and 0 < max(proof.ratios.values()) <= 1
    assert "relu" in str(proof) and "https://example.org/leak" in str(proof) and runtime.NAME in proof.remark


def test_a_sigmoid_in_which_onnxruntime_loses_all_digits_is_exported_with_a_remark(tmp_path):
    class FarBelowZero(rm.Model):
        def forward(self, x):
            return rm.sigmoid(abs(x) * -30.0) + 1.0

    proof = export(FarBelowZero(), tmp_path / "model.onnx", (3,), backends=["reference"])
    assert "sigmoid" in proof.remark and "onnxruntime/issues/22557" in proof.remark
    assert 0 < max(proof.ratios.values()) <= 1


def test_a_fault_that_is_not_known_is_refused_beside_one_that_is(tmp_path, monkeypatch, known):
    monkeypatch.setattr(relu, "to_onnx", leaking)
    monkeypatch.setattr(conv2d, "to_onnx", only_call(2, without_bias, CONVOLUTION))
    assert f"{runtime.NAME} departs from the exact answer at conv2d_2" in refused(tmp_path)


@pytest.mark.parametrize("known", [0.5], indirect=True)
def test_a_result_further_off_than_the_known_fault_is_refused(tmp_path, monkeypatch, known):
    monkeypatch.setattr(relu, "to_onnx", off_by_one)
    assert f"{runtime.NAME} departs from the exact answer at relu_1" in refused(tmp_path)


def test_a_known_fault_of_onnxruntime_explains_no_backend(tmp_path, known):
    assert "opencl:9:9 departs from the exact answer at relu_1" in refused(
        tmp_path, backends=["reference", Faulty("relu", scaled)]
    )


def test_both_backends_outside_points_at_the_oracle(tmp_path, monkeypatch):
    forward = backends.find("reference").operation("relu").forward

    def float64_off(x):
        y, saved = forward(x)
        return (y * 1.25 if x.dtype == np.float64 else y), saved

    monkeypatch.setattr(backends.find("reference").operation("relu"), "forward", float64_off)
    message = refused(tmp_path)
    assert f"{runtime.NAME} and reference depart" in message and "relu_1" in message
    assert "refcnn/reference/relu.py" in message


def test_a_fault_of_several_operations_together(tmp_path, monkeypatch):
    run = runtime.Session.run

    def optimised_wrongly(session, image):
        outputs = run(session, image)
        return {name: value * 2 + 1 for name, value in outputs.items()} if len(outputs) == 1 else outputs

    monkeypatch.setattr(runtime.Session, "run", optimised_wrongly)
    message = refused(tmp_path)
    assert f"{runtime.NAME} gave an output outside" in message and "an optimisation over several operations" in message


def test_a_runtime_that_fails_is_explained(tmp_path, monkeypatch):
    def run(session, image):
        raise RuntimeError("out of luck.")

    monkeypatch.setattr(runtime.Session, "run", run)
    assert f"{runtime.NAME} cannot run the file" in refused(tmp_path)


def test_an_operation_without_a_bound_is_refused(tmp_path, monkeypatch):
    find = rooms.find
    has_none = (rooms.CONFORMANCE, "flatten")
    monkeypatch.setattr(rooms, "find", lambda *sought: None if sought == has_none else find(*sought))
    with pytest.raises(ExportError, match="flatten, which has no error bound"):
        export(network(), tmp_path / "model.onnx", SHAPE)
    assert os.listdir(tmp_path) == []


def test_the_drawn_images_cover_what_they_should():
    seen = []
    settings = hypothesis.settings(max_examples=60, derandomize=True, database=None)
    shapes = (1, 4, 4), (2,)
    settings(hypothesis.given(drawing.drawn_inputs(shapes, 255.0))(lambda drawn: seen.append(drawn.arrays)))()
    assert {tuple(map(len, arrays)) for arrays in seen} == {(1, 1), (2, 2), (3, 3), (6, 6)}
    assert {tuple(array.shape[1:] for array in arrays) for arrays in seen} == {shapes}
    seen = [image for image, _ in seen]
    assert all(image.dtype == np.float32 and np.isfinite(image).all() for image in seen)
    assert any(not image.any() for image in seen)
    assert any(image.min() >= 0 and 200 < image.max() <= 255 and len(np.unique(image)) > 9 for image in seen)
    assert any(image.min() < -200 and abs(image).max() <= 255 for image in seen)
    assert any(abs(image).max() > 1e7 for image in seen)
    assert any(0 < np.count_nonzero(image) < image.size / 2 for image in seen)


def test_the_search_for_a_simpler_input_ends_in_time(monkeypatch):
    monkeypatch.setattr(drawing, "SHRINKING_TIME", 0.0)
    seen = []

    def check(drawn):
        seen.append(drawn)
        if np.count_nonzero(drawn.arrays[0]) > 3:
            raise ExportError("too many")

    drawn, error = drawing.failure(drawing.drawn_inputs([(4, 4)], 1.0), 20, check)
    assert str(error) == "too many" and drawn is seen[-1]


def test_the_search_simplifies():
    def check(drawn):
        if (drawn.arrays[0] > 0.5).any():
            raise ExportError("too bright")

    strategy = drawing.drawn_inputs([(4, 4)], 1.0)
    drawn, _ = drawing.failure(strategy, 20, check)
    assert len(drawn.arrays[0]) == 1 and np.count_nonzero(drawn.arrays[0]) == 1
    assert drawing.failure(strategy, 20, lambda drawn: None) is None


def test_what_hypothesis_keeps_lies_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def folder():
        return hypothesis.configuration.storage_directory("constants").path

    with hypothesis_folder.in_the_cache():
        assert folder().is_relative_to(tmp_path / "refcnn")
    assert not folder().is_relative_to(tmp_path)
