"""What each number did to the loss: held against the network's own tape, and each walk against what it says."""

import math

import numpy as np
import pytest

import refcnn as rm
from refcnn import program
from refcnn.data import Preprocessing
from refcnn.onnx import export
from refcnn.serve.gradients import LossGradients
from refcnn.serve.refusing import Refusal
from refcnn.serve.served import Served

from .conftest import CLASSES, SIZE, line_image, png
from .test_answers import schema, values

IMAGE = png(line_image())


def ended(pieces):
    """Return what a generator returns."""
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            return end.value


def test_gradients_of_all_layers(running):
    found = running.json("api/gradients", IMAGE)
    schema("gradients").validate(found)
    layers = running.json("api/layers", IMAGE)["layers"]
    assert [(one["name"], one["shape"]) for one in found["layers"]] == [(one["name"], one["shape"]) for one in layers]
    assert found["loss"]["name"] == "softmax cross entropy" and found["loss"]["class"] == "upright"
    (probability,) = (
        one["probability"] for one in running.json("api/prediction", IMAGE)["classes"] if one["name"] == "upright"
    )
    assert found["loss"]["value"] == pytest.approx(-math.log(probability), rel=1e-5)
    last = values(found["layers"][-1]["maps"])[0, 0, :2]
    expected = np.array([probability - 1, 1 - probability])
    np.testing.assert_allclose(last, expected, atol=abs(expected[0]) / 100)
    assert (found["image"]["name"], found["image"]["shape"]) == ("image", [1, SIZE, SIZE])
    # What is right already has less to win than what is wrong.
    other = running.json("api/gradients?class=1&layers=0", IMAGE)
    assert other["loss"]["class"] == CLASSES[1] and other["loss"]["value"] > found["loss"]["value"]
    assert ["maps" in one for one in other["layers"]] == [True] + [False] * 5
    assert other["image"]["maps"]["high"] > found["image"]["maps"]["high"]


@pytest.mark.parametrize(
    "layer, index",
    [(0, (1, 5, 8)), (1, (0, 6, 8)), (2, (0, 3, 4)), (3, (0, 0, 0)), (4, (1,)), (5, (0,)), (None, (0, 7, 8))],
)
def test_a_number_is_followed_to_what_came_of_it(running, layer, index):
    place = "" if layer is None else f"&layer={layer}"
    found = running.json(f"api/gradient-walk?index={','.join(map(str, index))}{place}", IMAGE)
    schema("gradient-walk").validate(found)
    assert (found["layer"], tuple(found["index"]), found["sum"]) == (layer, index, None)
    (part,) = found["parts"]
    assert part["layer"] == (0 if layer is None else layer + 1 if layer < 5 else None)
    assert part["on_device"] == found["gradient"]
    assert abs(part["on_device"] - part["exact"]) <= part["bound"] and part["error"] <= part["bound"]
    whole = running.json("api/gradients", IMAGE)
    shown = values((whole["image"] if layer is None else whole["layers"][layer])["maps"])
    at = index if len(index) == 3 else (0, 0, *index)
    assert shown[at] == pytest.approx(found["gradient"], abs=np.abs(shown).max() / 250)
    if part["formula"] == "sum":
        assert math.fsum(term["value"] for term in part["terms"]) == pytest.approx(part["exact"], rel=1e-9, abs=1e-12)


def test_a_convolution_hands_back_what_its_windows_read(running):
    found = running.json("api/gradient-walk?index=0,7,0", IMAGE)["parts"][0]
    of_dy = [factor["index"] for term in found["terms"] for factor in term["factors"] if factor["array"] == "dy"]
    # On the left border there are six places for each of two kernels.
    assert sorted(of_dy) == [[k, i, j] for k in (0, 1) for i in (6, 7, 8) for j in (0, 1)]
    assert [one["index"] for one in found["window"]] == of_dy
    gradients = {str(one["index"]): one["value"] for one in found["window"]}
    for term in found["terms"]:
        dy, w = sorted(term["factors"], key=lambda factor: factor["array"] != "dy")
        assert dy["value"] == gradients[str(dy["index"])]
        assert w["index"] == [dy["index"][0], 0, 7 - dy["index"][1] + 1, 0 - dy["index"][2] + 1]
        assert term["value"] == pytest.approx(dy["value"] * w["value"], rel=1e-12, abs=1e-15)


def test_of_a_pooling_the_winner_has_the_gradient(running):
    winner = running.json("api/walk?layer=2&index=0,3,4", IMAGE)["terms"][0]["factors"][0]["index"]
    places = [[0, i, j] for i in (6, 7) for j in (8, 9)]
    assert winner in places
    for place in places:
        found = running.json(f"api/gradient-walk?layer=1&index={','.join(map(str, place))}", IMAGE)
        (part,) = found["parts"]
        assert (found["gradient"] != 0) == (place == winner)
        # Whoever won: what is looked at is the window, and who was handed something is told among the terms.
        assert [one["index"] for one in part["window"]] == [[0, 3, 4]]
        handed = [factor["index"] for term in part["terms"] for factor in term["factors"] if factor["array"] == "dy"]
        assert handed == ([[0, 3, 4]] if place == winner else [])
        assert ("is not" in part["names"]) == (place != winner) and "since winner[0, 3, 4] is" in part["names"]


@pytest.mark.parametrize(
    "query",
    [
        "layer=0&index=2,0,0",
        "layer=0&index=1,0",
        "layer=9&index=0",
        "layer=0,1&index=1,0,0",
        "layer=0",
        "class=2&index=0,0,0",
        "class=x&index=0,0,0",
        "index=1,0,0",
    ],
)
def test_a_number_that_is_not_there(running, query):
    schema("error").validate(running.json(f"api/gradient-walk?{query}", IMAGE, 422))


class Residual(rm.Model):
    """Reads one result three times."""

    def __init__(self):
        self.first, self.inner = rm.Conv2d(3, 3, padding=1), rm.Conv2d(3, 3, padding=1)

    def forward(self, x):
        x = self.first(x)
        return self.inner(x) + x * x


@pytest.fixture
def residual():
    rm.set_seed(4)
    with rm.use_backend("reference"):
        model = rm.Sequential([Residual(), rm.Flatten(), rm.Dense(3)])
        x = np.random.default_rng(0).normal(size=(1, 1, 5, 5)).astype(np.float32)
        model(x)
        steps = program.trace(model, x)
    return LossGradients(steps, rm.backend.find("reference"), steps.outputs[0], "logits"), x


def test_where_several_layers_read_a_result_their_gradients_are_added(residual):
    gradients, x = residual
    found = ended(gradients.walk(x, 1, 0, (2, 3, 3)))
    schema("gradient-walk").validate({**found, "loss": {**found["loss"], "class": "1"}})
    assert [part["name"] for part in found["parts"]] == ["conv2d_2", "multiply_1", "multiply_1"]
    shares = [part["on_device"] for part in found["parts"]]
    assert found["sum"]["exact"] == math.fsum(shares)
    assert abs(found["gradient"] - found["sum"]["exact"]) <= found["sum"]["bound"] > 0
    assert found["parts"][1]["names"] == "dy[2, 3, 3] × b[2, 3, 3]"
    assert found["parts"][2]["names"] == "dy[2, 3, 3] × a[2, 3, 3]"


@pytest.mark.parametrize("kind, name", [("probabilities", "negative log"), ("independent", "score")])
def test_losses_of_other_scores(kind, name):
    rm.set_seed(4)
    ends = {"probabilities": rm.Softmax(), "independent": rm.Sigmoid()}
    with rm.use_backend("reference"):
        model = rm.Sequential([rm.Flatten(), rm.Dense(3), ends[kind]])
        x = np.random.default_rng(0).normal(size=(1, 1, 2, 2)).astype(np.float32)
        scores = model(x).as_ndarray()[0]
        steps = program.trace(model, x)
    gradients = LossGradients(steps, rm.backend.find("reference"), steps.outputs[0], kind)
    found = ended(gradients.maps(x, 2))
    expected = -math.log(scores[2]) if name == "negative log" else scores[2]
    assert (found["loss"]["name"], found["loss"]["value"]) == (name, pytest.approx(expected, rel=1e-6))
    walked = ended(gradients.walk(x, 2, 2, (2,)))
    assert walked["gradient"] == pytest.approx(-1 / scores[2] if name == "negative log" else 1, rel=1e-6)
    assert ended(gradients.walk(x, 2, 2, (0,)))["gradient"] == 0


def test_what_has_no_gradient_is_said():
    class Chosen(rm.Model):
        def forward(self, x):
            return rm.greater(rm.relu(x), 0).astype("float32") + x

    with rm.use_backend("reference"):
        x = np.random.default_rng(0).normal(size=(1, 3)).astype(np.float32)
        steps = program.trace(Chosen(), x)
    gradients = LossGradients(steps, rm.backend.find("reference"), steps.outputs[0], "logits")
    found = {one["name"]: one for one in ended(gradients.maps(x, 0))["layers"]}
    assert found["greater_1"]["why"] == "Only floating-point numbers have gradients."
    assert "does not depend on it by operations that have gradients" in found["relu_1"]["why"]
    assert not found["relu_1"]["has_maps"] and "maps" in found["add_1"]
    for name, said in (("greater_1", "floating-point"), ("relu_1", "does not depend")):
        with pytest.raises(Refusal, match=said):
            ended(gradients.walk(x, 0, list(found).index(name), (0,)))


def test_images_with_their_channels_last(monkeypatch):
    rm.set_seed(4)

    class Last(rm.Model):
        def __init__(self):
            self.inner = rm.Sequential([rm.Conv2d(2, 3), rm.Flatten(), rm.Dense(3)])

        def forward(self, x):
            return self.inner(rm.transpose(x, (0, 3, 1, 2)))

    with rm.use_backend("reference"):
        model = Last()
        x = np.random.default_rng(0).normal(size=(1, 5, 6, 2)).astype(np.float32)
        model(x)
        steps = program.trace(model, x)
    gradients = LossGradients(steps, rm.backend.find("reference"), steps.outputs[0], "logits", channels=3)
    image = ended(gradients.maps(x, 0))["image"]
    assert image["shape"] == [2, 5, 6]
    found = ended(gradients.walk(x, 0, None, (1, 4, 2)))
    assert found["index"] == [1, 4, 2] and found["value"] == x[0, 4, 2, 1]
    assert values(image["maps"])[1, 4, 2] == pytest.approx(found["gradient"], abs=image["maps"]["high"] / 250)


def test_a_large_dense_layer_is_followed(tmp_path):
    """One with more numbers than are noted at once."""
    rm.set_seed(0)
    with rm.use_backend("reference"):
        model = rm.Sequential([rm.Flatten(), rm.Dense(2100), rm.Relu(), rm.Dense(1100), rm.Dense(2)])
        preprocessing = Preprocessing(1 / 255, 1, SIZE, SIZE)
        model(np.zeros((1, *preprocessing.shape), np.float32))
        export(
            model,
            tmp_path / "large.onnx",
            preprocessing.shape,
            preprocessing=preprocessing,
            classes=CLASSES,
            proof=False,
        )
        served = Served(tmp_path / "large.onnx")
        found = served.walk(IMAGE, 3, (1000,))
        assert len(found["terms"]) == 600 and found["others"]["count"] == 2101 - 600
        total = math.fsum(term["value"] for term in found["terms"]) + found["others"]["sum"]
        assert total == pytest.approx(found["exact"], rel=1e-9)
        (part,) = ended(served.gradient_walk(IMAGE, 0, 2, (2000,)))["parts"]
    assert len(part["terms"]) == 600 and part["others"]["count"] == 500
    assert abs(part["on_device"] - part["exact"]) <= part["bound"]
