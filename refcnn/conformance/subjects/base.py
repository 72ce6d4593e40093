"""What all subjects have in common."""

import functools
import platform

import numpy as np

from ... import backend, rooms
from ...formats import kept
from ...version import __version__
from ..theory.bounds import number_format


class NotExpressible(Exception):
    """A case that a subject has no way to be asked."""


def operations():
    """Return the names of all operations that can be tested."""
    return [stem for stem in rooms.operations() if rooms.find(rooms.CONFORMANCE, stem) is not None]


def directions(operation):
    """Return the directions of an operation; an optimizer's update has no backward, and what has no gradient."""
    has_gradient = not is_update(operation) and rooms.trait(rooms.CONFORMANCE, operation, "HAS_GRADIENT")
    return ("forward", "backward") if has_gradient else ("forward",)


def is_update(operation):
    """Return whether an operation is an optimizer's update, whose results are a tuple, with nothing saved."""
    return rooms.find(rooms.OPTIMIZERS, operation) is not None


def variant_names():
    """Return all variants of kernels for OpenCL devices, with and without what can be fused into them."""
    return list(dict.fromkeys(name for stem in operations() for name in backend.kernel_variants(stem)))


class Subject:
    """A subject in whose process there is nothing out of the common."""

    is_simulator = False
    unusable = None

    def environment(self, folder):
        """Nothing."""
        return {}

    def reported(self):
        """Nothing."""
        return ""


class HostSubject(Subject):
    """A subject of NumPy arrays, of which it is given copies, so that it cannot alter a case."""

    device = None
    denormals = True

    def array(self, host):
        """A copy, its floats in the format that is judged."""
        return np.array(host, dtype=kept(host.dtype, number_format().dtype), order="C")

    def to_host(self, array):
        """What the implementation gave, whatever it is: the judge says if it is no array."""
        # NumPy's own sums are such numbers, not arrays without axes.
        return np.asarray(array) if isinstance(array, np.generic) else array

    def variants(self, stem):
        """There is no choice."""
        return (None,)


class Unavailable(HostSubject):
    """A subject that stands in for one that ends every process that asks for it."""

    def __init__(self, specification):
        self.specification = self.name = specification
        self.description = {"name": specification}

    def offers(self, stem, direction):
        """Nothing."""
        return False

    def operation(self, stem):
        """None."""
        return None


def versions(*libraries):
    """Return the versions of refcnn, Python and libraries, a dict of str to str."""
    found = {name: _version(name) for name in libraries}
    return {"refcnn": __version__, "Python": platform.python_version(), **found}


@functools.cache
def _version(library):
    """Return the version of what is installed, whose files take milliseconds to find and to read."""
    from importlib import metadata

    return metadata.version(library)
