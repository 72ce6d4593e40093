"""The layers: for each operation its class, its function, its checks and its ONNX mapping.

What follows here are the traits that an operation's card may have beside these (:func:`refcnn.rooms.trait`), as they
are where it says nothing.
"""

from ..formats import FLOATS

#: The dtypes that each input may have, sets such as :data:`refcnn.formats.INTEGERS`: the last one holds for all further
#: inputs.
DTYPES = (FLOATS,)

#: From which input on all must have one dtype; None where each may have its own.
ALIKE_FROM = None

#: What stands in the place of functions of NumPy, for messages: by the function's name.
IN_PLACE_OF_NUMPY = {}

#: By the name of an operator of ONNX the function that computes it; what its parameters say stands in
#: :class:`refcnn.onnx.reading.readers.Reader`. A module has them, also for what stands on a page.
FROM_ONNX = {}

#: By the name of such an operator, where parameters are kept in other shapes than ONNX has: see there.
STORED_SHAPES = {}

#: By the name of such an operator, of one that makes more numbers than it takes, a function of the shapes of its
#: tensors and of what it must know: how many the largest array has that is made, so that absurd sizes are refused
#: before anything is.
COUNTS = {}

#: Among which operations it is listed: the name of a page, on which it would stand were it one line; ``window`` where
#: one slides over images; ``shape`` where numbers are moved; None of the other layers. On pages it is the page.
FAMILY = None

#: What users call where that is neither a layer nor a function of the operation's name.
FUNCTION = None

#: Which of the inputs holds kernels that slide over images, (K, C/groups, kh, kw), for plots to show.
KERNELS = None

#: Whether the gradients need the first input, which is therefore held until they are computed.
KEEPS_INPUT = False


def flop(*shapes, **attributes):
    """Return the multiplications and additions of the formula, whatever the algorithm: two for each product in a sum.

    Parameters
    ----------
    *shapes : tuple of int, or None
        Those of the inputs.
    **attributes
        The operation's.

    Returns
    -------
    int
        0 where the time is not spent on them, but on memory. Each gradient of one of two factors takes as many.
    """
    return 0


def scaled_channels(w, factor, **attributes):
    """Return kernels, an operation's second input, of which each channel of the result is a factor times as large.

    Parameters
    ----------
    w : ndarray
    factor : ndarray, (K,)
    **attributes
        The operation's.

    Returns
    -------
    ndarray or None
        None where no kernels and a bias behind them make the channels, which others may then be folded into.
    """
    return None


def per_channel(*inputs, **attributes):
    """Return what is done to each channel of the first input, if it is multiplied and something added.

    Parameters
    ----------
    *inputs : ndarray
        All others.
    **attributes
        The operation's.

    Returns
    -------
    (ndarray, ndarray, ndarray) or None
        The factor, the summand, and the sum of the magnitudes of what this is the sum of, (C,) each.
    """
    return None


def for_any_batch(shapes, attributes, other_shapes, other_attributes):
    """Return attributes that say in any batch what was said in batches of two sizes, or None if there are none.

    Parameters
    ----------
    shapes, other_shapes : list of (tuple of int, or None)
        Those of the inputs in either batch.
    attributes, other_attributes : dict
        What was recorded there; they differ.

    Returns
    -------
    dict or None
    """
    return None


def at_shapes(*shapes, **attributes):
    """Return attributes in a form in which two say the same of inputs of some shapes only if they are equal.

    Parameters
    ----------
    *shapes : tuple of int, or None
        Those of the inputs.
    **attributes
        The operation's.

    Returns
    -------
    dict

    Raises
    ------
    ShapeError
        If the attributes do not fit the shapes.
    """
    return attributes
