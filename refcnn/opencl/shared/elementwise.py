"""Launches of kernels with one work-item for each row, or for each chunk of numbers of an array or of several."""

import functools
import itertools

from ... import formats

# Large enough that a GPU's work-group is full and a CPU's loop over it is worth starting.
_GROUP = (256,)
# Numbers that a work-item does on a CPU.
_CHUNK = 1024
# Parameters that one launch updates, as kernels/update.cl has arguments for.
_SLOTS = 8


@functools.cache
def options_of_types(operands, result=None):
    """Return the build options of kernels/elementwise.cl for the dtypes of operands, and of a result that has another.

    Parameters
    ----------
    operands : numpy dtype
    result : numpy dtype, optional
    """
    if operands == formats.FLOAT32.dtype and result is None:
        return ()
    options = [f"-DTYPE={formats.of(operands).c_type}"]
    options += [f"-DRESULT={formats.of(result).c_type}"] if result is not None else ["-DINTEGER"]
    return tuple(options)


def width_option(x, in_vectors):
    """Return the build option of kernels/elementwise.cl for how many elements of an operand are taken at once.

    Parameters
    ----------
    x : DeviceArray
    in_vectors : bool
        Whether they are as many as a vector has, of floats on a CPU.
    """
    is_wide = in_vectors and x.device.kind == "cpu" and x.dtype == formats.FLOAT32.dtype
    return f"-DWIDTH={x.device.vector_width if is_wide else 1}"


def launch_over(device, stem, kernel, items, /, **arguments):
    """Run a kernel with a work-item for each of so many rows; its arguments by name."""
    device.launch(stem, kernel, (items,), _GROUP, **arguments)


def launch_in_chunks(device, stem, kernel, elements, /, *, chunk=None, options=(), **arguments):
    """Run a kernel over so many numbers or blocks, ``CHUNK`` of them in a work-item; its arguments by name.

    On a GPU that is one. On a CPU it is ``chunk``: compilers make vectors of a
    loop in a work-item more reliably than of a loop over work-items, which was
    up to 5 times slower (Intel's runtime). ``options`` are further build options.
    """
    chunk, group = chunk_and_group(device, chunk)
    device.launch(stem, kernel, (-(-elements // chunk),), group, options=(f"-DCHUNK={chunk}", *options), **arguments)


def launch_in_parts(device, stem, kernel, maps, pixels, /, *, chunk, options=(), **arguments):
    """Run a kernel over so many maps of so many numbers, ``CHUNK`` numbers of a map in a work-item, as above.

    The kernel's arguments ``maps`` and ``pixels``, and ``parts``, in how many work-items a map is cut, are given here.
    """
    chunk, group = chunk_and_group(device, chunk)
    parts = -(-pixels // chunk)
    sizes = {"maps": maps, "pixels": pixels, "parts": parts}
    device.launch(stem, kernel, (maps * parts,), group, options=(f"-DCHUNK={chunk}", *options), **arguments, **sizes)


def chunk_and_group(device, chunk=None):
    """Return how much a work-item does, on a CPU ``chunk``, and the local size of launches of such work-items."""
    if device.kind != "cpu":
        return 1, _GROUP
    # In a simulator, which looks for what work-items do to each other, there should be several.
    return 4 if device.is_simulator else chunk or _CHUNK, (1,)


def update_in_chunks(device, stem, kernel, rows, /, *, read, written, **attributes):
    """Run the kernel of an optimizer over any number of parameters, several in one launch.

    Parameters
    ----------
    device : Device
    stem, kernel : str
    rows : sequence of tuple of DeviceArray
        For each parameter what is read, all of one shape.
    read, written : tuple of str
        What the kernel calls what is read and written of a parameter, but for the number of its slot. It calls a
        parameter's size ``count``.
    **attributes
        The kernel's arguments beside those of the parameters.

    Returns
    -------
    list of tuple of DeviceArray
        For each parameter what was written.
    """
    results = [tuple(device.empty(row[0].shape) for _ in written) for row in rows]
    names = _slot_names((*read, *written, "count"))
    chunk, group = chunk_and_group(device)
    for first in range(0, len(rows), _SLOTS):
        slots = [(*row, *made, row[0].size) for row, made in zip(rows, results, strict=True)][first : first + _SLOTS]
        chunks = sum(-(-slot[-1] // chunk) for slot in slots)
        slots += [(*slots[0][:-1], 0)] * (_SLOTS - len(slots))
        arguments = dict(zip(names, itertools.chain.from_iterable(slots), strict=True))
        device.launch(stem, kernel, (chunks,), group, options=(f"-DCHUNK={chunk}",), **arguments, **attributes)
    return results


@functools.cache
def _slot_names(names):
    return tuple(f"{name}{slot}" for slot in range(_SLOTS) for name in names)
