"""Convolution with 3x3 kernels, stride 1, by Winograd's algorithm: forward, and the gradient of x.

:mod:`.winograd_weights` has the gradient of w.
A tile of ``tile`` x ``tile`` outputs takes (tile + 2)^2 products a pair of
channels in place of 9 tile^2: 2.25 times fewer for F(2x2, 3x3), 4 times fewer
for F(4x4, 3x3), which errs more. ``kernels/conv2d_winograd.cl`` says how it is
computed, :mod:`refcnn.conformance.theory.winograd` how far it may be from the exact
answer.
"""

import dataclasses
import functools

import numpy as np

from ...errors import ArgumentError, ShapeError
from ...shapes import window_output_shape
from .. import variants
from ..runtime.device import INT_MAX, check_countable
from ..shared.fusion import unpooled

KERNEL = (3, 3)
TILES = (2, 4)

# Bytes that B'd B of one strip should take: a core's cache also holds the products and, in passing, the weights.
_STRIP_BYTES = 1 << 18
# Tiles that a strip should at least have, lest it read the weights for too few of them.
_LEAST_TILES = 16
# Bytes of scratch of all work-items together, unless it takes more for one.
SCRATCH_BYTES = 64 << 20
# Tiles of a small strip, so that small images too are cut in every direction.
TILES_OF_SMALL_STRIP = 2
# What one output channel costs in a block of so many vectors of 16.
_BLOCK_COSTS = {2: 1.0, 1: 1.15}
# Input channels whose kernels one work-item transforms.
INPUTS_PER_ITEM = 16
# Work-items for each core, so that a core that is late leaves work to others.
ITEMS_PER_CORE = 2


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
    convolution = Correlation.of(x.shape, w.shape, padding, groups, tile)
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
    convolution = dataclasses.replace(Correlation.of(x.shape, w.shape, padding, groups, tile), is_pooled=True)
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
    forward = Correlation.of(x_shape, w.shape, padding, groups, tile)
    forward.check_y(dy, x_shape, w.shape, padding)
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
class Correlation:
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
            raise ArgumentError(
                f"Conv2d: the side of a tile is {' or '.join(map(str, TILES))} outputs, but {tile!r} was given."
            )
        is_suitable = len(w_shape) == 4 and tuple(w_shape[2:]) == KERNEL and w_shape[0] % groups == 0
        if not is_suitable or x_shape[1] != w_shape[1] * groups:
            raise ShapeError(
                f"Conv2d: x of shape {tuple(x_shape)} does not go with w of shape {tuple(w_shape)} and {groups} groups:"
                " Winograd's algorithm needs w of shape (K, C/groups, 3, 3), with K and C multiples of the groups. "
                "Use another variant, or correct the shapes."
            )
        (N, C, H, W), K = x_shape, w_shape[0]
        out_h, out_w = window_output_shape((H, W), KERNEL, (1, 1), padding)
        check_countable(x_shape, w_shape, (out_h, out_w))
        return cls(N, groups, C // groups, K // groups, H, W, out_h, out_w, *padding[:2], tile)

    def transposed(self):
        """The correlation that gives the gradient of x from that of y."""
        return dataclasses.replace(
            self,
            inputs=self.outputs,
            outputs=self.inputs,
            height=self.out_h,
            width=self.out_w,
            out_h=self.height,
            out_w=self.width,
            top=KERNEL[0] - 1 - self.top,
            left=KERNEL[1] - 1 - self.left,
            is_transposed=True,
        )

    def check_y(self, dy, x_shape, w_shape, padding):
        """Raise ShapeError if dy has not the shape of y."""
        if dy.shape != self.y_shape:
            raise ShapeError(
                f"Conv2d: dy has shape {dy.shape}, but an x of shape {tuple(x_shape)} with w of shape {tuple(w_shape)} "
                f"and padding {tuple(padding)} gives y of shape {self.y_shape}. Give dy of that shape."
            )

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
class Vectors:
    """Channels of a vector in the kernels, and vectors of output channels in a block."""

    width: int
    of_block: int

    @property
    def nbytes(self):
        return 4 * self.width

    @property
    def block(self):
        return self.width * self.of_block

    def options(self, tile):
        return f"-DTILE={tile}", f"-DWIDTH={self.width}", f"-DVECTORS={self.of_block}"


@functools.lru_cache(maxsize=256)
def vectors(device, inputs, outputs):
    """Return the vectors that suit so many channels of a group: the sums of a block for 8 tiles stay in registers."""
    if device.vector_width < 16 or min(inputs, outputs) <= 8:
        return Vectors(8, 1)
    candidates = [Vectors(16, of_block) for of_block in _BLOCK_COSTS]
    return min(candidates, key=lambda one: -(-outputs // one.block) * one.block * _BLOCK_COSTS[one.of_block])


@dataclasses.dataclass(frozen=True)
class _Plan:
    """How one convolution is cut into strips, and what scratch a work-item needs, in vectors."""

    vectors: Vectors
    strip_images: int
    strip_rows: int
    strip_columns: int
    blocks: int
    shares: int
    items: int
    scratch_item: int
    v_size: int
    m_size: int


@functools.lru_cache(maxsize=256)
def _plan(device, convolution, has_small_strips):
    images, groups, tile = convolution.images, convolution.groups, convolution.tile
    rows, columns, positions = convolution.tile_rows, convolution.tile_columns, convolution.positions
    of = vectors(device, convolution.inputs, convolution.outputs)
    input_vectors, blocks = -(-convolution.inputs // of.width), -(-convolution.outputs // of.block)
    items = ITEMS_PER_CORE * device.compute_units

    most_tiles = max(_LEAST_TILES, _STRIP_BYTES // (positions * input_vectors * of.nbytes))
    if has_small_strips:
        most_tiles = TILES_OF_SMALL_STRIP
    strip_columns = even_share(columns, most_tiles)
    strip_rows = even_share(rows, most_tiles // strip_columns) if strip_columns == columns else 1
    strip_images = 1
    if (strip_rows, strip_columns) == (rows, columns):
        strip_images = even_share(images, min(most_tiles // (rows * columns), images * groups // items))
    strips = -(-images // strip_images) * -(-rows // strip_rows) * -(-columns // strip_columns) * groups
    # Where there are few, several work-items do the same one, each for some of the outputs.
    shares = min(blocks, -(-items // max(1, strips)))

    tiles = strip_images * strip_rows * strip_columns
    v_size, m_size = positions * (tiles * input_vectors + 1), of.of_block * positions * (tiles + 1)
    read = strip_pixels(strip_rows * tile + 2, min(strip_columns * tile + 2, convolution.width))
    scratch_item = v_size + m_size + max(read, strip_rows * strip_columns * tile**2)
    if scratch_item * of.width > INT_MAX:
        raise ShapeError(
            f"Conv2d: {convolution.inputs} channels in a group need a working copy of {scratch_item * of.width} "
            f"elements, but the kernels count in 32 bits, up to {INT_MAX}. Use another variant, or fewer channels."
        )
    items = max(1, min(items, strips * shares, SCRATCH_BYTES // (scratch_item * of.nbytes)))
    return _Plan(of, strip_images, strip_rows, strip_columns, blocks, shares, items, scratch_item, v_size, m_size)


def strip_pixels(rows, columns):
    """Return how many pixels a strip has, and those of two pooled images that make as many."""
    return rows * columns + 2 * (rows // 2 + 1) * (columns // 2 + 1)


def even_share(count, most):
    """Cut ``count`` into as few parts of at most ``most`` (or 1) as there can be, and return the size of a part."""
    parts = max(1, -(-count // max(1, most)))
    return max(1, -(-count // parts))


def _transform_weights(convolution, w):
    """Return G w G' as (groups, blocks, positions, inputs, outputs of a block)."""
    device, taps = w.device, KERNEL[0] * KERNEL[1]
    groups, inputs, outputs = convolution.groups, convolution.inputs, convolution.outputs
    plan = _plan(device, convolution, variants.has_small_strips(device))
    u = device.empty((groups, plan.blocks, convolution.positions, inputs, plan.vectors.block))
    w_output, w_input = (taps, outputs * taps) if convolution.is_transposed else (inputs * taps, taps)
    device.launch(
        "conv2d_winograd",
        "transform_weights",
        (groups * plan.blocks, -(-inputs // INPUTS_PER_ITEM)),
        (1, 1),
        options=plan.vectors.options(convolution.tile),
        w=w,
        u=u,
        groups=groups,
        blocks=plan.blocks,
        outputs=outputs,
        inputs=inputs,
        inputs_per_item=INPUTS_PER_ITEM,
        w_group=outputs * inputs * taps,
        w_output=w_output,
        w_input=w_input,
        rotate=int(convolution.is_transposed),
    )
    return u


def _convolve(convolution, x, u, b, relu, kept, y, winner):
    device, plan = x.device, _plan(x.device, convolution, variants.has_small_strips(x.device))
    scratch = device.empty((plan.items * plan.scratch_item, plan.vectors.width))
    sizes = convolution
    # A gradient that pooling hands back is read as it is, and spread over the windows in the kernel.
    read, read_winner = unpooled(x)
    device.launch(
        "conv2d_winograd",
        "convolve",
        (plan.items,),
        (1,),
        options=plan.vectors.options(convolution.tile),
        x=read,
        is_unpooled=int(read_winner is not None),
        x_winner=read_winner,
        u=u,
        bias=b,
        has_bias=int(b is not None),
        rectify=int(relu),
        kept=kept,
        has_kept=int(kept is not None),
        y=y,
        pool=int(winner is not None),
        winner=winner,
        scratch=scratch,
        scratch_item=plan.scratch_item,
        v_size=plan.v_size,
        m_size=plan.m_size,
        items=plan.items,
        images=sizes.images,
        groups=sizes.groups,
        inputs=sizes.inputs,
        outputs=sizes.outputs,
        height=sizes.height,
        width=sizes.width,
        out_h=sizes.out_h,
        out_w=sizes.out_w,
        top=sizes.top,
        left=sizes.left,
        tile_rows=sizes.tile_rows,
        tile_columns=sizes.tile_columns,
        strip_images=plan.strip_images,
        strip_rows=plan.strip_rows,
        strip_columns=plan.strip_columns,
        blocks=plan.blocks,
        shares=plan.shares,
    )
