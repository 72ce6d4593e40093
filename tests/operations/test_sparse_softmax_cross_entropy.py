"""Cross entropy of the softmax and the numbers of classes."""

import math

import numpy as np
import pytest
from hypothesis import assume, given

from refcnn.conformance.operations import sparse_softmax_cross_entropy
from refcnn.conformance.theory.strategies import Case

from .checks import SIZE, check, check_gradients, check_node_cases, check_onnxruntime

# Probabilities (1, 2, 5) / 8, (1/2, 1/2, 0) and (1/4, 1/4, 1/2).
X = [[0, math.log(2), math.log(5)], [1000, 1000, 900], [0, 0, math.log(2)]]
ATTRIBUTES = {"class_weight": None, "label_smoothing": 0.0, "ignore_index": None, "reduce_sum": True}


def computed(backend, x, t, dy, **attributes):
    """Return the loss and the gradient of x."""
    operation, attributes = backend.operation("sparse_softmax_cross_entropy"), ATTRIBUTES | attributes
    x, t, dy = backend.array(np.asarray(x, np.float32)), backend.array(np.asarray(t, np.int64)), np.float32(dy)
    loss, saved = operation.forward(x, t, **attributes)
    dx, dt = operation.backward(backend.array(np.asarray(dy)), saved, (True, False), **attributes)
    assert dt is None
    return backend.to_host(loss), backend.to_host(dx)


def assert_close(found, expected):
    np.testing.assert_allclose(found, np.asarray(expected), rtol=1e-6, atol=1e-6)


def test_worked_example(backend):
    """The rows lose log 4, log 2 and log 4; dx = dy (p - t) / 3."""
    loss, dx = computed(backend, X, [1, 0, 0], dy=24)
    assert_close(loss, 5 / 3 * math.log(2))
    assert_close(dx, [[1, -6, 5], [-4, 4, 0], [-6, 2, 4]])


def test_worked_example_of_weights_and_ignored_places(backend):
    """The weights 4 and 2 of the classes 1 and 0 count, the third row does not: (4 log 4 + 2 log 2) / 6."""
    options = {"class_weight": (2.0, 4.0, 8.0), "ignore_index": 2}
    loss, dx = computed(backend, X, [1, 0, 2], dy=12, **options)
    assert_close(loss, 10 / 6 * math.log(2))
    assert_close(dx, [[1, -6, 5], [-2, 2, 0], [0, 0, 0]])
    losses, dx = computed(backend, X, [1, 0, 2], dy=[2, 3, 5], reduce_sum=False, **options)
    assert_close(losses, [8 * math.log(2), 2 * math.log(2), 0])
    assert_close(dx, [[1, -6, 5], [-3, 3, 0], [0, 0, 0]])


def test_worked_example_of_label_smoothing(backend):
    """With 3/8 the targets are 5/8 + 1/8 for the class itself and 1/8 for the others, times the weights."""
    x, options = [[0, math.log(2), math.log(5)]], {"label_smoothing": 0.375, "class_weight": (2.0, 4.0, 8.0)}
    loss, dx = computed(backend, x, [1], dy=4, **options)
    # q = (1/4, 3, 1), of which the sum is 17/4; the mean is divided by the weight of class 1.
    log_p = np.log([0.125, 0.25, 0.625])
    assert_close(loss, -(0.25 * log_p[0] + 3 * log_p[1] + log_p[2]) / 4)
    assert_close(dx, [[17 / 32 - 1 / 4, 17 / 16 - 3, 85 / 32 - 1]])


def test_places_of_images_are_rows(backend):
    """The classes lie along the second axis, whatever is behind it."""
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((2, 3, 4, 5)), rng.integers(0, 3, (2, 4, 5))
    loss, dx = computed(backend, x, t, dy=1, class_weight=(1.0, 2.0, 3.0), ignore_index=1)
    rows, row_dx = computed(
        backend, np.moveaxis(x, 1, -1).reshape(-1, 3), t.ravel(), dy=1, class_weight=(1.0, 2.0, 3.0), ignore_index=1
    )
    assert_close(loss, rows)
    assert_close(dx, np.moveaxis(row_dx.reshape(2, 4, 5, 3), -1, 1))


@pytest.mark.filterwarnings("ignore:.*encountered in .*divide:RuntimeWarning")
def test_if_all_places_are_ignored_the_mean_is_nan_and_there_is_no_gradient(backend):
    loss, dx = computed(backend, X, [-100, -100, -100], dy=1, ignore_index=-100)
    assert np.isnan(loss) and not dx.any()


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
def test_what_is_not_finite_stays_in_its_place(backend):
    """An ignored place adds nothing, whatever its logits are; an excluded class matters where it is the target."""
    x = [[np.nan, 0, 0], [-np.inf, 0, 0], [-np.inf, 0, 0], [np.inf, 0, 0]]
    losses, dx = computed(backend, x, [2, 1, 0, 2], dy=[np.nan, 1, 1, 1], ignore_index=2, reduce_sum=False)
    assert_close(losses, [0, math.log(2), np.inf, 0])
    assert_close(dx, [[0, 0, 0], [0, -0.5, 0.5], [-1, 0.5, 0.5], [0, 0, 0]])


def test_a_class_of_weight_0_takes_no_part(backend):
    """Even an excluded one: 0 times infinity would be NaN."""
    loss, dx = computed(backend, [[-np.inf, 0, 0], [0, 0, 0]], [0, 1], dy=1, class_weight=(0.0, 1.0, 1.0))
    assert_close(loss, math.log(3))
    assert_close(dx, [[0, 0, 0], [1 / 3, -2 / 3, 1 / 3]])


@given(case=sparse_softmax_cross_entropy.cases(SIZE))
def test_within_bound(backend, case):
    check("sparse_softmax_cross_entropy", case, backend)


@given(case=sparse_softmax_cross_entropy.cases("tiny", integers=True))
def test_gradients_of_reference(case):
    x, t = case.inputs
    total = np.array(case.attributes["class_weight"] or np.ones(x.shape[1]))[np.where(t < 0, 0, t)]
    counts = t != case.attributes["ignore_index"]
    assume(not case.attributes["reduce_sum"] or (total * counts).sum() > 0)
    case = Case((x / np.float32(4), t), case.attributes, case.dy)
    check_gradients("sparse_softmax_cross_entropy", case, step=2.0**-12, tolerance=1e-4)


@given(case=sparse_softmax_cross_entropy.cases("tiny"))
def test_onnxruntime(case):
    check_onnxruntime("sparse_softmax_cross_entropy", case)


def test_cases_by_which_onnx_defines_the_operator(backend):
    def translate(node, x, t, w=None):
        if node["reduction"] == b"sum":
            return None
        weights = None if w is None else tuple(w.tolist())
        attributes = {"class_weight": weights, "ignore_index": node.get("ignore_index")}
        return (x, t), ATTRIBUTES | attributes | {"reduce_sum": node["reduction"] == b"mean"}

    check_node_cases("sparse_softmax_cross_entropy", "SoftmaxCrossEntropyLoss", translate, backend, tolerance=1e-5)
