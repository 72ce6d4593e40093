"""What the server answers, and that it is as its schema says."""

import base64
import functools
import importlib.resources
import json

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from refcnn.runs.prediction import Predictor
from refcnn.serve.quantising import quantised

from .conftest import SIZE, line_image, png


@functools.cache
def schema(name):
    whole = json.loads((importlib.resources.files("refcnn.serve") / "answers.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(whole)
    return jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": whole["$defs"]})


def values(found):
    """Return the numbers that a quantised array stands for, up to half a step."""
    whole = np.frombuffer(base64.b64decode(found["values"]), np.uint8).reshape(found["shape"])
    return found["low"] + whole / 255 * (found["high"] - found["low"])


def test_the_model(running):
    found = running.json("api/model")
    schema("model").validate(found)
    assert found["background"] == "black" and (found["height"], found["width"]) == (SIZE, SIZE)


@pytest.mark.parametrize("is_upright", [False, True])
def test_a_prediction_is_that_of_the_command(running, model_file, tmp_path, is_upright):
    content = png(line_image(is_upright, 48))
    found = running.json("api/prediction", content)
    schema("prediction").validate(found)
    (tmp_path / "image.png").write_bytes(content)
    (expected,) = Predictor(model_file).predictions([tmp_path / "image.png"], 10)
    assert [tuple(one.values()) for one in found["classes"]] == expected.classes
    stored = Predictor(model_file).preprocessing.load_image(tmp_path / "image.png")
    np.testing.assert_array_equal(values(found["given"]), stored)
    assert found["given"]["highest"] == np.float32(stored.max()) * np.float32(1 / 255)


def test_errors(running):
    for status, path, body in ((404, "nothing", None), (405, "api/prediction", None), (422, "api/prediction", b"x")):
        schema("error").validate(running.json(path, body, status))


@given(
    arrays.arrays(np.float32, (2, 3, 2), elements=st.floats(-4, 4, width=32)),
    st.floats(-4, 0).map(lambda low: low - 0.5),
    st.floats(0, 4).map(lambda high: high + 0.5),
)
def test_what_is_quantised_is_off_by_half_a_step_at_most(array, low, high):
    found = quantised(array, low, high)
    schema("quantised").validate(json.loads(json.dumps(found, allow_nan=False)))
    assert np.abs(values(found) - array.clip(low, high)).max() <= (high - low) / 255 * 0.5000001


def test_what_is_no_number_is_quantised_all_the_same():
    array = np.array([np.nan, np.inf, -np.inf, 0], np.float32).reshape(1, 2, 2)
    np.testing.assert_array_equal(values(quantised(array, -1, 1)).ravel(), [-1, 1, -1, 128 / 255 * 2 - 1])
    assert set(values(quantised(np.full((1, 1, 2), 3.0), 3, 3)).ravel()) == {3}
