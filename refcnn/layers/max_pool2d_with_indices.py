"""Max pooling that tells the places of the largest pixels too: the ONNX mapping.

The function is :func:`refcnn.max_pool2d` with ``return_indices=True``.
"""

import functools
import math

import numpy as np

from ..shapes import image_slices, padded_sizes, reached_padding
from . import max_pool2d
from .pooling import is_padded_little

FAMILY = "window"
FUNCTION = functools.partial(max_pool2d.max_pool2d, return_indices=True)


def to_onnx(graph, x, **window):
    """Write ONNX's MaxPool with both outputs; where it gets padded images the places there become those in x."""
    y, indices = max_pool2d.to_onnx(graph, x, outputs=2, **window)
    if is_padded_little(window["kernel"], window["padding"]):
        return y, indices
    image = x.shape[2:]
    around = reached_padding(image, **window)
    places = np.zeros(padded_sizes(image, around), np.int64)
    places[image_slices(image, around)] = np.arange(math.prod(image)).reshape(image)
    of_padded, of_image = (graph.constant(np.int64(size)) for size in (places.size, math.prod(image)))
    place = graph.node("Gather", [graph.constant(places.ravel()), graph.node("Mod", [indices, of_padded])])
    return y, graph.node("Add", [graph.node("Mul", [graph.node("Div", [indices, of_padded]), of_image]), place])
