"""Launches of the pooling kernels, in the variant that suits the device."""

from ..variants import variant

_GROUP = (16, 16, 1)


def launch_pooling(device, stem, kernel, shape, *arguments):
    """Run a pooling kernel: on CPUs a work-item for each channel of each image, else for each place of ``shape``.

    Parameters
    ----------
    shape : (int, int, int, int)
        N, C, height and width of the array that the kernel writes.
    """
    maps, height, width = shape[0] * shape[1], *shape[2:]
    if variant(device) == "cpu":
        device.launch(f"{stem}_cpu", kernel, (maps,), (1,), *arguments)
    else:
        device.launch(stem, kernel, (width, height, maps), _GROUP, *arguments)
