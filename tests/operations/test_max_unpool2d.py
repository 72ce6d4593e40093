"""Max unpooling."""

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refcnn as rm
from refcnn.conformance.operations import max_pool2d_with_indices, max_unpool2d
from refcnn.errors import ArgumentError, OutOfRangeError, ShapeError
from refcnn.mode import recording
from refcnn.onnx import export

from .checks import SIZE, check, check_node_cases, check_onnxruntime


def test_worked_example(backend):
    """Of the two that go to place 5 the last is put there, and gets the gradient alone."""
    x, dy = np.array([[[[1, 2], [3, 4]]]], np.float32), np.arange(12, dtype=np.float32).reshape(1, 1, 3, 4)
    with rm.use_backend(backend):
        x = rm.Variable(x, requires_grad=True)
        with recording():
            y = rm.max_unpool2d(x, [[[[5, 0], [5, 11]]]], output_shape=(1, 1, 3, 4))
            loss = (y * dy).sum()
        dx = loss.grad().get(x).as_ndarray()
    np.testing.assert_array_equal(y.as_ndarray(), [[[[2, 0, 0, 0], [0, 3, 0, 0], [0, 0, 0, 4]]]])
    np.testing.assert_array_equal(dx, [[[[0, 0], [5, 11]]]])


@given(case=max_unpool2d.cases(SIZE))
def test_within_bound(backend, case):
    check("max_unpool2d", case, backend)


@given(case=max_unpool2d.cases(SIZE, integers=True))
def test_integers_exact(backend, case):
    check("max_unpool2d", case, backend, to_the_bit=True)


@given(case=max_unpool2d.cases("tiny", integers=True))
def test_gradients_of_reference(case):
    """By a difference in each number that is put."""
    (x, indices), dy = (case.inputs[0].astype(np.float64), case.inputs[1]), case.dy.astype(np.float64)
    reference = rm.backend.find("reference:float64").operation("max_unpool2d")
    y, saved = reference.forward(x, indices, **case.attributes)
    dx, _ = reference.backward(dy, saved, (True, False), **case.attributes)
    for place in np.ndindex(*x.shape):
        step = np.zeros(x.shape)
        step[place] = 1
        above, _ = reference.forward(x + step, indices, **case.attributes)
        assert dx[place] == np.sum(dy * (above - y))


@given(case=max_unpool2d.cases(SIZE))
def test_onnxruntime(case):
    check_onnxruntime("max_unpool2d", case)


def test_cases_of_onnx(page_backend):
    def translate(given, x, indices, output_shape=None):
        if output_shape is None:
            sides = zip(x.shape[2:], given["strides"], given["kernel_shape"], strict=True)
            return (x, indices), {"size": tuple((count - 1) * step + taps for count, step, taps in sides)}
        # There places are counted in the smaller array that follows from the window.
        return None

    check_node_cases("max_unpool2d", "MaxUnpool", translate, page_backend)


@pytest.mark.parametrize("axes", [1, 2, 3])
@given(data=st.data())
def test_what_was_pooled_is_put_back(axes, data):
    """In the place of the largest, where pooling found it; nothing else is left of what was pooled."""
    side = st.integers(3, 7)
    shape = data.draw(st.tuples(*[st.integers(1, 3)] * 2, *[side] * axes))
    x = np.random.default_rng(0).permutation(int(np.prod(shape))).reshape(shape) + 1.0
    window = {"stride": data.draw(st.integers(1, 3)), "padding": data.draw(st.integers(0, 1))}
    with rm.use_backend("reference:float64"):
        y, indices = getattr(rm, f"max_pool{axes}d")(x, 2, **window, return_indices=True)
        back = getattr(rm, f"MaxUnpool{axes}d")(2, **window)(y, indices, output_shape=x.shape).as_ndarray()
        expected = np.where(np.isin(x, y.as_ndarray()), x, 0)
        np.testing.assert_array_equal(back, expected)
        if window["stride"] == 2 and not window["padding"] and all(side % 2 == 0 for side in shape[2:]):
            again = getattr(rm, f"max_unpool{axes}d")(y, indices, 2, **window)
            np.testing.assert_array_equal(again.as_ndarray(), expected)


@given(case=max_pool2d_with_indices.cases("tiny", integers=True), seed=st.integers(0, 2**32 - 1))
def test_errors_before_both_are_within_the_bounds(case, seed):
    """Pixels off by their errors may change which is the largest of a window, and so what is put where."""
    rng, x, size = np.random.default_rng(seed), np.rint(case.inputs[0].astype(np.float64)), case.inputs[0].shape[2:]
    # Eighths, of which float64 rounds no sum.
    error = rng.choice([0, 0.125, 1], x.shape) * rng.integers(0, 8, x.shape) / 8
    off = x + error * rng.choice([-1, 1], x.shape)
    pool, unpool = map(rm.backend.find("reference:float64").operation, ("max_pool2d_with_indices", "max_unpool2d"))
    exact, other = (pool.forward(pixels, **case.attributes)[0] for pixels in (x, off))
    bounds = max_pool2d_with_indices.forward_bound((x,), case.attributes, (error,))
    for found, expected, bound in zip(other, exact, bounds, strict=True):
        assert (np.abs(found - expected) <= bound).all()
    bound = max_unpool2d.forward_bound(exact, {"size": size}, bounds)
    found, expected = (unpool.forward(*results, size=size)[0] for results in (other, exact))
    assert (np.abs(found - expected) <= bound).all()


class Autoencoder(rm.Model):
    def __init__(self):
        super().__init__()
        self.pool, self.unpool = rm.MaxPool2d(2, stride=2, return_indices=True), rm.MaxUnpool2d(2, stride=2)
        self.conv = rm.Conv2d(2, padding=1)

    def forward(self, x):
        y, indices = self.pool(self.conv(x))
        return self.unpool(y, indices, output_shape=self.conv(x).shape)


def test_a_network_with_both_is_exported_for_any_batch(tmp_path):
    rm.set_seed(0)
    x = np.random.default_rng(0).normal(size=(3, 1, 6, 7)).astype(np.float32)
    with rm.use_backend("reference"):
        model = Autoencoder()
        y = model(x).as_ndarray()
        export(model, tmp_path / "model.onnx", (1, 6, 7), backends=["reference"])
    nodes = [node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node]
    assert "MaxUnpool" in nodes and "MaxPool" in nodes
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (found,) = session.run(None, {session.get_inputs()[0].name: x})
    np.testing.assert_allclose(found, y, rtol=1e-4, atol=1e-6)


def test_what_cannot_be_put_back():
    x, indices = np.ones((1, 2, 2, 2), np.float32), np.arange(8).reshape(1, 2, 2, 2)
    with rm.use_backend("reference"):
        for place in (-1, 32):
            wrong = indices.copy()
            wrong[0, 1, 1, 1] = place
            with pytest.raises(OutOfRangeError, match=f"MaxUnpool2d: the index {place}"):
                rm.max_unpool2d(x, wrong, 2, stride=2)
        with pytest.raises(ShapeError, match="indices have shape"):
            rm.max_unpool2d(x, indices[:, :1], 2, stride=2)
        for shape in ((1, 1, 4, 4), (1, 2, 4), (1, 2, 4, 4, 4)):
            with pytest.raises(ShapeError, match="output_shape is"):
                rm.max_unpool2d(x, indices, 2, stride=2, output_shape=shape)
        with pytest.raises(ShapeError, match="would become images"):
            rm.max_unpool2d(x, indices, 1, padding=1)
        with pytest.raises(ShapeError, match=r"\(N, C, L\)"):
            rm.max_unpool1d(x, indices, 2)
        with pytest.raises(ArgumentError, match="input 1 is of float32"):
            rm.max_unpool2d(x, indices.astype(np.float32), 2, stride=2)
        with pytest.raises(ArgumentError, match="output_shape=x.shape"):
            rm.MaxUnpool2d(2, padding="same")
