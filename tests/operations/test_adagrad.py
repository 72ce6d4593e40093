"""Adagrad."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from refcnn.conformance.operations import adagrad

from .checks import SIZE, check, check_all_at_once


def test_worked_example(backend):
    """r_new = 7 + 3^2 = 16, and the step is 0.5 3 / (4 + 1)."""
    w, g, r = (backend.array(np.array([entry, -entry, 0], np.float32)) for entry in (10, 3, 7))
    r = backend.array(np.array([7, 7, 0], np.float32))
    w_new, r_new = map(backend.to_host, backend.operation("adagrad").forward(w, g, r, lr=0.5, epsilon=1.0))
    assert r_new.tolist() == [16, 16, 0]
    np.testing.assert_allclose(w_new, [9.7, -9.7, 0], rtol=1e-6)


@given(case=adagrad.cases(SIZE))
def test_within_bound(backend, case):
    check("adagrad", case, backend)


@given(cases=st.lists(adagrad.cases("tiny"), min_size=1, max_size=19))
def test_many_at_once_to_the_bit(opencl_backend, cases):
    check_all_at_once("adagrad", cases, opencl_backend)
