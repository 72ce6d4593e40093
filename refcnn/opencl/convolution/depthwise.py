"""Depthwise convolution of one output channel to each input channel, on CPU cores.

There is nothing to share between channels, so that all depends on memory and on vectors that are full, which rows of
small planes do not fill: ``kernels/conv2d_depthwise.cl`` says how they are computed instead.
"""

import functools

import numpy as np

from ..shared.fusion import UNLIMITED
from ..shared.matrix_product import LARGEST_VECTOR

# Floats of the copies of the planes that a work-item reads together, so that they stay in a core's first-level cache,
# and the images that they are of: each is a stream from memory of its own.
_BLOCK_FLOATS, _MOST_IMAGES = 4096, 8
# The largest copy of a plane, in floats, also of one that is cut into phases, and the shortest row of which only some
# pixels are written at once.
_MOST_FLOATS, _MOST_FLOATS_IN_PHASES, _LONG_ROW = 65536, 8192, 32
# Work-items for each core, so that a core that is late leaves work to others.
_ITEMS_PER_CORE = 4
# Accumulators of the gradient of w, and vectors that the other kernel computes together.
_TERMS, _VECTORS = 9, 4
# Rows and vectors of one that it computes together where what it reads serves several rows; of windows with how many
# rows, and what part of the pixels that it computes must be wanted at least.
_ROWS, _VECTORS_OF_ROW, _TAP_ROWS, _WORTHWHILE = 4, 2, range(5, 10), 0.8


def applies(geometry):
    """Return whether a convolution can be computed so, in all three directions.

    Parameters
    ----------
    geometry : refcnn.opencl.convolution.sizes.Convolution
    """
    return geometry.inputs == geometry.outputs == 1


def is_fast(direction, geometry):
    """Return whether this, where it applies, was measured to be faster on CPUs than strips of rows.

    With a stride the pixels of dx are written one by one, which long rows of strips do better.

    Parameters
    ----------
    direction : str
        ``forward``, ``backward_x`` or ``backward_w``.
    geometry : refcnn.opencl.convolution.sizes.Convolution
    """
    has_phases = geometry.stride[1] > 1
    is_scattered = direction == "backward_x" and has_phases and geometry.x_shape[3] >= _LONG_ROW
    most = _MOST_FLOATS_IN_PHASES if has_phases else _MOST_FLOATS
    return not is_scattered and _layout(geometry).staged <= most


def forward(x, w, b, geometry, limits=UNLIMITED):
    """Return y (N, C, out_h, out_w), within limits.

    Parameters
    ----------
    x : DeviceArray
        (N, C, H, W), float32.
    w : DeviceArray
        (C, 1, kh, kw), float32.
    b : DeviceArray or None
        (1, C, 1, 1), float32.
    geometry : refcnn.opencl.convolution.sizes.Convolution
    limits : refcnn.opencl.shared.fusion.Limits

    Raises
    ------
    ShapeError
        If an array has more elements than the kernels can count.
    """
    layout = _layout(geometry)
    y = x.device.empty(geometry.y_shape)
    _correlate(layout, x, w, b, limits, y, layout.forward_tables(x.device), layout.of_x)
    return y


def backward_x(dy, w, geometry):
    """Return dx (N, C, H, W).

    Parameters
    ----------
    dy : DeviceArray
        (N, C, out_h, out_w), float32.
    w : DeviceArray
        (C, 1, kh, kw), float32.
    geometry : refcnn.opencl.convolution.sizes.Convolution

    Raises
    ------
    ShapeError
        If an array has more elements than the kernels can count.
    """
    layout = _layout(geometry)
    dx = dy.device.empty(geometry.x_shape)
    _correlate(layout, dy, w, None, UNLIMITED, dx, layout.backward_tables(dy.device), layout.of_dy)
    return dx


def backward_w(x, dy, geometry):
    """Return dw (C, 1, kh, kw) and db (1, C, 1, 1).

    Parameters
    ----------
    x : DeviceArray
        (N, C, H, W), float32.
    dy : DeviceArray
        (N, C, out_h, out_w), float32.
    geometry : refcnn.opencl.convolution.sizes.Convolution

    Raises
    ------
    ShapeError
        If an array has more elements than the kernels can count.
    """
    layout, device = _layout(geometry), x.device
    (images, channels, *_), terms = geometry.x_shape, geometry.terms
    parts = min(channels, _ITEMS_PER_CORE * device.compute_units)
    chunks = min(-(-images // layout.block), -(-_ITEMS_PER_CORE * device.compute_units // parts))
    partials = device.empty((chunks, channels, terms + 1, device.vector_width))
    dw, db = device.empty(geometry.w_shape), device.empty((1, channels, 1, 1))
    scratch_item = (len(layout.phases) + 1) * layout.phase_size
    device.launch(
        "conv2d_depthwise",
        "correlate_weights",
        (parts * chunks,),
        (1,),
        options=_options(device),
        x=x,
        dy=dy,
        partials=partials,
        scratch=device.empty((parts * chunks * scratch_item,)),
        scratch_item=scratch_item,
        tables=layout.forward_tables(device),
        items=parts * chunks,
        parts=parts,
        chunks=chunks,
        **layout.arguments,
        **layout.of_x.steps,
        height=geometry.x_shape[2],
        width=geometry.x_shape[3],
        out_h=geometry.y_shape[2],
        out_w=geometry.y_shape[3],
        phases=len(layout.phases),
    )
    device.launch(
        "conv2d_depthwise",
        "sum_partials",
        (channels,),
        (1,),
        options=_options(device),
        partials=partials,
        dw=dw,
        db=db,
        channels=channels,
        terms=terms,
        chunks=chunks,
    )
    return dw, db


def _options(device):
    return f"-DWIDTH={device.vector_width}", f"-DTERMS={_TERMS}"


def _correlate(layout, x, w, b, limits, y, tables, read):
    device = x.device
    images, channels, height, width = x.shape
    items = min(_ITEMS_PER_CORE * device.compute_units, -(-images // layout.block) * channels)
    # Of the pixels, the weights and the results.
    by_rows = layout.by_rows(device.vector_width, y.shape[3])
    pitch = -(-y.shape[3] // by_rows) * by_rows if by_rows else layout.pitch
    result_size = -(-layout.block * layout.rows // _ROWS) * _ROWS * pitch if by_rows else layout.phase_size
    scratch_item = read.phases * layout.phase_size + layout.geometry.terms + result_size
    device.launch(
        "conv2d_depthwise",
        "correlate",
        (items,),
        (1,),
        options=(*_options(device), *((f"-DTAP_ROWS={layout.geometry.kernel[0]}",) if by_rows else ())),
        x=x,
        w=w,
        bias=b,
        has_bias=int(b is not None),
        **limits.arguments,
        y=y,
        scratch=device.empty((items * scratch_item,)),
        scratch_item=scratch_item,
        tables=tables,
        items=items,
        **layout.arguments,
        **read.steps,
        **read.passes,
        height=height,
        width=width,
        out_h=y.shape[2],
        out_w=y.shape[3],
        phases=read.phases,
        result_pitch=pitch,
    )


@functools.lru_cache(maxsize=256)
def _layout(geometry):
    return _Layout(geometry)


class _Reading:
    """What of the kernels' sizes differs where x is read and where dy is."""

    def __init__(self, *, phases, step, before, passes, out_step, lead):
        self.phases = phases
        self.steps = {"step_h": step[0], "step_w": step[1], "top": before[0], "left": before[1]}
        self.passes = {"passes": passes, "out_step_h": out_step[0], "out_step_w": out_step[1], "lead": lead}


class _Layout:
    """Where the copies of planes lie, for one geometry.

    Attributes
    ----------
    phases : list of (int, int)
        The pixels of x that some tap reads, as far apart as the windows: row and column of the first.
    pitch, rows : int
        From one row to the next, and the rows from one image to the next: zeros at an end serve at the next beginning.
    block : int
        Images that are computed together.
    phase_size : int
        Floats of one phase of a block, with the zeros before and behind it.
    """

    def __init__(self, geometry):
        geometry.check_countable()
        self.geometry = geometry
        self._on_devices = {}
        of_axes = zip(geometry.kernel, geometry.dilation, geometry.stride, strict=True)
        # A tap lies in a phase, so many rows below and columns to the right of the window's first pixel there.
        rows, columns = ([divmod(tap * spread, step) for tap in range(taps)] for taps, spread, step in of_axes)
        self._taps = [(row, column) for row in rows for column in columns]
        self.phases = sorted({(row[1], column[1]) for row, column in self._taps})
        down, right = rows[-1][0], columns[-1][0]
        self.rows, self.pitch = (self._distance(axis, reach) for axis, reach in enumerate((down, right)))
        plane, lead = self.rows * self.pitch, down * self.pitch + right
        self.block = max(1, min(geometry.x_shape[0], _MOST_IMAGES, _BLOCK_FLOATS // (len(self.phases) * plane)))
        #: Floats of the copy of one plane.
        self.staged = len(self.phases) * plane
        # The last vectors of a block reach into zeros, and its last rows where several are taken together.
        self.phase_size = 2 * lead + self.block * plane + _VECTORS * LARGEST_VECTOR + _ROWS * self.pitch
        self._passes = list(self._backward_passes())
        top, left, *_ = geometry.padding
        self.of_x = _Reading(
            phases=len(self.phases), step=geometry.stride, before=(top, left), passes=1, out_step=(1, 1), lead=0
        )
        self.of_dy = _Reading(
            phases=1, step=(1, 1), before=(0, 0), passes=len(self._passes), out_step=geometry.stride, lead=lead
        )
        self.arguments = {
            "images": geometry.x_shape[0],
            "channels": geometry.x_shape[1],
            "block": self.block,
            "terms": geometry.terms,
            "pitch": self.pitch,
            "plane_rows": self.rows,
            "phase_size": self.phase_size,
        }

    def by_rows(self, width, columns):
        """Return how many pixels of a row are computed together if several rows are, or 0 where that does not pay."""
        geometry, together = self.geometry, _VECTORS_OF_ROW * width
        are_neighbours = tuple(geometry.stride) == tuple(geometry.dilation) == (1, 1)
        if not are_neighbours or geometry.kernel[0] not in _TAP_ROWS:
            return 0
        computed = -(-columns // together) * together
        return together if computed * _WORTHWHILE <= self.pitch else 0

    def _distance(self, axis, reach):
        """Pixels from the beginning of a row to that of the next, or rows from one image to the next."""
        geometry = self.geometry
        size, out, before = geometry.x_shape[2 + axis], geometry.y_shape[2 + axis], geometry.padding[axis]
        step = geometry.stride[axis]
        pixels = max(out + reach, -(-(size + before) // step))
        shared = pixels - out
        for phase in range(step):
            zeros = max(0, -(-(before - phase) // step))
            end = max(zeros, (size - 1 + before - phase) // step + 1)
            shared = min(shared, zeros, pixels - end)
        return pixels - shared

    def _backward_passes(self):
        """For each phase of dx: its terms' places in w, and the rest of what the kernel takes for a pass."""
        (s_h, s_w), (top, left, *_), (height, width) = (
            self.geometry.stride,
            self.geometry.padding,
            self.geometry.x_shape[2:],
        )
        for phase in ((py, px) for py in range(s_h) for px in range(s_w)):
            taps = [tap for tap, (row, column) in enumerate(self._taps) if (row[1], column[1]) == phase]
            base_y, base_x = phase[0] - top, phase[1] - left
            i, j = max(0, -(base_y // s_h)), max(0, -(base_x // s_w))
            rows, columns = (height - 1 - base_y) // s_h + 1 - i, (width - 1 - base_x) // s_w + 1 - j
            if rows > 0 and columns > 0:
                yield taps, (i, rows, j, columns, base_y, base_x)

    def forward_tables(self, device):
        """Return the kernels' tables for reading x."""
        offsets = [
            self.phases.index((row[1], column[1])) * self.phase_size + row[0] * self.pitch + column[0]
            for row, column in self._taps
        ]
        terms = [entry for tap, offset in enumerate(offsets) for entry in (offset, tap)]
        _, _, out_h, out_w = self.geometry.y_shape
        phases = [entry for phase in self.phases for entry in phase]
        return self._table(device, "forward", [*phases, *terms, 0, len(self._taps), 0, out_h, 0, out_w, 0, 0])

    def backward_tables(self, device):
        """Return the kernels' tables for reading dy."""
        terms, passes = [], []
        for taps, places in self._passes:
            passes += [len(terms) // 2, len(taps), *places]
            for tap in taps:
                row, column = self._taps[tap]
                terms += [-(row[0] * self.pitch + column[0]), tap]
        # Taps of a phase that has no pixel belong to no pass.
        unused = [0, 0] * (len(self._taps) - len(terms) // 2)
        return self._table(device, "backward", [0, 0, *terms, *unused, *passes])

    def _table(self, device, name, numbers):
        key = device, name
        if key not in self._on_devices:
            self._on_devices[key] = device.array(np.array(numbers, np.int32))
        return self._on_devices[key]
