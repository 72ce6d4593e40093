"""The part of a large layer that can be watched: some numbers of its result, and all that they come from."""

import dataclasses
import math

import numpy as np

from .. import rooms
from ..backend import results_of
from ..errors import ShapeError
from ..shapes import window_extent, window_output_shape
from .curves import is_of_each
from .recording import input_names
from .separating import separated

#: So many numbers an array has at most of which all is shown, and a piece of a row.
_WHOLE, _ROW = 64, 12
#: So many pixels of the result along each axis; fewer where there are many channels.
_PLACES, _FEW_PLACES, _MANY_CHANNELS = 4, 2, 4
#: Layers of so many numbers are recorded as a whole, where one number is asked for.
_SMALL = 4096


@dataclasses.dataclass(frozen=True)
class Piece:
    """A call of the same operation that gives some numbers of the layer's result, the same ones.

    Attributes
    ----------
    inputs : tuple of (ndarray or None)
    attributes : dict
    text : str
        Which numbers these are.
    offsets : tuple of (tuple of int or None)
        For each input at which index of the whole the piece begins, and for the result; empty where they do not lie
        together, or are the whole.
    place : tuple of int
        Of the number that was asked for, in the piece's result or gradient.
    dy : ndarray, tuple or None
        The gradient of the piece's result.
    """

    inputs: tuple
    attributes: dict
    text: str = ""
    offsets: tuple = ()
    place: tuple = ()
    dy: np.ndarray | tuple | None = None

    def numbers(self, operation):
        """Return how many numbers a recording notes: those of the arrays, and the products of sums."""
        arrays = [one for one in (*self.inputs, *results_of(self.dy)) if one is not None]
        shapes = [None if one is None else one.shape for one in self.inputs]
        return (
            sum(one.size for one in arrays)
            + rooms.trait(rooms.LAYERS, operation, "flop")(*shapes, **self.attributes) // 2
        )


def cut(operation, inputs, attributes, y, dy=None):
    """Return a :class:`Piece` of a layer around its largest number, or None where none is small enough.

    Parameters
    ----------
    operation : str
    inputs : list of (ndarray or None)
    attributes : dict
    y : ndarray
        The result.
    dy : ndarray or tuple, optional
        Its gradient.
    """
    found = [one for one in inputs if one is not None]
    if max(one.size for one in (*found, y)) <= _WHOLE:
        return Piece(tuple(inputs), attributes, "All its numbers.", dy=dy)
    dy = None if isinstance(dy, tuple) else dy
    if is_window(inputs, attributes) and y.ndim == inputs[0].ndim:
        return _around_largest(inputs, attributes, y, dy)
    if len(inputs) == 1 and is_of_each(operation, attributes):
        return _row(inputs[0], attributes, dy)
    piece = _of_one_column(inputs, attributes, y, dy)
    return piece if piece is not None and _gives(operation, piece, y) else None


def at(operation, inputs, attributes, index, dy=None, result=None):
    """Return the :class:`Piece` of which one number comes, the whole where nothing smaller is known.

    Parameters
    ----------
    operation : str
    inputs : sequence of (ndarray or None)
    attributes : dict
    index : tuple of int
        Of the number in the result, or in a gradient.
    dy : ndarray or tuple, optional
        The gradient of the result, for a number of a gradient.
    result : str, optional
        As of :func:`refcnn.explain.walk`.
    """
    whole = Piece(tuple(inputs), attributes, place=index, dy=dy)
    arrays = [one for one in (*inputs, dy) if isinstance(one, np.ndarray)]
    if sum(one.size for one in arrays) <= _SMALL or isinstance(dy, tuple):
        return whole
    wanted = None if dy is None else _wanted(operation, inputs, result)
    if not _is_in(operation, inputs, attributes, index, wanted):
        return whole
    find = _at_window if is_window(inputs, attributes) else _at_slices
    return find(operation, inputs, attributes, index, dy, wanted) or whole


def _wanted(operation, inputs, result):
    """Return of which input a gradient is; of the first that has one, if it is not named."""
    names = [f"d{name}" for name in input_names(operation, len(inputs))]
    floats = [number for number, one in enumerate(inputs) if one is not None and one.dtype.kind == "f"]
    return names.index(result) if result in names else floats[0]


def _at_window(operation, inputs, attributes, index, dy, wanted):
    if wanted is not None:
        return _handed_back(inputs, attributes, index, dy, wanted)
    piece = _window(inputs, attributes, index[0], index[1], index[2:], (1,) * (len(index) - 2))
    # Places in the whole that are a result would be those in the piece.
    has_one_result = piece is not None and len(results_of(_run(operation, piece.inputs, piece.attributes))) == 1
    return piece if has_one_result else None


def _at_slices(operation, inputs, attributes, index, dy, wanted):
    found = separated(operation, inputs, attributes, index, dy, wanted)
    if found is None:
        return None
    of_inputs, of_result = found
    if {"stride", "padding"} <= attributes.keys():
        # A part of an image may give the same number under another place of the window.
        *of_inputs, of_result = (own[:2] + (slice(None),) * len(own[2:]) for own in (*of_inputs, of_result))
    parts = (one if one is None else one[own] for one, own in zip(inputs, of_inputs, strict=True))
    begins = [tuple(one.start or 0 for one in own) for own in (*of_inputs, of_result)]
    of_number = begins[-1 if wanted is None else wanted]
    place = tuple(one - begin for one, begin in zip(index, of_number, strict=True))
    piece = Piece(tuple(parts), attributes, "", tuple(begins), place, None if dy is None else dy[of_result])
    shape = _run(operation, piece.inputs, attributes).shape if dy is None else inputs[wanted].shape
    return piece if _is_inside(place, shape) else None


def _is_in(operation, inputs, attributes, index, wanted):
    """Return whether there is such a number, as far as that is known before the result is computed."""
    if wanted is not None:
        shape = () if inputs[wanted] is None else inputs[wanted].shape
    elif is_window(inputs, attributes):
        shape = _output_shape(inputs, attributes)
    else:
        return all(one >= 0 for one in index)
    return _is_inside(index, shape)


def _is_inside(index, shape):
    return len(index) == len(shape) and all(0 <= one < size for one, size in zip(index, shape, strict=True))


def _handed_back(inputs, attributes, index, dy, wanted):
    """Cut out what one number of a window's gradient comes from: all that was computed of what it belongs to."""
    if wanted:
        return _of_kernel(inputs, attributes, index, dy, wanted)
    x, *others = inputs
    image, channel, *pixel = index
    places = [
        _covering(pixel[axis] + attributes["padding"][axis], window_extent(tap, dilation), step, count)
        for axis, (tap, dilation, step, count) in enumerate(
            zip(
                _kernel(inputs, attributes),
                _dilation(inputs, attributes),
                attributes["stride"],
                dy.shape[2:],
                strict=True,
            )
        )
    ]
    firsts, counts = zip(*((one.start, one.stop - one.start) for one in places), strict=True)
    slices, padding = _under(x.shape[2:], _kernel(inputs, attributes), attributes, firsts, counts, pixel)
    cut_x = x[image : image + 1, channel : channel + 1][:, :, *slices]
    kernels, parts, offsets = slice(channel, channel + 1), [], []
    if others:
        w, *bias = others
        kernels, inside = _group(inputs, attributes, channel)
        parts = [w[kernels, inside : inside + 1], *(None if one is None else one[:, kernels] for one in bias)]
        offsets = [(kernels.start, inside, *(0,) * len(pixel)), *((0, kernels.start, *(0,) * len(pixel)) for _ in bias)]
    starts = [one.start for one in slices]
    offsets = [(image, channel, *starts), *offsets, (image, kernels.start, *firsts)]
    place = (0, 0, *(one - start for one, start in zip(pixel, starts, strict=True)))
    dy = dy[image : image + 1, kernels][:, :, *places]
    return Piece((cut_x, *parts), _alone(attributes, padding), "", tuple(offsets), place, dy)


def _covering(at, extent, step, count):
    """Return at which places of a window it reaches to a pixel, counted from the padding on; else at one before it."""
    last = min(at // step, count - 1)
    return slice(min(last, max(0, -((extent - 1 - at) // step))), last + 1)


def _group(inputs, attributes, channel):
    """Return the kernels that see a channel, as a slice, and which of theirs it is."""
    x, w = inputs[:2]
    groups = attributes.get("groups", 1)
    group, inside = divmod(channel, x.shape[1] // groups)
    kernels = w.shape[0] // groups
    return slice(group * kernels, (group + 1) * kernels), inside


def _of_kernel(inputs, attributes, index, dy, wanted):
    """Cut out the channels that a number of a kernel, or a bias, meets."""
    x, w, *bias = inputs
    number, inside = index[:2] if wanted == 1 else (index[1], 0)
    begin, *_ = _channels(x, inputs[1:], attributes, number)
    channel, own = slice(begin + inside, begin + inside + 1), slice(number, number + 1)
    parts = [x[:, channel], w[own, inside : inside + 1], *(None if one is None else one[:, own] for one in bias)]
    axes = (0,) * (x.ndim - 2)
    offsets = [
        (0, channel.start, *axes),
        (number, inside, *axes),
        *((0, number, *axes) for _ in bias),
        (0, number, *axes),
    ]
    place = tuple(one - begin for one, begin in zip(index, offsets[wanted], strict=True))
    return Piece(tuple(parts), _alone(attributes, attributes["padding"]), "", tuple(offsets), place, dy[:, own])


def _alone(attributes, padding):
    return {**attributes, "padding": padding, **({"groups": 1} if "groups" in attributes else {})}


def _dilation(inputs, attributes):
    return attributes.get("dilation") or (1,) * (inputs[0].ndim - 2)


def is_window(inputs, attributes):
    """Return whether a window slides over images, of an operation's own size or of that of kernels."""
    if not {"stride", "padding"} <= attributes.keys() or "output_padding" in attributes or attributes.get("ceil_mode"):
        return False
    images = inputs[0]
    return images.ndim == 2 + len(attributes["stride"]) and ("kernel" in attributes or len(inputs) > 1)


def _kernel(inputs, attributes):
    return attributes.get("kernel") or inputs[1].shape[2:]


def _output_shape(inputs, attributes):
    x, window = inputs[0], {name: attributes.get(name) for name in ("stride", "padding", "dilation")}
    channels = x.shape[1] if len(inputs) == 1 else inputs[1].shape[0]
    return (x.shape[0], channels, *window_output_shape(x.shape[2:], _kernel(inputs, attributes), **window))


def _run(operation, inputs, attributes):
    with np.errstate(all="ignore"):
        return rooms.require(rooms.REFERENCE, operation).forward(*inputs, **attributes)[0]


#: What is said of gradients of a part.
_SHARES = " Their gradients are what these numbers alone hand back."


def _around_largest(inputs, attributes, y, dy):
    image, channel, *centre = np.unravel_index(np.where(np.isfinite(y), y, -np.inf).argmax(), y.shape)
    channels = inputs[1].shape[1] if len(inputs) > 1 else 1
    few = _FEW_PLACES if channels > _MANY_CHANNELS else _PLACES
    counts = [min(few, size) for size in y.shape[2:]]
    rows = zip(centre, counts, y.shape[2:], strict=True)
    firsts = [max(0, min(int(one) - count // 2, size - count)) for one, count, size in rows]
    piece = _window(inputs, attributes, int(image), int(channel), firsts, counts)
    if piece is None:
        return None
    where = " and ".join(f"{first} to {first + count - 1}" for first, count in zip(firsts, counts, strict=True))
    begin = ", ".join(map(str, piece.offsets[0][2:]))
    text = f"Channel {channel} of its result, along the axes {where}; x begins at ({begin}) of the layer's input."
    if dy is None:
        return dataclasses.replace(piece, text=text)
    places = tuple(slice(first, first + count) for first, count in zip(firsts, counts, strict=True))
    own = dy[image : image + 1, channel : channel + 1][:, :, *places]
    return dataclasses.replace(piece, text=text + _SHARES, dy=own)


def _window(inputs, attributes, image, channel, firsts, counts):
    """Cut out what some places of a window, as many from the first ones on, see in one channel of the result."""
    x, *others = inputs
    begin, count, others, offsets = _channels(x, others, attributes, channel)
    seen = _under(x.shape[2:], _kernel(inputs, attributes), attributes, firsts, counts)
    if seen is None:
        return None
    slices, padding = seen
    whole = (image, begin, *(one.start for one in slices))
    cut_x = x[image : image + 1, begin : begin + count][:, :, *slices]
    offsets = whole, *offsets, (image, channel, *firsts)
    return Piece((cut_x, *others), _alone(attributes, padding), "", offsets, (0,) * x.ndim)


def _channels(x, others, attributes, channel):
    """Return the first channel that is seen, how many there are, and the kernel with what belongs to it."""
    if not others:
        return channel, 1, [], []
    groups = attributes.get("groups", 1)
    inside, of_group = x.shape[1] // groups, channel // (others[0].shape[0] // groups)
    w, *bias = others
    alone = [None if one is None else one[:, channel : channel + 1] for one in bias]
    offsets = [(channel, *(0,) * (w.ndim - 1)), *((0, channel, *(0,) * (x.ndim - 2)) for _ in bias)]
    return of_group * inside, inside, [w[channel : channel + 1], *alone], offsets


def _under(image, kernel, attributes, firsts, counts, pixel=None):
    """Return the slices of the image that some places read, with a pixel, and the padding that is left around them.

    None if all that they read along an axis is padding.
    """
    slices, before, after = [], [], []
    dilation = attributes.get("dilation") or (1,) * len(image)
    for axis, size in enumerate(image):
        step, top = attributes["stride"][axis], attributes["padding"][axis]
        begin = firsts[axis] * step - top
        end = begin + (counts[axis] - 1) * step + window_extent(kernel[axis], dilation[axis])
        start, stop = max(0, begin), min(end, size)
        if pixel is not None:
            stop = max(stop, pixel[axis] + 1)
        if start >= stop:
            return None
        slices.append(slice(start, stop))
        before.append(start - begin)
        after.append(max(0, end - stop))
    return slices, (*before, *after)


def _row(x, attributes, dy):
    place = int(np.abs(np.nan_to_num(x)).argmax())
    first = max(0, min(place - _ROW // 2, x.size - _ROW))
    numbers, own = (None if one is None else one.reshape(1, -1)[:, first : first + _ROW] for one in (x, dy))
    return Piece((numbers,), attributes, f"Its numbers {first} to {first + _ROW - 1}, counted row by row.", dy=own)


def _of_one_column(inputs, attributes, y, dy):
    """Cut the largest number of a product with a matrix out of it, if it has few enough terms."""
    is_product = len(inputs) >= 2 and all(one is None or one.ndim == 2 for one in inputs) and y.ndim == 2
    if not is_product or attributes or inputs[0].shape[1] > 4 * _WHOLE:
        return None
    column = int(y[0].argmax())
    others = tuple(None if one is None else one[:, column : column + 1] for one in inputs[1:])
    own = None if dy is None else dy[:1, column : column + 1]
    text = f"Number {column} of its result.{'' if dy is None else _SHARES}"
    return Piece((inputs[0][:1], *others), attributes, text, dy=own)


def _gives(operation, piece, y):
    """Return whether a piece gives the largest number of the first row, to rounding."""
    try:
        found = np.asarray(results_of(_run(operation, piece.inputs, piece.attributes))[0])
    except (IndexError, ShapeError, ValueError):
        return False
    return found.size == 1 and math.isclose(float(found.flat[0]), float(y[0].max()), rel_tol=1e-4, abs_tol=1e-6)
