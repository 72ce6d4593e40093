"""Which of the kernels that compute one convolution runs on a device."""

from .. import variants
from ..variants import CHOSEN, GENERAL, TILES
from . import depthwise, direct, tuning, winograd

DIRECTIONS = ("forward", "backward_x", "backward_w")

_LEAST_CHANNELS = 8
_FEW_TILES = 4


def candidates(direction, geometry):
    """Return the variants that can compute one direction of a convolution.

    Parameters
    ----------
    direction : str
        ``forward``, ``backward_x`` or ``backward_w``.
    geometry : Convolution
    """
    if len(geometry.kernel) == 3:
        return ("plain",)
    of_definition = ("direct",) if direct.applies(direction, geometry) else ()
    of_planes = ("depthwise",) if depthwise.applies(geometry) else ()
    has_tiles = winograd.applies(geometry)
    of_tiles = tuple(TILES) if has_tiles else ()
    return (*GENERAL, *of_definition, *of_planes, *of_tiles)


def choose(device, direction, geometry):
    """Return the variant that computes one direction of a convolution on a device.

    It is the one that :func:`~refcnn.opencl.variants.use_variant` names, if that can compute it; else the one that was
    measured to be the fastest (:mod:`~refcnn.opencl.convolution.tuning`); where nothing is known it follows from the
    device's kind and the sizes.

    Parameters
    ----------
    device : Device
    direction, geometry
        As in :func:`candidates`.
    """
    able = candidates(direction, geometry)
    name, _ = variants.forced()
    if name in able:
        return name
    if able == ("plain",):
        return "plain"
    if name in (None, CHOSEN):
        tuned = tuning.lookup(device, direction, geometry)
        if tuned in able:
            return tuned
    general = variants.variant(device)
    if name in GENERAL or general != "cpu":
        return general
    if "depthwise" in able and depthwise.is_fast(direction, geometry):
        return "depthwise"
    if "direct" in able and direct.is_fast(direction, geometry):
        return "direct"
    # Lanes are channels: with few of them most of a vector would be idle.
    if "winograd_4x4" in able and min(geometry.inputs, geometry.outputs) >= _LEAST_CHANNELS:
        # To read the kernels for large tiles, which are four times as long, takes longer than few of these do.
        return "winograd_2x2" if direction == "forward" and _tiles(geometry) <= _FEW_TILES else "winograd_4x4"
    return general


def choices(device, geometry):
    """Return the variant that computes each direction of a convolution, as :func:`choose` finds it."""
    return {direction: choose(device, direction, geometry) for direction in DIRECTIONS}


def algorithmic_flop_of(device, geometry):
    """Return the multiplications and additions of those directions that Winograd's algorithm computes on a device."""
    return {
        direction: winograd.flop(direction, geometry, TILES[name])
        for direction, name in choices(device, geometry).items()
        if name in TILES
    }


def _tiles(geometry):
    images, _, height, width = geometry.y_shape
    side = TILES["winograd_4x4"]
    return images * -(-height // side) * -(-width // side)
