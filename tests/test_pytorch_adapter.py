"""PyTorch, where it is installed, against the error bounds: an outside party on what each operation is."""

import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcnn.backend import find
from refcnn.conformance.judging import judge

pytest.importorskip("torch", reason="PyTorch is not installed")

OPERATIONS = [
    *("add", "average_pool2d", "conv2d", "dense", "flatten", "global_average_pool2d", "max_pool2d", "relu", "softmax"),
    "softmax_cross_entropy",
]


@pytest.mark.parametrize("operation", OPERATIONS)
@given(data=st.data())
def test_pytorch_is_within_the_bounds(operation, data):
    from refcnn.conformance.adapters.pytorch import implementation as pytorch

    case = data.draw(judge.conformance(operation).cases("small"))
    forward, backward = getattr(pytorch, operation), getattr(pytorch, f"{operation}_backward")
    adapted = types.SimpleNamespace(
        forward=lambda *inputs, **attributes: (forward(*inputs, **attributes), inputs),
        backward=lambda dy, inputs, needs, **attributes: backward(dy, *inputs, **attributes),
    )
    judge.check_forward(operation, case, find("reference"), implementation=adapted)
    # Of integers there is no gradient.
    if case.dy is not None:
        judge.check_backward(operation, case, find("reference"), implementation=adapted)


def test_what_it_does_not_offer():
    from refcnn.conformance.adapters.pytorch import implementation as pytorch

    assert not hasattr(pytorch, "dropout") and not hasattr(pytorch, "adam_backward")
