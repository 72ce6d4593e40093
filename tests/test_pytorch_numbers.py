"""The ready networks compute what PyTorch computes at equal weights: logits, loss and every parameter's gradient.

The reference in float64 runs a few networks here, and OpenCL devices three; ``REFCNN_ALL_NETWORKS=1`` makes both run
all, which takes about ten minutes.
"""

import os
import statistics

import numpy as np
import onnxruntime
import pytest

from refcnn.backend import use_backend
from refcnn.onnx import export

from . import networks

IS_COMPLETE = os.environ.get("REFCNN_ALL_NETWORKS") == "1"

# On the reference the loops over the pixels of deep networks take minutes.
ON_REFERENCE = networks.NAMES if IS_COMPLETE else ("lenet5", "squeezenet", "mobilenet_v2")
ON_DEVICES = networks.NAMES if IS_COMPLETE else ("alexnet", "squeezenet", "unet")

IN_FILES = networks.NAMES if IS_COMPLETE else ("alexnet", "resnet18", "squeezenet", "mobilenet_v2", "unet")

#: How far float64 may be from float64, in parts of the largest.
FLOAT64 = 1e-7
#: How many times as far as PyTorch's float32 a device may be from float64.
FACTOR = 4


def made(name):
    """Return PyTorch's numbers of a network, and that network with the same weights."""
    numbers, model = networks.load(name), networks.make(name)
    model.set_state(networks.state({key: shape for key, (shape, _) in numbers["gradients"].items()}))
    return numbers, model


def computed(name, backend):
    """Return PyTorch's numbers of a network, and the logits, the loss and the gradients that a backend computes."""
    numbers, model = made(name)
    images, labels = networks.examples(name, numbers["draw"])
    with use_backend(backend):
        logits = networks.logits(model, images).as_ndarray()
        loss = networks.loss(model, images, labels)
        found = loss.grad()
        gradients = {key: found.get(parameter).as_ndarray() for key, parameter in model.parameters()}
    assert list(gradients) == list(numbers["gradients"])
    return numbers, logits, float(loss), gradients


@pytest.mark.parametrize("name", ON_REFERENCE)
def test_the_reference_agrees_with_pytorch_in_float64(name):
    numbers, logits, loss, gradients = computed(name, "reference:float64")
    assert_agree(networks.fingerprint(logits, networks.LOGITS), numbers["logits"], "logits")
    assert loss == pytest.approx(numbers["loss"], rel=FLOAT64)
    exact = {key: fingerprint for key, (_, fingerprint) in numbers["gradients"].items()}
    largest = max(fingerprint[0] for fingerprint in exact.values())
    for (key, right), vanishes in zip(exact.items(), networks.vanishes(exact.values()), strict=True):
        found = networks.fingerprint(gradients[key])
        if vanishes:
            assert found[0] < networks.VANISHING * largest
        else:
            assert_agree(found, right, key)


def assert_agree(found, exact, what):
    np.testing.assert_allclose(found, exact, rtol=0, atol=FLOAT64 * exact[0], err_msg=what)


@pytest.mark.parametrize("name", ON_DEVICES)
def test_a_device_is_as_near_to_float64_as_pytorch_is(name, opencl_backend):
    numbers, logits, loss, gradients = computed(name, opencl_backend)
    found, right = networks.fingerprint(logits, networks.LOGITS), numbers["logits"]
    np.testing.assert_allclose(found, right, rtol=0, atol=1e-4 * right[0])
    fingerprints = [networks.fingerprint(gradient) for gradient in gradients.values()]
    exact = [fingerprint for _, fingerprint in numbers["gradients"].values()]
    assert_near(networks.fingerprint_distances(fingerprints, exact), numbers["float32"]["fingerprints"])
    assert loss == pytest.approx(numbers["loss"], rel=1e-4)


@pytest.mark.parametrize("name", IN_FILES)
def test_onnxruntime_finds_the_same_logits_in_the_exported_file(name, tmp_path):
    numbers, model = made(name)
    with use_backend("auto"):
        export(model, tmp_path / "model.onnx", networks.IMAGE_SHAPE, proof=False)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"image": networks.examples(name, numbers["draw"])[0]})
    found, exact = networks.fingerprint(logits, networks.LOGITS), numbers["logits"]
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-4 * exact[0])


@pytest.mark.skipif(not IS_COMPLETE, reason="REFCNN_ALL_NETWORKS=1 compares whole gradients")
@pytest.mark.parametrize("name", networks.NAMES)
def test_whole_gradients_of_a_device_are_as_near_to_float64(name, opencl_backend):
    numbers, _, _, exact = computed(name, "reference:float64")
    *_, gradients = computed(name, opencl_backend)
    vanishes = networks.vanishes([fingerprint for _, fingerprint in numbers["gradients"].values()])
    assert_near(networks.distances(gradients.values(), exact.values(), vanishes), numbers["float32"]["whole"])


def assert_near(distances, of_pytorch):
    assert statistics.median(distances) <= FACTOR * of_pytorch["median"]
    assert max(distances) <= FACTOR * of_pytorch["worst"]
