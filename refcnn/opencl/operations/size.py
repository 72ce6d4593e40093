"""Size on an OpenCL device, which the host knows."""

import numpy as np


def forward(x):
    """x of any shape -> y, a single int64."""
    return x.device.array(np.array(x.size, np.int64)), None


def backward(dy, saved, needs):
    """A number of elements has no gradient."""
    return (None,)
