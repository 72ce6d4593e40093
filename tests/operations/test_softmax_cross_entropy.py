"""Cross entropy of the softmax."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refcnn as rm
from refcnn.conformance.operations import softmax_cross_entropy
from refcnn.conformance.theory.strategies import Case
from refcnn.errors import ArgumentError, OutOfRangeError, ShapeError

from .checks import SIZE, check, check_example, check_gradients

# Probabilities (1, 2, 5) / 8 and (1/2, 1/2, 0).
X = [[0, math.log(2), math.log(5)], [1000, 1000, 900]]
T = [[0, 1, 0], [0.5, 0.5, 0]]


def test_worked_example(backend):
    log_p = np.log([[0.125, 0.25, 0.625], [0.5, 0.5, 1]]) - [[0, 0, 0], [0, 0, 100 + math.log(2)]]
    # The first row loses log 4, the second log 2; dx = dy (p - t) / 2, dt = -dy log(p) / 2.
    check_example(
        "softmax_cross_entropy",
        (X, T),
        {"reduce_sum": True},
        1.5 * math.log(2),
        dy=4,
        gradients=([[0.25, -1.5, 1.25], [0, 0, 0]], -2 * log_p),
        backend=backend,
    )


def test_worked_example_of_the_terms(backend):
    check_example(
        "softmax_cross_entropy",
        (X, T),
        {"reduce_sum": False},
        [[0, math.log(4), 0], [0.5 * math.log(2), 0.5 * math.log(2), 0]],
        dy=[[9, 8, 9], [4, 0, 9]],
        gradients=([[1, -6, 5], [-1, 1, 0]], None),
        backend=backend,
    )


# Logits with excluded classes or differences that float32 cannot hold, a target, what the row loses, and dx.
LOST = 1 + math.log(1 + math.exp(-1))
P = 1 / (1 + math.e)
WITH_TARGETS_OF_0 = [
    ([-np.inf, 0, 1], [0, 1, 0], LOST, [0, P - 1, 1 - P]),
    ([3e38, -3e38, 0], [1, 0, 0], 0, [0, 0, 0]),
    ([-np.inf, 0, 1], [1, 0, 0], np.inf, [-1, P, 1 - P]),
    ([-np.inf, 0, 1], [0, 0, 0], 0, [0, 0, 0]),
    ([np.nan, 0, 1], [0, 0, 0], 0, [0, 0, 0]),
    ([-np.inf, -np.inf, -np.inf], [0, 0, 0], 0, [0, 0, 0]),
    ([-np.inf, -np.inf, -np.inf], [0, 1, 0], np.nan, [np.nan, np.nan, np.nan]),
    ([np.inf, 0, 1], [0, 1, 0], np.nan, [np.nan, np.nan, np.nan]),
]


@pytest.mark.filterwarnings("ignore:.*encountered in subtract:RuntimeWarning")
@pytest.mark.parametrize("logits, target, loss, dx", WITH_TARGETS_OF_0)
def test_targets_of_0_take_no_part(backend, logits, target, loss, dx):
    check_example(
        "softmax_cross_entropy", ([logits], [target]), {"reduce_sum": True}, loss, 1, ([dx], None), backend=backend
    )


def test_slope_of_a_target_of_0(backend):
    # -log p, where log p is a number.
    check_example(
        "softmax_cross_entropy",
        ([[-np.inf, 0, 1]], [[0, 1, 0]]),
        {"reduce_sum": False},
        [[0, LOST, 0]],
        dy=[[2, 2, 2]],
        gradients=(None, [[0, 2 * LOST, 2 * (LOST - 1)]]),
        backend=backend,
    )


def test_gradient_that_is_infinite_at_a_target_of_0(backend):
    check_example(
        "softmax_cross_entropy",
        ([[0, 0]], [[0, 1]]),
        {"reduce_sum": False},
        [[0, math.log(2)]],
        dy=[[np.inf, 1]],
        gradients=([[0.5, -0.5]], None),
        backend=backend,
    )


@given(case=softmax_cross_entropy.cases(SIZE))
def test_within_bound(backend, case):
    check("softmax_cross_entropy", case, backend)


@given(case=softmax_cross_entropy.cases("tiny", integers=True))
def test_gradients_of_reference(case):
    x, t = case.inputs
    case = Case((x / np.float32(4), t), case.attributes, case.dy)
    check_gradients("softmax_cross_entropy", case, step=2.0**-12, tolerance=1e-6)


# The function, whose targets may be probabilities or numbers of classes, at any number of places.


def of_pytorch(x, target, *, class_weight=None, label_smoothing=0.0, ignore_index=-100, reduce_sum=True):
    """The formulas of torch.nn.CrossEntropyLoss as its documentation has them, one place after the other."""
    classes = x.shape[1]
    rows = np.moveaxis(x, 1, -1).reshape(-1, classes)
    w = np.ones(classes) if class_weight is None else np.asarray(class_weight)
    log_p = rows - np.logaddexp.reduce(rows, axis=1, keepdims=True)
    if target.ndim == x.ndim:
        q = (1 - label_smoothing) * np.moveaxis(target, 1, -1).reshape(-1, classes) + label_smoothing / classes
        losses, total = -(w * q * log_p), len(rows)
    else:
        losses, total = np.zeros(len(rows)), 0.0
        for n, y in enumerate(target.ravel()):
            if y != ignore_index:
                smooth = label_smoothing / classes * (w * log_p[n]).sum()
                losses[n] = -(1 - label_smoothing) * w[y] * log_p[n, y] - smooth
                total += w[y]
    if reduce_sum:
        return losses.sum() / total
    if target.ndim == x.ndim:
        return np.moveaxis(losses.reshape(*x.shape[:1], *x.shape[2:], classes), -1, 1)
    return losses.reshape(target.shape)


FURTHER = [(), (4,), (2, 3), (2, 1, 2), (1, 2, 1, 2), (2, 1, 2, 1, 2)]


@pytest.mark.parametrize("further", FURTHER)
@given(data=st.data())
def test_losses_are_those_of_pytorch(further, data):
    seed, are_numbers, reduce_sum = (data.draw(one) for one in (st.integers(0, 999), st.booleans(), st.booleans()))
    options = {
        "label_smoothing": data.draw(st.sampled_from([0.0, 0.1, 0.75])),
        "class_weight": data.draw(st.sampled_from([None, [0.5, 1, 2], (0, 3, 1)])),
        "reduce_sum": reduce_sum,
    }
    rng = np.random.default_rng(seed)
    x, target = rng.normal(size=(3, 3, *further)), rng.integers(0, 3, (3, *further))
    # One place counts at least.
    target.flat[0] = 1
    if are_numbers and data.draw(st.booleans()):
        options["ignore_index"] = data.draw(st.sampled_from([-100, 2]))
        target.flat[1:2] = options["ignore_index"]
    if not are_numbers:
        target = rng.dirichlet(np.ones(3), target.shape)
        target = np.moveaxis(target, -1, 1)
    with rm.use_backend("reference:float64"):
        found = rm.softmax_cross_entropy(x, target, **options).as_ndarray()
    expected = of_pytorch(x, target, **options)
    assert found.shape == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("further", FURTHER)
def test_one_hot_targets_are_numbers_of_classes(backend, further):
    rng = np.random.default_rng(0)
    x, numbers = rng.normal(size=(3, 4, *further)).astype(np.float32), rng.integers(0, 4, (3, *further))
    gradients = []
    with rm.use_backend(backend), rm.Model().train():
        for target in (numbers, np.moveaxis(np.eye(4)[numbers], -1, 1)):
            leaf = rm.Variable(x, requires_grad=True)
            loss = rm.softmax_cross_entropy(leaf, target, label_smoothing=0.2)
            gradients.append((loss.as_ndarray(), loss.grad().get(leaf).as_ndarray()))
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "int8", "uint64"])
def test_numbers_of_classes_are_integers_of_any_kind(dtype):
    x, target = np.eye(3), np.array([2, 0, 1], dtype)
    expected = math.log(2 + math.e)
    with rm.use_backend("reference"):
        for given_as in (
            target,
            target.tolist(),
            rm.Variable(target.astype(np.int64)),
            rm.Variable(target, dtype="int32"),
        ):
            assert float(rm.softmax_cross_entropy(x, given_as)) == pytest.approx(expected)


@pytest.mark.parametrize("number", [3, -1, 2**40])
def test_a_number_of_no_class_is_refused_with_its_place(number):
    with pytest.raises(OutOfRangeError, match=rf"{number} at \(1, 0\).*0 to 2"):
        rm.softmax_cross_entropy(np.zeros((2, 3, 2)), [[0, 1], [number, 2]])
    with pytest.raises(OutOfRangeError, match=str(number)):
        rm.softmax_cross_entropy(np.zeros((1, 3)), rm.Variable([number]), ignore_index=-7)
    loss = rm.softmax_cross_entropy(np.zeros((2, 3)), [number, 0], ignore_index=number)
    assert float(loss) == pytest.approx(math.log(3))


BAD = [
    ((np.zeros((2, 3)), np.zeros(2)), {}, ArgumentError, "numbers of classes are integers"),
    ((np.zeros((2, 3)), [True, False]), {}, ArgumentError, "numbers of classes are integers"),
    ((np.zeros((2, 3)), [0, 1, 2]), {}, ShapeError, r"\(2, 3\) and the target \(3,\)"),
    ((np.zeros((2, 3, 4)), np.zeros((2, 4, 3))), {}, ShapeError, r"of shape \(2, 4\)"),
    ((np.zeros(3), [0, 1, 2]), {}, ShapeError, "logits of shape"),
    ((np.zeros((2, 0)), [0, 1]), {}, ShapeError, "none of these 0"),
    ((np.zeros((2, 3)), [0, 1]), {"class_weight": [1, 2]}, ArgumentError, "3 classes"),
    ((np.zeros((2, 3)), np.eye(3)[:2]), {"class_weight": [1, 2, 3, 4]}, ArgumentError, "3 classes"),
    ((np.zeros((2, 3)), [0, 1]), {"class_weight": [1, -2, 3]}, ArgumentError, r"class_weight\[1\] is -2"),
    ((np.zeros((2, 3)), [0, 1]), {"class_weight": [1, np.nan, 3]}, ArgumentError, r"class_weight\[1\] is nan"),
    ((np.zeros((2, 3)), np.eye(3)[:2]), {"ignore_index": 1}, ArgumentError, "ignore_index is 1"),
    ((np.zeros((2, 3)), [0, 1]), {"ignore_index": 1.5}, ArgumentError, "ignore_index is 1.5"),
    ((np.zeros((2, 3)), [0, 1]), {"label_smoothing": 1}, ArgumentError, "label_smoothing is 1"),
    ((np.zeros((2, 3)), [0, 1]), {"label_smoothing": -0.1}, ArgumentError, "label_smoothing is -0.1"),
]


@pytest.mark.parametrize(("arrays", "options", "error", "message"), BAD)
def test_what_does_not_fit_is_refused(arrays, options, error, message):
    with pytest.raises(error, match=message):
        rm.softmax_cross_entropy(*arrays, **options)


def test_smoothed_targets_have_gradients_too():
    """Of probabilities that were computed, as in distillation."""
    with rm.use_backend("reference:float64"), rm.Model().train():
        target = rm.Variable([[0.25, 0.75]], requires_grad=True)
        loss = rm.softmax_cross_entropy([[0.0, 0.0]], target, label_smoothing=0.5, class_weight=[1, 4])
        gradient = loss.grad().get(target).as_ndarray()
    np.testing.assert_allclose(gradient, [[0.5 * math.log(2), 2 * math.log(2)]])


def test_the_error_of_long_means_is_small(opencl_backend):
    """One after the other, 2^18 losses of 0.1 are off by 2e-3 of their sum; so are as many classes."""
    for rows, classes in ((2**18, 2), (1, 2**18)):
        x = np.zeros((rows, classes), np.float32)
        t = np.full(x.shape, np.float32(0.1))
        module = opencl_backend.operation("softmax_cross_entropy")
        loss, _ = module.forward(opencl_backend.array(x), opencl_backend.array(t), reduce_sum=True)
        expected = x.shape[1] * np.float64(np.float32(0.1)) * np.log(x.shape[1])
        assert abs(opencl_backend.to_host(loss) / expected - 1) <= 512 * 2.0**-24
