"""The adapters of other libraries, of each that is installed: outside parties on what each operation is."""

import dataclasses
import importlib.util

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcnn import rooms
from refcnn.conformance.judging import judge
from refcnn.conformance.subjects import base, shipped
from refcnn.conformance.subjects.finding import find
from refcnn.errors import BackendError

ALL = frozenset(rooms.operations())


@dataclasses.dataclass
class Library:
    """What a library computes within the bounds.

    Attributes
    ----------
    moderate : collection of str
        Operations of which it does so as long as no number is huge, tiny, NaN or infinite: the gradient of what jumps
        is 0 there and not 0 times that of the result, say, and products overflow on the way.
    others : collection of str
        What it computes by formulas in which digits cancel or coordinates are rounded, and what differs by design.
    """

    moderate: frozenset
    others: frozenset


def operations(text):
    return frozenset(text.split())


LIBRARIES = {
    "autograd": Library(
        ALL,
        operations(
            "absolute celu clip elu gelu global_max_pool2d hard_swish lp_pool2d maximum minimum reduce_l1 reduce_max "
            "reduce_min reduce_prod selu sigmoid sigmoid_cross_entropy softsign swish tanh where"
        ),
    ),
    "onnx.reference": Library(
        operations("average_pool2d batch_normalization conv2d instance_normalization prelu reduce_log_sum_exp"),
        operations(
            "conv_transpose2d gather_elements global_max_pool2d local_response_normalization log_softmax lp_pool2d "
            "max_pool2d max_pool2d_with_indices pad power reduce_sum_square resize sparse_softmax_cross_entropy"
        ),
    ),
    "pytorch": Library(
        operations(
            "absolute batch_normalization ceil celu clip divide elu floor group_normalization hard_swish "
            "instance_normalization layer_normalization local_response_normalization lp_pool2d maximum "
            "mean_squared_error minimum mish power reduce_l1 round selu sign softplus sparse_softmax_cross_entropy "
            "swish adam adamax adamw"
        ),
        operations(
            "dropout gelu hard_sigmoid resize rmsprop sgd sigmoid sigmoid_cross_entropy softsign spatial_dropout"
        ),
    ),
}


def is_installed(library):
    """Tell whether there is the package of a library, which has its module's name or, of onnx, a part of it."""
    return importlib.util.find_spec(shipped.PACKAGES[library]) is not None


def is_moderate(array):
    if array is None or array.dtype.kind != "f":
        return True
    magnitudes = np.abs(array[array != 0])
    return np.isfinite(array).all() and not ((magnitudes < 1e-3) | (magnitudes > 1e3)).any()


@pytest.mark.parametrize("operation", sorted(ALL))
@pytest.mark.parametrize("library", list(filter(is_installed, LIBRARIES)))
@given(data=st.data())
def test_a_library_is_within_the_bounds(library, operation, data):
    subject = find(library)
    if operation in LIBRARIES[library].others or not subject.offers(operation, "forward"):
        return
    case = data.draw(judge.conformance(operation).cases("small"))
    if operation in LIBRARIES[library].moderate and not all(map(is_moderate, case.arrays)):
        return
    adapted = subject.operation(operation)
    try:
        judge.check_forward(operation, case, subject, implementation=adapted)
        # Of integers there is no gradient.
        if case.dy is not None and subject.offers(operation, "backward"):
            judge.check_backward(operation, case, subject, implementation=adapted)
    except base.NotExpressible:
        return


@pytest.mark.skipif(not is_installed("pytorch"), reason="PyTorch is not installed")
def test_what_pytorch_does_not_offer():
    subject = find("pytorch")
    assert not subject.offers("dropout", "forward") and not subject.offers("adam", "backward")


def test_a_library_is_found_by_its_name_alone_and_with_a_device():
    subject = find("onnx.reference")
    assert subject.specification == subject.name == "onnx.reference" and subject.description["driver"]
    assert subject.offers("conv2d", "forward") and not subject.offers("conv2d", "backward")
    with pytest.raises(BackendError, match="the device onnx.reference:gpu cannot be tested: ValueError: .* no devices"):
        find("onnx.reference:gpu")


@pytest.mark.parametrize("library", shipped.PACKAGES)
def test_what_to_install_is_said(library, monkeypatch):
    module = f"refcnn.conformance.adapters.{library.replace('.', '_')}"
    assert importlib.util.find_spec(module)

    def missing(name):
        assert name == module
        raise ModuleNotFoundError("No module named 'something'")

    monkeypatch.setattr(shipped.importlib, "import_module", missing)
    with pytest.raises(BackendError, match=f"pip install {shipped.PACKAGES[library]}"):
        find(library)
