"""How large the arrays of a case are: which sizes there are, and what extents are drawn of each.

What is never drawn is never found. So there are cases of which one dimension alone is long, for what counts it in too
few bits, holds it in a table or cuts it into parts: the others are short then, and the exact answer is cheap.
"""

import functools
import math

from hypothesis import strategies as st

#: What sixteen bits count: in each row there are some cases of which an array has more elements.
VAST = 2**16
#: What arrays have a little more of than, by the size: one of several.
GROWN = {"vast": (VAST, 2 * VAST), "huge": (2**20,), "uncounted": (2**24,)}

#: Sizes of which one dimension is long, or the window large: images or examples, channels or features, and pixels; and
#: how many of a hundred cases are of each, more where more may be large.
LONG = {"batch": 2, "channels": 3, "pixels": 3, "window": 3}

#: Largest extents by size: images and batches, channels and features, pixels of one output image.
#: "tiny" is for simulators, "large" for devices with large tiles; the reference takes its time over the latter.
#: "vast" is for arrays of more than :data:`VAST` elements: large batches, since the reference's loops are over pixels.
#: Where no sums of products are asked for, "huge" is for 2^20 elements, and "uncounted" for more than float32 counts.
#: Of :data:`LONG` it is what the other dimensions have.
LIMITS = {
    "tiny": (5, 9, 25),
    "small": (65, 65, 330),
    "large": (70, 130, 1500),
    "vast": (330, 65, 400),
    "huge": (1, 2, 1),
    "uncounted": (1, 2, 1),
    "batch": (4, 4, 9),
    "channels": (4, 7, 9),
    "pixels": (4, 4, 9),
    "window": (40, 4, 900),
}

#: Sizes of windows.
KERNELS = {
    "tiny": (1, 2, 3),
    "small": (1, 2, 3, 4, 5),
    "large": (1, 2, 3, 4, 5, 7, 11),
    "vast": (1, 2, 3),
    "huge": (1,),
    "uncounted": (1,),
    "batch": (1, 2, 3),
    "channels": (1, 2, 3),
    "pixels": (1, 2, 3, 5),
    "window": (1, 7, 9, 13, 17, 33, 33),
}

_EDGES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 32, 33, 47, 48, 49, 63, 64, 65, 127, 128, 129)
#: What long dimensions are a little more than: the last ones more often, which are beyond the others too.
_LONG_EDGES = (64, 128, 256, 512, 1024, 2048, 4096, 1024, 2048, 4096, VAST, VAST, VAST, VAST)
#: Elements that a long dimension and the others have together, about.
_MOST_OF_LONG = 2 * VAST


@functools.lru_cache(maxsize=None, typed=True)
def one_of_these(*values):
    """Draw one of the values, of the first of which a failure is shrunk to.

    As Hypothesis's ``sampled_from``, which takes longer to make and to check than to draw from: it is kept.
    """
    return st.sampled_from(values)


@functools.cache
def extents(largest):
    """Draw 1 .. largest: the edges of tiles and vectors as often as all the rest."""
    return st.one_of(one_of_these(*(edge for edge in _EDGES if edge <= largest)), st.integers(1, largest))


@functools.cache
def long_extents(largest=2 * VAST):
    """Draw a little more than what tiles, blocks and numbers of few bits count, up to about ``largest``."""
    edges = one_of_these(*(edge for edge in _LONG_EDGES if edge <= largest))
    return st.tuples(edges, one_of_these(1, 2, 0, 3, 7, 9)).map(sum)


def batches(size):
    """Draw a batch: one, odd or even; a large one of either kind for vast arrays."""
    if size == "vast":
        return one_of_these(48, 65, 97, 200)
    if size in GROWN:
        return one_of_these(GROWN[size][0] + 1)
    if size == "batch":
        return long_extents()
    return one_of_these(*((1, 2, 3, 5) if size == "tiny" or size in LONG else (1, 2, 3, 4, 5, 6, 7, 9)))


def channels_beside(size, most):
    """Return how many channels or features there may be beside a batch: few where that makes an array large."""
    return 5 if size == "tiny" else LIMITS[size][1] if size in LONG or size in GROWN and size != "vast" else most


@st.composite
def sized(draw, shape, size, largest=2 * VAST):
    """Draw a shape anew so that it is vast or has the long dimension of a size; one of other sizes stays as it is.

    Parameters
    ----------
    shape : sequence of int
        Of examples, of channels or features, and of what may be more than one dimension of pixels; or of some of these.
    size : str
        A key of :data:`LIMITS`.
    largest : int
        What a long one may have, about.
    """
    if size in GROWN:
        return draw(grown(shape, size))
    if size not in LONG or size == "window" or not shape:
        return tuple(shape)
    first = min(list(LONG).index(size), len(shape) - 1)
    axis = draw(st.integers(first, len(shape) - 1)) if size == "pixels" else first
    extent = draw(long_extents(largest))
    return shortened((*shape[:axis], extent, *shape[axis + 1 :]), axis)


def shortened(shape, axis):
    """Return a shape whose other axes are no longer than lets a long one have no more elements than it should."""
    room, found = max(1, _MOST_OF_LONG // shape[axis]), list(shape)
    for other in (one for one in range(len(shape)) if one != axis):
        found[other] = min(found[other], room)
        room //= found[other]
        room = max(1, room)
    return tuple(found)


@st.composite
def grown(draw, shape, size="vast"):
    """Draw one axis of a shape anew, so that it has as many elements as its size says."""
    axis = draw(st.integers(0, len(shape) - 1))
    others = math.prod(shape[:axis] + shape[axis + 1 :])
    extent = draw(one_of_these(*GROWN[size])) // others + draw(st.integers(1, 9))
    return (*shape[:axis], extent, *shape[axis + 1 :])


def is_vast(case, size="vast"):
    """Return whether an array of a case has as many elements as its size says: more than :data:`VAST`."""
    return max(entry.size for entry in case.arrays) > GROWN[size][0]
