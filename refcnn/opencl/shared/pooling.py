"""Launches of the pooling kernels in the variant of the device: for windows without gaps over images, or for any.

Those for any, over one to three axes, are in kernels/pooling.cl and pooling_cpu.cl.
"""

from ...shapes import window_output_shape
from ..variants import has_small_strips, variant
from .elementwise import launch_over
from .matrix_product import LARGEST_VECTOR

_GROUP = (16, 16, 1)
# SPAN of kernels/pooling_rows_cpu.cl.
_SPAN = 512
# Windows of a row whose columns are kept at once where they are to be few.
_FEW = 3

#: The axes of the kernels for any window, by what its names have of them.
_AXES = ("d", "h", "w")


def is_plain(kernel, dilation):
    """Return whether a window slides over images and has no gaps between its taps."""
    return len(kernel) == 2 and (dilation is None or set(dilation) == {1})


def pooled_shape(shape, kernel, stride, padding, dilation=None, ceil_mode=False):
    """Return the shape of what a pooling makes of images of a shape: (N, C, out_h, out_w)."""
    return (*shape[:2], *window_output_shape(shape[2:], kernel, stride, padding, dilation, ceil_mode))


def launch_over_maps(device, stem, kernel, maps, /, *, options=(), **arguments):
    """Run a pooling kernel for CPUs, a work-item for each channel of each image; its arguments by name."""
    device.launch(stem, kernel, (maps,), (1,), options=options, **arguments)


def launch_over_places(device, stem, kernel, shape, /, **arguments):
    """Run a pooling kernel with a work-item for each place of the array that it writes, (N, C, height, width)."""
    images, channels, height, width = shape
    device.launch(stem, kernel, (width, height, images * channels), _GROUP, **arguments)


def pooling_sizes(image, output, kernel, stride, padding):
    """Return what the pooling kernels call the sizes of their windows.

    Parameters
    ----------
    image, output : tuple of int
        (N, C, H, W) and (N, C, out_h, out_w)
    kernel, stride, padding : tuple of int
    """
    (kh, kw), (s_h, s_w), (top, left) = kernel, stride, padding[:2]
    maps, (height, width), (out_h, out_w) = image[0] * image[1], image[2:], output[2:]
    return {
        "maps": maps,
        "height": height,
        "width": width,
        "out_h": out_h,
        "out_w": out_w,
        "kh": kh,
        "kw": kw,
        "s_h": s_h,
        "s_w": s_w,
        "top": top,
        "left": left,
    }


def launch_over_rows(written, kernel, image, output, window, /, **arguments):
    """Run a kernel of kernels/pooling_rows_cpu.cl, as :func:`launch_any_window` does, and return whether it was run.

    It was not where the windows are too wide, or their steps.
    """
    columns, step, spread = ((window[name] or (1,))[-1] for name in ("kernel", "stride", "dilation"))
    most = (_SPAN - (columns - 1) * spread - 1) // step + 1
    if most < LARGEST_VECTOR:
        return False
    most = _FEW if has_small_strips(written.device) else most
    launch_any_window(written, kernel, image, output, window, stem="pooling_rows_cpu", most=most, **arguments)
    return True


def launch_any_window(written, kernel, image, output, window, /, *, stem="pooling_cpu", **arguments):
    """Run a kernel for any window: on CPUs a work-item for each channel of each image, else for each element written.

    Parameters
    ----------
    written : DeviceArray
    kernel : str
    stem : str
        The file of the kernel for CPUs.
    image, output : tuple of int
        The shapes of images and of what they are pooled to, with one, two or three spatial axes.
    window : dict
        kernel, stride, padding and dilation.
    **arguments
        The kernel's others, by name.
    """
    axes, maps, sizes = len(image) - 2, image[0] * image[1], {}
    sizes |= zip(("depth", "height", "width"), _of_volume(image[2:]), strict=True)
    sizes |= zip(("front", "top", "left"), _of_volume(window["padding"][:axes], 0), strict=True)
    for prefix, values in (
        ("out_", output[2:]),
        ("k", window["kernel"]),
        ("s_", window["stride"]),
        ("d_", window["dilation"] or (1,) * axes),
    ):
        sizes |= zip((f"{prefix}{axis}" for axis in _AXES), _of_volume(values), strict=True)
    if variant(written.device) == "cpu":
        width = (f"-DWIDTH={written.device.vector_width}",)
        launch_over_maps(written.device, stem, kernel, maps, options=width, **sizes, **arguments)
    else:
        launch_over(written.device, "pooling", kernel, written.size, maps=maps, **sizes, **arguments)


def counted_sizes(counted):
    """Return what the kernels of means call the padding that counts, all beginnings and then all ends."""
    axes = len(counted) // 2
    before, after = _of_volume(counted[:axes], 0), _of_volume(counted[axes:], 0)
    names = ("counted_front", "counted_top", "counted_left", "counted_back", "counted_bottom", "counted_right")
    return dict(zip(names, (*before, *after), strict=True))


def _of_volume(values, nothing=1):
    """Return numbers for three spatial axes, of which the first ones may be missing."""
    return (*[nothing] * (3 - len(values)), *values)
