"""Convolution with few input channels in a group, by its definition: first layers, and depthwise ones.

Matrix products need a copy of x that has a row for every tap; with few
channels to sum over, making that takes longer than the sums.
``kernels/conv2d_direct.cl`` says how they are computed instead.
"""

import dataclasses
import functools
import math

from ..errors import ShapeError
from ..shapes import window_output_shape
from .device import INT_MAX, pocl_version

#: Channels of a group that are summed over, at most.
MOST_INPUTS = 4

# Floats of a vector in the kernels.
_WIDTH = 8
# Bytes that the copy of what one strip reads should take, so that it stays in a core's innermost cache.
_STRIP_BYTES = 1 << 15
# Work-items for each core, so that a core that is late leaves work to others.
_ITEMS_PER_CORE = 8


def applies(direction, geometry):
    """Return whether one direction of a convolution can be computed so.

    Parameters
    ----------
    direction : str
        ``forward``, ``backward_x`` or ``backward_w``.
    geometry : refcnn.opencl.variants.Convolution
    """
    return direction == "forward" and geometry.w_shape[1] <= MOST_INPUTS


def forward(x, w, b, geometry, relu=False):
    """Return y (N, K, out_h, out_w), rectified if ``relu``.

    Parameters
    ----------
    x : DeviceArray
        (N, C, H, W), float32.
    w : DeviceArray
        (K, C/groups, kh, kw), float32.
    b : DeviceArray or None
        (1, K, 1, 1), float32.
    geometry : refcnn.opencl.variants.Convolution
    relu : bool
        Store 0 in the place of what is not above 0; NaN is kept.

    Raises
    ------
    ShapeError
        If an array has more elements than the kernels can count.
    """
    correlation = _Correlation.of(geometry)
    y = x.device.empty(correlation.y_shape)
    _correlate(correlation, x, w, b, relu, y)
    return y


@dataclasses.dataclass(frozen=True)
class _Correlation:
    """The sizes of one correlation of the channels of each group with kernels.

    ``top`` and ``left`` are how far the first window lies outside the image, or inside if negative.
    """

    images: int
    groups: int
    inputs: int
    outputs: int
    height: int
    width: int
    out_h: int
    out_w: int
    kernel: tuple
    stride: tuple
    top: int
    left: int
    dilation: tuple

    @classmethod
    def of(cls, geometry):
        (N, C, H, W), (K, inputs, *kernel) = geometry.x_shape, geometry.w_shape
        out_h, out_w = window_output_shape((H, W), kernel, *geometry[2:5])
        largest = max(N * C * H * W, N * K * out_h * out_w, math.prod(geometry.w_shape))
        if largest > INT_MAX:
            raise ShapeError(
                f"Conv2d: x of shape {tuple(geometry.x_shape)} with w of shape {tuple(geometry.w_shape)} means an array"
                f" of {largest} elements, but the kernels count in 32 bits, up to {INT_MAX}. Use a smaller batch."
            )
        groups = geometry.groups
        return cls(
            N, groups, inputs, K // groups, H, W, out_h, out_w, tuple(kernel), tuple(geometry.stride),
            *geometry.padding[:2], tuple(geometry.dilation),
        )  # fmt: skip

    @property
    def y_shape(self):
        return self.images, self.groups * self.outputs, self.out_h, self.out_w

    @property
    def terms(self):
        return self.inputs * math.prod(self.kernel)

    @property
    def phases(self):
        """Sets of pixels of a row, a stride apart, that taps read: those of taps q and q + phases are the same."""
        return min(self.kernel[1], self.stride[1] // math.gcd(self.stride[1], self.dilation[1]))

    @property
    def pitch(self):
        """Pixels of a row in one phase, so that windows can be read in whole vectors."""
        return -(-self.out_w // _WIDTH) * _WIDTH + (self.kernel[1] - 1) * self.dilation[1] // self.stride[1]

    def staged_rows(self, rows):
        """Rows of an image that so many rows of y read."""
        return (rows - 1) * self.stride[0] + (self.kernel[0] - 1) * self.dilation[0] + 1

    def strip_rows(self, least, strips):
        """Rows of y in a strip: a multiple of ``least``, and so few that an image has at least so many strips."""
        row_bytes = 4 * self.inputs * self.phases * self.pitch
        fitting = (_STRIP_BYTES // row_bytes - self.staged_rows(1)) // self.stride[0] + 1
        wanted = -(-self.out_h // max(1, strips))
        return max(1, min(fitting // least, -(-wanted // least))) * least


@functools.cache
def _has_32_registers(device):
    """Return whether kernels can use 32 registers of vectors: AVX-512 has them, but not in PoCL before 3.1."""
    pocl = pocl_version(device)
    return device.vector_width >= 16 and not (pocl and pocl < (3, 1))


def _blocking(device, outputs):
    """Return (OUTPUTS, ROWS): the accumulators of a block for so many outputs in a group."""
    accumulators = 16 if _has_32_registers(device) else 8
    block = 1 if outputs == 1 else 2 if outputs == 2 or outputs % 4 and outputs < 8 else 4
    return block, min(8, accumulators // block)


def _correlate(correlation, x, w, b, relu, y):
    sizes, device = correlation, x.device
    block, rows = _blocking(device, sizes.outputs)
    items = _ITEMS_PER_CORE * device.compute_units
    strip_rows = sizes.strip_rows(rows, -(-items // max(1, sizes.images * sizes.groups)))
    items = min(items, sizes.images * sizes.groups * -(-sizes.out_h // strip_rows))
    staged_rows = sizes.staged_rows(strip_rows)
    # Of the pixels, the weights of a block, and the places of the terms.
    scratch_item = sizes.inputs * staged_rows * sizes.phases * sizes.pitch + (block + 1) * sizes.terms
    taps = math.prod(sizes.kernel)
    device.launch(
        "conv2d_direct", "correlate", (items,), (1,),
        x, w, w if b is None else b, int(b is not None), int(relu), y, device.empty((items * scratch_item,)),
        scratch_item, items, sizes.images, sizes.groups, sizes.inputs, sizes.outputs, sizes.height, sizes.width,
        sizes.out_h, sizes.out_w, *sizes.kernel, *sizes.stride, sizes.top, sizes.left, *sizes.dilation,
        sizes.outputs * sizes.inputs * taps, sizes.inputs * taps, taps, 0, sizes.phases, sizes.pitch,
        strip_rows, staged_rows, options=(f"-DOUTPUTS={block}", f"-DROWS={rows}"),
    )  # fmt: skip
