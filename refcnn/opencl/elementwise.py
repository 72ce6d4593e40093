"""Launches of kernels with one work-item for each number or row."""

# Large enough that a GPU's work-group is full and a CPU's loop over it is worth starting.
_GROUP = (256,)


def launch_over(device, stem, kernel, count, *arguments):
    """Run a kernel with a work-item for each of ``count`` numbers, rows or blocks."""
    device.launch(stem, kernel, (count,), _GROUP, *arguments)
