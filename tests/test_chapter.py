"""The chapter's program, in our own words, on the first images of MNIST."""

import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.preprocessing import LabelBinarizer, MinMaxScaler
from tqdm import tqdm

import refcnn as rm

FOLDERS = [Path(os.environ.get("REFCNN_DATA", "none")), Path(__file__).parents[2] / "shared" / "mnist"]
MNIST = next((folder for folder in FOLDERS if (folder / "train-images-idx3-ubyte.gz").exists()), None)

pytestmark = pytest.mark.skipif(
    MNIST is None, reason="the MNIST files are in neither the folder REFCNN_DATA nor ../shared/mnist"
)


@pytest.fixture(params=[False, True], ids=["reference", "opencl"])
def opencl_active(request):
    with rm.use_backend("reference"):
        if request.param:
            try:
                rm.set_opencl_active(True)
            except rm.errors.BackendError as error:
                pytest.skip(str(error))
        yield request.param


def test_the_program_of_the_chapter(opencl_active, tmp_path):
    rm.set_seed(0)
    mnist = rm.data.fetch_mnist(data_home=MNIST)

    cnn = rm.Sequential(
        [
            rm.Conv2d(channel=32, filter=3, padding=1),
            rm.Relu(),
            rm.Conv2d(channel=64, filter=3, padding=1),
            rm.Relu(),
            rm.MaxPool2d(filter=2, stride=2),
            rm.Dropout(0.5),
            rm.Flatten(),
            rm.Dense(128),
            rm.Relu(),
            rm.Dense(10),
        ]
    )

    data, targets = mnist["data"][:800], mnist["target"][:800]
    train_num = int(0.8 * len(data))
    train_data = np.expand_dims(data[:train_num].reshape(train_num, 28, 28), axis=1)
    test_data = np.expand_dims(data[train_num:].reshape(len(data) - train_num, 28, 28), axis=1)
    train_targets = LabelBinarizer().fit_transform(targets[:train_num]).astype(np.float32)
    test_targets = LabelBinarizer().fit_transform(targets[train_num:]).astype(np.float32)

    batch_size = 64
    epochs = 1
    optimizer = rm.Sgd(lr=0.001)
    N = train_num
    history = []
    for epoch in range(epochs):
        perm = np.random.default_rng(0).permutation(N)
        loss = 0
        test_loss = 0
        bar = tqdm(range(N // batch_size), disable=True)
        for j in range(N // batch_size):
            train_batch = train_data[perm[j * batch_size : (j + 1) * batch_size]]
            train_targets_batch = train_targets[perm[j * batch_size : (j + 1) * batch_size]]
            with cnn.train():
                l = rm.softmax_cross_entropy(cnn(train_batch), train_targets_batch)  # noqa: E741
                l.grad().update(optimizer)
            bar.set_description(f"epoch {epoch:03d} train loss:{float(l.as_ndarray()):6.4f} ")
            bar.update(1)
            loss += l.as_ndarray()
            history.append(float(l.as_ndarray()))
        for k in range(len(test_data) // batch_size):
            test_batch = test_data[k * batch_size : (k + 1) * batch_size]
            test_targets_batch = test_targets[k * batch_size : (k + 1) * batch_size]
            test_l = rm.softmax_cross_entropy(cnn(test_batch), test_targets_batch)
            test_loss += test_l.as_ndarray()
        bar.set_description(f"epoch {epoch:03d} avg loss:{float(loss / (j + 1)):6.4f}")
        bar.close()

    assert len(history) == 10 and np.isfinite(history).all()
    assert np.mean(history[-3:]) < 0.5 * np.mean(history[:3])
    assert np.isfinite(float(test_loss))

    W = cnn._layers[0].params.w.as_ndarray()
    assert W.shape == (32, 1, 3, 3)
    for i in range(len(W)):
        scaled = MinMaxScaler(feature_range=(0, 255)).fit_transform(W[i, 0])
        assert scaled.min() >= 0 and scaled.max() <= 255.001

    t = cnn._layers[0](test_data[:1]).as_ndarray()
    assert t.shape == (1, 32, 28, 28)


def test_both_backends_give_the_same_losses_but_for_rounding():
    def losses(backend):
        rm.set_seed(0)
        mnist = rm.data.fetch_mnist(data_home=MNIST)
        x, t = mnist["data"][:128].reshape(-1, 1, 28, 28), np.eye(10)[mnist["target"][:128].astype(int)]
        cnn = rm.Sequential(
            [
                rm.Conv2d(channel=8, filter=3, padding=1),
                rm.Relu(),
                rm.MaxPool2d(filter=2, stride=2),
                rm.Dropout(0.5),
                rm.Flatten(),
                rm.Dense(10),
            ]
        )
        optimizer, result = rm.Sgd(lr=0.001), []
        with rm.use_backend(backend):
            for step in range(4):
                rows = slice(32 * step, 32 * step + 32)
                with cnn.train():
                    loss = rm.softmax_cross_entropy(cnn(x[rows] / 255), t[rows])
                loss.grad().update(optimizer)
                result.append(float(loss))
        return result

    try:
        opencl = losses("opencl")
    except rm.errors.BackendError as error:
        pytest.skip(str(error))
    np.testing.assert_allclose(opencl, losses("reference"), rtol=1e-4)
