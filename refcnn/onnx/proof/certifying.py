"""The certificate: of how many images no rounding can change the winning class."""

import dataclasses

import numpy as np

from . import carrying

#: Images that are judged together: their gradients are carried at once.
_TOGETHER = 32
#: Classes of which bounds are carried along gradients at most, those with the largest logits.
_CLASSES = 32


@dataclasses.dataclass(frozen=True)
class Certificate:
    """Of how many images the winning class is the same on every device that conforms.

    The margin of its output over every other one is larger than both may be off together.

    Attributes
    ----------
    images : int
    proved : int
        By the proved bound.
    probable : int
        By the probable one, with which roundings know nothing of each other.
    """

    images: int
    proved: int
    probable: int

    def __str__(self):
        return (
            f"the class of {self.probable} of {self.images} images can be changed by no rounding (if roundings are "
            f"independent; proved of {self.proved})"
        )

    def to_json(self):
        """Return it as JSON can hold it."""
        return dataclasses.asdict(self)


def certify(exact, images, stop=lambda: None):
    """Return the :class:`Certificate` of some images.

    Parameters
    ----------
    exact : Exact
        Of a program with one input, whose output has a row of classes for each image.
    images : ndarray of float32, (N, ...)
    stop : callable
        Called before each part of the images; what it raises ends that.
    """
    proved = probable = 0
    for first in range(0, len(images), _TOGETHER):
        stop()
        found = _certain(exact, images[first : first + _TOGETHER])
        proved, probable = proved + found[0], probable + found[1]
    return Certificate(len(images), proved, probable)


def _certain(exact, images):
    """Return how many are certain by the proved and by the probable bound."""
    (name,) = exact.program.outputs
    chain = exact.chain([images])
    is_certain = _are_certain(chain.arrays[name], _forward(chain, name))
    proved, rest = int(np.count_nonzero(is_certain)), images[~is_certain]
    if not len(rest):
        return proved, proved
    # Bounds that are carried along gradients are narrower, and take longer.
    chain = exact.chain([rest])
    outputs, forward = chain.arrays[name], _forward(chain, name)
    classes = np.argsort(-outputs.max(axis=0), kind="stable")[:_CLASSES].tolist()
    carried = carrying.carried(exact, chain, {name: classes})
    if carried is None:
        return proved, proved
    bound = np.minimum(forward, carried[name].proved)
    # What is not carried is as far off as is proved.
    counts = [_are_certain(outputs, one).sum() for one in (bound, np.minimum(bound, carried[name].probable))]
    return proved + int(counts[0]), proved + int(counts[1])


def _forward(chain, name):
    return np.broadcast_to(chain.bounds.get(name, np.inf), chain.arrays[name].shape)


def _are_certain(outputs, bounds):
    """Return in which rows the largest output less its bound is above each other one and its bound."""
    winner = outputs.argmax(axis=1)[:, None]
    least = np.take_along_axis(outputs - bounds, winner, axis=1)
    others = outputs + bounds
    np.put_along_axis(others, winner, -np.inf, axis=1)
    return least[:, 0] > others.max(axis=1, initial=-np.inf)
