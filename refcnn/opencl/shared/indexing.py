"""Launches of kernels/indexing.cl: elements along one axis, at indices, and the sums of what comes back."""

from ... import formats
from .elementwise import chunk_and_group, launch_in_chunks
from .moving import as_words, word_option

# Columns of a gradient that a work-item of a CPU has to itself: some lines of its cache.
_COLUMNS = 64


def taken(x, indices, y, *, outer, size, inner, options=()):
    """Fill y (outer, picked, inner) with elements of x (outer, size, inner) along the axis in the middle; return y.

    Parameters
    ----------
    x, y : DeviceArray
        Of one dtype.
    indices : DeviceArray
        int64 or int32; one for each place along the axis, or with the option ``-DPER_ELEMENT`` for each element of y.
    outer, size, inner : int
    options : tuple of str
    """
    picked = y.size // (outer * inner) if outer * inner else 0
    sizes = {"count": y.size, "extent": size, "picked": picked, "inner": inner}
    arrays = {"x": as_words(x), "y": as_words(y), "indices": indices}
    options = _options(x, indices, options)
    launch_in_chunks(x.device, "indexing", "taken", y.size, options=options, **arrays, **sizes)
    return y


def summed(dy, indices, dx, *, outer, size, inner, options=()):
    """Fill dx with the sums of dy over the copies of each element, in the order of the indices; return dx.

    Parameters as in :func:`taken`.
    """
    device = dy.device
    picked = dy.size // (outer * inner) if outer * inner else 0
    chunk, group = chunk_and_group(device, _COLUMNS)
    items = outer * -(-inner // chunk)
    sizes = {"count": items, "extent": size, "picked": picked, "inner": inner}
    options = (f"-DCHUNK={chunk}", *_options(dy, indices, options))
    device.launch("indexing", "summed", (items,), group, options=options, dy=dy, indices=indices, dx=dx, **sizes)
    return dx


def _options(array, indices, options):
    return (f"-DINDEX={formats.of(indices.dtype).c_type}", word_option(array), *options)
