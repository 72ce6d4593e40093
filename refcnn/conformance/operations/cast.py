"""The same numbers in another dtype: cases and error bounds. It is exact but for the errors of what it is given."""

import numpy as np
from hypothesis import strategies as st

from ... import formats
from ..theory.bounds import number_format
from ..theory.strategies import ZEROS_AND_NOT_FINITE, Case, arrays, exact_arrays, shapes, subnormal_numbers

EXACT_ON_INTEGERS = True


@st.composite
def cases(draw, size="small", integers=False):
    """Draw an array of any shape and dtype, and what it becomes; of floats no more than an integer can hold."""
    floats = number_format()
    # Floats twice, for between them alone there is a gradient.
    found, wanted = (draw(st.sampled_from((floats, floats, *formats.EXACT))) for _ in range(2))
    shape, attributes = draw(shapes(size)), {"dtype": wanted.name}
    if not found.is_float:
        return Case((draw(exact_arrays(shape, found)),), attributes)
    if not wanted.is_float and wanted is not formats.BOOL:
        # All between -1 and 1, and a scale whose products with that leave few digits behind the point, or none.
        largest = draw(st.sampled_from((1.0, 4.0, 2.0**10, 2.0**20, wanted.largest // 2)))
        largest = min(float(largest), floats.largest)
        x = draw(arrays(shape, integers, scales=(1.0,)))
        return Case(((x / np.abs(x).max(initial=1) * floats.dtype.type(largest)).astype(floats.dtype),), attributes)
    special = (*ZEROS_AND_NOT_FINITE, *subnormal_numbers())
    x = draw(arrays(shape, integers, special=special))
    return Case((x,), attributes, draw(arrays(shape, integers, special=special)) if wanted.is_float else None)


def forward_bound(inputs, attributes, errors=None):
    """Nothing but what the error of x makes: the nearest float, or integer below, of another number is another."""
    (x,), error = inputs, errors and errors[0]
    if error is None:
        return np.zeros(x.shape)
    magnitude, wanted = np.abs(x.astype(np.float64)), formats.of(attributes["dtype"])
    if wanted.is_float:
        # Of what was computed, and of the exact answer, which is one of the floats too.
        rounding = 0 if x.dtype.kind == "f" else number_format().roundoff * (2 * magnitude + error)
        return np.where(error > 0, error + rounding, 0)
    if wanted is formats.BOOL:
        return np.where((error > 0) & (magnitude <= error), 1.0, 0.0)
    return np.where(error > 0, np.floor(error) + 1, 0)


def backward_bound(dy, inputs, attributes, needs):
    """dy is passed on as it is."""
    return (np.zeros(dy.shape) if needs[0] else None,)


def is_copy(direction, case):
    """Where floats are made: those of floats keep their sign, and an integer's zero has none."""
    return formats.of(case.attributes["dtype"]).is_float


def edges(case):
    """Each dtype of x with each of the result."""
    dtypes = [of.name for of in (number_format(), *formats.EXACT)]
    found = case.inputs[0].dtype.name, case.attributes["dtype"]
    return {f"{one} to {other}": found == (one, other) for one in dtypes for other in dtypes}


OFFERED = {"dtype": "int32"}
