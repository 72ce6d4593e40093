"""Which of the edges that break kernels a case reaches: what a run covered, and what not, can then be said."""

import math

import numpy as np

from ..theory.bounds import number_format
from ..theory.strategies import spans

#: Sides of the tiles, vectors and work-groups that kernels use.
_TILES = (4, 5, 8, 16, 24, 32, 48, 64, 128)
_VECTORS = (4, 8, 16)


def edges(operation, case):
    """Return the edges that a case of an operation could reach, and whether it does.

    Parameters
    ----------
    operation : str
    case : Case

    Returns
    -------
    dict of str to bool
        The same edges for every case of the operation.
    """
    attributes = case.attributes
    found = _shapes(case) | _values(case)
    if operation == "conv2d":
        x, w, b = case.inputs
        found |= _windows(x.shape, w.shape[2:], attributes["dilation"], attributes) | _planes(case)
        found |= _channels(x.shape[1], w.shape, attributes)
    elif "kernel" in attributes:
        found |= _windows(case.inputs[0].shape, attributes["kernel"], (1, 1), attributes) | _planes(case)
    if operation in ("conv2d", "dense"):
        found |= {"bias": case.inputs[2] is not None, "no bias": case.inputs[2] is None}
    for name, value in attributes.items():
        if isinstance(value, bool):
            found |= {f"{name}: True": value, f"{name}: False": not value}
        elif name in ("ratio", "momentum", "beta1", "beta2"):
            found[f"{name} 0"] = value == 0
    return {edge: bool(is_reached) for edge, is_reached in found.items()}


def _shapes(case):
    arrays = [entry for entry in case.inputs if entry is not None]
    extents = [side for entry in arrays for side in entry.shape]
    batch = arrays[0].shape[0]
    return {
        "every extent 1": all(side == 1 for side in extents),
        "batch 1": batch == 1,
        "odd batch": batch > 1 and batch % 2 == 1,
        "even batch": batch % 2 == 0,
        "prime extent": any(_is_prime(side) for side in extents if side > 2),
        "one less than a tile": any(side + 1 in _TILES for side in extents),
        "a whole tile": any(side in _TILES for side in extents),
        "one more than a tile": any(side - 1 in _TILES for side in extents),
    }


def _values(case):
    arrays = [entry for entry in (*case.inputs, case.dy) if entry is not None]
    values = np.concatenate([entry.ravel() for entry in arrays])
    finite = values[np.isfinite(values)]
    magnitude = np.abs(finite[finite != 0])
    return {
        "NaN": np.isnan(values).any(),
        "infinity": np.isinf(values).any(),
        "subnormal values": (magnitude < number_format().smallest_normal).any(),
        "values below 1e-15": (magnitude < 1e-15).any(),
        "values above 1e13": (magnitude > 1e13).any(),
        "both signs": (finite > 0).any() and (finite < 0).any(),
        "integers only": finite.size == values.size and (finite == np.rint(finite)).all(),
        "many ties": any(entry.size >= 8 and np.unique(entry).size <= entry.size // 4 for entry in arrays),
        "sums that cancel": any(_cancels(entry) for entry in arrays),
    }


def _cancels(array):
    finite = array[np.isfinite(array)].astype(np.float64)
    return array.size >= 8 and abs(finite.sum()) < 0.02 * np.abs(finite).sum()


def _windows(shape, kernel, dilation, attributes):
    stride, (top, left, bottom, right) = attributes["stride"], attributes["padding"]
    span = spans(kernel, dilation)
    padded = shape[2] + top + bottom, shape[3] + left + right
    return {
        "kernel 1 x 1": tuple(kernel) == (1, 1),
        "kernel that is not square": kernel[0] != kernel[1],
        "kernel as large as the padded image": span == padded,
        "kernel larger than the image": span[0] > shape[2] or span[1] > shape[3],
        "stride larger than kernel": any(step > side for step, side in zip(stride, kernel, strict=True)),
        "stride other than 1": tuple(stride) != (1, 1),
        "asymmetric stride": stride[0] != stride[1],
        "no padding": not any((top, left, bottom, right)),
        "asymmetric padding": top != bottom or left != right,
        "padding as large as the image": top >= shape[2] or left >= shape[3],
        "dilation other than 1": tuple(dilation) != (1, 1),
        "asymmetric dilation": dilation[0] != dilation[1],
        "pixels that no window reads": any(
            (size - extent) % step for size, extent, step in zip(padded, span, stride, strict=True)
        ),
    }


def _planes(case):
    pixels = [math.prod(array.shape[2:]) for array in (case.inputs[0], case.dy)]
    return {
        "plane one less than a vector": any(count + 1 in _VECTORS for count in pixels),
        "plane as long as a vector": any(count in _VECTORS for count in pixels),
    }


def _channels(c, w, attributes):
    groups = attributes["groups"]
    return {
        "one group": groups == 1,
        "depthwise": 1 < groups == c,
        "groups between 1 and C": 1 < groups < c,
        "Winograd applies": w[2:] == (3, 3) and attributes["stride"] == attributes["dilation"] == (1, 1),
    }


def _is_prime(number):
    return number > 1 and all(number % factor for factor in range(2, int(number**0.5) + 1))
