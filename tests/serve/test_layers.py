"""Every layer for an image, and where its numbers come from: held against the model itself."""

import math

import numpy as np
import pytest

import refcnn as rm
from refcnn.data.image_file import ImageBytes
from refcnn.runs.prediction import Predictor
from refcnn.serve.layers import Layers, as_maps
from refcnn.serve.refusing import Refusal
from refcnn.serve.served import Served

from .conftest import line_image, png
from .test_answers import schema, values

IMAGE = png(line_image())


@pytest.fixture
def arrays(model_file):
    """What the reference in float64 makes of the image, by layer."""
    predictor = Predictor(model_file)
    image = predictor.read(ImageBytes("", IMAGE))
    program = predictor.traced(image)
    backend = rm.backend.find("reference:float64")
    constants = {name: backend.array(array) for name, array in program.constants.items()}
    return program, program.run(backend, constants, [backend.array(predictor.input_of(image))])


def test_maps_of_all_layers(running, arrays):
    program, expected = arrays
    found = running.json("api/layers", IMAGE)
    schema("layers").validate(found)
    assert [layer["name"] for layer in found["layers"]] == [step.results[0] for step in program.steps]
    for layer, step in zip(found["layers"], program.steps, strict=True):
        exact = expected[step.results[0]]
        assert tuple(layer["shape"]) == exact.shape[1:]
        given, shown = values(layer["maps"]), as_maps(exact)
        half = (layer["maps"]["high"] - layer["maps"]["low"]) / 510
        np.testing.assert_allclose(given, shown, rtol=1e-5, atol=half * 1.001 + 1e-6)
        assert (layer["maps"]["low"] < 0) == (shown.min() < 0)


def test_maps_of_some_layers(running):
    found = running.json("api/layers?layers=0,99", IMAGE)
    assert [layer["name"] for layer in found["layers"] if "maps" in layer] == ["conv2d_1"]
    assert all("maps" not in layer for layer in running.json("api/layers?layers=", IMAGE)["layers"])


def test_a_number_of_a_convolution(running, arrays):
    _, expected = arrays
    found = running.json("api/walk?layer=0&index=1,0,8", IMAGE)
    schema("walk").validate(found)
    exact = expected["conv2d_1"][0, 1, 0, 8]
    assert found["exact"] == pytest.approx(exact, rel=1e-12)
    assert math.fsum(term["value"] for term in found["terms"]) == pytest.approx(exact, rel=1e-9, abs=1e-9)
    assert found["error"] <= found["bound"] and abs(found["on_device"] - exact) <= found["bound"]
    x = [term["factors"][0] for term in found["terms"] if term["factors"][0]["array"] == "x"]
    # The first row of its window lies above the image.
    assert sorted(one["index"] for one in x if one["is_padding"]) == [[0, -1, 7], [0, -1, 8], [0, -1, 9]]
    assert {str(one["index"]) for one in found["window"] if one["value"] is None} == {
        str(one["index"]) for one in x if one["is_padding"]
    }


def test_the_winner_of_a_pooling(running, arrays):
    _, expected = arrays
    found = running.json("api/walk?layer=2&index=0,3,4", IMAGE)
    schema("walk").validate(found)
    window = expected["relu_1"][0, 0, 6:8, 8:10]
    assert [one["index"] for one in found["window"]] == [[0, 6, 8], [0, 6, 9], [0, 7, 8], [0, 7, 9]]
    (winner,) = found["terms"]
    assert winner["value"] == found["exact"] == window.max() > 0
    assert winner["factors"][0]["index"] in [one["index"] for one in found["window"]]


@pytest.mark.parametrize(
    "query",
    [
        "layer=0&index=2,0,0",
        "layer=0&index=1,0",
        "layer=99&index=0",
        "layer=0&index=-1,0,0",
        "layer=0,1&index=1,0,0",
        "layer=0",
        "",
    ],
)
def test_a_number_that_is_not_there(running, query):
    said = running.json(f"api/walk?{query}", IMAGE, 422)
    schema("error").validate(said)


def test_numbers_that_come_from_too_many(model_file, monkeypatch):
    """What counts is what is left where as much as can be is cut away."""
    monkeypatch.setattr("refcnn.serve.layers._MOST_FOLLOWED", 40)
    monkeypatch.setattr("refcnn.explain.cutting._SMALL", 0)
    served = Served(model_file)
    assert served.walk(IMAGE, 0, (0, 3, 3))["terms"]
    assert served.walk(IMAGE, 5, (1,))["terms"]
    with pytest.raises(Refusal, match="too many numbers"):
        served.walk(IMAGE, 3, (0, 0, 0))


def test_of_large_networks_no_maps_are_sent_unasked(model_file, monkeypatch):
    monkeypatch.setattr("refcnn.serve.layers.MOST_UNASKED", 100)
    served = Served(model_file)
    assert all("maps" not in layer for layer in served.layers(IMAGE)["layers"])
    assert "maps" in served.layers(IMAGE, {1})["layers"][1]


def test_a_vector_is_shown_in_rows():
    for size, shape in ((10, (1, 1, 10)), (64, (1, 1, 64)), (70, (1, 2, 64)), (5000, (1, 20, 256))):
        vector = np.arange(1, size + 1, dtype=np.float32)[None]
        maps = as_maps(vector)
        assert maps.shape == shape
        np.testing.assert_array_equal(maps.ravel()[:size], vector[0])
        assert not maps.ravel()[size:].any()
    assert as_maps(np.zeros((2, 3), np.float32)) is None and as_maps(np.zeros((1, 3), np.int64)) is None


def test_a_run_has_layers_too():
    rm.set_seed(0)
    with rm.use_backend("reference"):
        model = rm.Sequential([rm.Conv2d(3, 3), rm.Sigmoid(), rm.Flatten(), rm.Dense(2)])
        x = np.random.default_rng(0).normal(size=(1, 1, 6, 6)).astype(np.float32)
        model(x)
        from refcnn import program

        found = Layers(program.trace(model, x), rm.backend.active()).maps(x)
    assert [layer["name"] for layer in found["layers"]] == ["conv2d_1", "sigmoid_1", "flatten_1", "dense_1"]
    assert found["layers"][0]["inputs"][0] == "image"
