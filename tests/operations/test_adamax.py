"""Adamax."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcnn.conformance.operations import adamax

from .checks import SIZE, check, check_all_at_once


def test_worked_example(backend):
    """m_new = 0.5 (2 + g), u_new = max(0.75 8, |g| + 1), and at step 2 the step is 0.5 (m_new / (3 / 4)) / u_new."""
    w, g, m, u = (backend.array(np.array(entry, np.float32)) for entry in ([10, 10], [4, -7], [2, 2], [8, 8]))
    attributes = {"lr": 0.5, "beta1": 0.5, "beta2": 0.75, "epsilon": 1.0, "step": 2}
    w, m, u = (backend.to_host(one) for one in backend.operation("adamax").forward(w, g, m, u, **attributes))
    assert (m.tolist(), u.tolist()) == ([3, -2.5], [6, 8])
    np.testing.assert_allclose(w, [10 - 0.5 * 4 / 6, 10 + 0.5 * (2.5 / 0.75) / 8], rtol=1e-6)


@pytest.mark.parametrize(("g", "u"), [(np.nan, 3), (1, np.nan), (np.nan, np.nan)])
def test_nan_stays_nan(backend, g, u):
    """The larger of NaN and a number is NaN, as in NumPy and not as in C's fmax."""
    arrays = [backend.array(np.array([entry], np.float32)) for entry in (1, g, 2, u)]
    attributes = {"lr": 0.5, "beta1": 0.5, "beta2": 0.75, "epsilon": 1.0, "step": 2}
    w, _, u = (backend.to_host(one) for one in backend.operation("adamax").forward(*arrays, **attributes))
    assert np.isnan([w, u]).all()


@given(case=adamax.cases(SIZE))
def test_within_bound(backend, case):
    check("adamax", case, backend)


@given(cases=st.lists(adamax.cases("tiny"), min_size=1, max_size=19))
def test_many_at_once_to_the_bit(opencl_backend, cases):
    check_all_at_once("adamax", cases, opencl_backend)
