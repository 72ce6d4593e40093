"""The certificate of an export: of how many images no rounding can change the class, in the proof and in the file."""

import json

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refcnn as rm
from refcnn.errors import ArgumentError
from refcnn.onnx import export
from refcnn.onnx.proof.certifying import certify
from refcnn.onnx.proof.exact import Exact
from refcnn.program import trace


@pytest.fixture(autouse=True)
def reference():
    with rm.use_backend("reference"):
        yield


def classifier(inputs, classes):
    rm.set_seed(1)
    model = rm.Sequential([rm.Dense(classes, ignore_bias=True)])
    model(np.zeros((1, inputs)))
    return model


def test_worked_example():
    """Of equal rows of weights no class wins for sure; where one is twice the others it does, by far."""
    model = classifier(3, 2)
    model.set_state({"0.w": np.array([[1, 1], [1, 2], [1, 1.0]])})
    exact = Exact(trace(model, np.zeros((1, 3), np.float32)))
    images = np.array([[1, 0, 2], [0.3, 0.1, 0.2], [0.3, 0, 0.1], [0.1, 1e-9, 0.3]], np.float32)
    found = certify(exact, images)
    assert (found.images, found.proved, found.probable) == (4, 1, 1)


@given(st.data())
def test_no_rounding_changes_a_certain_class(data):
    """Numbers that are summed in any order, in float32, give a class that is certified for every image."""
    inputs, classes = data.draw(st.integers(1, 30)), data.draw(st.integers(1, 6))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    with rm.use_backend("reference"):
        model = classifier(inputs, classes)
        images = random.standard_normal((40, inputs)).astype(np.float32)
        exact = Exact(trace(model, images[:1]))
        certain = np.array([certify(exact, image[None]).proved for image in images], bool)
        w = model.state()["0.w"].astype(np.float32)
    assert certify(exact, images).proved == certain.sum()
    outputs = (images.astype(np.float64) @ w).argmax(axis=1)
    for _ in range(5):
        order = random.permutation(inputs)
        sums = np.zeros((len(images), classes), np.float32)
        for place in order:
            sums = sums + images[:, place, None] * w[place]
        assert (sums.argmax(axis=1) == outputs)[certain].all()
    assert certain.mean() > 0.5


def test_it_stands_in_the_proof_and_in_the_file(tmp_path):
    model, images = classifier(5, 3), np.random.default_rng(0).standard_normal((70, 5))
    proof = export(model, tmp_path / "model.onnx", (5,), backends=["reference"], examples=2, certify=images)
    found = proof.certificate
    assert found.images == 70 and 60 < found.proved <= found.probable <= 70
    assert f"the class of {found.probable} of 70 images" in str(proof)
    metadata = {entry.key: entry.value for entry in onnx.load(tmp_path / "model.onnx").metadata_props}
    assert json.loads(metadata["refcnn.certificate"]) == {
        "images": 70,
        "proved": found.proved,
        "probable": found.probable,
    }
    onnx.checker.check_model(str(tmp_path / "model.onnx"), full_check=True)


@pytest.mark.parametrize("images", [np.zeros((2, 4)), np.zeros((0, 5)), np.array([["a"] * 5]), 3])
def test_what_is_no_image_is_refused(tmp_path, images):
    with pytest.raises(ArgumentError, match="certify"):
        export(classifier(5, 3), tmp_path / "model.onnx", (5,), backends=["reference"], certify=images)
