"""One-hot: cases and error bounds. It is exact."""

import numpy as np
from hypothesis import strategies as st

from ... import formats
from ...reference import one_hot
from ..theory.bounds import number_format
from ..theory.examples import of_shapes
from ..theory.sizes import extents, long_extents
from ..theory.strategies import Case, shapes

EXACT_ON_INTEGERS = True
HAS_GRADIENT = False


@st.composite
def cases(draw, size="small", integers=False):
    """Draw indices of any shape, some of them outside, and what is on and off, in any dtype."""
    depth = draw(long_extents(2048) if size == "channels" else extents(20))
    shape = draw(shapes("window" if size == "channels" else size, axes=3))
    shape = draw(st.sampled_from([shape, shape, ()]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    reach = draw(st.sampled_from((depth, depth, depth + 3)))
    indices = rng.integers(-reach, reach, shape, draw(st.sampled_from((np.int64, np.int32))))
    of = draw(st.sampled_from((number_format(), number_format(), *formats.EXACT)))
    numbers = [(0, 1), (1, 0)] if of is formats.BOOL else [(0, 1), (-2, 3), (of.dtype.type(1) * 7, 0)]
    # Of truth values too these are numbers: an attribute that is one is a flag.
    off, on = (
        int(number) if of is formats.BOOL else of.dtype.type(number).item() for number in draw(st.sampled_from(numbers))
    )
    attributes = {"depth": depth, "axis": draw(st.integers(0, len(shape))), "off": off, "on": on, "dtype": of.name}
    return Case((np.asarray(indices),), attributes)


def forward_bound(inputs, attributes, errors=None):
    """Nothing: an index has no error."""
    return np.zeros(one_hot.forward(*inputs, **attributes)[0].shape)


def backward_bound(dy, inputs, attributes, needs):
    """There is no gradient."""
    return (None,)


def is_copy(direction, case):
    """Always."""
    return True


def edges(case):
    """Indices that leave all off, and each dtype."""
    (indices,), depth, dtype = case.inputs, case.attributes["depth"], case.attributes["dtype"]
    return {
        "an index outside": bool(((indices < -depth) | (indices >= depth)).any()),
        "a negative index": bool((indices < 0).any()),
        "a single index": indices.ndim == 0,
        **{f"of {of.name}": dtype == of.name for of in (number_format(), *formats.EXACT)},
    }


examples = of_shapes(np.array([2, 0, 1]), depth=3, axis=1, off=0.0, on=1.0, dtype="float32")
