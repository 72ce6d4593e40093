"""The numbers that every contestant computes on; NumPy is all that is needed here."""

import itertools

import numpy as np

CLASSES = 10
LEARNING_RATE = 0.01
MOMENTUM = 0.4
# So many different batches, one after the other.
_COUNT = 4


def random(shape):
    """Return float32 numbers between -1 and 1."""
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


def images(batch, image_shape):
    """Return some batches of images."""
    return random((_COUNT, batch, *image_shape))


def feeds(inputs):
    """Return some batches of arrays for the inputs of a file, each a dict by their names.

    Parameters
    ----------
    inputs : sequence of dict
        ``name``, ``shape`` and ``dtype`` of each.
    """
    generator, found = np.random.default_rng(0), []
    for _ in range(_COUNT):
        found.append({})
        for entry in inputs:
            dtype = np.dtype(entry["dtype"])
            # Whole numbers may be places in something of which no more is known than that it has two.
            most = 256 if dtype == np.uint8 else 2
            draw = generator.standard_normal if dtype.kind == "f" else lambda shape, most=most: _whole(most, shape)
            found[-1][entry["name"]] = np.asarray(draw(entry["shape"])).astype(dtype)
    return found


def _whole(most, shape):
    return np.random.default_rng(1).integers(0, most, shape)


def labels(batch, places=()):
    """Return the labels of as many batches, of images or of each of so many places."""
    return np.random.default_rng(1).integers(0, CLASSES, (_COUNT, batch, *places))


def endless():
    """Yield the number of a batch for each step."""
    return itertools.cycle(range(_COUNT))
