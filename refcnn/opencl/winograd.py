"""Convolution with 3x3 kernels, stride 1, by Winograd's algorithm: forward, and the gradient of x.

A tile of ``tile`` x ``tile`` outputs takes (tile + 2)^2 products a pair of
channels in place of 9 tile^2: 2.25 times fewer for F(2x2, 3x3), 4 times fewer
for F(4x4, 3x3), which errs more. ``kernels/conv2d_winograd.cl`` says how it is
computed, :mod:`refcnn.conformance.winograd` how far it may be from the exact
answer.
"""

import dataclasses
import functools

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..shapes import window_output_shape
from .device import INT_MAX, pocl_version

KERNEL = (3, 3)
TILES = (2, 4)

# Bytes that B'd B of one strip should take: a core's cache also holds the products and, in passing, the weights.
_STRIP_BYTES = 3 << 17
# Tiles that a strip should at least have, lest it read the weights for too few of them.
_LEAST_TILES = 16
# Bytes that the products of one pass over the outputs should take.
_PASS_BYTES = 1 << 17
# Bytes of scratch of all work-items together, unless it takes more for one.
_SCRATCH_BYTES = 64 << 20
# Work-items for each core, so that a core that is late leaves work to others.
_ITEMS_PER_CORE = 2


def applies(w_shape, stride, dilation):
    """Return whether a convolution can be computed so: its kernels are 3x3, its stride and dilation 1.

    Parameters
    ----------
    w_shape : tuple of int
        (K, C/groups, kh, kw)
    stride, dilation : (int, int)
    """
    return tuple(w_shape[2:]) == KERNEL and tuple(stride) == (1, 1) and tuple(dilation) == (1, 1)


def forward(x, w, b, *, padding, groups, tile, relu=False):
    """Return y (N, K, out_h, out_w), rectified if ``relu``.

    Parameters
    ----------
    x : DeviceArray
        (N, C, H, W), float32.
    w : DeviceArray
        (K, C/groups, 3, 3), float32.
    b : DeviceArray or None
        (1, K, 1, 1), float32.
    padding : (int, int, int, int)
        Top, left, bottom, right.
    groups : int
    tile : int
        2 or 4: outputs on the side of a tile.
    relu : bool
        Store 0 in the place of what is not above 0; NaN is kept.

    Raises
    ------
    ArgumentError
        If there are no such tiles.
    ShapeError
        If the kernels are not 3x3, the channels do not fit together, the
        image is smaller than a kernel, or an array has more elements than the
        kernels can count.
    """
    convolution = _Convolution.of(x.shape, w.shape, padding, groups, tile)
    y = x.device.empty(convolution.y_shape)
    _convolve(convolution, x, _transform_weights(convolution, w), b, relu, None, y, None)
    return y


def forward_pooled(x, w, b, *, padding, groups, tile):
    """Return max pooling of the rectified y over windows of 2x2 side by side, without storing y.

    An odd last row or column is dropped. Parameters and errors as in :func:`forward`.

    Returns
    -------
    (DeviceArray, DeviceArray)
        Both (N, K, out_h // 2, out_w // 2): the maxima, and as uint8 which pixel of its window each is, 0 to 3 row by
        row, the first if several are equal, or 255 where it is not above 0, so that no gradient flows to it.
    """
    convolution = dataclasses.replace(_Convolution.of(x.shape, w.shape, padding, groups, tile), is_pooled=True)
    pooled = x.device.empty(convolution.y_shape)
    winner = x.device.empty(convolution.y_shape, np.uint8)
    _convolve(convolution, x, _transform_weights(convolution, w), b, True, None, pooled, winner)
    return pooled, winner


def backward_x(dy, w, x_shape, *, padding, groups, tile, kept=None):
    """Return dx (N, C, H, W): dy correlated with the kernels turned by 180 degrees, the channels' roles exchanged.

    Parameters
    ----------
    dy : DeviceArray
        (N, K, out_h, out_w), float32.
    w : DeviceArray
        (K, C/groups, 3, 3), float32.
    x_shape : tuple of int
    padding, groups, tile
        As in :func:`forward`.
    kept : DeviceArray, optional
        (N, C, H, W), float32: dx becomes 0 wherever it is not above 0, as the gradient of the rectifier that made it.

    Raises
    ------
    ArgumentError, ShapeError
        As :func:`forward` does, and if dy or ``kept`` has not the shape that belongs to x.
    """
    forward = _Convolution.of(x_shape, w.shape, padding, groups, tile)
    if dy.shape != forward.y_shape:
        raise ShapeError(
            f"Conv2d: dy has shape {dy.shape}, but an x of shape {tuple(x_shape)} with w of shape {w.shape} and "
            f"padding {tuple(padding)} gives y of shape {forward.y_shape}. Give dy of that shape."
        )
    if kept is not None and kept.shape != tuple(x_shape):
        raise ShapeError(
            f"Conv2d: the rectifier's output has shape {kept.shape}, but masks the gradient of an x of shape "
            f"{tuple(x_shape)}. Give it in that shape."
        )
    convolution = forward.transposed()
    dx = dy.device.empty(convolution.y_shape)
    _convolve(convolution, dy, _transform_weights(convolution, w), None, False, kept, dx, None)
    return dx


@dataclasses.dataclass(frozen=True)
class _Convolution:
    """The sizes of one correlation with 3x3 kernels of the channels of each group.

    ``top`` and ``left`` are how far the first window lies outside the image, or
    inside if negative. ``is_transposed`` tells that the kernels are turned and
    their channels' roles exchanged.
    """

    images: int
    groups: int
    inputs: int
    outputs: int
    height: int
    width: int
    out_h: int
    out_w: int
    top: int
    left: int
    tile: int
    is_transposed: bool = False
    is_pooled: bool = False

    @classmethod
    def of(cls, x_shape, w_shape, padding, groups, tile):
        if tile not in TILES:
            raise ArgumentError(f"Conv2d: there are tiles of {' and '.join(map(str, TILES))} outputs, not of {tile!r}.")
        if len(w_shape) != 4 or tuple(w_shape[2:]) != KERNEL or w_shape[0] % groups or x_shape[1] != w_shape[1] * groups:
            raise ShapeError(
                f"Conv2d: x of shape {tuple(x_shape)} does not go with w of shape {tuple(w_shape)} and {groups} groups: "
                "Winograd's algorithm needs w of shape (K, C/groups, 3, 3), with K and C multiples of the groups. "
                "Use another variant, or correct the shapes."
            )
        (N, C, H, W), K = x_shape, w_shape[0]
        out_h, out_w = window_output_shape((H, W), KERNEL, (1, 1), padding)
        largest = max(N * C * H * W, N * K * out_h * out_w)
        if largest > INT_MAX:
            raise ShapeError(
                f"Conv2d: x of shape {tuple(x_shape)} with w of shape {tuple(w_shape)} means an array of {largest} "
                f"elements, but the kernels count in 32 bits, up to {INT_MAX}. Use a smaller batch."
            )
        return cls(N, groups, C // groups, K // groups, H, W, out_h, out_w, *padding[:2], tile)

    def transposed(self):
        """The correlation that gives the gradient of x from that of y."""
        return dataclasses.replace(
            self, inputs=self.outputs, outputs=self.inputs, height=self.out_h, width=self.out_w, out_h=self.height,
            out_w=self.width, top=KERNEL[0] - 1 - self.top, left=KERNEL[1] - 1 - self.left, is_transposed=True,
        )  # fmt: skip

    @property
    def y_shape(self):
        stored = (self.out_h // 2, self.out_w // 2) if self.is_pooled else (self.out_h, self.out_w)
        return self.images, self.groups * self.outputs, *stored

    @property
    def positions(self):
        return (self.tile + KERNEL[0] - 1) ** 2

    @property
    def tile_rows(self):
        return -(-self.out_h // self.tile)

    @property
    def tile_columns(self):
        return -(-self.out_w // self.tile)


@dataclasses.dataclass(frozen=True)
class _Vectors:
    """``width`` floats are computed at once, ``vectors`` of them are a block of output channels."""

    width: int
    vectors: int

    @property
    def block(self):
        return self.width * self.vectors


@functools.cache
def _vectors(device):
    """Return the vectors that suit a device's registers; PoCL before 3.1 does not build vectors of 16 on every CPU."""
    pocl = pocl_version(device)
    if device.vector_width >= 16 and not (pocl and pocl < (3, 1)):
        return _Vectors(16, 1)
    # The 32 registers that AVX-512 has at half its width too hold two vectors of accumulators for each of 8 tiles.
    return _Vectors(8, 1)


@dataclasses.dataclass(frozen=True)
class _Plan:
    """How one convolution is cut into strips, and what scratch a work-item needs, in vectors."""

    strip_images: int
    strip_rows: int
    strip_columns: int
    blocks: int
    blocks_per_pass: int
    shares: int
    items: int
    scratch_item: int
    v_size: int
    m_size: int


@functools.lru_cache(maxsize=256)
def _plan(device, convolution):
    vectors, positions = _vectors(device), convolution.positions
    input_vectors = -(-convolution.inputs // vectors.width)
    blocks = -(-convolution.outputs // vectors.block)
    tile_bytes = positions * input_vectors * vectors.width * 4
    most_tiles = max(_LEAST_TILES, _STRIP_BYTES // tile_bytes)
    rows, columns = convolution.tile_rows, convolution.tile_columns

    strip_columns = _even_share(columns, most_tiles)
    strip_rows = _even_share(rows, most_tiles // strip_columns) if strip_columns == columns else 1
    is_whole = (strip_rows, strip_columns) == (rows, columns)
    wanted_items = _ITEMS_PER_CORE * device.compute_units
    strip_images = 1
    if is_whole:
        strip_images = max(1, min(most_tiles // (rows * columns), convolution.images * convolution.groups // wanted_items))
        strip_images = _even_share(convolution.images, strip_images)
    strips = (
        -(-convolution.images // strip_images) * -(-rows // strip_rows) * -(-columns // strip_columns)
        * convolution.groups
    )  # fmt: skip
    shares = min(blocks, -(-wanted_items // strips))

    tiles = strip_images * strip_rows * strip_columns
    block_vectors = vectors.vectors * positions * (tiles + 1)
    blocks_per_pass = max(1, min(-(-blocks // shares), _PASS_BYTES // (block_vectors * vectors.width * 4)))
    tile = convolution.tile
    read = (strip_rows * tile + 2) * min(strip_columns * tile + 2, convolution.width)
    pixels = max(read, strip_rows * strip_columns * tile**2)
    v_size, m_size = positions * (tiles * input_vectors + 1), blocks_per_pass * block_vectors
    scratch_item = v_size + m_size + pixels
    items = max(1, min(strips * shares, wanted_items, _SCRATCH_BYTES // (scratch_item * vectors.width * 4)))
    if items * scratch_item > INT_MAX:
        raise ShapeError(
            f"Conv2d: {convolution} needs a working copy of {scratch_item * vectors.width} elements, but the kernels "
            f"count in 32 bits, up to {INT_MAX}. Use fewer channels."
        )
    return _Plan(
        strip_images, strip_rows, strip_columns, blocks, blocks_per_pass, shares, items, scratch_item, v_size, m_size
    )


def _even_share(count, most):
    """Cut ``count`` into as few parts of at most ``most`` as there can be, and return the size of a part."""
    parts = -(-count // max(1, most))
    return -(-count // parts) if parts else 1


def _options(device, tile):
    vectors = _vectors(device)
    return f"-DTILE={tile}", f"-DWIDTH={vectors.width}", f"-DVECTORS={vectors.vectors}"


def _transform_weights(convolution, w):
    """Return G w G' as (groups, blocks, positions, inputs, block of outputs)."""
    device, vectors = w.device, _vectors(w.device)
    groups, inputs, outputs = convolution.groups, convolution.inputs, convolution.outputs
    blocks, taps = -(-outputs // vectors.block), KERNEL[0] * KERNEL[1]
    u = device.empty((groups, blocks, convolution.positions, inputs, vectors.block))
    inputs_per_item = 16
    strides = (taps, outputs * taps) if convolution.is_transposed else (inputs * taps, taps)
    device.launch(
        "conv2d_winograd", "transform_weights", (groups * blocks, -(-inputs // inputs_per_item)), (1, 1),
        w, u, groups, blocks, outputs, inputs, inputs_per_item, outputs * inputs * taps, *strides,
        int(convolution.is_transposed), options=_options(device, convolution.tile),
    )  # fmt: skip
    return u


def _convolve(convolution, x, u, b, relu, kept, y, winner):
    device, plan = x.device, _plan(x.device, convolution)
    scratch = device.empty((plan.items * plan.scratch_item, _vectors(device).width))
    sizes = convolution
    device.launch(
        "conv2d_winograd", "convolve", (plan.items,), (1,),
        x, u, u if b is None else b, int(b is not None), int(relu), u if kept is None else kept,
        int(kept is not None), y, int(winner is not None), y if winner is None else winner, scratch,
        plan.scratch_item, plan.v_size, plan.m_size, plan.items, sizes.images, sizes.groups, sizes.inputs,
        sizes.outputs, sizes.height, sizes.width, sizes.out_h, sizes.out_w, sizes.top, sizes.left, sizes.tile_rows,
        sizes.tile_columns, plan.strip_images, plan.strip_rows, plan.strip_columns, plan.blocks,
        plan.blocks_per_pass, plan.shares, options=_options(device, convolution.tile),
    )  # fmt: skip
