"""Dropout."""

import numpy as np
from hypothesis import given

from refcnn.conformance.operations import dropout

from .checks import SIZE, check, check_example, check_gradients


def test_worked_example(backend):
    """Random123's known answer for counter 0 and key 0: 6627e8d5 e169c58d bc57ac4c 9b00dbd8."""
    # A half is dropped: words of at least 80000000 are kept.
    check_example(
        "dropout",
        ([1, 2, 3, 4],),
        {"ratio": 0.5, "seed": 0, "stream": 0},
        [0, 4, 6, 8],
        dy=[1, 1, 1, 5],
        gradients=([0, 2, 2, 10],),
        backend=backend,
    )
    # Three quarters: words of at least c0000000.
    check_example("dropout", ([1, 2, 3, 4],), {"ratio": 0.75, "seed": 0, "stream": 0}, [0, 8, 0, 0], backend=backend)


def test_word_at_the_threshold_is_kept(backend):
    x = backend.array(np.ones(4, np.float32))
    y, _ = backend.operation("dropout").forward(x, ratio=0xE169C58D / 2**32, seed=0, stream=0)
    assert (backend.to_host(y) > 0).tolist() == [False, True, False, False]


@given(case=dropout.cases(SIZE))
def test_within_bound(backend, case):
    check("dropout", case, backend)


@given(case=dropout.cases(SIZE, integers=True))
def test_integers_exact(backend, case):
    check("dropout", case, backend, to_the_bit=True)


@given(case=dropout.cases("tiny", integers=True))
def test_gradients_of_reference(case):
    check_gradients("dropout", case, step=1)


def test_share_and_mean(backend):
    x = backend.array(np.ones((100, 100), np.float32))
    y = backend.to_host(backend.operation("dropout").forward(x, ratio=0.3, seed=7, stream=1)[0])
    # 10,000 draws: the share that is dropped has a standard deviation of 0.0046.
    assert abs((y == 0).mean() - 0.3) < 5 * 0.0046
    assert abs(y.mean() - 1) < 5 * 0.0046 / 0.7
