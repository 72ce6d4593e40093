"""What holds of every operation on a page, whatever it computes: its bounds, and that integers are exact."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcnn import rooms
from refcnn.conformance.judging.judge import conformance, has_exact_cases

from .checks import SIZE, check

ON_PAGES = [stem for stem in rooms.operations() if not rooms.path(rooms.REFERENCE, stem).endswith(f"/{stem}.py")]


@pytest.mark.parametrize("operation", ON_PAGES)
@given(data=st.data())
def test_within_bound(page_backend, operation, data):
    check(operation, data.draw(conformance(operation).cases(SIZE)), page_backend)


@pytest.mark.parametrize("operation", [*filter(has_exact_cases, ON_PAGES)])
@given(data=st.data())
def test_integers_exact(page_backend, operation, data):
    check(operation, data.draw(conformance(operation).cases(SIZE, integers=True)), page_backend, to_the_bit=True)
