"""Adadelta."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcnn.conformance.operations import adadelta

from .checks import SIZE, check, check_all_at_once


def test_worked_example(backend):
    """r_new = 0.5 (12 + 4^2) = 14, d = sqrt(3 + 1) / sqrt(14 + 1) 4, s_new = 0.5 (3 + d^2), w_new = 10 - 0.5 d."""
    arrays = [backend.array(np.array([entry], np.float32)) for entry in (10, 4, 12, 3)]
    attributes = {"lr": 0.5, "rho": 0.5, "epsilon": 1.0}
    w, r, s = (backend.to_host(one).item() for one in backend.operation("adadelta").forward(*arrays, **attributes))
    # 8 / sqrt(15) = 2.0655911, whose square is 64 / 15.
    assert r == 14
    assert s == pytest.approx(0.5 * (3 + 64 / 15), rel=1e-6)
    assert w == pytest.approx(10 - 0.5 * 2.0655911, rel=1e-6)


@given(case=adadelta.cases(SIZE))
def test_within_bound(backend, case):
    check("adadelta", case, backend)


@given(cases=st.lists(adadelta.cases("tiny"), min_size=1, max_size=19))
def test_many_at_once_to_the_bit(opencl_backend, cases):
    check_all_at_once("adadelta", cases, opencl_backend)
