"""Launches of the pooling kernels, in the variant that suits the device."""

from ..variants import variant

_GROUP = (16, 16, 1)


def launch_pooling(device, stem, kernel, shape, /, **arguments):
    """Run a pooling kernel: on CPUs a work-item for each channel of each image, else for each place of ``shape``.

    Parameters
    ----------
    shape : (int, int, int, int)
        N, C, height and width of the array that the kernel writes.
    **arguments
        The kernel's, by name.
    """
    images, channels, height, width = shape
    maps = images * channels
    if variant(device) == "cpu":
        device.launch(f"{stem}_cpu", kernel, (maps,), (1,), **arguments)
    else:
        device.launch(stem, kernel, (width, height, maps), _GROUP, **arguments)


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
