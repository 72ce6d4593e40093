"""Matrix products on CPU devices with the registers of other CPUs than the one that the tests run on."""

from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcnn.conformance import conv2d, dense
from refcnn.opencl import matrix_product, variants

from .operations.checks import SIZE, check

CASES = {"conv2d": conv2d.cases, "dense": dense.cases}


@pytest.mark.parametrize("width", (4, 8))
@pytest.mark.parametrize("operation", sorted(CASES))
@given(data=st.data(), integers=st.booleans())
def test_narrow_vectors(opencl_backend, operation, width, data, integers):
    case = data.draw(CASES[operation](SIZE, integers=integers))
    blocks = matrix_product.Tiling(width, 4, 3, 3, 3)
    with variants.use_variant("cpu"), mock.patch.object(matrix_product, "tiling", lambda device: blocks):
        check(operation, case, opencl_backend, to_the_bit=integers)
