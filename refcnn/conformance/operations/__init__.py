"""For each operation what to draw for a case of it, and how far a correct answer may be from the exact one.

Each module named after an operation has

- ``cases(size="small", integers=False)``: a Hypothesis strategy of
  :class:`~refcnn.conformance.theory.strategies.Case`;
- ``forward_bound(inputs, attributes, errors=None)``: for every element of the
  result, how far a correct float32 implementation may be from the exact
  answer (:mod:`refcnn.reference` in float64 on the same inputs), whatever its
  order of summation. ``errors`` says for each input by how much it may itself
  be off (an array, or None), so that bounds chain from layer to layer. An
  optimizer's update has a tuple of results, so a tuple of bounds;
- ``backward_bound(dy, inputs, attributes, needs)``: the same for the gradient
  of each input; None where there is none.

Where the backends' ``algorithms`` tell algorithms with bounds of their own,
both take them as the keyword ``algorithms``.

What follows here are the traits that a room may have beside these
(:func:`refcnn.rooms.trait`), as they are where it says nothing.
"""

#: Whether the operation only adds, multiplies, compares and moves, so that its cases of integers, which are then drawn
#: too, must match to the bit.
EXACT_ON_INTEGERS = False

#: Whether the bound of the result, of finite inputs that are not off, is no larger where their magnitudes are smaller.
BOUND_GROWS = False

#: Whether any input has a gradient, so that cases may have a ``dy``.
HAS_GRADIENT = True

#: Attributes whose edge is 0, where what they stand for vanishes.
EDGES_AT_ZERO = ()

#: The attributes with which the operation is fused into kernels of the one before it, where it is.
AS_FOLLOWER = None

#: Whether a kernel may mask its gradient by what the operation gave it: where it is fused it comes before such a
#: kernel too, with inputs that it leaves as they are, and has ``masked_bound(x, gradient, bound)``: how far the
#: gradient of such an x may be off after the mask, where it may be off by ``bound`` before.
MASKS = False


def is_exact_with(attributes):
    """Return whether integers stay among numbers that float32 holds with these attributes."""
    return True


def is_copy(direction, case):
    """Return whether what ``forward`` or ``backward`` gives are copies, whose zeros keep their sign."""
    return False


def rounds_integers(algorithms, gradient=None):
    """Return whether an implementation with these algorithms rounds even the sums of small integers.

    Parameters
    ----------
    algorithms : dict of str to str
        As the backends' ``algorithms`` tells them.
    gradient : int, optional
        Of the gradient of which input; of the result, if it is not given.
    """
    return False


def edges(case):
    """Return the edges of the operation's own that a case could reach, a dict of str to bool, the same for all."""
    return {}


#: What may take the place of the reference's ``forward`` in float64 where many exact answers are needed: the same sums
#: in another order, to 1e-12 of their magnitudes.
exact_forward = None

#: What may take the place of the reference's ``backward`` likewise, for what :data:`exact_forward` saved.
exact_backward = None


def terms(inputs, attributes):
    """Return how many roundings at least have a part in the bound of an element, where they are as good as equal ones.

    These are the products of a sum, which are bounded as if all were off to the same side.
    """
    return 1


#: Of an operation that is a sum, ``squares(inputs, attributes)`` returns how many terms each element sums at most, and
#: for each element the sum of their squares.
squares = None

#: Of an operation that adds up elements of an input, or products of elements of two, each with the same weight, so that
#: of its inputs' squares it makes the sum of theirs: ``sums(case)`` returns the
#: :class:`~refcnn.conformance.theory.probable.Sum` of the result and, in a tuple, those of the gradients, or None of
#: what is no such sum. Where the backends' ``algorithms`` tell algorithms it takes them as the bounds do, and may
#: return what has a ``bound`` as that has.
sums = None

#: With it goes ``random_cases(direction)``: a strategy of cases of which probable bounds hold, whose numbers
#: :mod:`~refcnn.conformance.theory.random_numbers` draws, with sums of all lengths; None if that direction has none.
#: Without ``sums`` the bounds themselves are found as if the roundings of the sums in them were independent.
random_cases = None


def may_flip(inputs, errors, attributes):
    """Return at how many elements the slope may be another with inputs that are off by some errors.

    Parameters
    ----------
    inputs : list of (ndarray or None)
    errors : list of (ndarray or None)
        None of what is constant.
    attributes : dict

    Returns
    -------
    int or None
        0 of what is linear in all inputs together that may be off; None of what is not linear by pieces.
    """
    return None


#: Where the operation may be folded into the convolution before it: ``folded(w, b, *own)`` returns the kernels and the
#: bias that give its result then, as :class:`~refcnn.conformance.theory.approximation.Approximation`.
folded = None


def inputs_as_follower(shape):
    """Return the operation's own inputs, a tuple of arrays, where it is fused and its first is of that shape."""
    return ()


def fused_bound(y, bound, *own):
    """Return the bound of the operation's result, fused into kernels whose result alone may be off by ``bound``.

    Parameters
    ----------
    y : ndarray of float64
        What that is exactly.
    bound : ndarray of float64
    *own : ndarray
        What :func:`inputs_as_follower` returned.
    """
    return bound


#: How far gradients may be off where that of the first result may be off by ``open_dy``, which is not below 0:
#: ``open_gradients(inputs, attributes, open_dy)``, a tuple of arrays; needed of an operation that is fused with others
#: and whose gradients, of the inputs' magnitudes and such a gradient, are not the largest there are.
open_gradients = None

#: Cases that show people what the operation does: ``examples()`` yields
#: :class:`~refcnn.conformance.theory.examples.Example`. Where it is None, a small case is drawn.
examples = None

#: The arguments of the layer or function that a page offers at first, by name, where neither an attribute of that name
#: in the first example nor the argument's default is good for it.
OFFERED = {}

#: Operations that belong on one page with it, where it is explained.
EXPLAINED_WITH = ()


def may_route(y, bound, is_open, dy):
    """Return where the operation, fused into another's kernels, may send its gradient otherwise than exactly.

    Parameters
    ----------
    y, bound : ndarray of float64
        The exact result of the kernels without what is fused into them, and how far it may be off.
    is_open : ndarray of bool
        Where in y the gradient may or may not arrive by what was fused before.
    dy : ndarray of float64
        The gradient of the last result.

    Returns
    -------
    (ndarray of bool, ndarray of float64)
        Where in y the gradient may or may not arrive, and what arrives there if it does.
    """
    return is_open, dy
