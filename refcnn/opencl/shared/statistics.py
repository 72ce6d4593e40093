"""Launches of kernels/normalization.cl: sums, means and variances of rows, and what is computed with them.

x is (outer, channels, inner), where each channel has statistics of its own: rows of ``inner`` values that lie beside
each other. Rows of few values are taken together, those of all channels as one, so that vectors run over channels.
"""

import dataclasses

from . import reduction
from .fusion import UNLIMITED

#: Rows of fewer values are taken together.
_SHORT = 64
#: Work-items for each of a device's units, at most, where each writes sums as long as a row.
_ITEMS_PER_UNIT = 4
#: Partial statistics that one work-item merges.
_MERGED = 256


@dataclasses.dataclass(frozen=True)
class _Cut:
    """How arrays are cut for the work-items of a device.

    Attributes
    ----------
    width : int
        Floats of a vector.
    group : int
        Work-items of a work-group.
    part, columns, block : int
        Values of a row whose statistics are taken at once; columns of a work-item, and rows of its block of them.
    values : int
        What a work-item takes of an array in all.
    run : int
        Values of a row that are computed in one loop.
    row_values : int
        What a work-item takes of rows that are normalised each by itself, at least one.
    """

    width: int
    group: int
    part: int
    columns: int
    block: int
    values: int
    run: int
    row_values: int


def _cut(device):
    if device.is_simulator:
        # Where several work-items and parts are wanted of few values.
        return _Cut(4, 1, part=18, columns=6, block=3, values=36, run=5, row_values=12)
    if device.kind == "cpu":
        return _Cut(device.vector_width, 1, part=512, columns=256, block=64, values=16384, run=4096, row_values=16384)
    return _Cut(1, 64, part=256, columns=1, block=64, values=1, run=1, row_values=1)


def _options(cut, by_column, is_centred, is_masked=False):
    """Return the build options of the kernels."""
    found = {"WIDTH": cut.width, "COLUMNS": cut.columns, "BY_COLUMN": int(by_column), "CENTRED": int(is_centred)}
    found["MASKED"] = int(is_masked)
    return tuple(f"-D{name}={value}" for name, value in found.items())


class Rows:
    """An array as rows of values, for statistics of each channel.

    Parameters
    ----------
    device : Device
    outer, channels, inner : int
    """

    def __init__(self, device, outer, channels, inner):
        self.device, self.outer, self.channels, self.inner = device, outer, channels, inner
        self._cut = _cut(device)
        self._by_column = inner < _SHORT
        self._rows, self._length = (outer, channels * inner) if self._by_column else (outer * channels, inner)

    @property
    def count(self):
        """How many values a channel has."""
        return self.outer * self.inner

    def of_channels(self, array):
        """Return an array of a number for each channel in the form that :meth:`each` reads it in."""
        return reduction.repeated(array, (self.channels, self.inner), (1,)) if self._by_column else array

    def statistics(self, x):
        """Return (sums, squares), DeviceArrays (channels,): of the values, and of what they are off from their mean."""
        if self._by_column:
            outer, inner, blocks = -(-self.outer // self._cut.block), self.inner, (self._cut.block, 1)
        else:
            outer, inner, blocks = self.outer, -(-self.inner // self._cut.part), (1, self._cut.part)
        sums, squares = (self.device.empty((outer, self.channels, inner)) for _ in range(2))
        self._over_parts("statistics", x=x, sums=sums, squares=squares)
        while outer * inner > 1:
            piece = max(1, _MERGED // inner)
            pieces = -(-outer // piece)
            merged = tuple(self.device.empty((pieces, self.channels)) for _ in range(2))
            self.launch(
                "merge_statistics",
                pieces * self.channels,
                sums=sums,
                squares=squares,
                merged_sums=merged[0],
                merged_squares=merged[1],
                outer=outer,
                channels=self.channels,
                inner=inner,
                outer_block=blocks[0],
                outer_total=self.outer,
                inner_block=blocks[1],
                inner_total=self.inner,
                piece=piece,
                pieces=pieces,
            )
            (sums, squares), outer, inner, blocks = merged, pieces, 1, (piece * blocks[0], self.inner)
        return sums.reshape((self.channels,)), squares.reshape((self.channels,))

    def masked(self, limits, factor, bias):
        """Return what :meth:`products` and ``gradient`` take of the limits that x was kept within when normalised.

        Parameters
        ----------
        limits : refcnn.opencl.shared.fusion.Limits
        factor, bias : DeviceArray
            (channels,): normalised it is (x - mean) factor + bias.
        """
        if limits == UNLIMITED:
            factor = bias = None
        else:
            factor, bias = self.of_channels(factor), self.of_channels(bias)
        return {"factor": factor, "bias": bias, **limits.arguments, "passes_least": int(limits.passes_least)}

    def products(self, dy, x, mean, masked):
        """Return the sums of dy and of dy (x - mean) for each channel, a DeviceArray (2, channels).

        Where ``masked`` has limits, dy is taken as 0 where x is not within them when it is normalised.
        """
        outer = -(-self.outer // self._cut.block) if self._by_column else self.outer
        inner = self.inner if self._by_column else -(-self.inner // self._cut.part)
        sums = self.device.empty((2, outer, self.channels, inner))
        channels = {} if self._by_column else {"channels": self.channels}
        arrays = {"dy": dy, "x": x, "mean": self.of_channels(mean), "sums": sums}
        self._over_parts("products", **arrays, **channels, behind=sums.size // 2, masked=masked)
        return reduction.sum_over(sums, (1, 3)).reshape((2, self.channels))

    def _over_parts(self, kernel, **arguments):
        cut, sizes = self._cut, {"rows": self._rows, "length": self._length}
        if self._by_column:
            items = -(-self._length // cut.columns), -(-self._rows // cut.block)
            self._launch(f"column_{kernel}", items, (cut.group, 1), **arguments, **sizes, block=cut.block)
            return
        items, sizes = self._parts(cut.part)
        self._launch(f"row_{kernel}", (items,), (cut.group,), **arguments, **sizes)

    def _parts(self, part):
        """Return how many work-items there are for rows that are cut into parts, and the sizes that kernels need."""
        part = min(part, self._length)
        parts = -(-self._length // part)
        per_item = max(1, self._cut.values // part)
        sizes = {"rows": self._rows, "length": self._length, "part": part, "parts": parts, "per_item": per_item}
        return -(-self._rows * parts // per_item), sizes

    def each(self, kernel, **arrays):
        """Run a kernel over all values; what belongs to channels is in the form of :meth:`of_channels`.

        What is given as ``masked`` is as :meth:`masked` has it.
        """
        items, sizes = self._parts(self._cut.run)
        self._launch(kernel, (items,), (self._cut.group,), **arrays, **sizes, channels=self.channels)

    def launch(self, kernel, items, **arguments):
        """Run a kernel with a work-item for each of few numbers."""
        self._launch(kernel, (items,), (64,), **arguments)

    def _launch(self, kernel, items, group, *, masked=None, **arguments):
        is_masked, masked = masked is not None and masked["factor"] is not None, masked or {}
        options = _options(self._cut, self._by_column, is_centred=True, is_masked=is_masked)
        self.device.launch("normalization", kernel, items, group, options=options, **masked, **arguments)


class EachRow:
    """Rows that are normalised each by itself: x is (rows, parts, length).

    Parameters
    ----------
    device : Device
    rows, parts, length : int
    channels : int or None
        Of how many channels the parts are, one after the other and again, where scale and bias have a number for each
        channel; None where they have one for each value of a row, which is one part then.
    is_centred : bool
        Whether the mean is taken away, and a bias added.
    """

    def __init__(self, device, rows, parts, length, channels=None, is_centred=True):
        cut = _cut(device)
        self._device, self._by_column, self._group = device, channels is None, cut.group
        per_item = max(1, cut.row_values // (parts * length))
        if self._by_column:
            # Each work-item has sums of its own for scale and bias.
            per_item = max(per_item, rows // (_ITEMS_PER_UNIT * device.compute_units))
        self._sizes = {"rows": rows, "parts": parts, "length": length, "channels": channels or 1, "per_item": per_item}
        self._items = -(-rows // per_item)
        self._options = _options(cut, self._by_column, is_centred)

    def forward(self, x, scale, bias, epsilon):
        """Return y, and the mean and the inverse of the standard deviation of each row."""
        y, mean, inverse = (self._device.empty(shape) for shape in (x.shape, *[(self._sizes["rows"],)] * 2))
        arrays = {"x": x, "scale": scale, "bias": bias, "y": y, "mean": mean, "inverse": inverse}
        self._launch("normalise_rows", **arrays, epsilon=epsilon)
        return y, mean, inverse

    def backward(self, dy, x, scale, mean, inverse):
        """Return dx, dscale and dbias."""
        sizes = self._sizes
        shape = (
            (self._items, sizes["length"])
            if self._by_column
            else (sizes["rows"] * sizes["parts"] // sizes["channels"], sizes["channels"])
        )
        dx, dscale, dbias = (self._device.empty(shape) for shape in (x.shape, shape, shape))
        arrays = {"dy": dy, "x": x, "scale": scale, "mean": mean, "inverse": inverse, "dx": dx}
        self._launch("normalise_rows_backward", **arrays, dscale=dscale, dbias=dbias)
        return dx, *(reduction.sum_over(entry, (0,)).reshape(scale.shape) for entry in (dscale, dbias))

    def _launch(self, kernel, **arguments):
        self._device.launch(
            "normalization", kernel, (self._items,), (self._group,), options=self._options, **arguments, **self._sizes
        )
