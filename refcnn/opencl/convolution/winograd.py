"""Convolution with 3x3 kernels, stride 1, by Winograd's algorithm: forward, and the gradient of x.

:mod:`.winograd_weights` has the gradient of w.
A tile of ``tile`` x ``tile`` outputs takes (tile + 2)^2 products a pair of
channels in place of 9 tile^2: 2.25 times fewer for F(2x2, 3x3), 4 times fewer
for F(4x4, 3x3), which errs more, some 1.5 times as much as a direct sum.
``kernels/conv2d_winograd.cl`` says how it is computed,
:mod:`refcnn.conformance.theory.winograd` how far it may be from the exact
answer.
"""

import dataclasses
import functools

import numpy as np

from ...errors import ArgumentError, ShapeError
from .. import variants
from ..shared.fusion import RECTIFIED, UNLIMITED, unpooled
from .sizes import INT_MAX, Correlation

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


def applies(geometry):
    """Return whether a convolution can be computed so: its kernels are 3x3, its stride and dilation 1.

    Parameters
    ----------
    geometry : refcnn.opencl.convolution.sizes.Convolution
    """
    return geometry.kernel == KERNEL and tuple(geometry.stride) == tuple(geometry.dilation) == (1, 1)


def flop(direction, geometry, tile):
    """Return the multiplications and additions of the sums over channels or, for the gradient of w, over tiles.

    Those of whole tiles, also where the last ones reach beyond the image; the transforms are left out.

    Parameters
    ----------
    direction : str
        ``forward``, ``backward_x`` or ``backward_w``.
    geometry, tile
        As in :func:`forward`.
    """
    convolution = TiledCorrelation.of(geometry, tile)
    if direction == "backward_x":
        convolution = convolution.transposed
    tiles = convolution.images * convolution.tile_rows * convolution.tile_columns
    pairs = convolution.groups * convolution.inputs * convolution.outputs
    return 2 * convolution.positions * tiles * pairs


def forward(x, w, b, geometry, tile, limits=UNLIMITED):
    """Return y (N, K, out_h, out_w), within limits.

    Parameters
    ----------
    x : DeviceArray
        (N, C, H, W), float32.
    w : DeviceArray
        (K, C/groups, 3, 3), float32.
    b : DeviceArray or None
        (1, K, 1, 1), float32.
    geometry : refcnn.opencl.convolution.sizes.Convolution
    tile : int
        2 or 4: outputs on the side of a tile.
    limits : refcnn.opencl.shared.fusion.Limits

    Raises
    ------
    ArgumentError
        If there are no such tiles.
    ShapeError
        If the kernels are not 3x3, the channels do not fit together, the
        image is smaller than a kernel, or an array has more elements than the
        kernels can count.
    """
    convolution = TiledCorrelation.of(geometry, tile)
    y = x.device.empty(convolution.y_shape)
    _convolve(convolution, x, _transform_weights(convolution, w), b, limits, None, y, None)
    return y


def forward_pooled(x, w, b, geometry, tile):
    """Return max pooling of the rectified y over windows of 2x2 side by side, without storing y.

    An odd last row or column is dropped. Parameters and errors as in :func:`forward`.

    Returns
    -------
    (DeviceArray, DeviceArray)
        Both (N, K, out_h // 2, out_w // 2): the maxima, and as uint8 which pixel of its window each is, 0 to 3 row by
        row, the first if several are equal, or 255 where it is not above 0, so that no gradient flows to it.
    """
    convolution = TiledCorrelation.of(geometry, tile).pooled
    pooled = x.device.empty(convolution.y_shape)
    winner = x.device.empty(convolution.y_shape, np.uint8)
    _convolve(convolution, x, _transform_weights(convolution, w), b, RECTIFIED, None, pooled, winner)
    return pooled, winner


def backward_x(dy, w, geometry, tile, kept=None):
    """Return dx (N, C, H, W): dy correlated with the kernels turned by 180 degrees, the channels' roles exchanged.

    Parameters
    ----------
    dy : DeviceArray
        (N, K, out_h, out_w), float32.
    w : DeviceArray
        (K, C/groups, 3, 3), float32.
    geometry, tile
        As in :func:`forward`.
    kept : DeviceArray, optional
        (N, C, H, W), float32: dx becomes 0 wherever it is not above 0, as the gradient of the rectifier that made it.

    Raises
    ------
    ArgumentError, ShapeError
        As :func:`forward` does, and if dy or ``kept`` has not the shape that belongs to x.
    """
    forward = TiledCorrelation.of(geometry, tile)
    check_y(dy, geometry)
    if kept is not None and kept.shape != tuple(geometry.x_shape):
        raise ShapeError(
            f"Conv2d: the rectifier's output has shape {kept.shape}, but masks the gradient of an x of shape "
            f"{tuple(geometry.x_shape)}. Give it in that shape."
        )
    convolution = forward.transposed
    dx = dy.device.empty(convolution.y_shape)
    _convolve(convolution, dy, _transform_weights(convolution, w), None, UNLIMITED, kept, dx, None)
    return dx


def check_y(dy, geometry):
    """Raise ShapeError if dy has not the shape of y."""
    if dy.shape != geometry.y_shape:
        raise ShapeError(
            f"Conv2d: dy has shape {dy.shape}, but an x of shape {tuple(geometry.x_shape)} with w of shape "
            f"{tuple(geometry.w_shape)} and padding {tuple(geometry.padding)} gives y of shape {geometry.y_shape}. "
            "Give dy of that shape."
        )


@dataclasses.dataclass(frozen=True, eq=False)
class TiledCorrelation(Correlation):
    """A correlation with 3x3 kernels, its result in tiles, which may be pooled over windows of 2x2 side by side."""

    tile: int = TILES[-1]
    is_pooled: bool = False

    @classmethod
    @functools.lru_cache(maxsize=256)
    def of(cls, geometry, tile):
        """Return the correlation that computes y.

        Raises
        ------
        ArgumentError
            If there are no such tiles.
        ShapeError
            If the kernels are not 3x3, the channels do not fit together, or an array has more elements than the
            kernels can count.
        """
        if tile not in TILES:
            raise ArgumentError(
                f"Conv2d: the side of a tile is {' or '.join(map(str, TILES))} outputs, but {tile!r} was given."
            )
        x_shape, w_shape, groups = tuple(geometry.x_shape), tuple(geometry.w_shape), geometry.groups
        if not applies(geometry) or w_shape[0] % groups or x_shape[1] != w_shape[1] * groups:
            raise ShapeError(
                f"Conv2d: x of shape {x_shape} does not go with w of shape {w_shape} and {groups} groups:"
                " Winograd's algorithm needs w of shape (K, C/groups, 3, 3), with K and C multiples of the groups, and "
                "stride and dilation 1. Use another variant, or correct the shapes."
            )
        return super().of(geometry, tile=tile)

    @functools.cached_property
    def pooled(self):
        """The same, pooled."""
        return dataclasses.replace(self, is_pooled=True)

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
    blocks: int
    items: int
    scratch_item: int
    #: The sizes of the convolution and of what it is cut into, by the names that the kernel has for them.
    arguments: dict


@functools.lru_cache(maxsize=256)
def _plan(device, convolution, compute_units, has_small_strips):
    images, groups, tile = convolution.images, convolution.groups, convolution.tile
    rows, columns, positions = convolution.tile_rows, convolution.tile_columns, convolution.positions
    of = vectors(device, convolution.inputs, convolution.outputs)
    input_vectors, blocks = -(-convolution.inputs // of.width), -(-convolution.outputs // of.block)
    items = ITEMS_PER_CORE * compute_units

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
    arguments = {
        **convolution.sizes,
        "scratch_item": scratch_item,
        "v_size": v_size,
        "m_size": m_size,
        "items": items,
        "tile_rows": rows,
        "tile_columns": columns,
        "strip_images": strip_images,
        "strip_rows": strip_rows,
        "strip_columns": strip_columns,
        "blocks": blocks,
        "shares": shares,
    }
    return _Plan(of, blocks, items, scratch_item, arguments)


def strip_pixels(rows, columns):
    """Return how many pixels a strip has, and those of two pooled images that make as many."""
    return rows * columns + 2 * (rows // 2 + 1) * (columns // 2 + 1)


def even_share(count, most):
    """Cut ``count`` into as few parts of at most ``most`` (or 1) as there can be, and return the size of a part."""
    parts = max(1, -(-count // max(1, most)))
    return max(1, -(-count // parts))


def _transform_weights(convolution, w):
    """Return G w G' as (groups, blocks, positions, inputs, outputs of a block)."""
    device = w.device
    groups, inputs, outputs = convolution.groups, convolution.inputs, convolution.outputs
    plan = _plan(device, convolution, device.compute_units, variants.has_small_strips(device))
    u = device.empty((groups, plan.blocks, convolution.positions, inputs, plan.vectors.block))
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
        **convolution.weight_steps,
        rotate=int(convolution.is_transposed),
    )
    return u


def _convolve(convolution, x, u, b, limits, kept, y, winner):
    device, plan = x.device, _plan(x.device, convolution, x.device.compute_units, variants.has_small_strips(x.device))
    scratch = device.empty((plan.items * plan.scratch_item, plan.vectors.width))
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
        **limits.arguments,
        kept=kept,
        has_kept=int(kept is not None),
        y=y,
        pool=int(winner is not None),
        winner=winner,
        scratch=scratch,
        **plan.arguments,
    )
