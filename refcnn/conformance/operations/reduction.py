"""Reductions: cases and error bounds; those of sums and means follow from the reference's formulas."""

import dataclasses

import numpy as np
from hypothesis import strategies as st

from ...reference import reduction as reference
from ..theory.bounds import UNDEFINED, input_error
from ..theory.derived import Derived
from ..theory.strategies import FEW_NOT_FINITE, Case, arrays, shapes, subnormal_numbers


@st.composite
def cases(draw, size="small", integers=False):
    """Draw an array of any shape, and which of its axes to reduce."""
    shape = draw(shapes(size))
    axes = tuple(axis for axis in range(len(shape)) if draw(st.booleans()))
    keepdims = draw(st.booleans())
    special = (*FEW_NOT_FINITE["special"], *subnormal_numbers())
    x = draw(arrays(shape, integers, special=special, shares=FEW_NOT_FINITE["shares"]))
    attributes = {"axes": axes, "keepdims": keepdims}
    y, _ = reference.OPERATIONS["reduce_max"].forward(x, **attributes)
    return Case((x,), attributes, draw(arrays(y.shape, integers, special=special)))


#: What much of an array may be, and how much.
_OFTEN = (*[(None, ())] * 6, (-np.inf, (0.9, 1)), (np.nan, (0.2, 0.5)))


@st.composite
def max_cases(draw, size="small", integers=False):
    """Draw the same; at times much of the array is -infinity, so that it is the largest somewhere, or NaN."""
    case = draw(cases(size, integers))
    value, shares = draw(st.sampled_from(_OFTEN))
    if integers or value is None:
        return case
    x = draw(arrays(case.inputs[0].shape, special=(value,), shares=shares))
    return dataclasses.replace(case, inputs=(x,))


def _edges(case):
    """Which axes are reduced."""
    (x,), axes = case.inputs, case.attributes["axes"]
    inner = [axis in axes for axis, side in enumerate(x.shape) if side > 1]
    return {
        "no axes": not axes,
        "all axes": len(axes) == x.ndim,
        "the last axis kept": x.ndim - 1 not in axes,
        "reduced axes apart": sum(now and not before for before, now in zip([False, *inner], inner, strict=False)) > 1,
    }


class Max:
    """The largest: exact, and no error grows in it."""

    EXACT_ON_INTEGERS = True

    cases = staticmethod(max_cases)
    edges = staticmethod(_edges)

    def forward_bound(self, inputs, attributes, errors=None):
        """|max of a - max of b| <= max of |a - b|."""
        error = input_error(inputs[0], errors and errors[0])
        return error.max(axis=attributes["axes"], keepdims=attributes["keepdims"], initial=0)

    def backward_bound(self, dy, inputs, attributes, needs):
        """Each dy is passed on to the first of the largest, or the first NaN; which it is may be open.

        It is so where x may be flushed, of those that may be the largest then.
        """
        if not needs[0]:
            return (None,)
        (x,), axes = inputs, attributes["axes"]
        kept = [1 if axis in axes else side for axis, side in enumerate(x.shape)]
        dy = np.broadcast_to(dy.reshape(kept), x.shape)
        error = input_error(x)
        is_candidate = x + error >= (x - error).max(axis=axes, keepdims=True)
        is_open = (is_candidate & (error > 0)).any(axis=axes, keepdims=True) & is_candidate
        bound = np.where(is_open, np.where(np.isfinite(dy), np.abs(dy), np.inf), 0) + input_error(dy)
        return (np.where(is_open & ~np.isfinite(dy), UNDEFINED, bound),)


OPERATIONS = {
    "reduce_max": Max(),
    "reduce_mean": Derived(reference.OPERATIONS["reduce_mean"], cases, edges=_edges),
    "reduce_sum": Derived(reference.OPERATIONS["reduce_sum"], cases, EXACT_ON_INTEGERS=True, edges=_edges),
}
