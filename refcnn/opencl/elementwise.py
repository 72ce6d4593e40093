"""Launches of kernels with one work-item for each number, row or place of a window."""

# Large enough that a GPU's work-group is full and a CPU's loop over it is worth starting.
_GROUP = 256
_WINDOW_GROUP = (16, 16, 1)


def launch_over(device, stem, kernel, count, *arguments):
    """Run a kernel with at least ``count`` work-items on one axis; the kernel leaves out those beyond."""
    device.launch(stem, kernel, (_round_up(count, _GROUP),), (_GROUP,), *arguments)


def launch_over_maps(device, stem, kernel, shape, *arguments):
    """Run a kernel with a work-item for each place of arrays (N, C, height, width): width, height, N C."""
    maps, height, width = shape[0] * shape[1], *shape[2:]
    size = tuple(_round_up(extent, group) for extent, group in zip((width, height, maps), _WINDOW_GROUP, strict=True))
    device.launch(stem, kernel, size, _WINDOW_GROUP, *arguments)


def _round_up(count, group):
    return -(-count // group) * group
