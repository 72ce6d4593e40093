"""Max pooling."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcnn.conformance.operations import max_pool2d
from refcnn.conformance.theory.strategies import Case
from refcnn.opencl import variants

from .checks import SIZE, check, check_example, check_gradients, check_onnxruntime


def test_worked_example(backend):
    x = [[[[1, 5, 2], [4, 3, 5], [0, 1, 2]]]]
    # The 5 of the first row wins the two upper windows; the lower ones go to the 4 and to the 5 of the second row.
    check_example(
        "max_pool2d",
        (x,),
        {"kernel": (2, 2), "stride": (1, 1), "padding": (0, 0, 0, 0)},
        [[[[5, 5], [4, 5]]]],
        dy=[[[[1, 2], [3, 4]]]],
        gradients=([[[[0, 3, 0], [3, 0, 4], [0, 0, 0]]]],),
        backend=backend,
    )


def test_padding_never_wins(backend):
    attributes = {"kernel": (2, 2), "stride": (2, 2), "padding": (1, 1, 0, 0)}
    check_example(
        "max_pool2d",
        ([[[[-1, -2], [-3, -np.inf]]]],),
        attributes,
        [[[[-1]]]],
        dy=[[[[7]]]],
        gradients=([[[[7, 0], [0, 0]]]],),
        backend=backend,
    )


def test_first_of_equals_wins_and_nan_before_all(backend):
    attributes = {"kernel": (1, 3), "stride": (1, 3), "padding": (0, 0, 0, 0)}
    x = [[[[2, 2, 1, 3, np.nan, np.nan, -np.inf, -np.inf, -np.inf]]]]
    check_example(
        "max_pool2d",
        (x,),
        attributes,
        [[[[2, np.nan, -np.inf]]]],
        dy=[[[[1, 2, 3]]]],
        gradients=([[[[1, 0, 0, 0, 2, 0, 3, 0, 0]]]],),
        backend=backend,
    )


@given(case=max_pool2d.cases(SIZE))
def test_within_bound(backend, case):
    check("max_pool2d", case, backend)


@pytest.mark.parametrize("variant", variants.VARIANTS)
@given(case=max_pool2d.cases(SIZE))
def test_variants_within_bound(opencl_backend, variant, case):
    with variants.use_variant(variant):
        check("max_pool2d", case, opencl_backend)


@given(case=max_pool2d.cases(SIZE, integers=True))
def test_integers_exact(backend, case):
    check("max_pool2d", case, backend, to_the_bit=True)


@given(case=max_pool2d.cases("tiny", integers=True), data=st.data())
def test_gradients_of_reference(case, data):
    # Different integers, so that no step of a quarter changes the winner.
    (x,) = case.inputs
    x = np.array(data.draw(st.permutations(range(x.size))), np.float32).reshape(x.shape)
    check_gradients("max_pool2d", Case((x,), case.attributes, case.dy), step=0.25)


@given(case=max_pool2d.cases(SIZE, special=False))
def test_onnxruntime(case):
    check_onnxruntime("max_pool2d", case)


def test_any_pixel_of_a_window_with_nan_may_have_its_gradient():
    x, dy = np.array([[[[np.nan, np.nan, 1, 2]]]], np.float32), np.ones((1, 1, 1, 2), np.float32)
    attributes = {"kernel": (1, 2), "stride": (1, 2), "padding": (0, 0, 0, 0)}
    (bound,) = max_pool2d.backward_bound(dy, (x,), attributes, (True,))
    np.testing.assert_array_equal(np.isinf(bound), [[[[True, True, False, False]]]])
