"""Models that reshape, transpose and cut their arrays are exported for any batch size, and trained."""

import numpy as np
import pytest

import refcnn as rm
from refcnn.errors import ExportError
from refcnn.onnx import export, open_exported

from .test_export import assert_same_bits


@pytest.fixture(autouse=True)
def reference():
    with rm.use_backend("reference"):
        yield


def flattened(x):
    return x.reshape(x.shape[0], -1)


def flattened_from_the_last(x):
    return x.reshape(-1, x.shape[1] * x.shape[2] * x.shape[3])


def shuffled_channels(x):
    n, c, h, w = x.shape
    return x.reshape(n, 2, c // 2, h, w).transpose(0, 2, 1, 3, 4).reshape(n, c, h, w)


def windows_and_back(x):
    n, c, h, w = x.shape
    parts = x.reshape(n, c, h // 2, 2, w // 3, 3).transpose(0, 2, 4, 1, 3, 5).reshape(-1, c * 6)
    parts = parts @ np.eye(c * 6) @ np.ones((c * 6, 2))
    return parts.reshape(parts.shape[0] // (h * w // 6), h // 2, w // 3, 2)


def twice_as_many_rows(x):
    return x.reshape(x.shape[0] * 2, -1, 3).reshape(x.shape[0], -1)


def beside_each_other(x):
    return x.reshape(1, -1).reshape(x.shape)


def batch_behind(x):
    return x.transpose(1, 2, 3, 0).reshape(x.shape[1], -1).T.reshape(-1, x.shape[0], x.shape[1]).transpose(1, 0, 2)


def rows_of_examples(x):
    rows = x[:, 0, -1]
    return rm.add(rows[:, None, :0:-2], rows[..., None, : x.shape[3] // 2])


def examples_backwards(x):
    return x[::-1][: x.shape[0] + 1, :, x.shape[2] - 3 :, ::2]


def to_the_last_example(x):
    # Of the first as many as there are, written as places that differ with the batch.
    return rm.add(x[0 : x.shape[0]], x[-x.shape[0] :])


def between_examples(x):
    return x.reshape(x.shape[0], -1) @ x.reshape(x.shape[0], -1).T @ x.reshape(x.shape[0], -1)


CALLS = [
    flattened,
    flattened_from_the_last,
    shuffled_channels,
    windows_and_back,
    twice_as_many_rows,
    beside_each_other,
    batch_behind,
    rows_of_examples,
    examples_backwards,
    to_the_last_example,
    between_examples,
]


class Moving(rm.Model):
    def __init__(self, call):
        super().__init__()
        self.call = call

    def forward(self, x):
        return self.call(x)


# Sizes that are 2 and 3 too, as the batches that are traced are.
@pytest.mark.parametrize("shape", [(2, 4, 6), (4, 2, 3)])
@pytest.mark.parametrize("call", CALLS)
def test_the_file_is_right_for_any_batch_size(tmp_path, call, shape):
    model = Moving(call)
    assert_same_bits(tmp_path, model, shape)
    x = np.ones((4, *shape))
    np.testing.assert_allclose(open_exported(tmp_path / "model.onnx").predict(x), model(x).as_ndarray(), rtol=1e-6)


def to_half_of_the_batch(x):
    return x.reshape(-1, x.shape[0] // 2 + 1, 1)


def first_half_of_the_batch(x):
    return x[: x.shape[0] // 2]


def rows_by_batch_size(x):
    return x.reshape(x.shape[0], -1) if x.shape[0] < 3 else x.reshape(x.shape[0], 2, -1)


@pytest.mark.parametrize("call", [to_half_of_the_batch, first_half_of_the_batch, rows_by_batch_size])
def test_what_no_file_can_say_for_any_batch_size_is_refused(tmp_path, call):
    with pytest.raises(ExportError):
        export(Moving(call), tmp_path / "model.onnx", (2, 4, 6), examples=6, backends=["reference"])
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_of_a_slice_that_takes_all(tmp_path):
    model = assert_same_bits(tmp_path, Moving(lambda x: x[:, ...]), (2, 3))
    assert [node.op_type for node in model.graph.node] == ["Identity"]


def test_a_constant_without_axes_keeps_its_shape(tmp_path):
    model = assert_same_bits(tmp_path, Moving(lambda x: rm.matmul(x, rm.reshape(rm.Variable(3.0), (1, 1)))), (1,))
    assert [entry.dims for entry in model.graph.initializer if entry.name == "constant.1"] == [[]]


class Patches(rm.Model):
    """Patches of the image, each a row for one matrix, and the mean over them as a product with a row."""

    def __init__(self):
        super().__init__()
        self.embed, self.classify = rm.Dense(8), rm.Dense(3)

    def forward(self, x):
        n, _, h, w = x.shape
        patches = x.reshape(n, h // 2, 2, w // 2, 2).transpose(0, 1, 3, 2, 4).reshape(-1, 4)
        rows = rm.relu(self.embed(patches)).reshape(n, -1, 8).transpose(1, 0, 2)
        return self.classify(rm.add(rows[0], rm.add(rows[1], rows[-1])))


def test_a_model_of_patches_trains_and_is_proved(tmp_path, backend):
    rm.set_seed(0)
    random, model, optimizer = np.random.default_rng(0), Patches(), rm.Sgd(lr=0.1)
    y = np.arange(12) % 3
    x = np.eye(4)[y].reshape(12, 1, 1, 4).repeat(4, axis=2) + random.normal(0, 0.1, (12, 1, 4, 4))
    with rm.use_backend(backend):
        losses = []
        for _ in range(60):
            with model.train():
                loss = rm.softmax_cross_entropy(model(x), np.eye(3)[y])
            loss.grad().update(optimizer)
            losses.append(float(loss))
        assert losses[-1] < losses[0] / 2
        export(model, tmp_path / "model.onnx", (1, 4, 4), examples=4, backends=[backend])
