"""The gradient of w of a convolution with 3x3 kernels, stride 1, by Winograd's algorithm.

``kernels/conv2d_winograd_weights.cl`` says how it is computed,
:mod:`refcnn.conformance.theory.winograd` how far it may be from the exact answer.
"""

import dataclasses
import functools

from ...errors import ShapeError
from .. import variants
from ..shared.fusion import unpooled
from .sizes import INT_MAX
from .winograd import (
    INPUTS_PER_ITEM,
    ITEMS_PER_CORE,
    SCRATCH_BYTES,
    TILES_OF_SMALL_STRIP,
    TiledCorrelation,
    Vectors,
    check_y,
    even_share,
    strip_pixels,
    vectors,
)

# Inputs and outputs for which a work-item keeps sums: 36 x 64 x 64 of them, in a core's cache.
_SHARE_CHANNELS = 64
# The same where strips are small: few channels too have shares, of which the last is not full.
_CHANNELS_OF_SMALL_SHARE = 16
# Bytes that the transformed pixels of one strip, of x and of dy, should take beside the sums.
_STRIP_BYTES = 1 << 19
# Tiles that a strip should at least have, lest the sums be read and written for too few of them.
_LEAST_TILES = 14


def backward_w(x, dy, geometry, tile, bias=False):
    """Return dw (K, C/groups, 3, 3), and db (1, K, 1, 1) if ``bias``, else None.

    Parameters
    ----------
    x : DeviceArray
        (N, C, H, W), float32.
    dy : DeviceArray
        (N, K, out_h, out_w), float32.
    geometry : refcnn.opencl.convolution.sizes.Convolution
    tile : int
        2 or 4: pixels of dy on the side of a tile.
    bias : bool

    Raises
    ------
    ArgumentError
        If there are no such tiles.
    ShapeError
        If the kernels are not 3x3, the channels do not fit together, dy has
        not the shape that belongs to x, or an array has more elements than the kernels can count.
    """
    device, sizes = x.device, TiledCorrelation.of(geometry, tile)
    check_y(dy, geometry)
    plan = _plan(device, sizes, device.compute_units, variants.has_small_strips(device))
    sums, bias_sums, scratch = (
        device.empty((count, plan.vectors.width))
        for count in (plan.sums, plan.bias_sums, plan.items * plan.scratch_item)
    )
    read, winner = unpooled(dy)
    options = plan.vectors.options(tile)
    device.launch(
        "conv2d_winograd_weights",
        "sum_products",
        (plan.items,),
        (1,),
        options=options,
        x=x,
        dy=read,
        is_unpooled=int(winner is not None),
        winner=winner,
        sums=sums,
        bias_sums=bias_sums,
        scratch=scratch,
        **plan.arguments,
        **plan.shares,
    )
    dw, db = device.empty(geometry.w_shape), device.empty((1, geometry.w_shape[0], 1, 1)) if bias else None
    device.launch(
        "conv2d_winograd_weights",
        "transform_gradient",
        (sizes.groups * -(-sizes.outputs // plan.vectors.width), -(-sizes.inputs // INPUTS_PER_ITEM)),
        (1, 1),
        options=options,
        sums=sums,
        bias_sums=bias_sums,
        dw=dw,
        db=db,
        has_db=int(bias),
        groups=sizes.groups,
        inputs=sizes.inputs,
        outputs=sizes.outputs,
        inputs_per_item=INPUTS_PER_ITEM,
        **plan.shares,
    )
    return dw, db


@dataclasses.dataclass(frozen=True)
class _Plan:
    """How the sums are cut into shares and splits, the tiles into strips, and what room is needed, in vectors."""

    vectors: Vectors
    items: int
    scratch_item: int
    sums: int
    bias_sums: int
    #: The sizes of the convolution and of what it is cut into, and of the shares, by the names that the kernels have.
    arguments: dict
    shares: dict


@functools.lru_cache(maxsize=256)
def _plan(device, sizes, compute_units, has_small_strips):
    tile, rows, columns = sizes.tile, sizes.tile_rows, sizes.tile_columns
    of = vectors(device, sizes.inputs, sizes.outputs)
    input_vectors, output_blocks = -(-sizes.inputs // of.width), -(-sizes.outputs // of.block)
    share_channels = _CHANNELS_OF_SMALL_SHARE if has_small_strips else _SHARE_CHANNELS
    share_inputs = even_share(input_vectors, share_channels // of.width)
    share_outputs = even_share(output_blocks, share_channels // of.block) * of.of_block
    input_shares, output_shares = -(-input_vectors // share_inputs), -(-output_blocks * of.of_block // share_outputs)

    tile_vectors = sizes.positions * (share_inputs + share_outputs)
    most_tiles = max(_LEAST_TILES, _STRIP_BYTES // (tile_vectors * of.nbytes))
    if has_small_strips:
        most_tiles = TILES_OF_SMALL_STRIP
    strip_images, strip_rows, strip_columns, strips = _strips(sizes, most_tiles)
    tiles = strip_images * strip_rows * strip_columns
    x_size = sizes.positions * (tiles * share_inputs + 1)
    dy_size = sizes.positions * (tiles * share_outputs + of.of_block)
    read = strip_pixels(strip_rows * tile + 2, min(strip_columns * tile + 2, max(sizes.width, sizes.out_w)))
    scratch_item = x_size + dy_size + read

    pairs = sizes.groups * input_shares * output_shares
    wanted = ITEMS_PER_CORE * compute_units
    splits = max(1, min(strips, -(-wanted // pairs)))
    items = max(1, min(wanted, pairs * splits, SCRATCH_BYTES // (scratch_item * of.nbytes)))
    sums = pairs * splits * sizes.positions * (share_inputs * of.width * share_outputs + of.of_block)
    largest = max(scratch_item, sums) * of.width
    _check_countable(sizes, largest)
    arguments = {
        **sizes.sizes,
        "scratch_item": scratch_item,
        "x_size": x_size,
        "dy_size": dy_size,
        "items": items,
        "tile_rows": rows,
        "tile_columns": columns,
        "strip_images": strip_images,
        "strip_rows": strip_rows,
        "strip_columns": strip_columns,
    }
    shares = {
        "share_inputs": share_inputs,
        "share_outputs": share_outputs,
        "input_shares": input_shares,
        "output_shares": output_shares,
        "splits": splits,
    }
    bias_sums = splits * sizes.groups * output_shares * share_outputs
    return _Plan(of, items, scratch_item, sums, bias_sums, arguments, shares)


def _strips(sizes, most_tiles):
    """Return the images, the rows and the columns of tiles of a strip, and how many strips there are."""
    images, rows, columns = sizes.images, sizes.tile_rows, sizes.tile_columns
    strip_columns = even_share(columns, most_tiles)
    strip_rows = even_share(rows, most_tiles // strip_columns) if strip_columns == columns else 1
    is_whole = (strip_rows, strip_columns) == (rows, columns)
    strip_images = even_share(images, most_tiles // max(1, rows * columns)) if is_whole else 1
    strips = -(-images // strip_images) * -(-rows // strip_rows) * -(-columns // strip_columns)
    return strip_images, strip_rows, strip_columns, strips


def _check_countable(sizes, largest):
    if largest > INT_MAX:
        raise ShapeError(
            f"Conv2d: {sizes.inputs} input and {sizes.outputs} output channels in each of {sizes.groups} groups need a "
            f"working copy of {largest} elements, but the kernels count in 32 bits, up to {INT_MAX}. Use another "
            "variant, or fewer channels."
        )
