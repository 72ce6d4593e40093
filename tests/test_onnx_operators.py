"""The cards' ONNX mappings: what every one of them says means the same in every version, to onnxruntime too."""

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument, RuntimeException
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NotImplemented_

from refcnn import rooms
from refcnn.conformance.judging import comparison, judge
from refcnn.conformance.running import known_faults
from refcnn.conformance.subjects import base
from refcnn.conformance.subjects import finding as subjects
from refcnn.conformance.subjects.base import NotExpressible
from refcnn.conformance.theory.strategies import Case
from refcnn.errors import ExportError, OpsetError
from refcnn.onnx import operators
from refcnn.onnx.writing.graph import Graph, build_alone
from refcnn.shapes import transposed_output_shape

from . import split_for_test

MAPPED = [operation for operation in rooms.operations() if operators.is_mapped(operation)]
TESTED = [operation for operation in MAPPED if operation in base.operations()]


def run(model, feeds):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    assert [entry.name for entry in session.get_inputs()] == list(feeds)
    return session.run(None, feeds)


def check(model):
    """Pass ONNX's full check, which needs the shape of the result; it must follow from those of the inputs."""
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    onnx.checker.check_model(model, full_check=True)


def test_the_first_operations_have_a_mapping():
    operations = {"add", "average_pool2d", "conv2d", "dense", "flatten", "max_pool2d", "relu", "softmax"}
    assert operations <= set(MAPPED) == set(TESTED)
    subject = subjects.find("onnxruntime")
    for operation in rooms.operations():
        assert (
            subject.offers(operation, "forward") == (subject.operation(operation) is not None) == (operation in MAPPED)
        )
        assert not subject.offers(operation, "backward")


def test_what_has_no_mapping_names_its_card():
    assert not operators.is_mapped("dropout") and not operators.is_mapped("sgd")
    with pytest.raises(ExportError, match=r"dropout.*refcnn/layers/dropout\.py"):
        build_alone("dropout", [np.ones(3, np.float32)], {"ratio": 0.5, "seed": 0, "stream": 0})


@pytest.mark.parametrize("opset", operators.OPSETS)
@pytest.mark.parametrize("operation", TESTED)
@settings(max_examples=4)
@given(data=st.data())
def test_every_mapping_in_every_opset(operation, opset, data):
    case = data.draw(judge.conformance(operation).cases("tiny", integers=judge.has_exact_cases(operation)))
    try:
        model, feeds = build_alone(operation, case.inputs, case.attributes, opset)
    except OpsetError as error:
        # What only later versions can say, which is then what those say.
        assert opset < error.needed <= operators.OPSETS[-1]
        model, feeds = build_alone(operation, case.inputs, case.attributes, error.needed)
        opset = error.needed
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", opset)]
    subject = subjects.find("onnxruntime")
    expected = judge.expect_forward(operation, case, subject)
    check(model)
    known = known_faults.watch(subject.description, operation, "forward", None)
    try:
        results = run(model, feeds)
    except NotImplemented_:
        # onnxruntime has no kernel of every dtype that ONNX allows, but one of floats.
        assert all(entry is None or entry.dtype.kind in "bi" for entry in case.inputs)
        return
    except (InvalidArgument, RuntimeException):
        assert operation == "conv_transpose2d" and is_output_padding_alone(case)
        return
    for computed, exact, bound in zip(results, expected.exact, expected.bounds, strict=True):
        verdict = comparison.verdict(computed, exact, bound)
        assert verdict.within or known.explain(case, verdict, verdict.difference_of_wrong), verdict.text


def is_output_padding_alone(case):
    """Return whether the padding of a transposed convolution leaves nothing else, which onnxruntime refuses."""
    (x, w, _), window = case.inputs, {**case.attributes}
    del window["groups"]
    sizes = transposed_output_shape(x.shape[2:], w.shape[2:], **window)
    return any(size <= more for size, more in zip(sizes, window["output_padding"], strict=True))


def test_what_onnxruntime_refuses_is_no_wrong_answer():
    one = np.ones((1, 1, 1, 1), np.float32)
    window = {"stride": (1, 1), "padding": (0, 1, 0, 0), "dilation": (2, 2), "output_padding": (0, 1), "groups": 1}
    assert is_output_padding_alone(Case((one, one, None), window))
    try:
        y, _ = subjects.find("onnxruntime").operation("conv_transpose2d").forward(one, one, None, **window)
    except NotExpressible as error:
        assert "output padding alone" in str(error)
    else:
        np.testing.assert_array_equal(y, np.zeros((1, 1, 1, 1)))


@given(data=st.data())
@pytest.mark.parametrize("operation", TESTED)
def test_the_arrays_of_a_case_are_the_inputs(operation, data):
    case = data.draw(judge.conformance(operation).cases("tiny"))
    model, feeds = build_alone(operation, case.inputs, case.attributes)
    present = {f"input_{number}": entry for number, entry in enumerate(case.inputs) if entry is not None}
    assert feeds.keys() == present.keys()
    assert [entry.name for entry in model.graph.output] in (
        ["y"],
        [f"y:{place}" for place in range(len(model.graph.output))],
    )
    for name, array in present.items():
        np.testing.assert_array_equal(feeds[name].ravel(), array.ravel())


def test_a_case_holds_arrays_where_numpy_makes_numbers():
    """NumPy's functions return numbers of arrays without axes, which onnxruntime does not take."""
    case = Case((np.abs(np.array(-1, np.float32)), None), {})
    assert isinstance(case.inputs[0], np.ndarray) and case.inputs[1] is None


def test_initializers_are_one_if_they_have_the_same_bits():
    """NaN is not equal to itself, and 0 is equal to -0."""
    graph = Graph({}, {}, 17)
    one, other = np.float32([np.nan, 0.0]), np.float32([np.nan, -0.0])
    assert graph.constant(one, "c") == graph.constant(one.copy(), "c") != graph.constant(other, "c")
    assert len(graph.initializers) == 2


def slicing(graph, x, **attributes):
    return graph.node("Slice", [graph.tensor(x)], starts=(1, 3), ends=(2, 0), axes=(0, 2), steps=(1, -1))


#: What an operation of one input may write: ONNX's operators with what each takes beside arrays, and NumPy's answer.
WRITTEN = {
    "an attribute to opset 17, an input since": (
        lambda graph, x: graph.node("ReduceMean", [graph.tensor(x)], axes=(0, 2), keepdims=0),
        lambda x: x.mean(axis=(0, 2)),
    ),
    "an input": (
        lambda graph, x: graph.node("ReduceSum", [graph.tensor(x)], axes=[1], keepdims=1),
        lambda x: x.sum(axis=1, keepdims=True),
    ),
    "several inputs": (slicing, lambda x: x[1:2, :, 3:0:-1]),
    "a shape": (lambda graph, x: graph.node("Reshape", [graph.tensor(x)], shape=(-1, 6)), lambda x: x.reshape(-1, 6)),
    "a number": (lambda graph, x: graph.node("Clip", [graph.tensor(x)], min=-1, max=2), lambda x: x.clip(-1, 2)),
    "a gap": (lambda graph, x: graph.node("Clip", [graph.tensor(x)], min=None, max=2), lambda x: x.clip(None, 2)),
    "nothing": (lambda graph, x: graph.node("Clip", [graph.tensor(x)], min=None, max=None), lambda x: x),
    "an input and an attribute": (
        lambda graph, x: graph.node(
            "Pad", [graph.tensor(x)], mode="constant", pads=(0, 1, 0, 0, 0, 2), constant_value=7
        ),
        lambda x: np.pad(x, ((0, 0), (1, 0), (0, 2)), constant_values=7),
    ),
    "a table": (
        lambda graph, x: graph.node("Gather", [graph.tensor(x)], indices=[[2, 0]], axis=1),
        lambda x: x[:, [[2, 0]]],
    ),
    "an attribute": (
        lambda graph, x: graph.node("Transpose", [graph.tensor(x)], perm=(2, 0, 1)),
        lambda x: x.transpose(2, 0, 1),
    ),
    "a constant": (
        lambda graph, x: graph.node("Mul", [graph.tensor(x), graph.constant(np.float32([2, 3, 4, 5]))]),
        lambda x: x * [2, 3, 4, 5],
    ),
    "another shape": (
        lambda graph, x: graph.node("MatMul", [graph.tensor(x, shape=(6, 4)), graph.tensor(x, shape=(4, 6))]),
        lambda x: x.reshape(6, 4) @ x.reshape(4, 6),
    ),
}


@pytest.mark.parametrize("opset", [13, 17, 18, 22])
@pytest.mark.parametrize("written", sorted(WRITTEN))
def test_what_is_an_attribute_on_a_card_is_what_onnx_has_it_be(monkeypatch, opset, written):
    to_onnx, answer = WRITTEN[written]
    monkeypatch.setattr(rooms.card("relu"), "to_onnx", to_onnx)
    x = np.random.default_rng(0).integers(-9, 9, (2, 3, 4)).astype(np.float32)
    model, feeds = build_alone("relu", [x], {}, opset)
    check(model)
    (computed,) = run(model, feeds)
    assert computed.dtype == np.float32
    np.testing.assert_array_equal(computed, answer(x))


@pytest.mark.parametrize("opset", [13, 17, 18, 22])
def test_what_was_written_is_read_back_by_the_same_names(monkeypatch, opset):
    def to_onnx(graph, x):
        mean = graph.node("ReduceMean", [graph.tensor(x)], axes=(0, 2), keepdims=1)
        part = graph.node("Slice", [mean], starts=(0,), ends=(2,), axes=(1,))
        clipped = graph.node("Clip", [part], max=2.5)
        return graph.node("Concat", [clipped, mean, clipped], axis=1)

    monkeypatch.setattr(rooms.card("relu"), "to_onnx", to_onnx)
    graph = build_alone("relu", [np.ones((2, 3, 4), np.float32)], {}, opset)[0].graph
    values = {entry.name: onnx.numpy_helper.to_array(entry).tolist() for entry in graph.initializer}
    mean, part, clipped, _ = (node.output[0] for node in graph.node)
    assert [operators.arguments(node, opset, values) for node in graph.node] == [
        {"data": "input_0", "axes": [0, 2], "keepdims": 1},
        {"data": mean, "starts": [0], "ends": [2], "axes": [1]},
        {"input": part, "max": 2.5},
        {"inputs": [clipped, mean, clipped], "axis": 1},
    ]


def test_the_target_asks_for_all_nodes_of_an_operation(monkeypatch):
    def negated_twice(graph, x):
        return graph.node("Relu", [graph.node("Neg", [graph.node("Neg", [graph.tensor(x)])])])

    monkeypatch.setattr(rooms.card("relu"), "to_onnx", negated_twice)
    subject, x = subjects.find("onnxruntime"), np.float32([[-1, 2]])
    assert subject.offers("relu", "forward")
    assert [node.op_type for node in build_alone("relu", [x], {})[0].graph.node] == ["Neg", "Neg", "Relu"]
    np.testing.assert_array_equal(subject.operation("relu").forward(x)[0], [[0, 2]])


@pytest.mark.parametrize("sizes", [(1, 2), (3,)])
def test_the_target_returns_all_results_of_an_operation(monkeypatch, sizes):
    split_for_test.enter(monkeypatch)
    operation, x = subjects.find("onnxruntime").operation(split_for_test.STEM), np.arange(6, dtype=np.float32)
    results, _ = operation.forward(x.reshape(2, 3), sizes=sizes)
    assert isinstance(results, tuple)
    np.testing.assert_array_equal(np.concatenate(results, axis=1), x.reshape(2, 3))
    assert [result.shape[1] for result in results] == list(sizes)


@pytest.mark.parametrize(
    ("operator", "opset", "found"), [("Gelu", 17, "opset of 20 at least"), ("Galu", 22, "Correct its name")]
)
def test_an_operator_that_a_version_does_not_have(monkeypatch, operator, opset, found):
    monkeypatch.setattr(rooms.card("relu"), "to_onnx", lambda graph, x: graph.node(operator, [graph.tensor(x)]))
    with pytest.raises(ExportError, match=rf"opset {opset} .*{operator}.*{found}"):
        build_alone("relu", [np.ones(3, np.float32)], {}, opset)
