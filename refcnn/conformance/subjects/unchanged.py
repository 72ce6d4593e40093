"""What the code of others must leave as it is: the functions by which it is judged, in the same process."""

import builtins
import math
import sys
import time

import numpy as np

_OTHERS = builtins, math, time, np, np.linalg, np.random
_JUDGES = tuple(f"refcnn.conformance.judging.{name}" for name in ("comparison", "judge", "repetition"))


class Functions:
    """The functions of NumPy, Python and the judge as they are now."""

    def __init__(self):
        # The judge imports subjects, and not the other way.
        modules = [*_OTHERS, *(sys.modules[name] for name in _JUDGES if name in sys.modules)]
        self._before = [(module, dict(vars(module))) for module in modules]

    def changed(self):
        """Return the names of those that are others by now, such as ``numpy.abs``."""
        return [
            f"{module.__name__}.{name}"
            for module, before in self._before
            for name, entry in before.items()
            if callable(entry) and vars(module).get(name) is not entry
        ]
