"""Executors beside each other: that they agree is said, and the first operator at which one parts."""

import numpy as np
import pytest

import refcnn as rm
from refcnn.onnx.proof import executors
from refcnn.onnx.proof.beside import FileBeside, usual_devices
from refcnn.serve import served as serving
from refcnn.serve.refusing import Refusal
from refcnn.serve.served import Served

from .conftest import line_image, png
from .test_answers import schema

IMAGE = png(line_image())


def test_they_agree(running):
    found = running.json("api/executors", IMAGE)
    schema("executors").validate(found)
    names = [one["name"] for one in found["executors"]]
    assert names[0] == "reference" and names[-1].startswith("onnxruntime ")
    usable = [one for one in found["executors"] if one["is_usable"]]
    assert len(usable) >= 2
    for one in usable:
        assert one["class"] == "upright" and one["parts"] == "" and 0 <= one["ratio"] <= 1 and one["seconds"] > 0


def test_one_that_parts_is_told_with_the_first_operator(model_file, monkeypatch):
    whole = executors.OnnxRuntimeExecutor.computed

    def wrong(self, inputs):
        found = whole(self, inputs)
        found.steps["relu_1"] = found.steps["relu_1"] + np.float32(0.5)
        return found

    monkeypatch.setattr(executors.OnnxRuntimeExecutor, "computed", wrong)
    x = np.random.default_rng(0).random((1, 1, 16, 16), np.float32)
    reference, other = FileBeside(model_file).run(x, ["reference", "onnxruntime"])
    assert reference.parts == "" and "Relu" in other.node and other.parts


def test_one_that_cannot_run_is_beside_those_that_can(model_file):
    x = np.zeros((1, 1, 16, 16), np.float32)
    one, other = FileBeside(model_file).run(x, ["opencl:no such platform", "reference"])
    assert one.unusable and one.seconds is None and other.unusable == ""


def test_of_a_large_network_it_says_what_compares_them(model_file, monkeypatch):
    monkeypatch.setattr(serving, "MOST_FLOP", 10)
    with pytest.raises(Refusal, match="refcnn verify"):
        Served(model_file).executors(IMAGE)


def test_the_device_in_use_is_among_them():
    assert usual_devices(rm.backend.find("reference")) == ["reference", "opencl", "onnxruntime"]
