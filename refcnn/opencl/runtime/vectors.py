"""How wide the vectors are in the kernels for CPU cores."""

import os
import re

from ...errors import ArgumentError

#: Floats of a vector in the kernels for CPU cores, on one CPU or another.
VECTOR_WIDTHS = (4, 8, 16)


def pocl_version(device):
    """Return (major, minor) of the PoCL that runs a device, or None if another runtime does."""
    version = re.search(r"\bpocl (\d+)\.(\d+)", device.platform_version, re.IGNORECASE)
    return tuple(map(int, version.groups())) if version else None


def forced_vector_width():
    """Return the number of floats that the environment variable ``REFCNN_VECTOR_WIDTH`` names, or None.

    It stands in the place of what suits a device, so that the kernels that other CPUs run can be tested on this one.

    Raises
    ------
    ArgumentError
        If it is none of ``VECTOR_WIDTHS``.
    """
    named = os.environ.get("REFCNN_VECTOR_WIDTH")
    if not named:
        return None
    if named not in map(str, VECTOR_WIDTHS):
        raise ArgumentError(
            f"REFCNN_VECTOR_WIDTH is {named!r}, but kernels for CPUs have vectors of "
            f"{', '.join(map(str, VECTOR_WIDTHS[:-1]))} or {VECTOR_WIDTHS[-1]} floats. Correct it, or unset it."
        )
    return int(named)


def vector_widths(device, native):
    """Return the widths of vectors that a device's compiler makes code of.

    PoCL before 3.1 comes with a compiler that is older than AMD's first CPU with AVX-512, and crashes at its registers.

    Parameters
    ----------
    device : refcnn.opencl.runtime.device.Device
    native : int
        Floats of a register, as its runtime tells.
    """
    pocl = pocl_version(device)
    is_known = not (pocl and pocl < (3, 1)) or "intel" in device.device_name.lower()
    return VECTOR_WIDTHS if is_known or native < VECTOR_WIDTHS[-1] else VECTOR_WIDTHS[:-1]


def vector_width(device, native):
    """Return as many floats as a register holds, of 32 registers if it is 16, and as the compiler makes use of.

    Parameters as in :func:`vector_widths`.
    """
    return max((width for width in vector_widths(device, native) if width <= native), default=VECTOR_WIDTHS[0])
