"""Whole networks, computed as onnxruntime does: the light ones of ONNX, and trained ones out of Python packages."""

import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from refcnn import use_backend
from refcnn.onnx import load

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
#: ``tools/package_models`` puts them there.
PACKAGED = Path(os.environ.get("REFCNN_TEST_MODELS", "absent"))

#: Those whose weights take no more than 100 MiB.
SMALL = ("densenet121", "inception_v1", "inception_v2", "resnet50", "shufflenet", "squeezenet")
LARGE = ("bvlc_alexnet", "zfnet512")

#: By the name of a file the shape of an input that it takes.
SHAPES = {
    "ch_PP-OCRv4_det_infer.onnx": (1, 3, 64, 96),
    "ch_PP-OCRv4_rec_infer.onnx": (2, 3, 48, 96),
    "ch_ppocr_mobile_v2.0_cls_infer.onnx": (2, 3, 48, 192),
    "nmp.onnx": (1, 43844, 1),
    "onet.onnx": (2, 48, 48, 3),
    "pnet.onnx": (1, 40, 52, 3),
    "rnet.onnx": (2, 24, 24, 3),
}


def by_onnxruntime(model, feeds):
    """Return what onnxruntime computes, node by node as they stand in the file."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    content = model.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"]).run(None, feeds)


def with_random_weights(model, rng):
    """Put random weights in the place of those that a light network makes of one number each."""
    constants = {entry.name: numpy_helper.to_array(entry) for entry in model.graph.initializer}
    for node in [node for node in model.graph.node if node.op_type == "ConstantOfShape"]:
        shape = constants[node.input[0]]
        fan = max(1, int(np.prod(shape[1:])))
        drawn = rng.standard_normal(shape) * np.sqrt(2 / fan) if len(shape) > 1 else 0.5 + rng.random(shape)
        model.graph.initializer.append(numpy_helper.from_array(drawn.astype(np.float32), node.output[0]))
        model.graph.node.remove(node)
    return model


_ARE_MEANT = pytest.mark.skipif("REFCNN_TEST_MODELS" not in os.environ, reason="its weights are large")
_IS_VAST = pytest.mark.skipif(os.environ.get("REFCNN_ALL_NETWORKS") != "1", reason="REFCNN_ALL_NETWORKS=1 takes 8 GB")
LIGHT_NETWORKS = [
    *SMALL,
    *(pytest.param(name, marks=_ARE_MEANT) for name in LARGE),
    pytest.param("vgg19", marks=(_ARE_MEANT, _IS_VAST)),
]


@pytest.mark.parametrize("name", LIGHT_NETWORKS)
def test_light_network(name):
    use_backend("auto")
    rng = np.random.default_rng(0)
    model = with_random_weights(onnx.load(LIGHT / f"light_{name}.onnx"), rng)
    ours = load(model)
    (entry,) = (entry for entry in model.graph.input if entry.name in ours.input_names)
    x = rng.standard_normal([size.dim_value for size in entry.type.tensor_type.shape.dim]).astype(np.float32)
    (expected,) = by_onnxruntime(model, {entry.name: x})
    (computed,) = ours.run([x])
    np.testing.assert_allclose(computed, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.skipif(not PACKAGED.is_dir(), reason="REFCNN_TEST_MODELS names no folder of tools/package_models")
@pytest.mark.parametrize("name", SHAPES)
def test_trained_network(name):
    use_backend("auto")
    model = onnx.load(PACKAGED / name)
    ours = load(PACKAGED / name)
    x = np.random.default_rng(0).random(SHAPES[name]).astype(np.float32)
    expected = by_onnxruntime(model, {ours.input_names[0]: x})
    for result, entry in zip(ours.run([x]), expected, strict=True):
        # Of 1 at most, as are probabilities, which onnxruntime's sigmoid gives to so many digits.
        np.testing.assert_allclose(result, entry, rtol=0, atol=2e-3 * max(np.abs(entry).max(), 1e-3))
