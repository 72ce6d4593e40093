"""Which of the edges that break kernels a case reaches: what a run covered, and what not, can then be said."""

import numpy as np

from ... import rooms
from ..theory.bounds import number_format

#: Sides of the tiles, vectors and work-groups that kernels use.
_TILES = (4, 5, 8, 16, 24, 32, 48, 64, 128)


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
    found = _shapes(case) | _values(case) | rooms.trait(rooms.CONFORMANCE, operation, "edges")(case)
    at_zero = rooms.trait(rooms.CONFORMANCE, operation, "EDGES_AT_ZERO")
    for name, value in case.attributes.items():
        if isinstance(value, bool):
            found |= {f"{name}: True": value, f"{name}: False": not value}
        elif name in at_zero:
            found[f"{name} 0"] = value == 0
    return {edge: bool(is_reached) for edge, is_reached in found.items()}


def _shapes(case):
    arrays = [entry for entry in case.inputs if entry is not None]
    extents = [side for entry in arrays for side in entry.shape]
    batch = next((entry.shape[0] for entry in arrays if entry.shape), 1)
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
    values = np.concatenate([entry.ravel() for entry in case.arrays])
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
        "many ties": any(entry.size >= 8 and np.unique(entry).size <= entry.size // 4 for entry in case.arrays),
        "sums that cancel": any(_cancels(entry) for entry in case.arrays),
    }


def _cancels(array):
    finite = array[np.isfinite(array)].astype(np.float64)
    return array.size >= 8 and abs(finite.sum()) < 0.02 * np.abs(finite).sum()


def _is_prime(number):
    return number > 1 and all(number % factor for factor in range(2, int(number**0.5) + 1))
