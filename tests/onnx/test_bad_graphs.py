"""Graphs that no one can compute: each is refused by one error that names the node, before much memory is taken."""

import tracemalloc

import numpy as np
import pytest
from onnx import TensorProto, helper

from refcnn import use_backend
from refcnn.errors import DataError, DeviceMemoryError, RefcnnError
from refcnn.onnx import load
from refcnn.onnx.reading import foreign, readers

from .. import onnx_fuzz, onnx_mutants
from .test_imported import model_of

#: What messages must hold.
NAME = "the wrong one"
X = np.linspace(-1, 1, 2 * 4 * 6 * 6, dtype=np.float32).reshape(2, 4, 6, 6)
#: Of a graph that may take some memory because it is given so much: 64 KiB.
MANY = np.zeros((1, 2**14, 1), np.float32)
HUGE = 10**6


def node(op_type, *inputs, name=NAME, outputs=("y",), **attributes):
    return helper.make_node(op_type, ["x", *inputs], list(outputs), name=name, **attributes)


def sizes(*values):
    return {"sizes": np.int64(values)}


#: Nodes that would make more than there is memory, with their opset, constants and input.
ABSURD = {
    "AveragePool": ([node("AveragePool", kernel_shape=[HUGE, HUGE], auto_pad="SAME_UPPER")], {}, X),
    "Concat": (
        [
            helper.make_node("Concat", [f"x{number or ''}"] * 2, [f"x{number + 1}"], f"{NAME} {number}", axis=0)
            for number in range(40)
        ],
        {},
        X,
    ),
    "Conv": ([node("Conv", "w", pads=[HUGE] * 4)], {"w": np.ones((1, 4, 1, 1), np.float32)}, X),
    "Conv of many kernels": ([node("Conv", "w", pads=[20] * 4)], {"w": np.ones((2**14, 4, 1, 1), np.float32)}, X),
    "ConvTranspose": ([node("ConvTranspose", "w", strides=[HUGE] * 2)], {"w": np.ones((4, 1, 2, 2), np.float32)}, X),
    "ConvTranspose to a shape": (
        [node("ConvTranspose", "w", output_shape=[2**31 - 1] * 2)],
        {"w": np.ones((4, 1, 2, 2), np.float32)},
        X,
    ),
    "Expand": ([node("Expand", "sizes")], sizes(HUGE, 2, 4, 6, 6), X),
    "Gather": ([node("Gather", "sizes")], {"sizes": np.zeros(HUGE, np.int64)}, X),
    "LRN": ([node("LRN", size=2**31 - 1)], {}, X),
    "LpPool": ([node("LpPool", kernel_shape=[HUGE, HUGE], pads=[HUGE - 1] * 4)], {}, X),
    "MatMul": ([node("MatMul", "w")], {"w": np.ones((1, 2**14), np.float32)}, MANY),
    "Gemm": ([node("Gemm", "w", transA=1)], {"w": np.ones((1, 2**14), np.float32)}, MANY[:, :, 0]),
    "MaxPool": ([node("MaxPool", kernel_shape=[3, HUGE], auto_pad="SAME_UPPER")], {}, X),
    "MaxUnpool": ([node("MaxUnpool", "sizes", kernel_shape=[HUGE] * 2)], {"sizes": np.zeros(X.shape, np.int64)}, X),
    "Mul": ([node("Mul", "w")], {"w": np.ones(2**14, np.float32)}, MANY),
    "Equal": ([node("Equal", "w")], {"w": np.ones(2**14, np.float32)}, MANY),
    "Sum": ([node("Sum", "w")], {"w": np.ones(2**14, np.float32)}, MANY),
    "Where": ([helper.make_node("Where", ["w", "x", "x"], ["y"], NAME)], {"w": np.ones(2**14, bool)}, MANY),
    "OneHot": (
        [helper.make_node("OneHot", ["x", "sizes", "values"], ["y"], NAME)],
        {**sizes(10**10), "values": np.float32([0, 1])},
        X,
    ),
    "Pad": ([node("Pad", "sizes")], sizes(0, 0, HUGE, HUGE, 0, 0, 0, 0), X),
    "Pad of a constant": (
        [helper.make_node("Pad", ["w", "sizes"], ["z"], NAME), helper.make_node("Add", ["x", "z"], ["y"])],
        {"w": np.ones(1, np.float32), **sizes(10**10, 0)},
        X,
    ),
    "ReduceSum": (
        [helper.make_node("ReduceSum", ["w", "sizes"], ["z"], NAME), helper.make_node("Add", ["x", "z"], ["y"])],
        {"w": np.zeros((HUGE, 0, HUGE), np.float32), **sizes(1)},
        X,
    ),
    "Resize": ([node("Resize", "", "", "sizes")], sizes(2, 4, HUGE, HUGE), X),
    "Resize by scales": ([node("Resize", "", "scales")], {"scales": np.float32([1, 1, 1e5, 1e5])}, X),
    "Tile": ([node("Tile", "sizes")], sizes(1, 1, HUGE, HUGE), X),
    "ConstantOfShape": (
        [helper.make_node("ConstantOfShape", ["sizes"], ["z"], NAME), helper.make_node("Add", ["x", "z"], ["y"])],
        sizes(HUGE, HUGE),
        X,
    ),
    "Range": (
        [helper.make_node("Range", ["zero", "sizes", "one"], ["z"], NAME), helper.make_node("Add", ["x", "z"], ["y"])],
        {"zero": np.int64(0), "sizes": np.int64(10**12), "one": np.int64(1)},
        X,
    ),
}


def result(nodes, constants, x, opset=17):
    """Load a graph and compute it, of which the last output is named y."""
    output = nodes[-1].output[0]
    return load(model_of(nodes, constants=constants, outputs=(output,), opset=opset))(x)


@pytest.mark.parametrize("name", ABSURD)
def test_absurd_sizes_are_refused_by_the_node_that_asks_for_them(name, page_backend):
    nodes, constants, x = ABSURD[name]
    with use_backend(page_backend):
        tracemalloc.start()
        try:
            with pytest.raises(DataError, match=NAME) as caught:
                result(nodes, constants, x)
            # It was foreseen.
            assert "cannot be computed (" not in str(caught.value)
            assert tracemalloc.get_traced_memory()[1] < 2**28
        finally:
            tracemalloc.stop()


def test_sizes_that_inputs_give_are_held_against_them_too(page_backend):
    graph = model_of([node("Tile", "repeats")])
    graph.graph.input.append(helper.make_tensor_value_info("repeats", TensorProto.INT64, [1]))
    with use_backend(page_backend):
        model = load(graph)
        x = np.float32([1, 2])
        assert model.run([x, np.int64([3])])[0].shape == (6,)
        with pytest.raises(DataError, match=NAME):
            # These shapes were computed before.
            model.run([x, np.int64([10**12])])


def test_constants_made_of_sizes_may_not_be_many_in_all(monkeypatch):
    monkeypatch.setattr(foreign, "MOST_BYTES", 2**20)
    nodes = [
        helper.make_node("ConstantOfShape", ["sizes"], [f"z{number}"], f"{NAME} {number}", value=_false())
        for number in range(9)
    ]
    nodes.append(helper.make_node("Sum", ["x", *(f"z{number}" for number in range(9))], ["y"]))
    with pytest.raises(DataError, match=f"{NAME} 4"):
        result(nodes, sizes(2**19), X)


def _false():
    return helper.make_tensor("value", TensorProto.BOOL, [1], [False])


def test_a_stride_past_the_image_takes_one_place(page_backend):
    """Kernels compute with it, and one lays space out for it."""
    w = np.linspace(-1, 1, 9 * 4, dtype=np.float32).reshape(1, 4, 3, 3)
    far = 2**31 - 1
    with use_backend(page_backend):
        for nodes, constants in (
            ([node("Conv", "w", strides=[far, 1], pads=[1, 1, 0, 0])], {"w": w}),
            ([node("MaxPool", kernel_shape=[3, 3], strides=[far, 1], pads=[1, 1, 0, 0])], {}),
            ([node("AveragePool", kernel_shape=[3, 3], strides=[far, 1], ceil_mode=1)], {}),
            ([node("LpPool", kernel_shape=[3, 3], strides=[far, 1])], {}),
        ):
            near = [type(nodes[0]).FromString(nodes[0].SerializeToString())]
            next(entry for entry in near[0].attribute if entry.name == "strides").ints[0] = 7
            np.testing.assert_array_equal(
                result(nodes, constants, X, 22).as_ndarray(), result(near, constants, X, 22).as_ndarray()
            )


W = {"w": np.ones((4, 4, 3, 3), np.float32)}
POOL = {"kernel_shape": [2, 2]}

#: Attributes out of range, and sizes that contradict each other: the nodes, and the constants that they read.
WRONG = [
    (node("ArgMax", axis=4), {}),
    (node("AveragePool", kernel_shape=[0, 2]), {}),
    (node("AveragePool", **POOL, strides=[0, 1]), {}),
    (node("AveragePool", **POOL, auto_pad="SAME"), {}),
    (node("BatchNormalization", *("w" * 4)), {"w": np.ones(3, np.float32)}),
    (node("Cast", to=99), {}),
    (node("Concat", "w", axis=0), {"w": np.ones((2, 4, 6, 5), np.float32)}),
    (node("Concat", axis=-5), {}),
    (node("Conv", "w", group=0), W),
    (node("Conv", "w", group=3), W),
    (node("Conv", "w", dilations=[-1, 1]), W),
    (node("Conv", "w", strides=[1, 0]), W),
    (node("Conv", "w", strides=[1]), W),
    (node("Conv", "w", pads=[-1, 0, 0, 0]), W),
    (node("Conv", "w", pads=[0, 0, 0]), W),
    (node("Conv", "w", auto_pad="SOME"), W),
    (node("Conv", "w", kernel_shape=[2, 3]), W),
    (node("Conv", "w"), {"w": np.ones((4, 5, 3, 3), np.float32)}),
    (node("ConvTranspose", "w", output_padding=[5, 5]), W),
    (node("ConvTranspose", "w", output_shape=[0, 3]), W),
    (node("ConvTranspose", "w", auto_pad="SOME"), W),
    (node("DepthToSpace", blocksize=0), {}),
    (node("DepthToSpace", blocksize=3), {}),
    (node("DepthToSpace", blocksize=2, mode="RCD"), {}),
    (node("Dropout", "ratio"), {"ratio": np.float32(1.5)}),
    (node("Expand", "sizes"), sizes(2, 4, 6, 5)),
    (node("Expand", "sizes"), sizes(-1)),
    (node("Flatten", axis=5), {}),
    (node("Gather", "sizes", axis=4), sizes(0)),
    (node("Gather", "sizes"), sizes(2)),
    (node("GatherElements", "sizes", axis=-5), sizes(0)),
    (node("Gelu", approximate="some"), {}),
    (node("Gemm", "w"), {"w": np.ones((5, 3), np.float32)}),
    (node("LRN", size=0), {}),
    (node("LayerNormalization", "w", axis=7), {"w": np.ones(6, np.float32)}),
    (node("LogSoftmax", axis=4), {}),
    (node("LpPool", **POOL, p=0), {}),
    (node("MatMul", "w"), {"w": np.ones((5, 3), np.float32)}),
    (node("MaxPool", **POOL, pads=[2, 2, 2, 2]), {}),
    (node("MaxPool", kernel_shape=[9, 9]), {}),
    (node("MaxPool", kernel_shape=[2]), {}),
    (node("MaxPool", **POOL, auto_pad="NONE"), {}),
    (node("Mul", "w"), {"w": np.ones(5, np.float32)}),
    (helper.make_node("OneHot", ["sizes", "depth", "values"], ["y"], NAME), {"depth": np.int64(0), "values": W["w"]}),
    (node("PRelu", "w"), {"w": np.ones((5, 1, 1), np.float32)}),
    (node("Pad", "sizes"), sizes(1, 1)),
    (node("Pad", "sizes"), sizes(0, 0, -4, 0, 0, 0, -4, 0)),
    (node("Pad", "sizes", mode="mirror"), sizes(0, 0, 1, 0, 0, 0, 0, 0)),
    (node("ReduceMean", "sizes"), sizes(4)),
    (node("ReduceSum", "sizes"), sizes(-5)),
    (node("Reshape", "sizes"), sizes(2, 3, -1, 5)),
    (node("Reshape", "sizes"), sizes(-1, -1)),
    (node("Resize", "", "", "sizes"), sizes(2, 4, 0, 6)),
    (node("Resize", "", "scales"), {"scales": np.float32([1, 1, -2, 2])}),
    (node("Resize", "", "scales", mode="best"), {"scales": np.float32([1, 1, 2, 2])}),
    (node("Resize", "", "scales", nearest_mode="best"), {"scales": np.float32([1, 1, 2, 2])}),
    (node("Slice", "sizes", "sizes", "sizes", "zero"), {**sizes(1), "zero": np.int64([0])}),
    (node("Slice", "sizes", "sizes", "sizes"), sizes(4)),
    (node("Softmax", axis=-5), {}),
    (node("SpaceToDepth", blocksize=4), {}),
    (node("Split", num_outputs=3), {}),
    (node("Split", "sizes", outputs=("y", "z")), sizes(1, 2)),
    (node("Split", axis=4, outputs=("y", "z"), num_outputs=2), {}),
    (node("Squeeze", "sizes"), sizes(1)),
    (node("Tile", "sizes"), sizes(-1)),
    (node("Transpose", perm=[0, 1, 2, 2]), {}),
    (node("Transpose", perm=[0, 1]), {}),
    (node("Unsqueeze", "sizes"), sizes(9)),
    (node("Conv", "w", strides=2), W),
    (node("Softmax", axis=1.5), {}),
    (helper.make_node("Constant", [], ["y"], NAME, value="text"), {}),
    (helper.make_node("ConstantOfShape", ["sizes"], ["y"], NAME, value=[1]), sizes(2)),
    (node("Conv", "w", auto_pad=b"\xff"), W),
    (node("Dropout", outputs=("z", "mask", "y")), {}),
    (node("Relu", outputs=("z", "y")), {}),
]


@pytest.mark.parametrize(
    ("wrong", "constants"), [pytest.param(*row, id=f"{row[0].op_type}-{place}") for place, row in enumerate(WRONG)]
)
def test_what_is_out_of_range_is_refused_by_its_node(wrong, constants, page_backend):
    with use_backend(page_backend), pytest.raises(RefcnnError) as caught:
        result([wrong], constants, X, 20)
    assert NAME in str(caught.value)
    assert "cannot be computed (" not in str(caught.value)


@pytest.mark.parametrize("name", ["Relu", "Conv"])
@pytest.mark.parametrize(("first", "second"), [(("x", "y"), ("y", "z")), (("a", "b"), ("b", "y"))])
def test_graphs_that_do_not_hold_together(name, first, second):
    """Nodes in a circle, and a tensor that nothing gives."""
    nodes = [
        helper.make_node("Sum", [first[0], second[1]], [first[1]], f"{NAME} {name}"),
        helper.make_node("Relu", [second[0]], [second[1]], name),
    ]
    with pytest.raises(DataError) as caught:
        load(model_of(nodes))
    assert NAME in str(caught.value)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda graph: graph.output[0].ClearField("name"), "an output without a name"),
        (lambda graph: graph.input[0].ClearField("name"), "an input without a name"),
        (lambda graph: graph.output.add().CopyFrom(graph.output[0]), "two outputs of the name 'y'"),
        (lambda graph: graph.output.add(name="lost"), "'lost', an output of the graph"),
        (lambda graph: graph.initializer[0].dims.append(2), "'w'"),
        (lambda graph: graph.initializer[0].dims.append(2**62), "'w'"),
        (lambda graph: setattr(graph.initializer[0], "data_type", 99), "'w'"),
        (lambda graph: setattr(graph.initializer[0], "raw_data", b"1"), "'w'"),
    ],
)
def test_tensors_that_contradict_themselves_are_refused_by_name(change, named):
    model = model_of([node("Mul", "w")], constants={"w": np.ones(6, np.float32)})
    change(model.graph)
    with pytest.raises(DataError) as caught:
        load(model)
    assert named in str(caught.value)


def _with_functions(bodies, called):
    """Return a model that calls one of functions of one input and output, each a list of the functions it calls."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    functions = []
    for name, calls in bodies.items():
        tensors = [f"t{number}" for number in range(len(calls))] + ["b"]
        nodes = [helper.make_node("Relu", ["a"], ["t0" if calls else "b"])]
        nodes += [
            helper.make_node(call, [tensors[number]], [tensors[number + 1]], domain="own")
            for number, call in enumerate(calls)
        ]
        functions.append(helper.make_function("own", name, ["a"], ["b"], nodes, opsets))
    model = model_of([helper.make_node(called, ["x"], ["y"], domain="own")], functions=functions)
    model.opset_import.add(domain="own", version=1)
    return model


def test_functions_are_put_in_place():
    model = load(_with_functions({"f": ["g", "g"], "g": []}, "f"))
    np.testing.assert_array_equal(model(X).as_ndarray(), np.maximum(X, 0))


@pytest.mark.parametrize(
    ("bodies", "named"),
    [
        ({"f": ["f"]}, "its function f calls itself"),
        ({"f": ["g"], "g": ["h", "f"], "h": []}, "its function [fg] calls itself"),
        ({"f": [], **{f"f{number}": [f"f{max(0, number - 1) or ''}"] * 2 for number in range(1, 40)}}, "more than"),
    ],
)
def test_functions_that_do_not_end_are_refused(bodies, named):
    called = list(bodies)[-1] if len(bodies) > 9 else "f"
    with pytest.raises(DataError, match=named):
        load(_with_functions(bodies, called))


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Relu", name="\x1b[31m\n" + "long" * 10**5), node("Cast", to=99, outputs=("z",))],
        [node("Flatten", axis=9, name="\x1b[31m\n" + "long" * 10**5)],
        [node("Relu\x1b[31m\n" + "long" * 10**5)],
        [node("Relu", "\x1b[31m\n" + "long" * 10**5)],
        [node("Relu", some_attribute="\x1b[31m\n" + "long" * 10**5)],
        [node("Conv", "x", auto_pad="\x1b[31m\n" + "long" * 10**5)],
        [helper.make_node(f"Other{number}", ["x"], [f"y{number}"]) for number in range(10**4)],
    ],
)
def test_what_a_file_says_does_not_fill_a_message_or_steer_a_terminal(nodes):
    model = model_of(nodes, outputs=[entry.output[0] for entry in nodes])
    with pytest.raises(RefcnnError) as caught:
        load(model)(X)
    assert len(str(caught.value)) < 5000
    assert str(caught.value).isprintable()


def test_a_small_input_may_become_large_images(page_backend):
    """As generators make them, of however many examples."""
    w = np.full((8, 4, 32, 32), 0.5, np.float32)
    nodes = [node("ConvTranspose", "w", strides=[32, 32]), node("Resize", "", "scales")]
    nodes[1].input[0], nodes[1].output[0], nodes[0].output[0] = "z", "y", "z"
    with use_backend(page_backend):
        model = load(model_of(nodes, constants={"w": w, "scales": np.float32([1, 1, 4, 4])}))
        assert model(np.ones((64, 8, 1, 1), np.float32)).shape == (64, 4, 128, 128)


@pytest.mark.parametrize("location", [*onnx_mutants.PLACES, "data/within", "\x1b[31m" * 9])
def test_data_that_lies_elsewhere_is_refused_by_its_tensor(tmp_path, location):
    """Neither is a pipe waited for, nor anything read outside of the folder: the watch sees what is opened."""
    model = model_of([node("Mul", "w")], constants={"w": np.ones(1024, np.float32)})
    (tensor,) = model.graph.initializer
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    (tmp_path / "folder").mkdir()
    path = onnx_fuzz.place(tmp_path / "folder", "other", model.SerializeToString(), [X[..., :1]])
    with pytest.raises(DataError, match="'w'") as caught:
        onnx_fuzz.read(path)
    assert str(caught.value).isprintable()
    tensor.external_data[0].value = "data"
    path.write_bytes(model.SerializeToString())
    onnx_fuzz.read(path)


@pytest.mark.parametrize(("raised", "told"), [(DeviceMemoryError, DeviceMemoryError), (MemoryError, DataError)])
def test_memory_that_ends_is_told_by_the_node(raised, told, monkeypatch):
    def relu(x):
        raise raised("it ran out")

    monkeypatch.setattr(readers.reader("Relu"), "function", relu)
    with pytest.raises(told, match=NAME) as caught:
        result([node("Relu")], {}, X)
    assert "it ran out" in str(caught.value)
