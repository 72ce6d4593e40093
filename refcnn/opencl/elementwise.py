"""Launches of kernels with one work-item for each row, or for each chunk of numbers."""

# Large enough that a GPU's work-group is full and a CPU's loop over it is worth starting.
_GROUP = (256,)


def launch_over(device, stem, kernel, count, *arguments):
    """Run a kernel with a work-item for each of ``count`` rows."""
    device.launch(stem, kernel, (count,), _GROUP, *arguments)


def launch_in_chunks(device, stem, kernel, count, *arguments, chunk=1024):
    """Run a kernel over ``count`` numbers or blocks, ``CHUNK`` of them in a work-item.

    On a GPU that is one. On a CPU it is ``chunk``: compilers make vectors of a
    loop in a work-item more reliably than of a loop over work-items, which was
    up to 5 times slower (Intel's runtime).
    """
    if device.kind != "cpu":
        device.launch(stem, kernel, (count,), _GROUP, *arguments, options=("-DCHUNK=1",))
        return
    # In a simulator, which looks for what work-items do to each other, there should be several.
    chunk = 4 if device.is_simulator else chunk
    device.launch(stem, kernel, (-(-count // chunk),), (1,), *arguments, options=(f"-DCHUNK={chunk}",))
