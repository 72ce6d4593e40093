"""Matrix products on CPU devices with vectors of every width, whatever the registers of the present one."""

from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refcnn.conformance.operations import conv2d, dense
from refcnn.opencl import variants
from refcnn.opencl.runtime.vectors import VECTOR_WIDTHS

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
