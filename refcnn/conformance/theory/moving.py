"""What operations have in common that move numbers and compute none."""

import numpy as np
from hypothesis import strategies as st

from ... import formats
from ...backend import results_of
from .bounds import sum_of_terms
from .pieces import linear
from .strategies import ZEROS_AND_NOT_FINITE, Case, arrays, arrays_of_any_format, exact_arrays, subnormal_numbers

_SPECIAL = (*ZEROS_AND_NOT_FINITE, *subnormal_numbers())


def numbers(shape, integers):
    """Return a strategy of arrays of a shape and any dtype."""
    return arrays_of_any_format(shape, integers, special=_SPECIAL)


@st.composite
def numbers_alike(draw, shapes, integers):
    """Draw a tuple of arrays of several shapes and one dtype, whichever that is."""
    first = draw(numbers(shapes[0], integers))
    of = formats.of(first.dtype)
    others = (
        arrays(shape, integers, special=_SPECIAL) if of.is_float else exact_arrays(shape, of) for shape in shapes[1:]
    )
    return (first, *map(draw, others))


@st.composite
def indices(draw, shape, size):
    """Draw indices of an axis of a size, int64 or int32, negative ones too; at times few of them, again and again."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    least, most = draw(st.sampled_from(((-size, size), (-size, size), (0, size), (size - 1, size))))
    return rng.integers(least, most, shape, draw(st.sampled_from((np.int64, np.int32))))


@st.composite
def case(draw, reference, inputs, attributes, integers):
    """Draw what is missing of a case: the gradient of each result, if the numbers that are moved can have one.

    Parameters
    ----------
    reference : module
        The operation's among :mod:`refcnn.reference`.
    inputs : tuple of ndarray
        The first is moved.
    attributes : dict
    integers : bool
    """
    if inputs[0].dtype.kind != "f":
        return Case(inputs, attributes, None)
    y, _ = reference.forward(*inputs, **attributes)
    dy = tuple(draw(arrays(result.shape, integers, special=_SPECIAL)) for result in results_of(y))
    return Case(inputs, attributes, dy if isinstance(y, tuple) else dy[0])


def forward_bound_of(reference, moved=None):
    """Return the ``forward_bound`` of an operation, given its module among :mod:`refcnn.reference`.

    Parameters
    ----------
    reference : module
    moved : int, optional
        How many of the inputs are moved, where the others say to where; all as a rule.
    """

    def forward_bound(inputs, attributes, errors=None):
        """Each error goes where its number goes; nothing is computed, so that no number is flushed."""
        errors = errors or (None,) * len(inputs)
        rows = list(zip(inputs, errors, strict=True))[:moved]
        errors = [np.zeros(entry.shape) if error is None else error for entry, error in rows]
        return reference.forward(*errors, *inputs[len(errors) :], **attributes)[0]

    return forward_bound


def backward_bound(dy, inputs, attributes, needs):
    """Each dy goes back to where its number came from."""
    return tuple(np.zeros(entry.shape) if need else None for entry, need in zip(inputs, needs, strict=True))


def sum_bound_of(reference):
    """Return the ``backward_bound`` of an operation that moves numbers of its first input, one to several places.

    The gradient of such a number is the sum of what its copies get.
    """

    def backward_bound(dy, inputs, attributes, needs):
        """The bound of sums of as many terms as a number has copies, at most; those of one alone may be flushed."""
        others = (None,) * (len(inputs) - 1)
        if not needs[0]:
            return (None, *others)
        _, saved = reference.forward(np.zeros(inputs[0].shape), *inputs[1:], **attributes)

        def total(dy):
            return reference.backward(dy, saved, needs, **attributes)[0]

        terms = total(np.ones(dy.shape)).max(initial=1)
        return (sum_of_terms(total, dy, terms), *others)

    return backward_bound


#: Moving is linear in what is moved.
may_flip = linear


def is_copy(direction, case):
    """Always."""
    return True


def is_copy_forward(direction, case):
    """Forward alone: sums of zeros have the sign that the first of them, or a zero before it, gives them."""
    return direction == "forward"
