"""Matrix products on CPU devices with vectors of every width, whatever the registers of the present one."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refcnn.conformance.operations import conv2d, dense
from refcnn.opencl import variants
from refcnn.opencl.convolution import product
from refcnn.opencl.convolution.sizes import Convolution
from refcnn.opencl.operations import dense as on_device
from refcnn.opencl.runtime.vectors import VECTOR_WIDTHS
from refcnn.opencl.shared.fusion import Limits

from .operations.checks import SIZE, check

CASES = {"conv2d": conv2d.cases, "dense": dense.cases}


# Each width has programs of its own to build; .ci/run holds conformance runs with each on more cases.
@pytest.mark.parametrize("width", VECTOR_WIDTHS)
@pytest.mark.parametrize("operation", sorted(CASES))
@settings(max_examples=10)
@given(data=st.data(), integers=st.booleans())
def test_every_width_of_vectors(opencl_backend, operation, width, data, integers):
    case = data.draw(CASES[operation](SIZE, integers=integers))
    with variants.use_variant("cpu"), mock.patch.object(opencl_backend.device, "vector_width", width):
        check(operation, case, opencl_backend, to_the_bit=integers)


@pytest.mark.parametrize("width", VECTOR_WIDTHS)
@settings(max_examples=10)
@given(rows=st.integers(1, 300), columns=st.integers(1, 300), terms=st.integers(1, 1600), seed=st.integers(0, 99))
def test_long_sums_of_many_rows_are_exact_on_integers(opencl_backend, width, rows, columns, terms, seed):
    """Sums that are added up in parts, of columns that are copied first or not."""
    rng, device = np.random.default_rng(seed), opencl_backend.device
    x, w, dy = (
        rng.integers(-9, 10, shape).astype(np.float32) for shape in ((rows, terms), (terms, columns), (rows, columns))
    )
    with variants.use_variant("cpu"), mock.patch.object(device, "vector_width", width):
        y, saved = on_device.forward(*map(opencl_backend.array, (x, w)), None)
        dx, dw, _ = on_device.backward(opencl_backend.array(dy), saved, (True, True, False))
        found = [opencl_backend.to_host(one) for one in (y, dx, dw)]
    for one, exact in zip(found, (x @ w, dy @ w.T, x.T @ dy), strict=True):
        np.testing.assert_array_equal(one, exact)


@pytest.mark.parametrize("width", VECTOR_WIDTHS)
@pytest.mark.parametrize("outputs", [3, 130])
def test_the_bias_and_the_limits_of_sums_in_parts_count_once(opencl_backend, width, outputs):
    rng, device = np.random.default_rng(0), opencl_backend.device
    x, w, b = (
        rng.integers(-4, 5, shape).astype(np.float32) for shape in ((60, 1200, 7, 9), (outputs, 1200, 1, 1), (outputs,))
    )
    geometry = Convolution(x.shape, w.shape, (1, 1), (0, 0, 0, 0), (1, 1), 1)
    arrays = [opencl_backend.array(one) for one in (x, w, b.reshape(1, outputs, 1, 1))]
    with variants.use_variant("cpu"), mock.patch.object(device, "vector_width", width):
        y, _ = product.forward(*arrays, geometry, Limits(-300.0, 200.0))
        y = opencl_backend.to_host(y)
    exact = np.einsum("nchw,kc->nkhw", x, w[:, :, 0, 0]) + b[:, None, None]
    assert exact.min() < -300 and exact.max() > 200
    np.testing.assert_array_equal(y, np.clip(exact, -300, 200))
