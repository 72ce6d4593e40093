"""Which of the kernels that compute the same thing runs on a device."""

import contextlib

from ..errors import ArgumentError

VARIANTS = ("cpu", "gpu", "plain")

#: The operations whose kernels come in variants, and those that differ.
OPERATIONS = {
    "average_pool2d": ("cpu", "plain"),
    "conv2d": VARIANTS,
    "dense": VARIANTS,
    "max_pool2d": ("cpu", "plain"),
}

_forced = None


def variant(device):
    """Return the variant of the kernels to run on a device, where an operation has several.

    ``cpu``: blocks in registers and long loops, one work-item in a work-group;
    ``gpu``: tiles in local memory; ``plain``: one work-item for each element
    of the result.
    """
    return _forced or ("cpu" if device.kind == "cpu" else "gpu")


def of_operation(operation, device):
    """Return the variant of one of ``OPERATIONS`` that runs on a device."""
    chosen = variant(device)
    return chosen if chosen in OPERATIONS[operation] else "plain"


@contextlib.contextmanager
def use_variant(name):
    """Run one variant, whatever the device, inside a ``with`` block: for tests and measurements.

    Raises
    ------
    ArgumentError
        If ``name`` is none of ``VARIANTS``.
    """
    global _forced
    if name not in VARIANTS:
        raise ArgumentError(f"there is no variant {name!r} of the kernels. Name one of {', '.join(VARIANTS)}.")
    former, _forced = _forced, name
    try:
        yield
    finally:
        _forced = former
