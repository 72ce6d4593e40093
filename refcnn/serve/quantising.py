"""Arrays as the answers hold them: in whole numbers from 0 to 255, small enough to be sent while a pen moves."""

import base64
import math

import numpy as np

_STEPS = 255


def quantised(array, low, high):
    """Return an array (C, H, W) in whole numbers from 0 to 255, as JSON can hold it.

    Returns
    -------
    dict
        ``shape``; ``low`` and ``high``, which 0 and 255 stand for; ``values``, a byte for each number in the array's
        order, in base64.
    """
    with np.errstate(invalid="ignore"):
        parts = (np.asarray(array, np.float64) - low) / (high - low) if high != low else np.zeros(array.shape)
    whole = np.rint(np.nan_to_num(parts).clip(0, 1) * _STEPS).astype(np.uint8)
    return {
        "shape": list(array.shape),
        "low": float(low),
        "high": float(high),
        "values": base64.b64encode(whole.tobytes()).decode(),
    }


def on_one_scale(array):
    """Return an array (C, H, W) quantised from zero to its largest, or where it has both signs with zero in the middle.

    What is not finite counts for the scale as zero.
    """
    finite = np.where(np.isfinite(array), array, 0)
    limit = float(np.abs(finite).max(initial=0))
    return quantised(array, -limit if finite.min(initial=0) < 0 else 0.0, limit)


def finite(value):
    """Return a number as JSON has it, None where it has none for it."""
    value = None if value is None else float(value)
    return value if value is not None and math.isfinite(value) else None
