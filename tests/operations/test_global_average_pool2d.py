"""Global average pooling."""

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given

import refcnn as rm
from refcnn.conformance.operations import global_average_pool2d
from refcnn.errors import ShapeError
from refcnn.onnx import export

from .checks import SIZE, check, check_example, check_gradients, check_node_cases, check_onnxruntime


def test_worked_example(backend):
    x = [[[[1, 3, 2], [4, 0, 2]], [[-6, 0, 6], [6, 6, 0]]]]
    dx = [[[[2, 2, 2], [2, 2, 2]], [[-1, -1, -1], [-1, -1, -1]]]]
    check_example(
        "global_average_pool2d", (x,), {}, [[[[2]], [[2]]]], dy=[[[[12]], [[-6]]]], gradients=(dx,), backend=backend
    )


@given(case=global_average_pool2d.cases(SIZE))
def test_within_bound(backend, case):
    check("global_average_pool2d", case, backend)


@given(case=global_average_pool2d.cases("tiny", integers=True))
def test_gradients_of_reference(case):
    check_gradients("global_average_pool2d", case, step=1, tolerance=1e-12)


@given(case=global_average_pool2d.cases(SIZE))
def test_onnxruntime(case):
    check_onnxruntime("global_average_pool2d", case)


def test_cases_of_onnx(page_backend):
    check_node_cases(
        "global_average_pool2d", "GlobalAveragePool", lambda _, x: ((x,), {}), page_backend, tolerance=1e-6
    )


FUNCTIONS = {
    "GlobalAveragePool1d": rm.global_average_pool1d,
    "GlobalAveragePool2d": rm.global_average_pool2d,
    "GlobalAveragePool3d": rm.global_average_pool3d,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_number_of_spatial_axes_has_a_layer(name):
    axes, layer = int(name[-2]), getattr(rm, name)()
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5, 6)[: 2 + axes])
    with rm.use_backend("reference:float64"):
        for y in (layer(x), FUNCTIONS[name](x)):
            expected = x.mean(axis=tuple(range(2, x.ndim)), keepdims=True)
            np.testing.assert_allclose(y.as_ndarray(), expected, rtol=1e-13, strict=True)
    for shape in (x.shape[:-1], (*x.shape, 2), (0, *x.shape[1:]), (*x.shape[:-1], 0)):
        with pytest.raises(ShapeError, match=f"{name}: the input has shape"):
            layer(np.zeros(shape, np.float32))


def test_a_network_that_ends_in_one_is_exported_for_images_of_any_batch(tmp_path):
    rm.set_seed(0)
    x = np.random.default_rng(0).normal(size=(3, 2, 6, 5)).astype(np.float32)
    with rm.use_backend("reference"):
        model = rm.Sequential([rm.Conv2d(4), rm.GlobalAveragePool2d(), rm.Flatten(), rm.Dense(2)])
        y = model(x).as_ndarray()
        export(model, tmp_path / "model.onnx", (2, 6, 5), backends=["reference"])
    assert "GlobalAveragePool" in {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (found,) = session.run(None, {session.get_inputs()[0].name: x})
    np.testing.assert_allclose(found, y, rtol=1e-4, atol=1e-6)
