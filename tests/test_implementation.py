"""Anyone's own implementation as a subject: what it may say of itself, and return."""

import os
import types
from unittest import mock

import numpy as np
import pytest

from refcnn.conformance.judging import comparison, judge
from refcnn.conformance.running import checking, faults
from refcnn.conformance.running.job import Job
from refcnn.conformance.subjects.implementation import Implementation
from refcnn.conformance.theory.strategies import Case
from refcnn.reference import (
    adam,
    average_pool2d,
    conv2d,
    dropout,
    flatten,
    max_pool2d,
    sgd,
    softmax,
    softmax_cross_entropy,
)

RNG = np.random.default_rng(0)
ATTRIBUTES = {"stride": (1, 1), "padding": (1, 1, 1, 1), "dilation": (1, 1), "groups": 1}
SHAPES = (2, 3, 6, 5), (4, 3, 3, 3), (1, 4, 1, 1)
CONVOLUTION = Case(tuple(RNG.integers(-8, 8, shape).astype(np.float32) for shape in SHAPES), ATTRIBUTES)


class Rough:
    """A convolution that errs by a few roundings too many for a sum, and not for Winograd's algorithm."""

    says = "winograd_4x4"

    def conv2d(self, x, w, b, **attributes):
        return conv2d.forward(x, w, b, **attributes)[0] * np.float32(1 + 2**-21)

    def algorithms(self, operation, inputs, attributes):
        assert operation == "conv2d" and [entry.shape for entry in inputs] == [e.shape for e in CONVOLUTION.inputs]
        return {"forward": self.says} if attributes["stride"] == (1, 1) else {}


def judged(functions, case=CONVOLUTION, operation="conv2d", **options):
    return judge.check_forward(operation, case, Implementation("module:object", functions), **options)


def test_winograds_algorithm_is_judged_by_its_own_bound_if_it_is_named():
    assert 0 < judged(Rough(), to_the_bit=True) <= 1
    unnamed = types.SimpleNamespace(conv2d=Rough().conv2d)
    with pytest.raises(comparison.ConformanceFailure, match="no rounding"):
        judged(unnamed, to_the_bit=True)


@pytest.mark.parametrize("says", ["winograd_6x6", "fft", None])
def test_an_algorithm_that_has_no_bound_is_said(says):
    rough = Rough()
    rough.says = says
    with pytest.raises(comparison.ConformanceFailure, match="winograd_2x2 or winograd_4x4, or left out"):
        judged(rough)


def test_a_number_of_numpys_is_a_result():
    x, t = RNG.random((3, 4)).astype(np.float32), np.eye(4, dtype=np.float32)[:3]

    class Sums:
        result = np.float32

        def softmax_cross_entropy(self, x, t, *, reduce_sum):
            return self.result(softmax_cross_entropy.forward(x, t, reduce_sum=reduce_sum)[0])

    case = Case((x, t), {"reduce_sum": True}, np.ones((), np.float32))
    assert judged(Sums(), case, "softmax_cross_entropy") <= 1
    Sums.result = float
    with pytest.raises(comparison.ConformanceFailure, match=r"\(float\), but float32 of shape \(\)"):
        judged(Sums(), case, "softmax_cross_entropy")


def forking(x):
    os.fork()
    return x


def changing(x):
    y = np.maximum(x, 0)
    x[...] = 7
    return y


def masked(x):
    """Whatever it holds is hidden."""
    return np.ma.masked_array(np.full_like(x, 7), mask=True)


class Unspeakable:
    def __repr__(self):
        raise RuntimeError


BAD_RESULTS = [
    (changing, r"relu changed its argument np.array\(\[1.0, 2.0\]"),
    (forking, "relu, or what ran before it, forks"),
    (masked, "MaskedArray"),
    (np.matrix, "matrix"),
    (lambda x: x.astype(object), "object of shape"),
    (lambda x: x.astype(complex), "complex128 of shape"),
    (lambda x: x.astype(np.longdouble), "(float128|float96|float64) of shape"),
    (lambda x: x.astype(str), "<U32 of shape"),
    (lambda x: x.astype(">f4"), ">f4 of shape"),
    (lambda x: [0.0] * 10**7, r"^.{1,400}$"),
    (lambda x: Unspeakable(), "Unspeakable instance"),
    (lambda x: None, "None"),
]


@pytest.mark.parametrize("function, words", BAD_RESULTS)
def test_what_is_no_result_is_told_as_what_it_is(function, words):
    """Also where it is computed twice."""
    case, functions = Case((np.float32([1, 2]),), {}), types.SimpleNamespace(relu=function)
    with pytest.raises(comparison.ConformanceFailure, match=words):
        judged(functions, case, "relu", twice=True)


def test_a_gradient_that_is_changed_is_told():
    def relu_backward(dy, x):
        dy[x <= 0] = 0
        return (dy,)

    case, functions = Case((np.float32([-1]),), {}, np.float32([1])), types.SimpleNamespace(relu_backward=relu_backward)
    with pytest.raises(comparison.ConformanceFailure, match="relu_backward changed its argument"):
        judge.check_backward("relu", case, Implementation("module:object", functions))


def test_an_update_may_be_done_in_place():
    def sgd_in_place(w, g, v, **attributes):
        w[...], v[...] = sgd.forward(w, g, v, **attributes)
        return w, v

    case = Case((np.float32([1]),) * 3, {"lr": 0.5, "momentum": 0.0, "nesterov": False})
    assert judged(types.SimpleNamespace(sgd=sgd_in_place), case, "sgd") <= 1


def test_a_long_message_is_cut_and_begins_where_the_implementation_does():
    def relu(x):
        raise ValueError("m" * 10**6)

    with pytest.raises(ValueError) as raised:
        judged(types.SimpleNamespace(relu=relu), Case((np.float32([1]),), {}), "relu")
    lines = checking.describe(raised.value).splitlines()
    assert len("".join(lines)) < 30_000 and lines[0].startswith("Traceback") and "in relu" in "".join(lines)
    assert "judge.py" not in "".join(lines)


WRONG_IN_FEW_PLACES = [
    # As where an index has sixteen bits, or a result twice its size on the way.
    ("relu", lambda x: np.where(np.arange(x.size).reshape(x.shape) < 2**16, np.maximum(x, 0), 0)),
    ("relu", lambda x: np.maximum(x * np.float32(2), 0) / np.float32(2)),
    ("relu_backward", lambda dy, x: (np.where(x > 0, np.minimum(dy, np.float32(3e38)), 0),)),
    ("relu_backward", lambda dy, x: (dy * (x > 0),)),
    ("add_backward", lambda dy, a, b: (dy + np.float32(0), dy)),
    ("flatten", lambda x: flatten.forward(x)[0] + np.float32(0)),
    ("max_pool2d", lambda x, **options: max_pool2d.forward(x, **options)[0] + np.float32(0)),
    ("average_pool2d", lambda x, **options: average_pool2d.forward(np.nan_to_num(x), **options)[0]),
    (
        "average_pool2d_backward",
        lambda dy, x, **options: average_pool2d.backward(np.nan_to_num(dy), x.shape, (True,), **options),
    ),
    (
        "max_pool2d_backward",
        lambda dy, x, **options: max_pool2d.backward(
            dy, max_pool2d.forward(np.nan_to_num(x), **options)[1], (True,), **options
        ),
    ),
    ("softmax", lambda x, axis: softmax.forward(np.nan_to_num(x), axis=axis)[0]),
    (
        "softmax_cross_entropy",
        lambda x, t, reduce_sum: softmax_cross_entropy.forward(np.nan_to_num(x), t, reduce_sum=reduce_sum)[0],
    ),
    ("softmax_cross_entropy", lambda x, t, reduce_sum: plain_cross_entropy(x, t, reduce_sum)),
    ("softmax_cross_entropy_backward", lambda dy, x, t, reduce_sum: plain_cross_entropy_backward(dy, x, t, reduce_sum)),
    ("dropout_backward", lambda dy, x, **attributes: (dropout_kept(dy, x, **attributes),)),
    ("sgd", lambda w, g, v, **options: sgd.forward(w, np.nan_to_num(g), v, **options)),
    ("adam", lambda w, g, m, r, **options: adam.forward(w, np.nan_to_num(g), m, r, **options)),
]


def plain_cross_entropy(x, t, reduce_sum):
    loss = -t * softmax_cross_entropy.forward(x, t, reduce_sum=False)[1][0]
    return np.asarray(loss.sum() / np.float32(len(x)) if reduce_sum else loss)


def plain_cross_entropy_backward(dy, x, t, reduce_sum):
    log_p = softmax_cross_entropy.forward(x, t, reduce_sum=False)[1][0]
    gt = t * (dy / np.float32(len(x)) if reduce_sum else dy)
    _, dt = softmax_cross_entropy.backward(dy, (log_p, t), (False, True), reduce_sum=reduce_sum)
    return np.exp(log_p) * gt.sum(axis=1, keepdims=True) - gt, dt


def dropout_kept(dy, x, **attributes):
    kept = dropout.forward(np.ones_like(x), **attributes)[0]
    return dy * kept


@pytest.mark.parametrize("name, wrong", WRONG_IN_FEW_PLACES)
def test_what_few_values_show_is_drawn_and_judged(name, wrong, tmp_path):
    """Right but for NaN, infinities, zeros' signs, the largest numbers or vast arrays: a hundred cases show it."""
    functions = types.SimpleNamespace(**{name: wrong})
    direction = "backward" if name.endswith("_backward") else "forward"
    operation = name.removesuffix("_backward")
    job = Job(operation, direction, None, 100, 1, ("small", "vast"), str(tmp_path / "case.npz"))
    found = mock.patch.object(checking.subjects, "find", lambda *_: Implementation("module:object", functions))
    # One is enough.
    with found, mock.patch.object(faults, "MOST", 1), np.errstate(all="ignore"):
        row = checking.Run("module:object", job, lambda entries: None).run()
    assert row.verdict == "wrong", row
