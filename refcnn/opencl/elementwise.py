"""Launches of kernels with one work-item for each number, row or place of a window."""

# Large enough that a GPU's work-group is full and a CPU's loop over it is worth starting.
_GROUP = (256,)
_WINDOW_GROUP = (16, 16, 1)


def launch_over(device, stem, kernel, count, *arguments):
    """Run a kernel with a work-item for each of ``count`` numbers, rows or blocks."""
    device.launch(stem, kernel, (count,), _GROUP, *arguments)


def launch_over_maps(device, stem, kernel, shape, *arguments):
    """Run a kernel with a work-item for each place of arrays (N, C, height, width): width, height, N C."""
    device.launch(stem, kernel, (shape[3], shape[2], shape[0] * shape[1]), _WINDOW_GROUP, *arguments)
