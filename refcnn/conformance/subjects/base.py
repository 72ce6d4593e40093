"""What all subjects have in common."""

import collections
import contextlib

import numpy as np

from ... import backend, rooms
from ...formats import kept
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


#: What memory is filled with, in turn: NaN, which comparisons may pass over, and 3.4e38, which a product with 0 loses.
#: So many bytes are no more than the alignment of a device's memory, and quickly copied.
GARBAGE = np.array([0xFFFFFFFF, 0x7F7F7F7F] * 8, np.uint32)
#: So many pieces of each size hold garbage.
_PIECES = 4


class Subject:
    """A subject in whose process there is nothing out of the common."""

    is_simulator = False
    #: Whether it fails by itself of results that depend on what memory held, so that nobody computes them again.
    compares_runs = False
    unusable = None
    #: As :func:`refcnn.conformance.bundles.bundle.capture_case` without its device, of what computes by kernels of its
    #: own.
    captured = None
    #: By what they are called, cases that were drawn and that cannot be asked; of none that is always so.
    left_out = collections.Counter()

    def examples(self, wanted):
        """Return how many cases of a row to run where so many are wanted."""
        return wanted

    def environment(self, folder):
        """Nothing."""
        return {}

    def reported(self):
        """Nothing."""
        return ""

    @contextlib.contextmanager
    def other_memory(self, sizes):
        """Leave garbage where the host takes memory of some sizes from next, and keep what it would take at once."""
        kept = [np.empty(size, np.uint8) for size in sizes]
        pieces = [np.empty(size, np.uint8) for size in sizes for _ in range(_PIECES)]
        for number in range(len(pieces)):
            pieces[number][...] = np.resize(GARBAGE.view(np.uint8), pieces[number].size)
        pieces.clear()
        yield
        del kept


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
