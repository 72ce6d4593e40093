"""Networks that PyTorch exported are trained further as PyTorch trains them, in float64.

The files are a ResNet-18 as it is exported by default, its batch normalisation folded into convolutions; one with the
nodes of inference, whose batch normalisation takes the statistics of the batch here as in PyTorch's ``model.train()``;
and a MobileNet v2 with those of training, with Dropout.
"""

import numpy as np
import pytest

import refcnn as rm
from refcnn.onnx.reading import classifier

from . import exports, networks

#: How far what follows from ten steps may be off, in parts of the largest.
TOLERANCE = 1e-6
NAMES = [str(number) for number in range(networks.CLASSES)]


@pytest.mark.parametrize("name", ["resnet18_folded", "resnet18", "mobilenet_v2"])
def test_ten_steps_agree_with_pytorch_in_float64(name, tmp_path):
    numbers = exports.load(name)
    (tmp_path / "model.onnx").write_bytes(exports.model(name).SerializeToString())
    with rm.use_backend("reference:float64"):
        model, changes = classifier.open_file(tmp_path / "model.onnx").model(networks.IMAGE_SHAPE, NAMES)
        assert (changes.left_out, changes.renewed) == ((), ())
        losses = trained(model)
        np.testing.assert_allclose(losses, numbers["losses"], rtol=0, atol=TOLERANCE * max(numbers["losses"]))
        for kind, stored in (("parameters", model.parameters()), ("statistics", model.named_buffers())):
            found = dict(stored)
            assert found.keys() == numbers[kind].keys()
            for key, exact in numbers[kind].items():
                fingerprint = networks.fingerprint(found[key].as_ndarray())
                np.testing.assert_allclose(fingerprint, exact, rtol=0, atol=TOLERANCE * exact[0], err_msg=key)


def trained(model):
    """Train a model, and return the loss of each step."""
    rm.set_seed(networks.SEED)
    optimizer = rm.Sgd(lr=exports.LR, momentum=exports.MOMENTUM, nesterov=False)
    losses = []
    for step in range(exports.STEPS):
        images, labels = exports.examples(step)
        with model.train():
            loss = rm.softmax_cross_entropy(model(images), labels)
        loss.grad().update(optimizer)
        losses.append(float(loss))
    return losses
