"""A program as people write it, for the type checker: what it is told of the public functions is what they return."""

from typing import Any, assert_type

import numpy as np

import refcnn as rm
from refcnn import Variable


def train() -> float:
    """Train a small network on digits, with every kind of public name."""
    rm.set_seed(0)
    train, validation = rm.data.split(rm.data.digits(), 0.8, np.random.default_rng(0).permutation(1797))
    assert_type(validation, rm.data.DataSet)
    model = rm.Sequential(
        [rm.Conv2d(8, 3, padding=1), rm.Relu(), rm.MaxPool2d(2, stride=2), rm.Flatten(), rm.Dense(10)]
    )
    optimizer = rm.Adam(lr=0.01)
    x = train.preprocessing.apply(train.x[:64])
    t = rm.data.one_hot(train.y[:64], 10)
    with model.train():
        loss = rm.softmax_cross_entropy(model(x), t)
    assert_type(loss, Variable)
    loss.grad().update(optimizer)
    for name, parameter in model.parameters():
        assert_type(name, str)
        assert_type(parameter, rm.Parameter)
    assert_type(rm.relu(x).as_ndarray(), np.ndarray)
    assert_type(rm.max_pool2d(x, 2, padding="same"), Variable)
    assert_type(rm.max_pool2d(x, 2, return_indices=True), tuple[Variable, Variable])
    assert_type(rm.conv2d(x, np.zeros((1, 1, 3, 3)), padding=(1, 1)).shape, tuple[int, ...])
    history = rm.fit(model, train, validation=validation, epochs=1, schedule=rm.schedules.Cosine())
    assert_type(history[0]["train_loss"], Any)
    assert_type(rm.evaluate(model, validation).accuracy, float | None)
    assert_type(rm.predict(model, validation), np.ndarray)
    model.save("parameters.npz")
    with rm.use_backend("reference"):
        y = model(x)
    proof = rm.onnx.export(model, "model.onnx", (1, 8, 8))
    assert_type(str(proof), str)
    assert_type(rm.onnx.open_exported("model.onnx").predict(x), np.ndarray)
    return float(y.as_ndarray().max()) + float(loss)
