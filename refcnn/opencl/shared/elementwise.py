"""Launches of kernels with one work-item for each row, or for each chunk of numbers of an array or of several."""

# Large enough that a GPU's work-group is full and a CPU's loop over it is worth starting.
_GROUP = (256,)
# Numbers that a work-item does on a CPU.
_CHUNK = 1024
# Parameters that one launch updates, as kernels/sgd.cl and kernels/adam.cl have arguments for.
_SLOTS = 8


def launch_over(device, stem, kernel, count, *arguments):
    """Run a kernel with a work-item for each of ``count`` rows."""
    device.launch(stem, kernel, (count,), _GROUP, *arguments)


def launch_in_chunks(device, stem, kernel, count, *arguments, chunk=None, options=()):
    """Run a kernel over ``count`` numbers or blocks, ``CHUNK`` of them in a work-item.

    On a GPU that is one. On a CPU it is ``chunk``: compilers make vectors of a
    loop in a work-item more reliably than of a loop over work-items, which was
    up to 5 times slower (Intel's runtime).
    """
    chunk, group = _chunk_and_group(device, chunk)
    device.launch(stem, kernel, (-(-count // chunk),), group, *arguments, options=(f"-DCHUNK={chunk}", *options))


def _chunk_and_group(device, chunk=None):
    if device.kind != "cpu":
        return 1, _GROUP
    # In a simulator, which looks for what work-items do to each other, there should be several.
    return 4 if device.is_simulator else chunk or _CHUNK, (1,)


def update_in_chunks(device, stem, kernel, rows, results, *attributes):
    """Run the kernel of an optimizer over any number of parameters, several in one launch.

    Parameters
    ----------
    device : Device
    stem, kernel : str
    rows : sequence of tuple of DeviceArray
        For each parameter what is read, all of one shape.
    results : int
        How many arrays are written for each parameter.
    *attributes
        The kernel's arguments behind those of the parameters.

    Returns
    -------
    list of tuple of DeviceArray
        For each parameter what was written.
    """
    written = [tuple(device.empty(row[0].shape) for _ in range(results)) for row in rows]
    chunk, group = _chunk_and_group(device)
    for first in range(0, len(rows), _SLOTS):
        slots = [(*row, *made, row[0].size) for row, made in zip(rows, written, strict=True)][first : first + _SLOTS]
        chunks = sum(-(-slot[-1] // chunk) for slot in slots)
        slots += [(*slots[0][:-1], 0)] * (_SLOTS - len(slots))
        arguments = [argument for slot in slots for argument in slot]
        device.launch(stem, kernel, (chunks,), group, *arguments, *attributes, options=(f"-DCHUNK={chunk}",))
    return written
