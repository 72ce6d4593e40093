"""Models of ONNX files that compute again for shapes they had before: what is replayed is what would be computed."""

import copy
import pickle
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

import refcnn as rm
from refcnn.onnx import load

from .test_imported import model_of

# So often the same is asked for: computed, recorded, and replayed twice.
TIMES = 4


def node(op_type, inputs, output, **attributes):
    return helper.make_node(op_type, inputs.split(), [output], **attributes)


def block(rng, channels):
    """Return nodes and constants of a residual block with all that convolutions take in, and what they do not."""
    c = channels
    constants = {
        "w": rng.standard_normal((c, c, 3, 3)) / (3 * c**0.5),
        "b": rng.standard_normal(c),
        "scale": 0.5 + rng.random(c),
        "bias": rng.standard_normal(c),
        "mean": rng.standard_normal(c),
        "variance": 0.5 + rng.random(c),
        "factor": 0.5 + rng.random((c, 1, 1)),
        "shift": rng.standard_normal((1, c, 1, 1)),
    }
    nodes = [
        node("BatchNormalization", "x scale bias mean variance", "n"),
        node("Mul", "n factor", "m"),
        node("Add", "shift m", "s"),
        node("Relu", "s", "r"),
        node("Conv", "r w b", "k", pads=[1, 1, 1, 1]),
        node("BatchNormalization", "k scale bias mean variance", "l"),
        node("Mul", "factor l", "f"),
        node("Add", "f shift", "g"),
        node("Add", "g x", "a"),
        node("MaxPool", "a", "p", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("MaxPool", "a", "q", kernel_shape=[1, 1], strides=[2, 2]),
        node("Concat", "p q", "y", axis=1),
    ]
    return nodes, {name: value.astype(np.float32) for name, value in constants.items()}


@given(
    channels=st.integers(1, 9),
    shapes=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 20)), min_size=1, max_size=2),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_replay_computes_what_the_reference_does(page_backend, channels, shapes, seed):
    rng = np.random.default_rng(seed)
    nodes, constants = block(rng, channels)
    file = model_of(nodes, constants=constants)
    with rm.use_backend("reference:float64"):
        exact = load(file)
    with rm.use_backend(page_backend):
        model, kept = load(file), []
        for _ in range(TIMES):
            for images, height, width in shapes:
                x = rng.standard_normal((images, channels, height, width)).astype(np.float32)
                kept.append((x, model(x)))
        found = [y.as_ndarray() for _, y in kept]
    with rm.use_backend("reference:float64"):
        for (x, _), y in zip(kept, found, strict=True):
            expected = exact(x.astype(np.float64)).as_ndarray()
            np.testing.assert_allclose(y, expected, rtol=0, atol=2e-5 * max(1, np.abs(expected).max()))


@given(
    rows=st.integers(1, 9),
    terms=st.integers(1, 1100),
    columns=st.sampled_from([1, 5, 40, 64, 80, 96]),
    is_turned=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_replay_multiplies_matrices_as_numpy_does(page_backend, rows, terms, columns, is_turned, seed):
    rng = np.random.default_rng(seed)
    # Whole numbers, so that each sum is exact.
    w = rng.integers(-9, 10, (terms, columns)).astype(np.float32)
    c = rng.integers(-9, 10, columns).astype(np.float32)
    nodes = [node("Gemm", "x w c", "k", transB=int(is_turned)), node("Relu", "k", "y")]
    with rm.use_backend(page_backend):
        model = load(model_of(nodes, constants={"w": w.T if is_turned else w, "c": c}))
        for _ in range(TIMES):
            x = rng.integers(-9, 10, (rows, terms)).astype(np.float32)
            np.testing.assert_array_equal(model(x).as_ndarray(), np.maximum(x @ w + c, 0))


@pytest.fixture
def small(opencl_backend):
    """A model of one convolution, whose device is active."""
    rng = np.random.default_rng(0)
    nodes = [node("Conv", "x w", "k", pads=[1, 1, 1, 1]), node("Relu", "k", "y")]
    with rm.use_backend(opencl_backend):
        yield load(model_of(nodes, constants={"w": rng.standard_normal((16, 16, 3, 3)).astype(np.float32)}))


X = np.random.default_rng(1).standard_normal((TIMES + 2, 2, 16, 8, 8)).astype(np.float32)


def launches(model, x):
    device = rm.backend.active().device
    with device.profiling() as launched:
        y = model(x).as_ndarray()
    return y, len(launched)


def test_what_depends_on_no_input_is_computed_once(opencl_backend):
    # Not every device brings weights into another order first; that they are doubled is to be done on all.
    nodes = [node("Add", "w w", "v"), node("Conv", "x v", "k", pads=[1, 1, 1, 1]), node("Relu", "k", "y")]
    w = np.random.default_rng(0).standard_normal((16, 16, 3, 3)).astype(np.float32)
    with rm.use_backend(opencl_backend):
        model = load(model_of(nodes, constants={"w": w}))
        counts = [launches(model, x)[1] for x in X]
    assert counts[-1] == counts[2] < counts[0]


def test_results_that_are_held_stay_as_they_are(small):
    held = [small(x) for x in X]
    before = [y.as_ndarray() for y in held]
    again = [small(x).as_ndarray() for x in X]
    for y, first, second in zip(held, before, again, strict=True):
        np.testing.assert_array_equal(y.as_ndarray(), first)
        np.testing.assert_allclose(first, second, rtol=0, atol=1e-4)


def test_the_same_inputs_give_the_same_bits(small):
    found = [small(X[0]).as_ndarray() for _ in range(TIMES + 2)][2:]
    for y in found[1:]:
        np.testing.assert_array_equal(y, found[0])


def test_a_parameter_that_changes_is_heeded(small):
    w = small.params["w"]
    former = [small(X[0]).as_ndarray() for _ in range(TIMES)][-1]
    w.set(-w.as_ndarray())
    for _ in range(TIMES):
        with rm.use_backend("reference"):
            expected = np.maximum(rm.conv2d(X[0], w, padding=1).as_ndarray(), 0)
        np.testing.assert_allclose(small(X[0]).as_ndarray(), expected, rtol=0, atol=1e-3)
    assert np.abs(former - expected).max() > 0.1
    with small.train():
        loss = rm.mean_squared_error(small(X[0]), expected + 1)
    loss.grad().update(rm.Sgd(lr=0.1))
    trained = w.as_ndarray()
    assert np.abs(small(X[0]).as_ndarray() - expected).max() > 1e-3
    np.testing.assert_array_equal(trained, w.as_ndarray())


def test_copies_compute_by_themselves(small):
    expected = [small(x).as_ndarray() for x in X][-1]
    for twin in (copy.deepcopy(small), pickle.loads(pickle.dumps(small)), small.replica()):
        small.params["w"].set(small.params["w"] * 1)
        for _ in range(TIMES):
            np.testing.assert_allclose(twin(X[-1]).as_ndarray(), expected, rtol=0, atol=1e-5)


def test_threads_that_share_a_model_do_not_mix_their_inputs(small):
    expected = [small(x).as_ndarray() for x in (*X, *X)][len(X) :]
    wrong, backend = [], rm.backend.active()

    def work(first):
        with rm.use_backend(backend):
            for turn in range(30):
                number = (first + turn) % len(X)
                if np.abs(small(X[number]).as_ndarray() - expected[number]).max() > 1e-5:
                    wrong.append(number)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_what_the_host_reads_of_an_input_is_read_anew(opencl_backend):
    file = model_of(
        [node("ReduceMax", "x", "most", keepdims=0), node("Range", "zero most one", "y")],
        constants={"zero": np.float32(0), "one": np.float32(1)},
    )
    with rm.use_backend(opencl_backend):
        model = load(file)
        for size in (3, 5, 2, 7, 4):
            np.testing.assert_array_equal(model(np.float32([1, size, 0])).as_ndarray(), np.arange(size))


def test_outputs_that_are_inputs_or_constants(opencl_backend):
    nodes = [
        node("Identity", "x", "same"),
        node("Neg", "c", "fixed"),
        node("Relu", "x", "r"),
        node("Sub", "r fixed", "y"),
    ]
    nodes.append(node("Concat", "d x d", "joined", axis=1))
    outputs, constants = ("same", "fixed", "r", "y", "joined"), {"c": np.float32([2]), "d": X[0]}
    with rm.use_backend(opencl_backend):
        model = load(model_of(nodes, outputs=outputs, constants=constants))
        for x in X:
            same, fixed, r, y, joined = (entry.as_ndarray() for entry in model(x))
            np.testing.assert_array_equal(joined, np.concatenate((X[0], x, X[0]), axis=1))
            np.testing.assert_array_equal(same, x)
            np.testing.assert_array_equal(fixed, [-2])
            np.testing.assert_array_equal(r, np.maximum(x, 0))
            np.testing.assert_array_equal(y, np.maximum(x, 0) + np.float32(2))


def test_inputs_that_share_memory(opencl_backend):
    with rm.use_backend(opencl_backend):
        model = load(model_of([node("Add", "a b", "y")], inputs=("a", "b")))
        x = rm.Variable(X[0])
        for _ in range(TIMES):
            np.testing.assert_array_equal(model(x, x).as_ndarray(), 2 * X[0])
            np.testing.assert_array_equal(model(X[0], X[1]).as_ndarray(), X[0] + X[1])


def test_more_arrays_than_parts_of_memory_are_kept(opencl_backend):
    count = 600
    nodes = [node("Concat", f"x{number} x0", f"x{number + 1}", axis=0) for number in range(count)]
    nodes.append(node("ReduceSum", f"x{count}", "y", keepdims=0))
    with rm.use_backend(opencl_backend):
        model = load(model_of(nodes, inputs=("x0",)))
        for number in range(TIMES):
            assert model(np.float32([number, 1])).as_ndarray() == (count + 1) * (number + 1)
