"""A process that tries one device, ``python -m refcnn.opencl.runtime.trial_process``.

:mod:`~refcnn.opencl.runtime.trial` starts it, and asks for the verdict.
"""

import dataclasses

import numpy as np

from ...answering import Parent
from ...errors import BackendError, KernelBuildError, RefcnnError
from . import finding
from .trial import Verdict, identity

_GROUP = 16
_SIZE = 1000
_FACTOR = 3.0


def run(device):
    """Return the Verdict on a device by running the trial in this process.

    Parameters
    ----------
    device : refcnn.opencl.runtime.device.Device
    """
    x = np.arange(1, _SIZE + 1, dtype=np.float32)
    try:
        y = device.array(np.full(_SIZE, np.nan, np.float32))
        device.launch("trial", "trial", (_SIZE,), (_GROUP,), x=device.array(x), y=y, n=_SIZE, a=_FACTOR)
        found = y.get()
    except KernelBuildError as error:
        first = next((line for line in error.log.splitlines() if line.strip()), "its compiler does not say why")
        return Verdict(f"builds nothing: {first.strip()}", error.log)
    except RefcnnError as error:
        first, _, rest = str(error).partition("\n")
        return Verdict(f"runs nothing: {first}", rest)
    i = np.arange(_SIZE)
    padded = np.zeros(-(-_SIZE // _GROUP) * _GROUP, np.float32)
    padded[:_SIZE] = x
    expected = _FACTOR * padded.reshape(-1, _GROUP)[:, ::-1].reshape(-1)[:_SIZE] + i
    wrong = np.flatnonzero(found != expected)
    if not len(wrong):
        return Verdict()
    place = wrong[0]
    return Verdict(
        f"computes wrongly: {len(wrong)} of {_SIZE} numbers are wrong, at {place} {found[place]:g} where "
        f"{expected[place]:g} is right"
    )


class Trial:
    """What this process answers."""

    def verdict(self, expected, name):
        """Try the device of a name, if it is the expected one here too."""
        device = next(device for device in finding.available() if device.name == name)
        if identity(device) != expected:
            raise BackendError(f"{name} is another device here")
        return dataclasses.asdict(run(device))


if __name__ == "__main__":
    Parent().serve(Trial())
