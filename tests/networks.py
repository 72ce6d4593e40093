"""The ready networks with weights that are the same everywhere, and numbers by which their gradients are compared.

``tools/pytorch_numbers.py`` writes these numbers as PyTorch finds them, and the tests hold refcnn to them.
"""

import functools
import json
import math
from pathlib import Path

import numpy as np

import refcnn as rm
from refcnn import models, philox
from refcnn.mode import recording

NUMBERS = Path(__file__).with_name("pytorch_numbers")

#: Those of which there are numbers.
NAMES = tuple(name for name in (*models.NAMED, *models.OF_PIXELS) if (NUMBERS / f"{name}.json").exists())
IMAGE_SHAPE, CLASSES, BATCH = (3, 32, 32), 10, 4
SEED = 12

#: What part of the largest of all gradients one has at least that is not 0 but for rounding.
VANISHING = 1e-8

#: How many elements of the logits, and of each gradient, are kept.
LOGITS, PLACES = 20, 2

# How many numbers are drawn, which then repeat. It is prime, so that no two kernels of a layer get the same ones.
_DRAWN = 1_000_003


def make(name):
    """Return a ready network, without parameters as yet."""
    return (models.NAMED | models.OF_PIXELS)[name](IMAGE_SHAPE, CLASSES)


def state(shapes):
    """Return parameters and running statistics that tell in every gradient, as ``Model.set_state`` takes them.

    No library's logarithm or sine takes part, so that the bits are the same on every machine.

    Parameters
    ----------
    shapes : dict of str to sequence of int
        Of the parameters, by name.
    """
    arrays = {}
    for number, (name, shape) in enumerate(shapes.items()):
        layer, _, kind = name.rpartition(".")
        drawn = between(number, shape)
        if kind == "w":
            # The variance of He et al. (2015) for rectifiers, of numbers that are uniformly distributed.
            inputs = shape[0] if len(shape) == 2 else math.prod(shape[1:])
            arrays[name] = drawn(-math.sqrt(6 / inputs), math.sqrt(6 / inputs))
        elif kind == "scale":
            arrays[name] = drawn(0.5, 1.5)
            arrays |= {f"{layer}.mean": drawn(-0.5, 0.5), f"{layer}.variance": drawn(0.5, 1.5)}
        else:
            arrays[name] = drawn(-0.2, 0.2)
    return arrays


def examples(name, draw=0):
    """Return images, and the class of each, or of each of its pixels; ``draw`` numbers different ones."""
    images = between(-1 - 2 * draw, (BATCH, *IMAGE_SHAPE))(-1, 1)
    places = (BATCH, *IMAGE_SHAPE[1:]) if name in models.OF_PIXELS else (BATCH,)
    labels = between(-2 - 2 * draw, places)(0, CLASSES).astype(np.int64)
    return images, np.minimum(labels, CLASSES - 1)


def logits(model, images):
    """Return a network's logits of images that it does not train on, recorded."""
    with recording():
        return model(images)


def loss(model, images, labels):
    """Return the loss of a training step, recorded, with dropout masks that are the same everywhere."""
    rm.set_seed(SEED)
    with model.train():
        return rm.softmax_cross_entropy(model(images), labels)


def fingerprint(array, places=PLACES):
    """Return numbers that tell an array from others: its largest magnitude, a weighted sum, and some elements.

    The weights are plus and minus one, divided by the root of the size: of errors that are independent the sum has one
    like those of the elements.

    Parameters
    ----------
    array : ndarray
    places : int
        How many elements, spread over the array evenly; all of a smaller one.

    Returns
    -------
    list of float
    """
    flat = np.asarray(array, np.float64).reshape(-1)
    signs = np.where(np.resize(_drawn(), flat.size) < 0.5, -1, 1)
    count = min(places, flat.size)
    chosen = flat[(2 * np.arange(count) + 1) * flat.size // (2 * count)]
    return [np.abs(flat).max(), np.sum(flat * signs) / math.sqrt(flat.size), *chosen]


def vanishes(exact):
    """Return for each fingerprint whether the gradient is 0 but for rounding.

    So are those of biases that batch normalisation behind the next convolution takes away again.
    """
    largest = [fingerprint[0] for fingerprint in exact]
    return [entry < VANISHING * max(largest) for entry in largest]


def distances(arrays, exact, leave_out):
    """Return the largest distance of each array's elements from the exact ones, in parts of the largest of these."""
    found = []
    for array, right, is_left_out in zip(arrays, exact, leave_out, strict=True):
        if not is_left_out:
            array, right = (np.asarray(entry, np.float64) for entry in (array, right))
            found.append(float(np.abs(array - right).max() / np.abs(right).max()))
    return found


def fingerprint_distances(fingerprints, exact):
    """Return :func:`distances` of the weighted sums and elements of fingerprints, in parts of the largest magnitude."""
    rows = zip(fingerprints, exact, vanishes(exact), strict=True)
    return [
        float(np.abs(np.subtract(row[1:], right[1:])).max() / right[0]) for row, right, is_zero in rows if not is_zero
    ]


def load(name):
    """Return PyTorch's numbers of a network, as ``tools/pytorch_numbers.py`` describes them."""
    return json.loads((NUMBERS / f"{name}.json").read_text(encoding="utf-8"))


def between(stream, shape):
    """Return a function of two limits, which draws float32 numbers of that shape between them."""
    count = math.prod(shape)
    # Each begins elsewhere; the step has no factor in common with how many there are.
    drawn = np.resize(np.roll(_drawn(), -7919 * stream), count).reshape(shape)
    return lambda low, high: (low + (high - low) * drawn).astype(np.float32)


@functools.cache
def _drawn():
    return philox.uniform(SEED, 0, _DRAWN)
