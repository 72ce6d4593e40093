"""RMSprop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcnn.conformance.operations import rmsprop

from .checks import SIZE, check, check_all_at_once


def test_worked_example(backend):
    """r_new = 0.5 (2 + 4^2) = 9, v_new = 0.5 3 + 2 4 / (3 + 1) = 3.5, w_new = 10 - 3.5."""
    arrays = [backend.array(np.array([entry], np.float32)) for entry in (10, 4, 2, 3)]
    attributes = {"lr": 2.0, "rho": 0.5, "momentum": 0.5, "epsilon": 1.0}
    w, r, v = (backend.to_host(one).item() for one in backend.operation("rmsprop").forward(*arrays, **attributes))
    assert (w, r, v) == pytest.approx((6.5, 9, 3.5), rel=1e-6)


@given(case=rmsprop.cases(SIZE))
def test_within_bound(backend, case):
    check("rmsprop", case, backend)


@given(cases=st.lists(rmsprop.cases("tiny"), min_size=1, max_size=19))
def test_many_at_once_to_the_bit(opencl_backend, cases):
    check_all_at_once("rmsprop", cases, opencl_backend)
