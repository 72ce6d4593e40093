"""The rectifier: y = max(x, 0), and NaN where x is NaN.

The derivative at zero is taken as zero.
"""

import numpy as np


def forward(x):
    """x of any shape -> y of that shape."""
    y = np.where(x <= 0, np.zeros_like(x), x)
    return y, y


def backward(dy, saved, needs):
    """dx = dy where y > 0, else 0."""
    return (np.where(saved > 0, dy, np.zeros_like(dy)),)
