"""Adam."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refcnn as rm
from refcnn.conformance.operations import adam

from .checks import SIZE, check, check_all_at_once


def test_worked_example(backend):
    """m_new = 0.5 2 + 0.5 4 = 3, r_new = 0.75 12 + 0.25 16 = 13; at step 2 the corrections are 3/4 and 7/16."""
    arrays = [backend.array(np.array([entry], np.float32)) for entry in (10, 4, 2, 12)]
    attributes = {"lr": 0.5, "beta1": 0.5, "beta2": 0.75, "epsilon": 1.0, "step": 2}
    w, m, r = (backend.to_host(one).item() for one in backend.operation("adam").forward(*arrays, **attributes))
    assert (m, r) == (3, 13)
    # sqrt(13 16 / 7) = 5.451081151
    assert w == pytest.approx(10 - 0.5 * 4 / (5.451081151 + 1), rel=1e-6)


def test_first_step_has_the_length_of_lr(backend):
    """From zero moments the first step is lr g / (|g| + epsilon)."""
    w, zero = np.zeros(3, np.float32), np.zeros(3, np.float32)
    arrays = [backend.array(entry) for entry in (w, np.array([3, -1e-3, 0], np.float32), zero, zero)]
    attributes = {"lr": 0.001, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "step": 1}
    moved = backend.to_host(backend.operation("adam").forward(*arrays, **attributes)[0])
    np.testing.assert_allclose(moved, [-0.001, 0.001, 0], rtol=1e-4)


def test_without_a_gradient_nothing_moves_at_the_smallest_epsilon(backend):
    attributes = rm.Adam(epsilon=2.0**-126).attributes(step=1)
    w, zero = backend.array(np.array([3, -4], np.float32)), backend.array(np.zeros(2, np.float32))
    moved = backend.operation("adam").forward(w, zero, zero, zero, **attributes)[0]
    np.testing.assert_array_equal(backend.to_host(moved), [3, -4])


@given(case=adam.cases(SIZE))
def test_within_bound(backend, case):
    check("adam", case, backend)


@given(cases=st.lists(adam.cases("tiny"), min_size=1, max_size=19))
def test_many_at_once_to_the_bit(opencl_backend, cases):
    check_all_at_once("adam", cases, opencl_backend)
