"""Slice: cases and error bounds. It moves numbers, and their errors with them."""

from hypothesis import strategies as st

from ...reference import slice
from ..theory import moving
from ..theory.examples import of_shapes
from ..theory.strategies import shapes

EXACT_ON_INTEGERS = True

forward_bound = moving.forward_bound_of(slice)
may_flip = moving.may_flip
backward_bound, is_copy = moving.backward_bound, moving.is_copy


@st.composite
def cases(draw, size="small", integers=False):
    """Draw an array of any shape and dtype, and a part of each of its first axes, forwards or backwards."""
    x = draw(moving.numbers(draw(shapes(size, axes=6)), integers))
    sizes = x.shape[: draw(st.one_of(st.just(x.ndim), st.integers(0, x.ndim)))]
    entries = [draw(_parts(size)) for size in sizes]
    starts, stops, steps = zip(*entries, strict=True) if entries else ((), (), ())
    attributes = {"starts": starts, "stops": stops, "steps": steps}
    return draw(moving.case(slice, (x,), attributes, integers))


@st.composite
def _parts(draw, size):
    """Draw (start, stop, step) of a part with at least one index, written in one of the ways that mean it."""
    # Often all of an axis, as where one is cut behind others that stay.
    if draw(st.booleans()):
        return None, None, 1
    step = draw(st.sampled_from((1, 1, 2, 3, -1, -2, -5)))
    first = draw(st.one_of(st.none(), st.integers(-size - 1, size)))
    first = first if range(size)[first::step] else None
    indices = range(size)[first::step]
    taken = draw(st.integers(1, len(indices)))
    end = indices[taken - 1] + (1 if step > 0 else -1)
    # There is no index before the first one that a negative stop could name.
    same = [end - size, *[end] * (end >= 0)] if end < size else [size, size + 2]
    stop = draw(st.sampled_from([*same, *[None] * (taken == len(indices))]))
    return first, stop, step


examples = of_shapes((4, 4), dy=(3, 2), starts=(1, 0), stops=(4, 4), steps=(1, 2))
