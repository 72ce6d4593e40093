"""Stochastic gradient descent."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcnn.conformance.operations import sgd

from .checks import SIZE, check, check_all_at_once


@pytest.mark.parametrize(("nesterov", "w"), [(False, [1 - 3, 2 + 0.5]), (True, [1 - 3.5, 2 - 1.25])])
def test_worked_example(backend, nesterov, w):
    """v_new = 0.5 (2, -4) + 0.5 (4, 3) = (3, -0.5); with Nesterov the step is 1.5 v_new - 0.5 v = (3.5, 1.25)."""
    arrays = [backend.array(np.array(entry, np.float32)) for entry in ([1, 2], [4, 3], [2, -4])]
    result = backend.operation("sgd").forward(*arrays, lr=0.5, momentum=0.5, nesterov=nesterov)
    w_new, v_new = map(backend.to_host, result)
    assert v_new.tolist() == [3, -0.5]
    assert w_new.tolist() == w


@given(case=sgd.cases(SIZE))
def test_within_bound(backend, case):
    check("sgd", case, backend)


@given(case=sgd.cases(SIZE, integers=True))
def test_integers_exact(backend, case):
    check("sgd", case, backend, to_the_bit=True)


@given(cases=st.lists(sgd.cases("tiny"), min_size=1, max_size=19))
def test_many_at_once_to_the_bit(opencl_backend, cases):
    check_all_at_once("sgd", cases, opencl_backend)
