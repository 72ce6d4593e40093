"""PyTorch, where it is installed, against the error bounds: an outside party on what each operation is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcnn import rooms
from refcnn.backend import find
from refcnn.conformance.judging import judge
from refcnn.conformance.subjects import base
from refcnn.conformance.subjects.implementation import Implementation

pytest.importorskip("torch", reason="PyTorch is not installed")

#: What PyTorch computes within the bounds as long as no number is huge, tiny, NaN or infinite: the gradient of what
#: jumps is 0 there and not 0 times that of the result, and products overflow on the way.
MODERATE = {
    *("absolute", "ceil", "celu", "clip", "divide", "elu", "floor", "group_normalization", "hard_swish"),
    *("instance_normalization", "layer_normalization", "lp_pool2d", "maximum", "mean_squared_error", "minimum", "mish"),
    *("power", "reduce_l1", "round", "selu", "sign", "softplus", "sparse_softmax_cross_entropy", "swish"),
    *("adam", "adamax", "adamw"),
}
#: What it computes by formulas in which digits cancel or coordinates are rounded, and what differs by design.
OTHERS = {
    "dropout",
    "gelu",
    "hard_sigmoid",
    "resize",
    "rmsprop",
    "sgd",
    "sigmoid",
    "sigmoid_cross_entropy",
    "softsign",
    "spatial_dropout",
}


def is_moderate(array):
    if array is None or array.dtype.kind != "f":
        return True
    magnitudes = np.abs(array[array != 0])
    return np.isfinite(array).all() and not ((magnitudes < 1e-3) | (magnitudes > 1e3)).any()


@pytest.mark.parametrize("operation", sorted(set(rooms.operations()) - OTHERS))
@given(data=st.data())
def test_pytorch_is_within_the_bounds(operation, data):
    from refcnn.conformance.adapters.pytorch import implementation as pytorch

    case = data.draw(judge.conformance(operation).cases("small"))
    if operation in MODERATE and not all(map(is_moderate, case.arrays)):
        return
    adapted = Implementation("PyTorch", pytorch).operation(operation)
    try:
        judge.check_forward(operation, case, find("reference"), implementation=adapted)
        # Of integers there is no gradient.
        if case.dy is not None and "backward" in base.directions(operation):
            judge.check_backward(operation, case, find("reference"), implementation=adapted)
    except base.NotExpressible:
        return


def test_what_it_does_not_offer():
    from refcnn.conformance.adapters.pytorch import implementation as pytorch

    assert not hasattr(pytorch, "dropout") and not hasattr(pytorch, "adam_backward")
