"""Where the batches of training come from: arrays, data sets, and iterables of batches."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .. import attributes
from ..data import DataSet
from ..data.ahead import ahead, reading_threads
from ..data.augment import Augmenter, Draws
from ..errors import ArgumentError, DataError, ShapeError
from ..parallel.alone import ALONE, Alone
from ..philox import permutation
from ..variable import Variable


class Batch(NamedTuple):
    """What a step computes with.

    Attributes
    ----------
    inputs : tuple of array_like
        What the model is called with.
    target : array_like
        What the loss compares the model's output with; of classes their indices, or rows of probabilities.
    first : int
        How many examples come before these in the whole batch, where this is a rank's part of one.
    share : float
        What part of the whole batch's loss, a mean over the examples, is that of these.
    total : float or None
        Where it is a mean by other weights, by what the sum of the examples' losses is divided in the whole batch.
    """

    inputs: tuple
    target: Any
    first: int = 0
    share: float = 1.0
    total: float | None = None

    @property
    def size(self) -> int:
        """How many examples it holds."""
        return len(self.inputs[0])

    @property
    def parts(self) -> tuple:
        """What is computed by itself, each a Batch: this one, or nothing where it is empty."""
        return (self,) if self.size else ()


@dataclasses.dataclass(frozen=True)
class CutBatch:
    """A batch that is computed in micro-batches, or a rank's part of one.

    Attributes
    ----------
    parts : tuple of Batch
        The micro-batches that this process computes, neighbours.
    first : int
        How many come before these in the whole batch.
    count : int
        How many the whole batch has.
    """

    parts: tuple
    first: int
    count: int


class Source:
    """Base class of what gives batches.

    Attributes
    ----------
    batches : int or None
        How many an epoch has; None where only its end tells.
    micro_batch : int or None
        How many examples of a batch are computed by themselves, whichever process does it; None for all that one has.
    """

    batches: int | None = None
    micro_batch: int | None = None

    def epoch(self, shuffle: tuple[int, int] | None = None, first: int = 0) -> Iterator[Any]:
        """Yield the batches of an epoch: each a Batch, or a CutBatch where they are computed in micro-batches.

        Parameters
        ----------
        shuffle : (int, int), optional
            The seed and the stream of :mod:`refcnn.philox` from which all that is drawn for this epoch follows, the
            order of the examples first of all. Without it they come in their own order, as they are.
        first : int
            How many batches to leave out at the beginning, as they were had before.
        """
        raise NotImplementedError

    def size(self, index: int) -> int:
        """Return the number of examples in the batch of that index, one that was given or can be known before."""
        raise NotImplementedError


class ArraySource(Source):
    """Batches of arrays that have one entry for each example along their first axis; of several ranks each has a part.

    Images that are stored, or augmented, are made ready ahead of the step, by threads.

    Parameters
    ----------
    inputs : tuple of ndarray or StoredImages
    targets : ndarray
    batch_size : int
        The last batch of an epoch takes what is left.
    prepare : callable, optional
        Makes the model's input of an array's part.
    augmenter : Augmenter, optional
        What becomes of the single input and of the targets where an epoch is shuffled.
    ranks : Ranks or Alone
        Over which each batch is cut. A rank that has no example of one has an empty batch.
    weigh : callable, optional
        Returns of targets the weights by which the loss is their mean; all weigh the same, if it is not given or they
        are all 0.
    micro_batch : int, optional
        As of :class:`Source`; the last one of a batch takes what is left. A rank has whole ones.
    """

    def __init__(
        self, inputs, targets, batch_size, prepare=None, augmenter=None, ranks=ALONE, weigh=None, micro_batch=None
    ):
        self._inputs, self._targets, self._batch_size, self._prepare = inputs, targets, batch_size, prepare
        self._augmenter, self._ranks, self._weigh, self.micro_batch = augmenter, ranks, weigh, micro_batch
        self.count = len(targets)
        self.batches = math.ceil(self.count / batch_size)

    def epoch(self, shuffle=None, first=0):
        order = np.arange(self.count) if shuffle is None else permutation(*shuffle, self.count)
        starts = range(first * self._batch_size, self.count, self._batch_size)
        wholes = (order[start : start + self._batch_size] for start in starts)

        def batch(whole):
            return self._batch(whole, shuffle)

        threads = self._threads(shuffle)
        return ahead(batch, wholes, threads) if threads else map(batch, wholes)

    def size(self, index):
        return min(self._batch_size, self.count - index * self._batch_size)

    def _threads(self, shuffle):
        if not all(isinstance(array, np.ndarray) for array in self._inputs):
            return reading_threads()
        return 1 if shuffle is not None and self._augmenter is not None else 0

    def _batch(self, whole, shuffle):
        if self.micro_batch is None:
            return self._part(whole, *self._ranks.cut(len(whole)), shuffle)
        starts = range(0, len(whole), self.micro_batch)
        first, end = self._ranks.cut(len(starts))
        parts = [
            self._part(whole, start, min(start + self.micro_batch, len(whole)), shuffle) for start in starts[first:end]
        ]
        return CutBatch(tuple(parts), first, len(starts))

    def _part(self, whole, first, end, shuffle):
        augmenter = None if shuffle is None or first == end else self._augmenter
        chosen = whole[first:end]
        if augmenter is not None and len(chosen) < len(whole):
            chosen = whole.take(range(first, end + augmenter.mates), mode="wrap")
        inputs, target = [array[chosen] for array in self._inputs], self._targets[chosen]
        if augmenter is not None:
            inputs[0], target = augmenter(inputs[0], target, Draws(*shuffle, chosen))
            inputs[0], target = inputs[0][: end - first], target[: end - first]
        inputs = tuple(inputs if self._prepare is None else map(self._prepare, inputs))
        share = (end - first) / len(whole)
        weights = None if self._weigh is None or share == 1 else self._weigh(self._targets[whole])
        return Batch(inputs, target, first, share, float(weights.sum()) or None if weights is not None else None)


class IterableSource(Source):
    """Batches that another iterable gives, anew for each epoch, in the order that it has.

    Parameters
    ----------
    batches : iterable of (x, target)
        Such as a list, or an object whose ``__iter__`` begins again. x may be a tuple of several inputs.
    """

    def __init__(self, batches):
        self._given, self._sizes = batches, []
        self.batches = len(batches) if hasattr(batches, "__len__") else None

    def epoch(self, shuffle=None, first=0):
        count = 0
        for index, entry in enumerate(self._given):
            if not isinstance(entry, (tuple, list)) or len(entry) != 2:
                raise DataError(
                    f"batch {index} of the data is {_described(entry)}, but a pair (x, target) is expected. Let the "
                    "iterable give pairs; several inputs go into a tuple, ((a, b), target)."
                )
            count += 1
            batch = Batch(_as_tuple(entry[0]), entry[1])
            self._sizes[index : index + 1] = [batch.size]
            if index >= first:
                yield batch
        if not count:
            raise DataError(
                "the data, an iterable, gave no batch. Where an epoch before took them, as from a generator, give a "
                "list, or an object whose __iter__ begins again."
            )

    def size(self, index):
        return self._sizes[index]


def source(
    data: Any,
    batch_size: int,
    what: str,
    augment: Any = None,
    ranks: Alone = ALONE,
    weigh: Callable[[np.ndarray], np.ndarray] | None = None,
    micro_batch: int | None = None,
) -> Source:
    """Return the batches of what a user gave.

    Parameters
    ----------
    data : Source, DataSet, (x, target), or iterable of such pairs
        A tuple of two is one pair of arrays; x may be a tuple of several arrays.
    batch_size : int
        For arrays and data sets.
    what : str
        What it is called, for messages.
    augment : str or sequence of Augmentation, optional
        What becomes of images in training, as of :func:`refcnn.fit`.
    ranks, weigh, micro_batch
        As of :class:`ArraySource`, of a data set.

    Raises
    ------
    ArgumentError
        If it is nothing of these, or cannot be augmented.
    DataError
        If there are no examples.
    ShapeError
        If the arrays have not one entry each for every example.
    """
    if augment is not None and (isinstance(data, Source) or not isinstance(data, (DataSet, tuple))):
        raise ArgumentError(
            f"{what}: augment is given, but the data is {_described(data)}. Give arrays (x, target) or a DataSet, or "
            "augment in what gives the batches."
        )
    if isinstance(data, Source):
        return data
    attributes.integer(what, "batch_size", batch_size)
    if isinstance(data, DataSet):
        augmenter = None if augment is None else augmenter_of(data, augment)
        return ArraySource(
            (data.x,), data.y, batch_size, data.preprocessing.apply, augmenter, ranks, weigh, micro_batch
        )
    if isinstance(data, tuple) and len(data) == 2:
        return _of_arrays(*data, batch_size, what, augment)
    if isinstance(data, (np.ndarray, Variable, str)) or not isinstance(data, Iterable):
        raise ArgumentError(
            f"{what}: the data is {_described(data)}. Give a pair of arrays (x, target), a DataSet, or an iterable of "
            "such pairs, one for each batch."
        )
    return IterableSource(data)


def inputs_source(data: Any, batch_size: int, what: str) -> Source:
    """Return the batches of what :func:`source` takes, or of inputs alone, an array or an iterable of arrays."""
    if isinstance(data, (np.ndarray, Variable)):
        data = data, None
    if isinstance(data, tuple) and len(data) == 2:
        # Their targets are not looked at.
        data = data[0], np.zeros(len(_as_tuple(data[0])[0]))
    if isinstance(data, Iterable) and not isinstance(data, (tuple, str, DataSet, Source)):
        data = _Paired(data)
    return source(data, batch_size, what)


class _Paired:
    """An iterable of batches, of which those that are inputs alone stand in pairs with nothing."""

    def __init__(self, batches):
        self._batches = batches

    def __iter__(self):
        return (entry if isinstance(entry, tuple) else (entry, None) for entry in self._batches)


def augmenter_of(data: DataSet, augment: Any) -> Augmenter:
    """Return what augments the images of a data set; ArgumentError as of :class:`Augmenter`."""
    preprocessing = data.preprocessing
    return Augmenter(augment, data.x.shape[1:], len(data.classes), preprocessing.black, preprocessing.white)


def _of_arrays(x, targets, batch_size, what, augment):
    inputs, targets = tuple(map(_array, _as_tuple(x))), _array(targets)
    shapes = [array.shape for array in (*inputs, targets)]
    if any(not shape or shape[0] != shapes[-1][0] for shape in shapes):
        raise ShapeError(
            f"{what}: x has the shape {', '.join(map(str, shapes[:-1]))} and the target {shapes[-1]}. Give arrays with "
            "one entry for each example along the first axis."
        )
    if not shapes[-1][0]:
        raise DataError(f"{what}: there are no examples, x has the shape {shapes[0]}. Give at least one.")
    if augment is None:
        return ArraySource(inputs, targets, batch_size)
    if len(inputs) > 1:
        raise ArgumentError(f"{what}: augment is given, but x is {len(inputs)} inputs. Give a single one, of images.")
    classes = int(targets.max()) + 1 if targets.dtype.kind in "iu" else None
    return ArraySource(inputs, targets, batch_size, augmenter=Augmenter(augment, inputs[0].shape[1:], classes))


def _array(value):
    return value.as_ndarray() if isinstance(value, Variable) else np.asarray(value)


def _as_tuple(x):
    return x if isinstance(x, tuple) else (x,)


def _described(value):
    shape = getattr(value, "shape", None)
    return type(value).__name__ if shape is None else f"{type(value).__name__} of shape {shape}"
