"""``refcnn verify``: right files conform, a planted fault is found and its operator named, and bad inputs are told."""

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

import refcnn as rm
from refcnn.cli import main
from refcnn.errors import ArgumentError, DataError
from refcnn.onnx import export
from refcnn.onnx.proof import clock, verifying
from refcnn.opencl.operations import dense


def constant(name, array):
    return numpy_helper.from_array(np.asarray(array, np.float32), name)


@pytest.fixture
def cnn(tmp_path):
    """A network with operators that are several operations, a shape that is computed, and two outputs."""
    rng = np.random.default_rng(3)
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["convolved"], "convolution", pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["convolved", "one", "zero", "zero", "one"], ["normalised"], "norm"),
        helper.make_node("Relu", ["normalised"], ["rectified"], "rectifier"),
        helper.make_node("Shape", ["rectified"], ["shape"]),
        helper.make_node("Gather", ["shape", "first"], ["batch"]),
        helper.make_node("Concat", ["batch", "rest"], ["rows_by"], axis=0),
        helper.make_node("Reshape", ["rectified", "rows_by"], ["rows"]),
        helper.make_node("Gemm", ["rows", "v", "c"], ["logits"], "product", alpha=0.3, beta=0.7, transB=1),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    initializers = [
        constant("w", rng.standard_normal((4, 2, 3, 3)) / 4),
        constant("one", np.ones(4)),
        constant("zero", np.zeros(4)),
        constant("v", rng.standard_normal((3, 144)) / 12),
        constant("c", rng.standard_normal(3)),
        numpy_helper.from_array(np.array([0]), "first"),
        numpy_helper.from_array(np.array([-1]), "rest"),
    ]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3]) for name in ("logits", "probabilities")]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 2, 6, 6])
    graph = helper.make_graph(nodes, "cnn", [image], outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    path = tmp_path / "cnn.onnx"
    onnx.save(model, path)
    return path


def run(*arguments):
    found = CliRunner().invoke(main, ["verify", *map(str, arguments)], catch_exceptions=True)
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found


def test_a_right_file_conforms_everywhere(cnn, tmp_path):
    found = run(cnn, "--device", "all", "--examples", 8, "--report", tmp_path / "report")
    assert found.exit_code == 0, found.output
    rows = [line for line in found.output.splitlines() if line.endswith("conforms")]
    assert len(rows) >= 2 and "8 inputs" in found.output and "End to end: outputs up to" in found.output
    page = (tmp_path / "report" / "verify.html").read_text()
    assert "conforms" in page and "<script" not in page
    assert [path.name for path in (tmp_path / "report").iterdir() if path.suffix != ".lock"] == ["verify.html"]


def test_the_bounds_hold_and_are_near(cnn):
    found = verifying.verify(cnn, ["reference", "onnxruntime"], examples=8)
    assert found.verdicts == {verifying.CONFORMS} and found.operations > 6
    assert {shapes[0][1:] for shapes in found.shapes} == {(2, 6, 6)} and len(found.shapes) > 1
    for result in found.results:
        assert result.examples == 8 and 0 < result.ratio <= 1
        assert result.difference <= found.bounds.probable <= found.bounds.proved
    assert found.bounds.proved < 1e-3 < found.bounds.size


def test_a_planted_fault_is_found_and_its_operator_named(cnn, tmp_path, opencl_backend, wrong_relu):
    device = opencl_backend.name
    with rm.use_backend(opencl_backend):
        found = run(cnn, "--device", device, "--device", "reference", "--report", tmp_path, "--examples", 6)
    assert found.exit_code == 1, found.output
    text = " ".join(found.output.split())
    assert f"{device} parts from the exact answer at Relu (rectifier)" in text
    assert "wrong" in found.output and "conforms" in found.output
    # The other one goes on.
    (row,) = (line for line in found.output.splitlines() if line.startswith("reference"))
    assert row.split()[1] == "6" and "6 inputs" in found.output
    # The inputs are kept, and show it again.
    (kept,) = tmp_path.glob("inputs_*.npz")
    with np.load(kept) as archive:
        assert archive["image"].shape[1:] == (2, 6, 6) and np.count_nonzero(archive["image"]) <= 2
    with rm.use_backend(opencl_backend):
        again = run(cnn, "--device", device, "--examples", 0, "--data", kept)
    assert again.exit_code == 1 and "Relu (rectifier)" in again.output
    assert "parts from the exact answer first at" in (tmp_path / "verify.html").read_text()


def test_what_was_found_until_the_time_is_over_is_told(
    cnn, opencl_backend, wrong_relu, a_second_each_look, monkeypatch
):
    """A fault that was found is told whole, and of the others what was found before it."""
    a_second_each_look(clock)
    outcomes, known, let_go = [], [], clock.Clock.let_go
    monkeypatch.setattr(clock.Clock, "let_go", lambda one: known.append(one) or let_go(one))
    for seconds in (3, 20, 40, 60, 80, 120, 10_000):
        known.clear()
        try:
            found = verifying.verify(cnn, [opencl_backend.name, "reference"], examples=4, seconds=seconds)
        except DataError as error:
            assert f"no input was judged within {seconds} s" in str(error) and not known
            outcomes.append(None)
            continue
        wrong, right = found.results
        assert right.verdict == verifying.CONFORMS and right.examples == found.examples > 0
        assert (wrong.parting is not None) == bool(known)
        if known:
            assert wrong.parting.node == "Relu (rectifier)" and wrong.parting.text
        outcomes.append((wrong.verdict, found.is_cut))
    assert outcomes[0] is None and outcomes[-1] == (verifying.WRONG, False) and (verifying.WRONG, True) in outcomes


def suspicious_dense(monkeypatch):
    """Let products on OpenCL lose half of what a sum of so many terms may lose: no order of summation does that."""
    right = dense.forward

    def forward(x, w, b):
        y, saved = right(x, w, b)
        backend = rm.backend.find(x.device.name)
        x, w = (np.abs(backend.to_host(entry)) for entry in (x, w))
        return backend.array(backend.to_host(y) + (x @ w * (x.shape[1] * 2**-25)).astype(np.float32)), saved

    monkeypatch.setattr(dense, "forward", forward)


def test_what_is_only_improbable_is_suspect(tmp_path, opencl_backend, monkeypatch):
    rm.set_seed(1)
    with rm.use_backend(opencl_backend):
        model = rm.Sequential([rm.Flatten(), rm.Dense(3)])
        model(np.zeros((1, 1, 40, 60)))
        options = {"backends": [opencl_backend], "examples": 8}
        assert not export(model, tmp_path / "model.onnx", (1, 40, 60), **options).suspects
        suspicious_dense(monkeypatch)
        proof = export(model, tmp_path / "model.onnx", (1, 40, 60), **options)
        assert len(proof.suspects) == 1 and opencl_backend.name in proof.suspects[0] and "dense_1" in proof.suspects[0]
        assert "suspect" in str(proof)
        with pytest.raises(rm.errors.ExportError, match="dense_1"):
            export(model, tmp_path / "other.onnx", (1, 40, 60), strict=True, **options)
        assert not (tmp_path / "other.onnx").exists()
        arguments = tmp_path / "model.onnx", "--device", opencl_backend.name, "--examples", 8
        assert run(*arguments).exit_code == 0 and run(*arguments, "--strict").exit_code == 1
        assert "is suspect: an output is off by" in run(*arguments).output


def test_inputs_of_ones_own(cnn, tmp_path):
    images = np.random.default_rng(0).random((5, 2, 6, 6), dtype=np.float32)
    np.save(tmp_path / "images.npy", images)
    np.savez(tmp_path / "images.npz", image=images.astype(np.float16))
    data = "--data", tmp_path / "images.npy", "--data", tmp_path / "images.npz"
    found = run(cnn, "--device", "reference", "--examples", 0, *data)
    assert found.exit_code == 0 and "2 inputs" in found.output


@pytest.mark.parametrize("shape", ["5x2x6x6", "Nx2x6x6", "image=Mx2x6x6"])
def test_shapes_of_ones_own(cnn, shape):
    found = run(cnn, "--device", "reference", "--examples", 3, "--shape", shape)
    assert found.exit_code == 0, found.output


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--shape", "2x0"], "write it as Nx3x224x224"),
        (["--shape", "2x"], "write it as Nx3x224x224"),
        (["--shape", "other=1x2x6x6"], "no input 'other'"),
        (["--shape", "1x2x6"], "has 4 axes"),
        (["--shape", "1x3x6x6"], "computed none of"),
        (["--device", "nothing"], "nothing"),
        (["--data", "absent.npy"], "absent.npy"),
        (["--examples", "0"], "leaves nothing"),
    ],
)
def test_bad_arguments(cnn, arguments, text):
    found = run(cnn, *(["--device", "reference"] if "--device" not in arguments else []), *arguments)
    assert found.exit_code == 2 and text in found.output and "Traceback" not in found.output


def test_bad_files(tmp_path, cnn):
    (tmp_path / "broken.onnx").write_bytes(cnn.read_bytes()[:-300])
    np.savez(tmp_path / "other.npz", other=np.zeros(3))
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY")
    np.save(tmp_path / "object.npy", np.array([{}], object), allow_pickle=True)
    for arguments in (
        [tmp_path / "absent.onnx"],
        [tmp_path / "broken.onnx"],
        *([cnn, "--data", tmp_path / name] for name in ("other.npz", "broken.npy", "object.npy")),
    ):
        found = run(*arguments, "--device", "reference")
        assert found.exit_code == 2 and found.output.startswith("Error: "), found.output


def test_what_one_executor_cannot_run_is_said(tmp_path, cnn):
    """A version of the format that onnxruntime does not know yet."""
    model = onnx.load(cnn)
    model.graph.node[2].op_type = "Mish"
    model.opset_import[0].version = 18
    model.ir_version = 99
    onnx.save(model, tmp_path / "new.onnx")
    found = verifying.verify(tmp_path / "new.onnx", ["reference", "onnxruntime"], examples=2)
    assert [result.verdict for result in found.results] == [verifying.CONFORMS, verifying.UNUSABLE]
    assert "99" in found.results[1].unusable or "IR" in found.results[1].unusable


def test_what_computes_in_float16_is_not_called_wrong(tmp_path):
    """Its roundings are larger than any bound of float32, and larger numbers than float16 has are not drawn."""
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"]), helper.make_node("GlobalAveragePool", ["y"], ["z"])]
    kernels = numpy_helper.from_array(np.full((3, 1, 3, 3), 0.3, np.float16), "w")
    takes, gives = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT16, shape)
        for name, shape in (("x", ["N", 1, 8, 8]), ("z", ["N", 3, 1, 1]))
    )
    graph = helper.make_graph(nodes, "half", [takes], [gives], [kernels])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "half.onnx"
    )
    found = run(tmp_path / "half.onnx", "--device", "reference", "--device", "onnxruntime")
    assert found.exit_code == 0 and "float16" in found.output
    assert [line.split("  ")[-1].strip() for line in found.output.splitlines()[2:4]] == ["conforms", "not judged"]


def test_what_is_no_program_is_refused(tmp_path):
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])
    y = helper.make_tensor_value_info("y", TensorProto.INT64, None)
    graph = helper.make_graph([helper.make_node("Shape", ["x"], ["y"])], "g", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "shape.onnx")
    with pytest.raises(DataError, match="nothing to verify"):
        verifying.verify(tmp_path / "shape.onnx", ["reference"], examples=1)
    with pytest.raises(ArgumentError, match="no input"):
        verifying.verify(tmp_path / "shape.onnx", ["reference"], examples=1, shapes={"z": (1,)})


def test_outputs_that_are_handed_on(tmp_path):
    """One that an Identity gives, one that is read on, one that is given twice, and the input itself."""
    nodes = [
        helper.make_node("Relu", ["x"], ["y"]),
        helper.make_node("Identity", ["y"], ["again"]),
        helper.make_node("Neg", ["y"], ["z"]),
        helper.make_node("Identity", ["x"], ["same"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3]) for name in ("again", "y", "z", "same")]
    graph = helper.make_graph(nodes, "g", [x], outputs)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "handed.onnx"
    )
    found = verifying.verify(tmp_path / "handed.onnx", ["reference", "onnxruntime"], examples=5)
    assert found.verdicts == {verifying.CONFORMS} and all(result.examples == 5 for result in found.results)


def test_a_fault_of_refcnn_s_own_says_nothing_about_the_file(cnn, monkeypatch):
    def fails(*_, **__):
        raise ZeroDivisionError("unforeseen")

    monkeypatch.setattr(verifying, "verify", fails)
    found = run(cnn, "--device", "reference")
    assert found.exit_code == 2 and "This is a fault of refcnn" in found.output
