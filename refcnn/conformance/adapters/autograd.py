"""NumPy with autograd: ``refcnn conform --device autograd``. The formulas are NumPy's, the gradients autograd's."""

import functools
from importlib import metadata

import autograd.numpy
import autograd.scipy.special
import numpy as np
from autograd.core import make_vjp
from autograd.tracer import getval

from .differentiating import Differentiating
from .windows import WindowFormulas


class Autograd(Differentiating):
    """NumPy's functions, which compute in float32 where they are given that, and gradients by autograd."""

    name, version = f"autograd on NumPy {np.__version__}", metadata.version("autograd")
    operations = WindowFormulas(autograd.numpy, autograd.scipy.special, getval)

    def tensor(self, array):
        return array

    def array(self, tensor):
        return np.asarray(tensor)

    def gradients(self, function, inputs, dys):
        return [self._gradient(function, inputs, dys, place) for place in range(len(inputs))]

    def _gradient(self, function, inputs, dys, place):
        """Return the gradient of one input: of all together autograd adds each to zeros, which have a sign."""

        def of_one(entry, number):
            return function(*inputs[:place], entry, *inputs[place + 1 :])[number]

        backs = [make_vjp(functools.partial(of_one, number=number), inputs[place])[0] for number in range(len(dys))]
        found = [back(dy) for back, dy in zip(backs, dys, strict=True)]
        # Those of a mean and of a choice between two arrays are of float64, whatever is given.
        return sum(found[1:], found[0]).astype(inputs[place].dtype)


def make(device=None):
    """Return it; it computes on the processor alone."""
    if device is not None:
        raise ValueError("autograd has no devices")
    return Autograd()
