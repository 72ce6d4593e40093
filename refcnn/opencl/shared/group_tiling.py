"""How matrix products are cut for GPUs: the block of a work-group, and into how many chunks the sum is cut.

Large blocks read each factor less often, but a small product has few of them, with which most of the device would be
idle; then blocks are small, or the terms of the sum are dealt out to several groups. What is best is what an estimate
of the time says: it knows how many work-groups a compute unit has at once, how long memory lets it wait, and what it
costs to add up the chunks.
"""

import dataclasses
import functools
import math


@dataclasses.dataclass(frozen=True)
class GroupTiling:
    """The block sizes of the ``gpu`` variant, which its kernel file explains."""

    group_x: int
    group_y: int
    rows: int
    columns: int
    terms: int
    buffers: int = 2
    sum_terms: int = 512

    @property
    def local_size(self):
        return self.group_x, self.group_y, 1

    @property
    def items(self):
        return self.group_x * self.group_y

    # Asked at each launch.
    @functools.cached_property
    def options(self):
        return (
            f"-DGROUP_X={self.group_x}",
            f"-DGROUP_Y={self.group_y}",
            f"-DROWS={self.rows}",
            f"-DCOLUMNS={self.columns}",
            f"-DTERMS={self.terms}",
            f"-DBUFFERS={self.buffers}",
            f"-DSUM_TERMS={self.sum_terms}",
        )

    @property
    def block(self):
        """Rows and columns that a work-group computes."""
        return self.group_y * self.rows, self.group_x * self.columns

    def groups(self, rows, columns):
        """Return how many work-groups cover a matrix, across and down."""
        block_rows, block_columns = self.block
        return -(-columns // block_columns), -(-rows // block_rows)


#: None takes more than 256 work-items and 32 KiB of local memory, which all GPUs have. Of ten that were timed on an
#: NVIDIA H200 over 46 products of known layers, these are the four among which the estimate chooses best: 5 % slower on
#: average than the fastest of the ten.
TILINGS = (
    GroupTiling(16, 16, 8, 8, 8),
    GroupTiling(16, 16, 4, 4, 16),
    GroupTiling(32, 2, 4, 4, 8),
    GroupTiling(8, 8, 4, 4, 16),
)
# For simulators, which take long for each work-item, and that small matrices have several blocks and chunks.
_TILINGS_OF_SIMULATORS = (GroupTiling(2, 2, 8, 4, 4, sum_terms=8),)
_TERMS_OF_SIMULATORS = 20

# Work-items of a group that adds up chunks: the results, and into how many parts the sum of each is dealt out. One
# after the other, many chunks would take longer than the products.
_SUMS_OF_FEW, _SUMS_OF_MANY, _SUMS_OF_SIMULATORS = (64, 1), (16, 16), (4, 2)
_MANY_CHUNKS = 32

# What the estimate takes for a compute unit: its multiply-adds in a clock, the registers that its work-items share and
# those that one needs beside its accumulators; the clocks until memory answers, and those that a tile takes beside its
# products; how many floats caches and memory move in a clock; the clocks of one more launch.
_MULTIPLY_ADDS, _REGISTERS, _OTHER_REGISTERS = 128, 65536, 48
_LATENCY, _CLOCKS_PER_TILE = 800, 150
_CACHED_FLOATS, _MEMORY_FLOATS = 5, 5
_LAUNCH = 8000
# Instructions that it takes to bring an element of a tile from memory to local memory, and four from there.
_READ, _FETCH = 5, 2
# Chunks that are read before the first of them is added.
_READ_AHEAD = 4
# Terms of a chunk, at least; elements that all chunks may have, at most.
_LEAST_TERMS = 32
_MOST_ELEMENTS = 1 << 26


def cut(device, rows, columns, terms, products=1):
    """Return how a product is cut.

    Parameters
    ----------
    device : Device
    rows, columns, terms : int
    products : int
        So many of these sizes are computed together.

    Returns
    -------
    (GroupTiling, int)
        The block sizes, and the number of chunks.
    """
    if device.is_simulator:
        return _TILINGS_OF_SIMULATORS[0], max(1, -(-terms // _TERMS_OF_SIMULATORS))
    return _cut(device.compute_units, rows, columns, terms, products)


def tiling(device, rows, columns, terms, products=1):
    """Return the block sizes for products that are cut already, each with so many terms."""
    if device.is_simulator:
        return _TILINGS_OF_SIMULATORS[0]
    return _tiling(device.compute_units, rows, columns, terms, products)


def group_of_sums(device, chunks):
    """Return for how many results a work-group adds up chunks, and how many of its work-items share a result."""
    if device.is_simulator:
        return _SUMS_OF_SIMULATORS
    return _sums(chunks)


def _sums(chunks):
    return _SUMS_OF_MANY if chunks >= _MANY_CHUNKS else _SUMS_OF_FEW


@functools.lru_cache(maxsize=1024)
def _cut(units, rows, columns, terms, products):
    best = None
    for chunks in _numbers_of_chunks(rows * columns * products, terms):
        per_chunk = -(-terms // chunks)
        tiling = _tiling(units, rows, columns, per_chunk, products * chunks)
        clocks = _clocks(tiling, units, rows, columns, per_chunk, products * chunks)
        if chunks > 1:
            # They are written, and read again by what adds them up, some at a time.
            clocks += _LAUNCH + 2 * chunks * rows * columns * products / (units * _MEMORY_FLOATS)
            clocks += _LATENCY * -(-chunks // (_READ_AHEAD * _sums(chunks)[1]))
        if best is None or clocks < best[0]:
            best = clocks, tiling, chunks
    return best[1:]


@functools.lru_cache(maxsize=1024)
def _tiling(units, rows, columns, terms, products):
    # Where memory lets all wait as long, the small ones do.
    return min(TILINGS, key=lambda one: (_clocks(one, units, rows, columns, terms, products), math.prod(one.block)))


def _numbers_of_chunks(elements, terms):
    yield 1
    for power in range(1, 32):
        for chunks in (1 << power, 3 << (power - 1)):
            if chunks * _LEAST_TERMS <= terms and chunks * elements <= _MOST_ELEMENTS:
                # None of them is empty.
                per_chunk = -(-terms // chunks)
                yield -(-terms // per_chunk)


def _clocks(tiling, units, rows, columns, terms, products):
    """Estimate the clocks of products that are not cut."""
    across, down = tiling.groups(rows, columns)
    groups = -(-across * down * products // units)
    lines, elements = sum(tiling.block), tiling.rows * tiling.columns
    instructions = elements + _FETCH * (tiling.rows + tiling.columns) // 4 + _READ * lines / tiling.items
    # Of one tile of one group, as far as others keep the compute unit busy meanwhile.
    busy = tiling.terms * max(tiling.items * instructions / _MULTIPLY_ADDS, lines / _CACHED_FLOATS)
    together = max(1, _REGISTERS // (tiling.items * (elements + _OTHER_REGISTERS)))
    # One tile more stands for what comes before and after.
    tiles = -(-terms // tiling.terms) + 1
    rounds, rest = divmod(groups, together)
    clocks = rounds * (max(_LATENCY, together * busy) + _CLOCKS_PER_TILE)
    if rest:
        clocks += max(_LATENCY, rest * busy) + _CLOCKS_PER_TILE
    return tiles * clocks
