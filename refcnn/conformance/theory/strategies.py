"""What the operations' cases are drawn from: extents, attributes of windows, and arrays.

Arrays are drawn as a pattern and a seed, not element by element: large ones
then cost no more than small ones, and shrinking changes the shape first. The
first of every choice is what a failure shrinks to.
"""

import dataclasses
import functools
import math

import numpy as np
from hypothesis import Phase
from hypothesis import strategies as st

from ... import formats
from ...backend import results_of
from ...shapes import has_empty_window, window_extent, window_output_shape
from .bounds import number_format
from .sizes import KERNELS, LIMITS, LONG, batches, channels_beside, extents, long_extents, one_of_these, sized

#: Rows and columns of results that are together as many as a vector has floats, or one less: kernels may take a plane
#: as one row. Twice as many of both are so after pooling. And a row of more vectors than one has floats.
_PLANES = ((1, 7), (3, 5), (1, 15), (1, 8), (4, 4), (1, 65))

#: Integer-valued arrays keep to this magnitude, so that sums of 2^17 products stay below 2^24.
LARGEST_INTEGER = 8

#: What all integers of an array are multiplied by. Beside products of two small arrays a bias that is not small has
#: 2^23 times their unit: sums stay exact. Small ones show a test for zero that is off. A bias is never small: beside a
#: long sum of products that are not, its unit would be lost.
_INTEGER_SCALES, OF_BIAS = (1.0, 1.0, 2.0**-10), (1.0,)


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """One call of an operation.

    Attributes
    ----------
    inputs : tuple of (ndarray of float32, int64, int32 or bool, or None)
        The arrays of ``forward``, in its order.
    attributes : dict
        Its keywords.
    dy : ndarray of float32 or tuple of ndarray, optional
        The gradient that ``backward`` is given, in the shape of the result; a tuple for an operation with several, and
        None where there is nothing to give one.
    integers : bool
        Whether its arrays were drawn so that no sum of products is rounded: saved, it is judged as it was drawn.
    random_signs : bool
        Whether all its floats have random signs and mantissas, so that probable bounds hold of it.
    """

    inputs: tuple
    attributes: dict
    dy: np.ndarray | tuple | None = None
    integers: bool = False
    random_signs: bool = False

    def __post_init__(self):
        # Of arrays without axes NumPy's functions return numbers.
        whole = tuple(np.asarray(entry) if isinstance(entry, np.generic) else entry for entry in self.inputs)
        object.__setattr__(self, "inputs", whole)

    @property
    def arrays(self):
        """All arrays, in a list: the inputs, then the gradients that ``backward`` is given."""
        return [entry for entry in (*self.inputs, *results_of(self.dy)) if entry is not None]

    def __repr__(self):
        inputs = ", ".join(map(describe, self.inputs))
        dy = "" if self.dy is None else f", dy={describe(self.dy)}"
        return f"Case(({inputs}), {self.attributes}{dy})"


def describe(array):
    """Return an array's shape and dtype, and its values where they are few; of a tuple those of each."""
    if array is None:
        return "None"
    if isinstance(array, tuple):
        return f"({', '.join(map(describe, array))}{',' * (len(array) == 1)})"
    if array.size > 24:
        return f"<{array.dtype} {array.shape}>"
    return f"np.array({array.tolist()}, np.{array.dtype})"


#: Examples of a run before Hypothesis begins to vary those that it has drawn, rather than to draw new ones.
_BEFORE_VARIATIONS = 10


def short_runs(examples):
    """Yield (number, examples) of runs of Hypothesis, so many examples together, that only draw new ones."""
    for number, start in enumerate(range(0, examples, _BEFORE_VARIATIONS)):
        yield number, min(_BEFORE_VARIATIONS, examples - start)


def rounds(seed, examples):
    """Cut a search into runs of Hypothesis: several that draw new cases, and a last that climbs to the worst error.

    In one long run most cases are variations of few: of 100 convolutions a
    quarter differ in their geometry, and half of the seeds miss a stride that
    is taken from the wrong axis. In short runs every seed of twelve finds it.

    Parameters
    ----------
    seed, examples : int

    Yields
    ------
    (seed, examples, phases)
    """
    exploring = examples * 3 // 4
    for number, part in short_runs(exploring):
        yield f"{seed} {number}", part, (Phase.generate,)
    yield f"{seed}", examples - exploring, (Phase.generate, Phase.target)


@functools.cache
def _one_or_extents(largest):
    return st.one_of(st.just(1), extents(largest))


@st.composite
def image_sizes(draw, size, window, padding, stride=(1, 1)):
    """Draw (height, width) into which a window fits, at times only just.

    Parameters
    ----------
    size : str
        A key of :data:`LIMITS`.
    window : (int, int)
        Pixels that the window spans.
    padding : (int, int, int, int)
    stride : (int, int), optional
        Counts where it is the result's size that is chosen.
    """
    largest, _, pixels = LIMITS[size]
    top, left, bottom, right = padding
    single = window[0] - top - bottom, window[1] - left - right
    least = max(1, single[0]), max(1, single[1])
    if size == "pixels":
        return draw(_long_sides(least))
    height = max(least[0], draw(_one_or_extents(largest)))
    width = max(least[1], draw(_one_or_extents(max(1, min(largest, pixels // height)))))
    if draw(st.booleans()):
        height, width = max(least[0], width), max(least[1], height)
    planes = sorted((rows * pooled - 1, columns * pooled - 1) for rows, columns in _PLANES for pooled in (1, 2))
    # Small ones come first, to which a failure is shrunk that needs more than one pixel.
    planes = [(0, 1), (1, 0), (1, 1), *planes, *((columns, rows) for rows, columns in planes)]
    sizes = [
        (max(1, single[0] + rows * stride[0]), max(1, single[1] + columns * stride[1])) for rows, columns in planes
    ]
    # Last, and beside sizes that are drawn in any case: what failed so is then tried with those, and with the first.
    if draw(one_of_these(False, False, True)):
        chosen = draw(st.sampled_from(sizes))
        if math.prod(chosen) <= pixels:
            return chosen
    return height, width


@st.composite
def _long_sides(draw, least):
    """Draw a height and a width, of which one is long."""
    axis = draw(st.integers(0, 1))
    shape = [max(side, draw(st.integers(1, 3))) for side in least]
    shape[axis] = max(least[axis], draw(long_extents()))
    return tuple(shape)


_UNLIKE_STRIDES = ((1, 2), (2, 1), (1, 3), (3, 1), (2, 3), (3, 2))


#: Strides, dilations, and the most padding.
_USUAL, _LARGE = ((1, 2, 2, 3, 4, 5), (1, 2, 3), 3), ((1, 6, 7, 9, 17, 33), (5, 9, 17, 17), 40)
#: Pixels that a kernel with gaps spans, about, where large ones are drawn.
_MOST_SPANNED = 80


@functools.cache
def _pairs(values):
    """Draw (vertical, horizontal), both the same or each by itself."""
    value = one_of_these(*values)
    return st.one_of(value.map(lambda one: (one, one)), st.tuples(value, value))


@st.composite
def windows(draw, kernels, dilations=False, padding_below_kernel=False, is_large=False):
    """Draw the kernel's size, stride, padding and dilation, each vertical and horizontal by itself.

    Parameters
    ----------
    kernels : sequence of int
        Sizes of the kernel to choose from.
    dilations : bool
        Whether to draw dilations other than one.
    padding_below_kernel : bool
        Whether each padding is to be less than what the kernel spans.
    is_large : bool
        Whether to draw large strides, dilations and paddings.

    Returns
    -------
    dict of kernel, stride, padding (top, left, bottom, right) and dilation
    """
    kernel = draw(_pairs(kernels))
    # Strides that differ by themselves too, or a hundred cases may have few of them that any result shows.
    strides, steps, padded = _LARGE if is_large else _USUAL
    stride = draw(
        _pairs(strides) if is_large else st.one_of(st.just((1, 1)), one_of_these(*_UNLIKE_STRIDES), _pairs(strides))
    )
    dilation = draw(st.one_of(st.just((1, 1)), _pairs(steps))) if dilations else (1, 1)
    dilation = tuple(min(step, max(3, _MOST_SPANNED // taps)) for step, taps in zip(dilation, kernel, strict=True))
    most = [min(padded, span - 1) if padding_below_kernel else padded for span in spans(kernel, dilation)]
    padding = tuple(draw(st.integers(0, most[axis])) for axis in (0, 1, 0, 1))
    return {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}


@st.composite
def winograd_windows(draw):
    """Draw as :func:`windows` what Winograd's algorithm serves: 3 x 3 taps, stride 1 and dilation 1, any padding."""
    padding = tuple(draw(st.integers(0, 3)) for _ in range(4))
    return {"kernel": (3, 3), "stride": (1, 1), "padding": padding, "dilation": (1, 1)}


@st.composite
def halving_windows(draw, kernels):
    """Draw as :func:`windows` what makes images half as large: stride 2, and padding that is about half a kernel."""
    side = draw(one_of_these(*kernels))
    before, after = side // 2, draw(one_of_these(side // 2, (side - 1) // 2))
    return {"kernel": (side, side), "stride": (2, 2), "padding": (before, before, after, after), "dilation": (1, 1)}


#: What a window slides over: mostly images, which the devices' kernels are written for.
_AXES = (2,) * 7 + (1, 3, 3)


#: Places of a window along a side, about.
_MOST_PLACES = 2100


@st.composite
def images_under(draw, size, window, kernels=(1, 2, 3), axes=_AXES):
    """Draw the spatial sizes of images for a window of :func:`windows`, at times along one axis or three.

    Parameters
    ----------
    size : str
        A key of :data:`LIMITS`.
    window : dict
    kernels : sequence of int
        Sizes of the kernels of volumes to choose from.
    axes : sequence of int
        Numbers of axes to choose from.

    Returns
    -------
    (tuple of int, dict)
        The sizes and the window; of signals without what is vertical, of volumes with a window of their own, and over
        long sides with larger steps, for the reference's loops are over the pixels of the result.
    """
    axes = tuple(one for one in axes if one < 3) if size in LONG else axes
    axes = draw(one_of_these(*axes))
    if axes == 3:
        return draw(_volumes(2 if size == "tiny" else 3, kernels))
    span = spans(window["kernel"], window["dilation"])
    image = draw(image_sizes(size, span, window["padding"], window["stride"]))
    steps = (max(step, side // _MOST_PLACES) for step, side in zip(window["stride"], image, strict=True))
    window = {**window, "stride": tuple(steps)}
    return (image, window) if axes == 2 else (image[1:], {name: numbers[1::2] for name, numbers in window.items()})


@st.composite
def _volumes(draw, most, kernels):
    """Draw the sizes of a volume and a window with so many of the kernels and places along each axis, at most.

    Steps that differ from axis to axis are as frequent as any: one that is taken from the wrong axis must show in few.
    """
    kernel = tuple(draw(one_of_these(*kernels[:most])) for _ in range(3))
    places = tuple(draw(st.integers(1, most)) for _ in range(3))
    stride, dilation = (draw(st.one_of(st.just((1, 1, 1)), st.permutations((1, 2, 3)).map(tuple))) for _ in range(2))
    before, after = (tuple(draw(st.integers(0, taps - 1)) for taps in kernel) for _ in range(2))
    span = spans(kernel, dilation)
    least = ((count - 1) * step + extent for count, step, extent in zip(places, stride, span, strict=True))
    image = tuple(
        max(1, size - one - other) + draw(st.integers(0, step - 1))
        for size, one, other, step in zip(least, before, after, stride, strict=True)
    )
    return image, {"kernel": kernel, "stride": stride, "padding": (*before, *after), "dilation": dilation}


def spans(kernel, dilation=None):
    """Return how many pixels a kernel spans along each axis, with a dilation of 1 if it is not given."""
    dilation = dilation or (1,) * len(kernel)
    return tuple(window_extent(taps, step) for taps, step in zip(kernel, dilation, strict=True))


#: Of products of two arrays so scaled most stay finite, and some underflow; the last scale is below the normal numbers.
_SCALES = (1.0, 1.0, 1.0, 2.0**-10, 1e3, 1e-20, 1e14, 1e-30, 1e30, 1e-40)


def subnormal_numbers():
    """Return numbers below the normal ones of the format that is drawn, the smallest among them."""
    of = number_format()
    return of.smallest_normal / 100, -of.smallest_normal / 4, of.smallest_subnormal


#: Where formats end: the first whole numbers that float16, float32 and float64 lack, and the outermost of integers.
_INTEGER_EDGES = (2**11 + 1, 2**24 + 1, 2**53 + 1, 2**31 - 1, -(2**31), 2**31, 2**63 - 1, -(2**63))

#: What any array may hold beside numbers: zeros of both signs, and what is no number or infinite.
ZEROS_AND_NOT_FINITE = (0.0, -0.0, np.nan, np.inf, -np.inf)


def special_numbers():
    """Return what functions may treat as a case of its own: zeros, what is not finite, and numbers below the normal."""
    return (*ZEROS_AND_NOT_FINITE, *subnormal_numbers())


#: For sums of products, which such numbers spread over: seldom, and one or a few of them, so that each can be told.
FEW_NOT_FINITE = {"special": (np.nan, np.inf, -np.inf), "shares": (0,) * 10 + (1e-9, 0.02)}


def _turns(rng, size):
    """Return numbers near those at which functions in floats turn, of both signs.

    There e^x overflows, or is below the normal numbers or below all, or beside 1 nothing; tanh is 1, and log is 0; and
    there numbers themselves begin and end.
    """
    of = number_format()
    most, least = float(of.largest), float(of.smallest_normal)
    exponents = np.log((most, least, of.smallest_subnormal, of.roundoff))
    places = np.array([*exponents, exponents[-1] / 2, 20, 1, 1, least, of.roundoff, np.sqrt(least), most / 2])
    # Within one percent, mostly far less.
    near = 1 + rng.uniform(-1, 1, size) * 2.0 ** -rng.integers(7, 25, size)
    return rng.choice(places, size) * near * rng.choice((1, -1), size)


_PATTERNS = {
    # Different from one element to the next, and easy to follow by hand.
    "counting": lambda rng, size: np.arange(size) % 7 + 1.0,
    "ones": lambda rng, size: np.ones(size),
    "integers": lambda rng, size: rng.integers(-LARGEST_INTEGER, LARGEST_INTEGER, size, endpoint=True),
    "sparse": lambda rng, size: rng.integers(-LARGEST_INTEGER, LARGEST_INTEGER, size) * (rng.random(size) < 0.3),
    "ties": lambda rng, size: rng.integers(-1, 1, size, endpoint=True),
    "normal": lambda rng, size: rng.standard_normal(size),
    "positive": lambda rng, size: rng.random(size) + 0.5,
    # Neighbours that all but cancel.
    "cancelling": lambda rng, size: np.where(np.arange(size) % 2, -1, 1) * (100 + rng.random(size)),
    # Magnitudes from 2^-8 to 2^8 beside each other.
    "spread": lambda rng, size: rng.standard_normal(size) * 2.0 ** rng.integers(-8, 8, size),
    "turns": _turns,
}
_INTEGER_PATTERNS = ("counting", "ones", "integers", "sparse", "ties")


@st.composite
def arrays(
    draw,
    shape,
    integers=False,
    patterns=None,
    scales=_SCALES,
    special=(),
    shares=(0, 0.2),
    integer_scales=_INTEGER_SCALES,
):
    """Draw an array of floats of a shape, in the format of :func:`refcnn.conformance.theory.bounds.number_format`.

    Parameters
    ----------
    shape : tuple of int
    integers : bool
        Integers of at most :data:`LARGEST_INTEGER` only, at times all of them scaled down by a power of two.
    patterns : sequence of str, optional
        Those to choose from; all as a rule.
    scales : sequence of float
        What the array is multiplied by: one of them for float32, and one as near to the ends of another format.
    special : sequence of float
        Values, such as NaN, that at times take the place of some elements; where infinities of both signs are among
        them, so do the largest numbers.
    shares : sequence of float
        How large a part of the elements that are, of which one is drawn; at least one element if it is not 0.
    integer_scales : sequence of float
        What integers are multiplied by.
    """
    pattern = draw(one_of_these(*(patterns or (_INTEGER_PATTERNS if integers else _PATTERNS))))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = int(np.prod(shape))
    values = np.asarray(_PATTERNS[pattern](rng, size), dtype=np.float64)
    scale = draw(one_of_these(*(integer_scales if integers else scales)))
    # As far from 1 in proportion as in float32.
    reach = 1.0 if integers else math.log2(number_format().largest) / math.log2(formats.FLOAT32.largest)
    # What has its own magnitudes keeps them.
    values = values if pattern == "turns" else values * scale**reach
    if not integers:
        share = draw(one_of_these(*shares)) if special else 0
        if share:
            special = _with_largest(special)
            places = rng.permutation(size)[: max(1, int(share * size))]
            values[places] = rng.choice(special, len(places))
    with np.errstate(over="ignore"):
        return values.astype(number_format().dtype).reshape(shape)


#: Parts of the largest number: it, what is nearer to it than to any power of two, and what doubles past it.
_OF_LARGEST = (1.0, -1.0, 0.9, -0.9, 0.6, -0.6)


def _with_largest(special):
    if not {np.inf, -np.inf} <= set(special):
        return special
    return (*special, *(part * number_format().largest for part in _OF_LARGEST))


@st.composite
def exact_arrays(draw, shape, of):
    """Draw an array of whole numbers or truth values of a shape, of few or of all magnitudes, at times with the edges.

    Parameters
    ----------
    shape : tuple of int
    of : refcnn.formats.Format
        One of ``refcnn.formats.EXACT``.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    bits = of.largest.bit_length()
    largest = draw(one_of_these(1, min(LARGEST_INTEGER, of.largest), of.largest))
    least = -largest - 1 if of.dtype.kind == "i" else 0
    values = rng.integers(least, largest, shape, of.dtype.type, endpoint=True)
    if bits > 1:
        # Of all sizes: of numbers drawn evenly nearly all have as many digits as the largest.
        values = values >> rng.integers(0, bits, shape, of.dtype.type)
        share = draw(one_of_these(0, 0, 0.2))
        edges = [edge for edge in _INTEGER_EDGES if -of.largest - 1 <= edge <= of.largest]
        values = np.where(rng.random(shape) < share, rng.choice(np.array(edges, of.dtype), shape), values)
    return values


@st.composite
def arrays_of_any_format(draw, shape, integers=False, **options):
    """Draw an array of floats as :func:`arrays`, or one of integers or truth values, for what moves whatever there is.

    The latter have no gradient, so that such a case has no ``dy``.
    """
    of = draw(one_of_these(number_format(), number_format(), *formats.EXACT))
    return draw(arrays(shape, integers, **options) if of.is_float else exact_arrays(shape, of))


@st.composite
def shapes(draw, size, axes=6):
    """Draw a shape of one to ``axes`` axes, seldom of more than four."""
    largest = LIMITS[size][0]
    shape = ()
    few = tuple(range(1, min(axes, 4) + 1))
    for _ in range(draw(one_of_these(*few, *few, *few, *range(5, axes + 1)))):
        shape += (draw(extents(max(1, min(largest, 20_000 // int(np.prod(shape)))))),)
    return draw(sized(shape, size))


@st.composite
def images_and_channels(draw, size, most=17):
    """Draw how many images there are, and how many channels, up to so many; many of either where the size says so."""
    if size == "channels":
        return draw(batches(size)), draw(long_extents(4096))
    return draw(batches(size)), draw(extents(channels_beside(size, most)))


@st.composite
def image_shapes(draw, size):
    """Draw (N, C, ...) with one to three spatial axes, mostly two."""
    largest, _, pixels = LIMITS[size]
    shape = draw(batches(size)), draw(extents(channels_beside(size, 17)))
    for _ in range(draw(one_of_these(2, 2, 1, 3))):
        left = pixels // math.prod(shape[2:])
        shape += (draw(_one_or_extents(max(1, min(largest, left)))),)
    return draw(sized(shape, size))


@st.composite
def pooling_cases(draw, size, integers, kernels=None, ceil_modes=(False, False, True), **special):
    """Draw a case of pooling: images, with special values as in :func:`arrays`, and the attributes of the window.

    Parameters
    ----------
    ceil_modes : sequence of bool
        From which ``ceil_mode`` is drawn.
    """
    kernels = kernels or KERNELS[size]
    window = draw(windows(kernels, dilations=True, padding_below_kernel=True, is_large=size == "window"))
    # Volumes have kernels of their own, as windows with gaps have.
    image, window = draw(images_under(size, window, kernels[:3], axes=(2, 2, 2, 2, 1, 3, 3)))
    window["ceil_mode"] = draw(one_of_these(*ceil_modes))
    batch, c = draw(images_and_channels(size))
    if has_empty_window(image, **window):
        # Windows without gaps, and padded by less than they span, always have a pixel.
        most = [taps - 1 for taps in window["kernel"]] * 2
        window["dilation"] = (1,) * len(image)
        window["padding"] = tuple(map(min, window["padding"], most))
    out = window_output_shape(image, **window)
    x = draw(arrays((batch, c, *image), integers, **special))
    dy = draw(arrays((batch, c, *out), integers, **(FEW_NOT_FINITE if special.get("special") else {})))
    return Case((x,), window, dy)
