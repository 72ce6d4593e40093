"""Which of the kernels that compute the same thing runs on a device."""

import contextlib
import contextvars
import typing

from ..errors import ArgumentError
from ..mode import setting
from . import tuning

#: For any operation that has variants: blocks in registers and long loops, one work-item in a work-group (``cpu``);
#: tiles in local memory (``gpu``); one work-item for each element of the result (``plain``).
GENERAL = ("cpu", "gpu", "plain")

#: For some convolutions only: few input channels or depthwise; Winograd's algorithm with tiles of so many results.
SPECIAL = ("direct", "winograd_2x2", "winograd_4x4")

#: What :func:`choose` takes where nothing is forced.
CHOSEN = "chosen"

VARIANTS = (CHOSEN, *GENERAL, *SPECIAL)

#: The operations whose kernels come in variants, and those that differ.
OPERATIONS = {
    "average_pool2d": ("cpu", "plain"),
    "conv2d": (CHOSEN, *GENERAL, *SPECIAL),
    "dense": GENERAL,
    "max_pool2d": ("cpu", "plain"),
}

#: What is fused into the kernels of an operation, where it follows, and in which variants.
FUSED = {
    "conv2d": {"relu": (CHOSEN, "cpu", "gpu", *SPECIAL), "relu+max_pool2d": (CHOSEN, "winograd_2x2", "winograd_4x4")},
    "dense": {"relu": ("cpu", "gpu")},
}

#: Winograd's variants, and the side of their tiles.
TILES = {"winograd_2x2": 2, "winograd_4x4": 4}

_LEAST_CHANNELS = 8
#: The variant that is forced, and whether there are small strips: see :func:`use_variant`.
_forced = contextvars.ContextVar("refcnn forced variant", default=(None, False))


class Convolution(typing.NamedTuple):
    """The sizes and attributes of a convolution; padding is (top, left, bottom, right)."""

    x_shape: tuple
    w_shape: tuple
    stride: tuple
    padding: tuple
    dilation: tuple
    groups: int


def variant(device):
    """Return which of the general variants runs on a device, where an operation has several."""
    name, _ = _forced.get()
    return name if name in GENERAL else "cpu" if device.kind == "cpu" else "gpu"


def candidates(direction, geometry):
    """Return the variants that can compute one direction of a convolution.

    Parameters
    ----------
    direction : str
        ``forward``, ``backward_x`` or ``backward_w``.
    geometry : Convolution
    """
    from . import direct, winograd

    of_definition = ("direct",) if direct.applies(direction, geometry) else ()
    has_tiles = winograd.applies(geometry.w_shape, geometry.stride, geometry.dilation)
    of_tiles = tuple(TILES) if has_tiles else ()
    return (*GENERAL, *of_definition, *of_tiles)


def choose(device, direction, geometry):
    """Return the variant that computes one direction of a convolution on a device.

    It is the one that :func:`use_variant` names, if that can compute it; else the one that was measured to be the
    fastest (:mod:`.tuning`); where nothing is known it follows from the device's kind and the sizes.

    Parameters
    ----------
    device : Device
    direction, geometry
        As in :func:`candidates`.
    """
    from . import direct

    able = candidates(direction, geometry)
    name, _ = _forced.get()
    if name in able:
        return name
    if name in (None, CHOSEN):
        tuned = tuning.lookup(device, "conv2d", direction, geometry)
        if tuned in able:
            return tuned
    general = variant(device)
    if name in GENERAL or general != "cpu":
        return general
    if "direct" in able and direct.is_fast(direction, geometry):
        return "direct"
    outputs, inputs = geometry.w_shape[0] // geometry.groups, geometry.w_shape[1]
    # Lanes are channels: with few of them most of a vector would be idle.
    if "winograd_4x4" in able and min(inputs, outputs) >= _LEAST_CHANNELS:
        return "winograd_4x4"
    return general


def names(operation):
    """Return the names of an operation's variants, each followed by those with something fused into it.

    Parameters
    ----------
    operation : str
        One of ``OPERATIONS``.
    """
    return [name for one in OPERATIONS[operation] for name in with_fused(operation, one)]


def of_operation(operation, device):
    """Return the variant of one of ``OPERATIONS`` that runs on a device."""
    if CHOSEN in OPERATIONS[operation]:
        return CHOSEN
    chosen = variant(device)
    return chosen if chosen in OPERATIONS[operation] else "plain"


def with_fused(operation, variant):
    """Return a variant, and its names with each thing that is fused into its kernels of an operation."""
    fused = FUSED.get(operation, {})
    return [variant, *(f"{variant}+{followers}" for followers, fusing in fused.items() if variant in fusing)]


def forced():
    """Return what :func:`use_variant` was given last, to be given to it again."""
    return _forced.get()


def has_small_strips(device):
    """Return whether Winograd's kernels are to cut images and channels into small parts, as they must cut larger ones."""
    return _forced.get()[1] or device.is_simulator


@contextlib.contextmanager
def use_variant(name, small_strips=False):
    """Run one variant where it can, whatever the device, inside a ``with`` block: for tests and measurements.

    Parameters
    ----------
    name : str or None
        One of ``VARIANTS``; None forces nothing.
    small_strips : bool
        As in :func:`has_small_strips`; simulators always have them.

    Raises
    ------
    ArgumentError
        If it is another.
    """
    if name is not None and name not in VARIANTS:
        raise ArgumentError(f"there is no variant {name!r} of the kernels. Name one of {', '.join(VARIANTS)}.")
    with setting(_forced, (name, small_strips)):
        yield
