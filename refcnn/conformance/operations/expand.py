"""Expand: cases and error bounds. It moves numbers, and their errors with them; gradients are sums."""

from hypothesis import strategies as st

from ...reference import expand
from ...shapes import broadcast_shape
from ..theory import moving
from ..theory.examples import of_shapes
from ..theory.strategies import shapes

EXACT_ON_INTEGERS = True

forward_bound = moving.forward_bound_of(expand)
may_flip = moving.may_flip
backward_bound, is_copy = moving.sum_bound_of(expand), moving.is_copy_forward


@st.composite
def cases(draw, size="small", integers=False):
    """Draw an array of any dtype, and sizes that repeat it along old axes or new ones, or leave it."""
    shape = draw(shapes(size, axes=5))
    kinds = [draw(st.sampled_from(("repeated", "kept", "kept by 1"))) for _ in shape]
    own = [1 if kind == "repeated" else side for kind, side in zip(kinds, shape, strict=True)]
    sizes = [1 if kind == "kept by 1" else side for kind, side in zip(kinds, shape, strict=True)]
    # There may be fewer sizes, or fewer axes, than the other has.
    first = draw(st.integers(0, len(shape) - 1))
    own, sizes = draw(st.sampled_from([(own, sizes), (own[first:], sizes), (own, sizes[first:])]))
    x = draw(moving.numbers(tuple(own), integers))
    return draw(moving.case(expand, (x,), {"shape": tuple(sizes)}, integers))


def edges(case):
    """What is repeated."""
    (x,), sizes = case.inputs, case.attributes["shape"]
    return {
        "a new axis": len(sizes) > x.ndim,
        "fewer sizes than axes": len(sizes) < x.ndim,
        "nothing repeated": broadcast_shape(x.shape, sizes) == x.shape,
    }


examples = of_shapes((2, 1), dy=(2, 3), shape=(2, 3))
