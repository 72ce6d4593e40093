"""Convolution as matrix products: forward as one matrix product over a padded copy of x, backward as two.

With a stride, the copy holds one plane for each residue of a pixel's position
modulo the stride (a *phase*). Inside a phase a step of the window is a step of
one pixel, so that every stride and dilation is read without gaps, and the
input gradient of one phase is a convolution with the taps that meet it.

All planes have rows of one ``pitch``. A place in a plane is i pitch + j; the
last places of each row belong to no window and their results are not stored.
The copy of dy has the same pitch, with zeros around it. Where a window is one
pixel and nothing is skipped, x and dy lie so already, and are not copied. Where
the only window is the whole image, all three are products of plain matrices.
"""

import dataclasses
import functools

import numpy as np

from ...errors import ShapeError
from ..shared import matrices, matrix_product
from ..shared.fusion import UNLIMITED
from ..shared.matrix_product import LARGEST_VECTOR, Places
from ..shared.reduction import sum_over
from ..variants import variant

# How many vectors the images of a product may take for each one that they would take if they were joined.
_MOST_VECTORS = 1.08
# Elements that a work-item of a GPU copies, at most.
_COPIES_PER_ITEM = 8
# The same of a CPU, at least, so that starting it does not show.
_COPIES_PER_CORE_ITEM = 4096


def forward(x, w, b, geometry, limits=UNLIMITED):
    """x (N, C, H, W), w (K, C/groups, kh, kw), b (1, K, 1, 1) or None -> y (N, K, out_h, out_w), packed x."""
    if _is_of_matrices(geometry):
        y = matrices.times_transposed(*_as_matrices(x, w), b, limits)
        return y.reshape(geometry.y_shape), None
    device, which = x.device, variant(x.device)
    layout, groups = _layout(geometry, which), geometry.groups
    images, places = layout.joined(layout.y_places)
    chunks = matrix_product.chunks_for(device, layout.outputs, images * places.count, layout.terms, groups)
    y = device.empty((chunks, layout.N, layout.K, layout.out_h, layout.out_w))
    planes = _pack_x(x, layout)
    offsets = layout.offsets(device)
    matrix_product.product(
        device,
        w,
        planes,
        offsets,
        y,
        places,
        rows=layout.outputs,
        terms=layout.terms,
        a_row=layout.terms,
        a_term=1,
        a_group=layout.outputs * layout.terms,
        b_image=layout.x_image,
        b_group=layout.x_image // groups,
        c_row=layout.out_h * layout.out_w,
        c_image=layout.K * layout.out_h * layout.out_w,
        c_group=layout.outputs * layout.out_h * layout.out_w,
        images=images,
        groups=groups,
        chunks=chunks,
        c_chunk=y.size // chunks,
        **({"bias": b, "limits": limits} if chunks == 1 else {}),
    )
    return y.reshape(y.shape[1:]) if chunks == 1 else matrix_product.sum_chunks(y, b, limits), planes


def backward(dy, geometry):
    """Return what computes the gradients of one dy, (N, K, out_h, out_w): its methods ``x``, ``w`` and ``b``.

    Parameters
    ----------
    dy : DeviceArray
    geometry : Convolution
    """
    return (_BackwardOfMatrices if _is_of_matrices(geometry) else _Backward)(dy, geometry)


class _Backward:
    """One packed copy of dy serves all gradients."""

    def __init__(self, dy, geometry):
        self._layout, self._groups, self._dy = _layout(geometry, variant(dy.device)), geometry.groups, dy
        self._packed, self._sums = _pack_dy(dy, self._layout)

    def x(self, w):
        """Return dx (N, C, H, W)."""
        device, layout, groups = w.device, self._layout, self._groups
        # There are as many chunks of one phase as of another, since their sums are added together.
        terms, count = max((terms, places.count) for _, terms, places in layout.x_phases)
        chunks = matrix_product.chunks_for(device, layout.inputs, layout.N * count, terms, groups)
        dx = device.empty((chunks, layout.N, layout.C, layout.H, layout.W))
        offsets, sources = layout.backward_tables(device)
        factor, places_of_factor = matrix_product.pack_factor(
            w,
            sources,
            rows=layout.inputs,
            groups=groups,
            factor_group=layout.outputs * layout.terms,
            factor_row=layout.kernel_h * layout.kernel_w,
        )
        for first_term, terms, of_phase in layout.x_phases:
            images, places = layout.joined(of_phase)
            matrix_product.product(
                device,
                factor,
                self._packed,
                offsets,
                dx,
                places,
                rows=layout.inputs,
                first_term=first_term,
                terms=terms,
                **places_of_factor,
                b_start=layout.y_lead,
                b_image=layout.y_image,
                b_group=layout.y_image // groups,
                c_row=layout.H * layout.W,
                c_image=layout.C * layout.H * layout.W,
                c_group=layout.inputs * layout.H * layout.W,
                images=images,
                groups=groups,
                chunks=chunks,
                c_chunk=dx.size // chunks,
            )
        return matrix_product.sum_chunks(dx)

    def w(self, x, packed=None):
        """Return dw (K, C/groups, kh, kw), from x or its packed copy."""
        layout = self._layout
        packed = _pack_x(x, layout) if packed is None else packed
        images, places = layout.joined(layout.y_places)
        return matrix_product.dot_product(
            packed.device,
            self._packed,
            packed,
            layout.offsets(packed.device),
            rows=layout.outputs,
            columns=layout.terms,
            places=places.count,
            images=images,
            groups=self._groups,
            a_start=layout.y_lead,
            a_row=layout.y_channel,
            a_image=layout.y_image,
            a_group=layout.y_image // self._groups,
            b_image=layout.x_image,
            b_group=layout.x_image // self._groups,
        ).reshape((layout.K, layout.inputs, layout.kernel_h, layout.kernel_w))

    def b(self):
        """Return db (1, K, 1, 1)."""
        layout = self._layout
        if self._sums is None:
            return sum_over(self._dy, (0, 2, 3)).reshape((1, layout.K, 1, 1))
        sums = self._sums.reshape((self._sums.size // layout.K, layout.K))
        return matrix_product.sum_chunks(sums).reshape((1, layout.K, 1, 1))


class _BackwardOfMatrices:
    """The same where dy is a matrix, (N, K), and x one of (N, terms)."""

    def __init__(self, dy, geometry):
        (self._dy,), self._geometry = _as_matrices(dy), geometry

    def x(self, w):
        """Return dx (N, C, H, W)."""
        chunks = matrices.chunks_of_products(self._dy, *_as_matrices(w))
        return matrix_product.sum_chunks(chunks).reshape(self._geometry.x_shape)

    def w(self, x, packed=None):
        """Return dw (K, C, kh, kw)."""
        return matrices.transposed_times(self._dy, *_as_matrices(x)).reshape(self._geometry.w_shape)

    def b(self):
        """Return db (1, K, 1, 1)."""
        return sum_over(self._dy, (0,)).reshape((1, self._dy.shape[1], 1, 1))


def _is_of_matrices(geometry):
    """Return whether the only window is the whole image, of one group."""
    return geometry.groups == 1 and geometry.kernel == tuple(geometry.x_shape[2:]) and not any(geometry.padding)


def _as_matrices(*arrays):
    return [array.reshape((array.shape[0], array.size // array.shape[0])) for array in arrays]


def _pack_x(x, layout):
    if layout.is_as_given:
        return x
    packed = x.device.empty((layout.x_size,))
    _pack(
        image=x,
        packed=packed,
        sums=None,
        bases=layout.bases(x.device),
        phases=len(layout.phases),
        planes=layout.N * layout.C,
        joined_images=layout.joined_images,
        plane_size=layout.x_plane,
        lead=0,
        **_rows(layout, layout.H, layout.W, layout.x_rows, layout.pitch),
        step_y=layout.s_h,
        step_x=layout.s_w,
    )
    return packed


def _pack_dy(dy, layout):
    """Return the copy of dy, and sums over parts of its planes, or None where there is no copy.

    The sums are those of all planes' first parts, then of the second ones.
    """
    if layout.is_as_given:
        return dy, None
    packed = dy.device.empty((layout.y_size,))
    sums = dy.device.empty((_parts(dy.device, layout.y_plane) * layout.N * layout.K,))
    _pack(
        image=dy,
        packed=packed,
        sums=sums,
        bases=matrix_product.regular_offsets(dy.device, 2, 0),
        phases=1,
        planes=layout.N * layout.K,
        joined_images=layout.joined_images,
        plane_size=layout.y_plane,
        lead=layout.y_lead,
        **_rows(layout, layout.out_h, layout.out_w, layout.out_h, layout.out_w),
        step_y=1,
        step_x=1,
    )
    return packed, sums


def _rows(layout, height, width, packed_rows, packed_columns):
    """Return the rows of a plane and of its copy; they are one where they follow each other in both."""
    if layout.is_joined and (height, width) == (packed_rows, packed_columns):
        height, width, packed_rows, packed_columns = 1, layout.places, 1, layout.places
    return {
        "height": height,
        "width": width,
        "packed_rows": packed_rows,
        "packed_columns": packed_columns,
        "pitch": packed_columns if layout.is_joined else layout.pitch,
    }


def _pack(*, image, sums, phases, planes, joined_images, plane_size, **arguments):
    device = image.device
    which = variant(device)
    if which == "cpu":
        per_item = max(1, _COPIES_PER_CORE_ITEM // (phases * plane_size))
        sizes, options = ((-(-planes // per_item),), (1,)), ()
        of_cores = {"planes_per_item": per_item, "images": joined_images}
    else:
        group, parts = _group_of_packing(device), _parts(device, plane_size)
        sizes, options = ((planes * group, parts, phases), (group, 1, 1)), (f"-DGROUP={group}",)
        of_cores = {}
    device.launch(
        f"conv2d_{which}",
        "pack",
        *sizes,
        options=options,
        image=image,
        sums=sums,
        has_sums=int(sums is not None),
        phases=phases,
        planes=planes,
        plane_size=plane_size,
        **of_cores,
        **arguments,
    )


def _parts(device, plane_size):
    """Return into how many parts a plane is cut, each of which a work-group copies: on a CPU it is one."""
    return 1 if variant(device) == "cpu" else -(-plane_size // (_COPIES_PER_ITEM * _group_of_packing(device)))


def _group_of_packing(device):
    return 8 if device.is_simulator else 128


@functools.lru_cache(maxsize=256)
def _layout(geometry, variant):
    return _Layout(geometry, variant)


class _Layout:
    """Where everything lies in the packed copies of x and dy, for one geometry and a variant of the products."""

    def __init__(self, geometry, variant):
        self.N, self.C, self.H, self.W = geometry.x_shape
        _, self.K, self.out_h, self.out_w = geometry.y_shape
        self.groups, self.inputs, self.outputs = geometry.groups, geometry.inputs, geometry.outputs
        self.kernel_h, self.kernel_w = geometry.kernel
        self.s_h, self.s_w = geometry.stride
        self.d_h, self.d_w = geometry.dilation
        self.top, self.left = geometry.padding[:2]
        self.terms = geometry.terms

        # A tap lies in a phase, so many rows below and columns to the right of the window's first pixel there.
        rows = [divmod(p * self.d_h, self.s_h) for p in range(self.kernel_h)]
        columns = [divmod(q * self.d_w, self.s_w) for q in range(self.kernel_w)]
        self._on_devices = {}
        self.taps = [(row, column) for row in rows for column in columns]
        self.phases = sorted({(row[1], column[1]) for row, column in self.taps})
        down, right = rows[-1][0], columns[-1][0]

        self.pitch = self._pitch(right)
        self.places = (self.out_h - 1) * self.pitch + self.out_w
        self.y_places = Places(self.places, 0, self.pitch, self.out_w, c_y=self.out_w)
        self.x_rows = self.out_h + down
        # The vectors of dot products read past the last place: into zeros, for what follows may be NaN or infinity.
        self.x_plane = _whole_vectors(self.places + down * self.pitch + right) + LARGEST_VECTOR
        self.y_lead = _whole_vectors(down * self.pitch + right)
        self.x_phases = list(self._x_phases())
        last = max([self.places] + [places.first + places.count for _, _, places in self.x_phases])
        self.y_plane = self.y_lead + _whole_vectors(last) + LARGEST_VECTOR
        is_pixel = tuple(geometry.kernel) == (1, 1) and not any(geometry.padding)
        # Kernels for CPUs read whole vectors, of which the last is moved back into its plane: in small planes a large
        # part is read twice, and planes that lie beside each other are one.
        vectors = self.N * _whole_vectors(self.places)
        self.is_joined = (
            is_pixel and variant == "cpu" and vectors > _MOST_VECTORS * _whole_vectors(self.N * self.places)
        )
        self.is_as_given = (
            is_pixel
            and tuple(geometry.stride) == (1, 1)
            and not self.is_joined
            and (variant == "gpu" or self.places >= LARGEST_VECTOR)
        )
        if self.is_as_given or self.is_joined:
            self.x_plane = self.y_plane = self.places
            self.y_lead = 0
        self.joined_images = images = self.N if self.is_joined else 1
        self.x_channel, self.y_channel = images * len(self.phases) * self.x_plane, images * self.y_plane
        self.x_image, self.y_image = self.C * self.x_channel, self.K * self.y_channel
        self.x_size, self.y_size = (self.N // images * size + LARGEST_VECTOR for size in (self.x_image, self.y_image))
        largest = max(self.x_size, self.y_size)
        if largest >= 2**31:
            raise ShapeError(
                f"Conv2d: x of shape {geometry.x_shape} with w of shape {geometry.w_shape} needs a working copy of "
                f"{largest} elements, but the kernels count in 32 bits, up to {2**31 - 1}. Use a smaller batch."
            )

    def _pitch(self, right):
        """Elements from one row of a plane to the next; the zeros at a row's right can serve at the next one's left."""
        columns = max(self.out_w + right, -(-(self.W + self.left) // self.s_w))
        shared = columns - self.out_w
        for px in range(self.s_w):
            before = max(0, -(-(self.left - px) // self.s_w))
            pixels = max(0, (self.W - 1 + self.left - px) // self.s_w + 1 - before)
            shared = min(shared, before, columns - before - pixels)
        return columns - shared

    def _x_phases(self):
        """For each phase of x: the first of its terms in the backward tables, their number, and its places."""
        first_term = 0
        for py in range(self.s_h):
            for px in range(self.s_w):
                taps = sum((row[1], column[1]) == (py, px) for row, column in self.taps)
                i0, j0 = max(0, -(-(self.top - py) // self.s_h)), max(0, -(-(self.left - px) // self.s_w))
                i1, j1 = (self.H - 1 + self.top - py) // self.s_h, (self.W - 1 + self.left - px) // self.s_w
                if i1 >= i0 and j1 >= j0:
                    first = i0 * self.pitch + j0
                    places = Places(
                        i1 * self.pitch + j1 - first + 1,
                        first,
                        self.pitch,
                        self.W,
                        c_y=self.W,
                        step_y=self.s_h,
                        base_y=py - self.top,
                        step_x=self.s_w,
                        base_x=px - self.left,
                    )
                    yield first_term, taps * self.outputs, places
                first_term += taps * self.outputs

    def joined(self, places):
        """Return of how many images a product is, and the places of each: of one where those of all are joined.

        Parameters
        ----------
        places : Places
            Of an image.
        """
        if not self.is_joined or places.count != self.places:
            return self.N, places
        return 1, dataclasses.replace(places, count=self.N * self.places, plane_rows=self.out_h)

    def bases(self, device):
        """For each phase the row and the column of x with which it begins."""
        return self._tables(device, self._bases)[0]

    def offsets(self, device):
        """For each term (c, p, q): where it begins in packed x."""
        return self._tables(device, self._offsets)[0]

    def backward_tables(self, device):
        """For each term (phase, k, tap): where it begins in packed dy, and in the weights of one input channel."""
        return self._tables(device, self._backward_tables)

    def _tables(self, device, compute):
        key = device, compute.__name__
        if key not in self._on_devices:
            self._on_devices[key] = tuple(device.array(table.astype(np.int32)) for table in compute())
        return self._on_devices[key]

    def _bases(self):
        return (np.array([(py - self.top, px - self.left) for py, px in self.phases]).ravel(),)

    def _offsets(self):
        plane = {phase: index * self.x_plane for index, phase in enumerate(self.phases)}
        taps = [plane[row[1], column[1]] + row[0] * self.pitch + column[0] for row, column in self.taps]
        channels = np.arange(self.inputs) * self.x_channel
        return ((channels[:, None] + np.array(taps)).ravel(),)

    def _backward_tables(self):
        offsets, sources = [], []
        k = np.arange(self.outputs)[:, None]
        for phase in ((py, px) for py in range(self.s_h) for px in range(self.s_w)):
            taps = [
                (index, row[0] * self.pitch + column[0])
                for index, (row, column) in enumerate(self.taps)
                if (row[1], column[1]) == phase
            ]
            index, shift = np.array(taps, dtype=np.int64).reshape(-1, 2).T
            offsets.append((k * self.y_channel - shift).ravel())
            sources.append((k * self.terms + index).ravel())
        return np.concatenate(offsets), np.concatenate(sources)


def _whole_vectors(count):
    return -(-count // LARGEST_VECTOR) * LARGEST_VECTOR
