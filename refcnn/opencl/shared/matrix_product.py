"""Matrix products with gathered factors, on which convolution and Dense are built.

Two primitives, each in a variant for CPU cores and one for GPUs:

- :func:`product`: ``c[row, place] = bias[row] + sum over t of a[row, t] b[offsets[t] + place]``;
  places next to each other lie next to each other in b, wherever a term begins.
- :func:`dot_product`: ``c[row, column] = sum over places of a[row, place] b[offsets[column] + place]``.

Elements are counted in 32 bits: no array may have more than 2**31 - 1 elements.
"""

import dataclasses
import functools
import math

import numpy as np

from ..runtime.vectors import VECTOR_WIDTHS
from ..variants import variant
from . import group_tiling
from .fusion import UNLIMITED

# Floats that are read at once on any device, at most.
LARGEST_VECTOR = VECTOR_WIDTHS[-1]
# A block with fewer vectors, and the share of the work that must be left for it to be worth its fewer accumulators.
_FEWER_VECTORS, _WORTHWHILE = 2, 0.95
# Work-items of a work-group of the small helper kernels.
_HELPER_GROUP = 64

#: Its files of kernels, and in which variants they run, for those operations that are built on it.
KERNELS = {"matrix_product": ("cpu", "gpu"), "matrix_product_cpu": ("cpu",), "matrix_product_gpu": ("gpu",)}


@dataclasses.dataclass(frozen=True)
class Places:
    """Where the columns of a product lie in b, and to which pixels of c they go.

    Place ``first + m``, for m below ``count``, is at ``(i, j) = divmod(place,
    pitch)`` and goes to the pixel ``(i step_y + base_y, j step_x + base_x)``
    of an image with rows of ``width``, ``c_y`` and ``c_x`` elements apart;
    those that fall outside a row are not stored, and none may lie above or below the image. On CPUs the places may go
    on in further images, each after ``plane_rows`` rows of the one before.
    """

    count: int
    first: int
    pitch: int
    width: int
    c_y: int
    c_x: int = 1
    step_y: int = 1
    base_y: int = 0
    step_x: int = 1
    base_x: int = 0
    plane_rows: int = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class Tiling:
    """The block sizes of one variant on one device.

    ``width`` floats are read at once; ``columns`` of them belong to one block.
    """

    width: int
    rows: int
    vectors: int

    @property
    def columns(self):
        return self.width * self.vectors


# By the width of vectors. With AVX-512 there are 32 registers, which hold 24 accumulators; else 16, which hold 12.
_TILINGS = {4: Tiling(4, 4, 3), 8: Tiling(8, 4, 3), 16: Tiling(16, 8, 3)}


def tiling(device):
    """Return the block sizes of the ``cpu`` variant on a device, from its vector registers."""
    return _TILINGS[device.vector_width]


def _fitted(tile, vectors):
    """Return block sizes of :func:`product` for so many vectors of columns: fewer, where the last block is idle."""
    computed = -(-vectors // tile.vectors) * tile.vectors
    fewer = -(-vectors // _FEWER_VECTORS) * _FEWER_VECTORS
    return dataclasses.replace(tile, vectors=_FEWER_VECTORS) if fewer < _WORTHWHILE * computed else tile


def product(
    device,
    a,
    b,
    offsets,
    c,
    places,
    *,
    rows,
    terms,
    a_row,
    a_term,
    a_block=0,
    b_image=0,
    c_row,
    c_image=0,
    images=1,
    groups=1,
    a_group=0,
    b_group=0,
    c_group=0,
    b_start=0,
    first_term=0,
    bias=None,
    limits=UNLIMITED,
    chunks=1,
    c_chunk=0,
):
    """Queue ``c[row, place] = bias[row] + sum over t of a[row, t] b[offsets[t] + place]`` for every group and image.

    Parameters
    ----------
    device : Device
    a, b, c : DeviceArray
        Float32. An element of a is found at ``group a_group + row a_row + t
        a_term``, or if ``a_block`` is given, which :func:`pack_factor` does,
        in the blocks that it made; of b at ``b_start + group b_group + image
        b_image + offsets[t] + place``, and of c at ``chunk c_chunk + group c_group +
        image c_image + row c_row`` and the pixel that ``places`` tells.
        If ``places.count`` is less than 16, b must be readable, but need not
        have any particular values, up to 16 places.
    offsets : DeviceArray
        Int32, indexed by term.
    places : Places
    rows, terms, images, groups : int
    first_term : int
        The terms are ``first_term`` to ``first_term + terms - 1``.
    bias : DeviceArray or None
        (groups * rows,)
    limits : refcnn.opencl.shared.fusion.Limits
        Of what is stored.
    chunks : int
        The terms are cut into so many parts, each of which writes a c of its own.
    """
    per_chunk = -(-terms // chunks) if terms else 0
    which = variant(device)
    sizes = rows, images, places.count, per_chunk, groups * chunks, a_row == 1
    if which == "cpu":
        global_size, local_size, rows_per_item, options = _cut_for_cores(device.vector_width, *sizes)
        of_cores = {"a_block": a_block, "plane_rows": places.plane_rows}
    else:
        global_size, local_size, rows_per_item, options = _cut_for_groups(device, *sizes)
        of_cores = {}
    device.launch(
        f"matrix_product_{which}",
        "product",
        global_size,
        local_size,
        options=options,
        a=a,
        a_group=a_group,
        a_row=a_row,
        a_term=a_term,
        **of_cores,
        b=b,
        b_start=b_start,
        b_group=b_group,
        b_image=b_image,
        offsets=offsets,
        bias=bias,
        has_bias=int(bias is not None),
        **limits.arguments,
        c=c,
        c_chunk=c_chunk,
        c_group=c_group,
        c_image=c_image,
        c_row=c_row,
        c_y=places.c_y,
        c_x=places.c_x,
        rows=rows,
        rows_per_item=rows_per_item,
        first_term=first_term,
        terms=terms,
        terms_per_chunk=per_chunk,
        chunks=chunks,
        images=images,
        first_place=places.first,
        places=places.count,
        pitch=places.pitch,
        step_y=places.step_y,
        base_y=places.base_y,
        step_x=places.step_x,
        base_x=places.base_x,
        width=places.width,
    )


@functools.lru_cache(maxsize=1024)
def _cut_for_cores(vector_width, rows, images, places, terms, products, has_adjacent_rows):
    """Return the global and local size, the rows of a work-item and the options of the ``cpu`` variant."""
    widest = _TILINGS[vector_width]
    tile = _fitted(widest, images * -(-places // widest.width))
    block_rows = _block_rows(tile, rows)
    column_blocks = -(-images * -(-places // tile.width) // tile.vectors)
    rows_per_item = _rows_per_item(rows, block_rows, terms, column_blocks * products)
    global_size = column_blocks, -(-rows // rows_per_item), products
    options = (
        *_cpu_options(tile, block_rows),
        *(("-DADJACENT_ROWS",) if has_adjacent_rows else ()),
        *(("-DPACKED",) if rows_per_item >= _LEAST_USES else ()),
    )
    return global_size, (1, 1, 1), rows_per_item, options


def _cut_for_groups(device, rows, images, places, terms, products, has_adjacent_rows):
    """Return the same of the ``gpu`` variant."""
    tile = group_tiling.tiling(device, rows, images * places, terms, products)
    across, down = tile.groups(rows, images * places)
    group_x, group_y, _ = tile.local_size
    options = (*tile.options, *(("-DADJACENT_ROWS",) if has_adjacent_rows else ()))
    return (across * group_x, down * group_y, products), tile.local_size, tile.rows, options


def chunks_for(device, rows, columns, terms, products=1):
    """Return into how many chunks the sums of :func:`product` are best cut, where there is too little parallel work.

    Parameters
    ----------
    device : Device
    rows, columns, terms, products : int
        Of so many products that are computed together.
    """
    if variant(device) == "gpu":
        return group_tiling.cut(device, rows, columns, terms, products)[1]
    items = -(-columns // tiling(device).columns) * -(-rows // _LEAST_ROWS) * products
    pieces = max(1, -(-terms // TERMS))
    return -(-pieces // max(1, pieces * items // _LEAST_GROUPS))


def dot_product(
    device,
    a,
    b,
    offsets,
    *,
    rows,
    columns,
    places,
    images,
    a_row,
    a_image,
    b_image,
    groups=1,
    a_group=0,
    b_group=0,
    a_start=0,
    bias=None,
    limits=UNLIMITED,
):
    """Return ``c[group, row, column] = sum over images and places of a[row, place] b[offsets[column] + place]``.

    The sums are cut into chunks, and what those come to is then added, always in the same order.

    Parameters
    ----------
    a, b : DeviceArray
        Float32, addressed as in :func:`product`, but with a place in both, and a beginning at ``a_start``.
    offsets : DeviceArray
        Int32, indexed by column.
    rows, columns, places, images, groups : int
    bias : DeviceArray or None
        (columns,), which is added.
    limits : refcnn.opencl.shared.fusion.Limits
        Of what is returned.

    Returns
    -------
    DeviceArray
        (groups, rows, columns)
    """
    which = variant(device)
    terms = images * places
    if which == "cpu":
        global_size, local_size, rows_per_item, chunks, options = _cut_dot_for_cores(
            device.vector_width, rows, columns, terms, groups
        )
        of_item = {"rows_per_item": rows_per_item, "a_block": 0}
        if places < TERMS and images > 1:
            # Else a row would be read in pieces that are too short to be foreseen.
            sources = _places_of_images(device, images, places, a_start, a_image)
            a, where = pack_factor(a, sources, rows=rows, groups=groups, factor_group=a_group, factor_row=a_row)
            a_start, a_group, of_item["a_block"] = 0, where["a_group"], where["a_block"]
            options = (*options, "-DADJACENT_ROWS")
    else:
        tile, chunks = group_tiling.cut(device, rows, columns, terms, groups)
        (across, down), (group_x, group_y, _) = tile.groups(rows, columns), tile.local_size
        global_size, local_size, options = (across * group_x, down * group_y), tile.local_size, tile.options
        of_item = {}
    partial = device.empty((chunks, groups * rows, columns))
    device.launch(
        f"matrix_product_{which}",
        "dot_product",
        (*global_size, groups * chunks),
        local_size,
        options=options,
        a=a,
        a_start=a_start,
        a_group=a_group,
        a_image=a_image,
        a_row=a_row,
        b=b,
        b_group=b_group,
        b_image=b_image,
        offsets=offsets,
        c=partial,
        groups=groups,
        rows=rows,
        columns=columns,
        images=images,
        places=places,
        terms_per_chunk=-(-terms // chunks),
        **of_item,
    )
    return sum_chunks(partial, bias, limits).reshape((groups, rows, columns))


@functools.lru_cache(maxsize=1024)
def _cut_dot_for_cores(vector_width, rows, columns, terms, groups):
    """Return the global size of a chunk, the local one, the rows of a work-item, the chunks and the options."""
    widest = _TILINGS[vector_width]
    tile = _fitted(widest, -(-columns // widest.width))
    block_rows = _block_rows(tile, rows)
    blocks = -(-columns // tile.columns)
    # What is turned should serve many rows, so that the terms are cut first.
    wanted = -(-_LEAST_GROUPS // (blocks * groups * -(-rows // _MOST_TURNED_ROWS)))
    chunks = max(1, min(wanted, terms // TERMS))
    rows_per_item = _rows_per_item(rows, block_rows, terms // chunks, blocks * groups * chunks)
    options = _cpu_options(tile, block_rows)
    return (blocks, -(-rows // rows_per_item)), (1, 1, 1), rows_per_item, chunks, options


def sum_chunks(partial, bias=None, limits=UNLIMITED):
    """Return the sum over the first axis of (chunks, ...), with a bias for each index of an axis, within limits.

    Parameters
    ----------
    partial : DeviceArray
    bias : DeviceArray or None
        Of a result (rows, columns) one for each column, of one (N, K, ...) one for each of K.
    limits : refcnn.opencl.shared.fusion.Limits
    """
    chunks, shape = partial.shape[0], partial.shape[1:]
    if chunks == 1 and bias is None and limits == UNLIMITED:
        return partial.reshape(shape)
    device = partial.device
    total = device.empty(shape)
    results, parts = group_tiling.group_of_sums(device, chunks) if variant(device) == "gpu" else (_HELPER_GROUP, 1)
    device.launch(
        "matrix_product",
        "sum_chunks",
        (total.size, parts),
        (results, parts),
        options=(f"-DRESULTS={results}", f"-DPARTS={parts}") if parts > 1 else (),
        partial=partial,
        bias=bias,
        has_bias=int(bias is not None),
        biases=1 if bias is None else bias.size,
        bias_run=math.prod(shape[2:]),
        **limits.arguments,
        total=total,
        chunks=chunks,
        count=total.size,
    )
    return total


def pack_factor(factor, sources, *, rows, groups, factor_group, factor_row):
    """Return ``a[group, row, term] = factor[group factor_group + sources[term] + row factor_row]`` and where it is.

    Returns
    -------
    (DeviceArray, dict)
        The second has the keywords that tell :func:`product` where an element of the first is found.
    """
    device, terms = factor.device, sources.size
    arrays = {"factor": factor, "sources": sources}
    sizes = {"factor_group": factor_group, "factor_row": factor_row, "rows": rows, "terms": terms}
    if variant(device) == "gpu":
        # What is brought from memory is turned then, and here neighbours had better write next to each other.
        packed = device.empty((groups, rows, terms))
        global_size, local_size = (terms, rows, groups), (_HELPER_GROUP, 1, 1)
        device.launch(
            "matrix_product", "pack_factor", global_size, local_size, **arrays, packed=packed, **sizes, groups=groups
        )
        return packed, {"a_row": terms, "a_term": 1, "a_group": rows * terms}
    # As the rows of one block are read together, term after term, so they lie.
    tile = tiling(device)
    block = _block_rows(tile, rows)
    blocks = -(-rows // block)
    packed = device.empty((groups, blocks, terms, block))
    device.launch(
        "matrix_product_cpu",
        "pack_factor",
        (blocks, -(-terms // TERMS), groups),
        (1, 1, 1),
        options=(*_cpu_options(tile, block), *(("-DADJACENT_ROWS",) if factor_row == 1 else ())),
        **arrays,
        packed=packed,
        **sizes,
        terms_per_item=TERMS,
        blocks=blocks,
    )
    return packed, {"a_row": 1, "a_term": block, "a_block": terms * block, "a_group": blocks * terms * block}


def copy_matrix(matrix, *, rows, columns, row_stride, column_stride, copy_columns):
    """Return (rows, copy_columns): a strided view of a matrix, with zeros behind its columns."""
    device = matrix.device
    copy = device.empty((rows, copy_columns))
    device.launch(
        "matrix_product",
        "copy_matrix",
        (copy_columns, rows),
        (_HELPER_GROUP, 1),
        matrix=matrix,
        copy=copy,
        rows=rows,
        columns=columns,
        row_stride=row_stride,
        column_stride=column_stride,
        copy_columns=copy_columns,
    )
    return copy


@functools.lru_cache(maxsize=256)
def regular_offsets(device, count, step):
    """Return the int32 table 0, step, 2 step, ... on a device."""
    return device.array(np.arange(count, dtype=np.int32) * np.int32(step))


@functools.lru_cache(maxsize=256)
def _places_of_images(device, images, places, start, step):
    """Return the int32 table of the places of images that lie ``step`` apart, of which the first begins at a start."""
    table = start + np.arange(images)[:, None] * step + np.arange(places)
    return device.array(table.astype(np.int32).ravel())


def _block_rows(tile, rows):
    return next(size for size in (8, 4, 2, 1) if size <= min(rows, tile.rows))


def _cpu_options(tile, block_rows):
    return (f"-DWIDTH={tile.width}", f"-DROWS={block_rows}", f"-DVECTORS={tile.vectors}", f"-DTERMS={TERMS}")


#: Terms of a sum that a work-item of a CPU adds up before that is added to what it has: for accuracy, and for caches.
TERMS = 512
# Rows that a work-item does, if there are so many; and those from which on it copies the columns that it multiplies.
_LEAST_ROWS, _LEAST_USES = 64, 128
# Vector operations that a work-item should at least do, so that starting it does not show.
_LEAST_WORK = 20_000
# Rows from which on it pays to turn columns for two parts of them rather than to add up more parts of the sums.
_MOST_TURNED_ROWS = 256
# Work-groups that there should at least be, so that all of the device has work until nearly the end.
_LEAST_GROUPS = 64


def _rows_per_item(rows, block_rows, terms, other_items):
    """How many rows one work-item of the ``cpu`` variant does: all of them, unless there would be too few items."""
    blocks = -(-rows // block_rows)
    shares = -(-_LEAST_GROUPS // other_items)
    least_blocks = max(-(-_LEAST_WORK // max(1, terms * 24)), _LEAST_ROWS // block_rows)
    return max(-(-blocks // shares), min(least_blocks, blocks)) * block_rows
