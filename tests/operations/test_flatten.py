"""Flatten, which has no arithmetic: only the shape changes."""

import numpy as np
from hypothesis import given

from refcnn.conformance.theory.strategies import shapes

from .checks import SIZE, check_example


def test_worked_example(backend):
    check_example(
        "flatten",
        ([[[1, 2], [3, 4]], [[5, 6], [7, 8]]],),
        {},
        [[1, 2, 3, 4], [5, 6, 7, 8]],
        dy=[[1, 2, 3, 4], [5, 6, 7, 8]],
        gradients=([[[1, 2], [3, 4]], [[5, 6], [7, 8]]],),
        backend=backend,
    )


@given(shape=shapes(SIZE))
def test_order(backend, shape):
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    flatten = backend.operation("flatten")
    y, saved = flatten.forward(backend.array(x))
    flat = backend.to_host(y)
    assert flat.shape == (shape[0], x.size // shape[0])
    assert flat.ravel().tolist() == list(range(x.size))
    (dx,) = flatten.backward(y, saved, (True,))
    np.testing.assert_array_equal(backend.to_host(dx), x)
