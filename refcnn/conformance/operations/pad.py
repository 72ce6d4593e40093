"""Pad: cases and error bounds. It moves numbers, and their errors with them; gradients are sums."""

import numpy as np
from hypothesis import strategies as st

from ...reference import pad
from ..theory import moving
from ..theory.examples import of_shapes
from ..theory.strategies import shapes

EXACT_ON_INTEGERS = True

backward_bound = moving.sum_bound_of(pad)

_of_the_constant = moving.forward_bound_of(pad)


def forward_bound(inputs, attributes, errors=None):
    """Each error goes where its number goes; the constant has none."""
    return _of_the_constant(inputs, {**attributes, "constant_value": 0}, errors)


def is_copy(direction, case):
    """But for gradients of elements that may have several copies, which are sums."""
    return direction == "forward" or case.attributes["mode"] == "constant"


@st.composite
def cases(draw, size="small", integers=False):
    """Draw an array of any dtype, and for each axis how many elements it gets or loses at either end."""
    shape = draw(shapes(size))
    mode = draw(st.sampled_from(("constant", "constant", "reflect", "edge", "wrap")))
    ends = [draw(_ends(side, mode)) for side in shape]
    x = draw(moving.numbers(shape, integers))
    values = (0, 7, -3, 2**40 + 1) if x.dtype == np.int64 else (0, 7, -3)
    values = (0, 1) if x.dtype == np.bool_ else values
    values = (0.0, 1.0, -0.0, 7.0, *((np.inf, np.nan) * (not integers))) if x.dtype.kind == "f" else values
    attributes = {
        "pads": (*(before for before, _ in ends), *(after for _, after in ends)),
        "mode": mode,
        "constant_value": draw(st.sampled_from(values)) if mode == "constant" else values[0],
    }
    return draw(moving.case(pad, (x,), attributes, integers))


@st.composite
def _ends(draw, side, mode):
    """Draw how many elements an axis gets before and behind, often none; something is left of it."""
    if draw(st.booleans()):
        return 0, 0
    least = -draw(st.integers(0, min(3, side - 1)))
    before, after = draw(st.permutations((least, draw(st.integers(0, 5)))))
    left = side + min(0, before) + min(0, after)
    most = left - 1 if mode == "reflect" else 5
    return min(before, most), min(after, most)


def edges(case):
    """How it is padded."""
    pads, mode = case.attributes["pads"], case.attributes["mode"]
    return {
        **{f"mode {name}": mode == name for name in ("constant", "reflect", "edge", "wrap")},
        "elements taken away": min(pads) < 0,
        "nothing padded": not any(pads),
    }


examples = of_shapes((2, 3), dy=(3, 5), pads=(1, 0, 0, 2), mode="constant", constant_value=0.0)
