"""Max pooling that tells the places of the largest pixels too: cases and error bounds, those of max pooling."""

import dataclasses

import numpy as np
from hypothesis import strategies as st

from ...reference import max_pool2d_with_indices
from ..theory.bounds import input_error
from ..theory.edges import of_pooling
from ..theory.examples import pools
from ..theory.windows import pixels_under
from . import max_pool2d

EXACT_ON_INTEGERS = True


@st.composite
def cases(draw, size="small", integers=False):
    """Draw as for max pooling; places have no gradient."""
    case = draw(max_pool2d.cases(size, integers))
    return dataclasses.replace(case, dy=(case.dy, None))


def forward_bound(inputs, attributes, errors=None):
    """That of max pooling; a place is exact where surely no other pixel is the largest, else one of the window's."""
    (x,), error = inputs, input_error(inputs[0], errors and errors[0])
    values, widths = pixels_under(x.astype(np.float64), -np.inf, **attributes), pixels_under(error, **attributes)
    places = pixels_under(np.arange(x.size, dtype=np.float64).reshape(x.shape), np.nan, **attributes)
    (_, indices), _ = max_pool2d_with_indices.forward(x, **attributes)
    is_winner = places == indices[..., None]
    least = np.where(is_winner, values - widths, -np.inf).max(axis=-1)
    others = np.where(is_winner, -np.inf, values + widths).max(axis=-1)
    is_open = (least <= others) & (widths > 0).any(axis=-1)
    is_open |= np.isnan(values).sum(axis=-1) > 1
    furthest = np.nanmax(np.abs(places - indices[..., None]), axis=-1)
    return max_pool2d.forward_bound(inputs, attributes, errors), np.where(is_open, furthest, 0)


def backward_bound(dy, inputs, attributes, needs):
    """That of max pooling."""
    return max_pool2d.backward_bound(dy[0], inputs, attributes, needs)


def edges(case):
    """Those of windows and planes."""
    return of_pooling(dataclasses.replace(case, dy=case.dy[0]))


def examples():
    """A window over a channel; the places of the winners have no gradient."""
    for one in pools():
        yield dataclasses.replace(one, case=dataclasses.replace(one.case, dy=(one.case.dy, None)))
