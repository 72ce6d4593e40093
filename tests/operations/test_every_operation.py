"""What holds of every operation, and what else of those on a page: their bounds, and that integers are exact."""

import random

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from refcnn import rooms
from refcnn.conformance.judging.judge import conformance, has_exact_cases
from refcnn.conformance.theory.sizes import is_vast

from .checks import SIZE, check

#: Fewer than elsewhere: conformance draws a hundred such cases of each direction on every device. Here are some for
#: those who change an operation.
FEWER = settings(max_examples=settings.default.max_examples * 3 // 5)

ON_PAGES = [stem for stem in rooms.operations() if not rooms.path(rooms.REFERENCE, stem).endswith(f"/{stem}.py")]


@pytest.mark.parametrize("operation", ON_PAGES)
@FEWER
@given(data=st.data())
def test_within_bound(page_backend, operation, data):
    check(operation, data.draw(conformance(operation).cases(SIZE)), page_backend)


@pytest.mark.parametrize("operation", [*filter(has_exact_cases, ON_PAGES)])
@FEWER
@given(data=st.data())
def test_integers_exact(page_backend, operation, data):
    check(operation, data.draw(conformance(operation).cases(SIZE, integers=True)), page_backend, to_the_bit=True)


@pytest.mark.parametrize("operation", rooms.operations())
def test_vast_arrays_are_drawn(operation):
    """Where no case passed sixteen bits, what is wrong from there on would pass."""
    # The same draws each time: of others none may be among fifty.
    quickly = settings(max_examples=50, database=None, phases=(Phase.generate,))
    for integers in (False, True) if has_exact_cases(operation) else (False,):
        find(
            conformance(operation).cases("vast", integers=integers), is_vast, settings=quickly, random=random.Random(1)
        )
