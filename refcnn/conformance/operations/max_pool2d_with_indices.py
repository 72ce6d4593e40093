"""Max pooling that tells the places of the largest pixels too: cases and error bounds, those of max pooling."""

import dataclasses

import numpy as np
from hypothesis import strategies as st

from ..theory.bounds import UNDEFINED
from ..theory.edges import of_pooling
from . import max_pool2d

EXACT_ON_INTEGERS = True


@st.composite
def cases(draw, size="small", integers=False):
    """Draw as for max pooling; places have no gradient."""
    case = draw(max_pool2d.cases(size, integers))
    return dataclasses.replace(case, dy=(case.dy, None))


def forward_bound(inputs, attributes, errors=None):
    """That of max pooling; a place is exact, or open where the winner is or another may come to be the largest."""
    bound = max_pool2d.forward_bound(inputs, attributes, errors)
    is_open = max_pool2d.has_open_winner(inputs[0], attributes) | (bound != 0)
    return bound, np.where(is_open, UNDEFINED, 0.0)


def backward_bound(dy, inputs, attributes, needs):
    """That of max pooling."""
    return max_pool2d.backward_bound(dy[0], inputs, attributes, needs)


def edges(case):
    """Those of windows and planes."""
    return of_pooling(dataclasses.replace(case, dy=case.dy[0]))
