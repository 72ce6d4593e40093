"""Which of the kernels that compute the same thing runs on a device."""

import contextlib
import contextvars

from .. import rooms
from ..errors import ArgumentError
from ..mode import setting

#: For any operation that has variants: blocks in registers and long loops, one work-item in a work-group (``cpu``);
#: tiles in local memory (``gpu``); one work-item for each element of the result (``plain``).
GENERAL = ("cpu", "gpu", "plain")

#: For some convolutions only: few input channels; one input and one output channel in each group; Winograd's algorithm
#: with tiles of so many results.
SPECIAL = ("direct", "depthwise", "winograd_2x2", "winograd_4x4")

#: What :func:`choose` takes where nothing is forced.
CHOSEN = "chosen"

#: Those that can be forced, and all.
FORCED = (*GENERAL, *SPECIAL)
VARIANTS = (CHOSEN, *FORCED)

#: For windows that slide over each channel by itself: those of them that differ.
OF_POOLING = ("cpu", "plain")

#: Winograd's variants, and the side of their tiles.
TILES = {"winograd_2x2": 2, "winograd_4x4": 4}

#: The variant that is forced, and whether there are small strips: see :func:`use_variant`.
_NOTHING = None, False
_forced = contextvars.ContextVar("refcnn forced variant", default=_NOTHING)


def variant(device):
    """Return which of the general variants runs on a device, where an operation has several."""
    name, _ = _forced.get()
    return name if name in GENERAL else "cpu" if device.kind == "cpu" else "gpu"


def names(operation):
    """Return the names of an operation's variants, each followed by those with something fused into it.

    Parameters
    ----------
    operation : str

    Returns
    -------
    tuple of str
        Empty where there is no choice.
    """
    return tuple(
        name for one in rooms.trait(rooms.OPENCL, operation, "VARIANTS") for name in with_fused(operation, one)
    )


def of_operation(operation, device):
    """Return the variant of an operation that runs on a device."""
    able = rooms.trait(rooms.OPENCL, operation, "VARIANTS")
    if CHOSEN in able:
        return CHOSEN
    chosen = variant(device)
    return chosen if chosen in able else "plain"


def with_fused(operation, variant):
    """Return a variant, and its names with each thing that is fused into its kernels of an operation."""
    fused = rooms.trait(rooms.OPENCL, operation, "FUSED")
    return [variant, *(f"{variant}+{followers}" for followers, fusing in fused.items() if variant in fusing)]


def forced():
    """Return what :func:`use_variant` was given last, to be given to it again."""
    return _forced.get()


def is_forced():
    """Return whether :func:`use_variant` asks for anything."""
    return _forced.get() != _NOTHING


def has_small_strips(device):
    """Return whether Winograd's kernels are to cut images and channels into small parts, as they must large ones."""
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
