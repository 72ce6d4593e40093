"""Where the arrays of a replay lie."""

from hypothesis import given
from hypothesis import strategies as st

from refcnn.opencl.runtime.recording import Noted, placed


@st.composite
def arrays(draw):
    found = []
    for _ in range(draw(st.integers(1, 30))):
        array = Noted(draw(st.integers(1, 5000)), False, True, None)
        first = draw(st.integers(0, 20))
        array.uses = [first, first + draw(st.integers(0, 8))]
        found.append(array)
    return found


def at_once(arrays):
    """Return the most bytes that are in use together."""
    return max(
        sum(array.nbytes for array in arrays if array.uses[0] <= moment <= array.uses[-1]) for moment in range(30)
    )


@given(arrays())
def test_arrays_that_are_in_use_together_lie_apart(arrays):
    sizes = placed(arrays)
    for array in arrays:
        assert array.nbytes <= sizes[array.place]
    for number, one in enumerate(arrays):
        for other in arrays[:number]:
            apart = one.place != other.place
            assert apart or one.uses[-1] < other.uses[0] or other.uses[-1] < one.uses[0]
    assert sum(sizes) >= at_once(arrays)


def test_a_chain_takes_what_two_links_need():
    chain = []
    for number in range(10):
        array = Noted(1024, False, True, None)
        array.uses = [number, number + 1]
        chain.append(array)
    assert placed(chain) == [1024, 1024]
