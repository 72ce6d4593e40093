"""On which pixels a score depends: each answer is held against its formula, computed otherwise."""

import numpy as np
import pytest

import refcnn as rm
from refcnn import program
from refcnn.serve import saliency
from refcnn.serve.refusing import Refusal
from refcnn.serve.saliency import Gradients, occlusion
from refcnn.serve.served import METHODS

from .conftest import CLASSES, line_image, png
from .test_answers import schema, values

IMAGE = png(line_image())


@pytest.fixture
def traced():
    """A network without corners, its program, and an input; float64 computes."""
    rm.set_seed(3)
    with rm.use_backend("reference"):
        layers = [rm.Conv2d(3, 3), rm.Tanh(), rm.Conv2d(4, 2), rm.GlobalAveragePool2d(), rm.Flatten(), rm.Dense(3)]
        model = rm.Sequential(layers)
        x = np.random.default_rng(0).normal(size=(1, 2, 6, 5)).astype(np.float32)
        model(x)
        return model, program.trace(model, x), x


def scores_of(traced, x):
    backend = rm.backend.find("reference:float64")
    constants = {name: backend.array(array) for name, array in traced.constants.items()}
    return traced.run(backend, constants, [np.asarray(x, np.float64)])[traced.outputs[0]]


def test_gradient_times_input_is_the_slope(traced):
    _, steps, x = traced
    found = Gradients(steps, rm.backend.find("reference:float64"), steps.outputs[0]).times_input(x, 2)
    slopes = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[index] = 1e-5
        slopes[index] = (scores_of(steps, x + step)[0, 2] - scores_of(steps, x - step)[0, 2]) / 2e-5
    np.testing.assert_allclose(found, slopes * x, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("number", [0, 2])
def test_grad_cam_before_a_mean_is_the_sum_by_the_last_weights(traced, number):
    """Of a mean over the maps the gradient is the same everywhere, and so its formula has no gradient."""
    model, steps, x = traced
    found = Gradients(steps, rm.backend.find("reference:float64"), steps.outputs[0])
    assert found.convolutions() == [0, 2]
    with rm.use_backend("reference"):
        maps = model[2](model[1](model[0](x))).as_ndarray()[0].astype(np.float64)
    weights = model.state()["5.w"][:, number] / maps[0].size
    expected = np.maximum(np.einsum("k,kij->ij", weights, maps), 0)
    np.testing.assert_allclose(found.class_activation(x, number, None), expected, rtol=1e-5, atol=1e-7)
    # Before that a layer's maps are taken after its activation.
    activated, gradient = found.of(x, number, "tanh_1")
    weighted = np.maximum((gradient.mean(axis=(2, 3), keepdims=True) * activated).sum(axis=(0, 1)), 0)
    assert np.abs(activated).max() < 1 and weighted.shape == (4, 3)
    np.testing.assert_allclose(found.class_activation(x, number, 0), weighted, rtol=1e-6)
    with pytest.raises(Refusal, match="convolution"):
        found.class_activation(x, number, 1)


@pytest.mark.parametrize("axes", [(2, 3), (1, 2)])
@pytest.mark.parametrize("batch", [1, 32])
def test_occlusion_covers_each_patch(monkeypatch, axes, batch):
    monkeypatch.setattr(saliency, "_BATCH", batch)
    rng = np.random.default_rng(1)
    x = rng.random((1, 2, 17, 14) if axes == (2, 3) else (1, 17, 14, 2)).astype(np.float32)
    weights = rng.normal(size=(x.size, 3))

    def scores(batch):
        return np.sin(batch.reshape(len(batch), -1).astype(np.float64)) @ weights

    pieces = occlusion(scores, x, 1, axes)
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            found = end.value
            break
    total, count = np.zeros((17, 14)), np.zeros((17, 14))
    mean = x.mean(axis=axes, keepdims=True)
    for top in range(16):
        for left in range(13):
            covered = x.copy()
            rows, columns = slice(top, top + 2), slice(left, left + 2)
            where = (0, slice(None), rows, columns) if axes == (2, 3) else (0, rows, columns)
            covered[where] = mean[0]
            total[rows, columns] += scores(x)[0, 1] - scores(covered)[0, 1]
            count[rows, columns] += 1
    np.testing.assert_allclose(found, total / count, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_answers(running, method):
    found = running.json(f"api/saliency?method={method}", IMAGE)
    schema("saliency").validate(found)
    assert found["class"] == "upright" and found["method"] == method
    shown = values(found["map"])
    assert shown.shape == (1, 16, 16) and np.abs(shown).max() > 0
    other = running.json(f"api/saliency?method={method}&class=1", IMAGE)
    assert other["class"] == CLASSES[1] and other["score"] < found["score"]
    assert other["map"] != found["map"]
    # What speaks for the upright line is where it is.
    if method != "grad-cam":
        rows, columns = np.nonzero(shown[0] == shown.max())
        assert 5 < columns.mean() < 12


@pytest.mark.parametrize("query", ["method=other", "class=2", "class=x", "class=0,1", "method=grad-cam&layer=1"])
def test_what_is_not_there(running, query):
    schema("error").validate(running.json(f"api/saliency?{query}", IMAGE, 422))
