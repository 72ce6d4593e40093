"""Adam with decoupled weight decay."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcnn.conformance.operations import adamw

from .checks import SIZE, check, check_all_at_once

ATTRIBUTES = {"lr": 0.5, "beta1": 0.5, "beta2": 0.75, "epsilon": 1.0, "step": 2}


def test_worked_example(backend):
    """As Adam's, m_new = 3, r_new = 13, but w loses 0.5 0.25 of itself beside the step."""
    arrays = [backend.array(np.array([entry], np.float32)) for entry in (10, 4, 2, 12)]
    operation = backend.operation("adamw")
    w, m, r = (backend.to_host(one).item() for one in operation.forward(*arrays, weight_decay=0.25, **ATTRIBUTES))
    assert (m, r) == (3, 13)
    # sqrt(13 16 / 7) = 5.451081151
    assert w == pytest.approx(10 - 1.25 - 0.5 * 4 / (5.451081151 + 1), rel=1e-6)


def test_without_decay_it_is_adam(backend):
    rng = np.random.default_rng(0)
    arrays = [backend.array(np.abs(rng.standard_normal(99)).astype(np.float32)) for _ in range(4)]
    found = backend.operation("adamw").forward(*arrays, weight_decay=0.0, **ATTRIBUTES)
    expected = backend.operation("adam").forward(*arrays, **ATTRIBUTES)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(backend.to_host(one), backend.to_host(other), rtol=1e-6)


@given(case=adamw.cases(SIZE))
def test_within_bound(backend, case):
    check("adamw", case, backend)


@given(cases=st.lists(adamw.cases("tiny"), min_size=1, max_size=19))
def test_many_at_once_to_the_bit(opencl_backend, cases):
    check_all_at_once("adamw", cases, opencl_backend)
