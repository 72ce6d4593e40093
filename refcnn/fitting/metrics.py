"""How good a model is: its loss, and of classes the accuracy, precision, recall and F1 score."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import repeating
from ..data import one_hot
from ..errors import NonFiniteLossError
from ..layers.softmax_cross_entropy import softmax_cross_entropy
from ..parallel.alone import ALONE, Alone
from ..variable import Variable
from .sources import Batch, Source

#: The k of the top-k accuracy where none is asked for.
TOP_K = 5
#: How the names of what a row of metrics holds of each class begin.
OF_CLASSES = "class_"
#: Of what a row of metrics holds, what a training may be judged by; it is better where it is larger, but for losses.
MONITORED = (
    "validation_accuracy",
    "validation_loss",
    "validation_top_k_accuracy",
    "validation_precision",
    "validation_recall",
    "validation_f1",
    "train_loss",
)


def is_better_low(monitor: str) -> bool:
    """Return whether a metric of that name is better where it is smaller."""
    return monitor.endswith("loss")


def best_row(history: list[dict], monitor: str = MONITORED[0]) -> dict:
    """Return the best row of metrics; of equal ones that with the lower validation loss, then the first.

    Parameters
    ----------
    history : list of dict
        With at least one row.
    monitor : str
        What decides, one of :data:`MONITORED`; a row without it is worse than any with it.
    """
    sign = 1 if is_better_low(monitor) else -1

    def key(row):
        value = row.get(monitor)
        return value is None, 0 if value is None else sign * value, row.get("validation_loss", 0)

    return min(history, key=key)


@dataclasses.dataclass(frozen=True)
class ClassCounts:
    """What was counted of each class.

    Attributes
    ----------
    examples, predicted, right : ndarray of int64, (K,)
        Examples of the class, those that were taken for it, and those that are both.
    """

    examples: np.ndarray
    predicted: np.ndarray
    right: np.ndarray

    @property
    def precision(self) -> np.ndarray:
        """Of what was taken for the class the part that is of it, float64 (K,); 0 where nothing was."""
        return self.right / np.maximum(self.predicted, 1)

    @property
    def recall(self) -> np.ndarray:
        """The part of the class's examples that was found, float64 (K,); 0 where there is none."""
        return self.right / np.maximum(self.examples, 1)

    @property
    def f1(self) -> np.ndarray:
        """The harmonic mean of precision and recall, float64 (K,); 0 where both are."""
        return 2 * self.right / np.maximum(self.examples + self.predicted, 1)

    def mean(self, values: np.ndarray) -> float:
        """Return the mean over the classes that occur, as examples or as predictions."""
        return float(values[self.examples + self.predicted > 0].mean())


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How good a model is on some examples.

    Attributes
    ----------
    loss : float
        The mean over the examples.
    examples : int
    accuracy : float or None
        Of all examples, or of all their places where each place, such as a pixel, has a class. None, as all that
        follows, where the targets are no classes.
    top_k_accuracy : float or None
        The part of them whose class is among the k most probable; None too where there are no more than k.
    top_k : int
    classes : ClassCounts or None
    """

    loss: float
    examples: int
    accuracy: float | None
    top_k_accuracy: float | None
    top_k: int
    classes: ClassCounts | None

    def row(self) -> dict[str, Any]:
        """Return what a row of metrics holds of it, without what is None."""
        found: dict[str, Any] = {"validation_loss": self.loss, "validation_accuracy": self.accuracy}
        found["validation_top_k_accuracy"] = self.top_k_accuracy
        if self.classes is not None:
            for name in ("precision", "recall", "f1"):
                found[f"validation_{name}"] = self.classes.mean(getattr(self.classes, name))
            found |= {f"{OF_CLASSES}{name}": array.tolist() for name, array in vars(self.classes).items()}
        return {name: value for name, value in found.items() if value is not None}


def cross_entropy(output: Variable, target: Any, total: float | None = None, **options: Any) -> Variable:
    """Return :func:`refcnn.softmax_cross_entropy`, with class indices as rows of ones and zeros where that is the same.

    With class weights, or an ignored index, it is not: of indices the mean is divided by the sum of the weights, and of
    rows by their number; or by ``total`` where the examples are a part of a batch with that sum of weights.
    """
    if total is not None:
        return softmax_cross_entropy(output, target, reduce_sum=False, **options).sum() / total
    indices = np.asarray(target) if not isinstance(target, Variable) else None
    if indices is not None and indices.ndim == 1 and indices.dtype.kind in "iu" and len(output.shape) == 2:
        target = repeating.made_of(indices, functools.partial(_rows_where_alike, output.shape[1], options))
    return softmax_cross_entropy(output, target, **options)


def _rows_where_alike(classes, options, indices):
    weights = options.get("class_weight")
    # A batch of classes that have no weight would be 0 / 0, but has nothing to teach: the loss of rows is 0.
    is_weighted = weights is not None and np.asarray(weights)[indices % len(weights)].any()
    return indices if is_weighted or options.get("ignore_index") is not None else one_hot(indices, classes)


def evaluate(
    model: Any,
    source: Source,
    loss: Callable[[Variable, Any], Variable] = cross_entropy,
    top_k: int = TOP_K,
    after_batch: Callable[[], object] = lambda: None,
    ranks: Alone = ALONE,
) -> Evaluation:
    """Run a model on all batches of a source, and judge what it gives.

    Of several ranks, over which the source cuts the batches, all return what is found of the whole.

    Raises
    ------
    NonFiniteLossError
        If the loss is NaN or infinite.
    """
    tally, losses, weights, examples = None, [], [], 0
    for batch in _parts(source, after_batch):
        output = model(*batch.inputs)
        mean, part = float(loss(output, batch.target)), 1.0
        labels = labels_of(batch, output)
        if labels is not None:
            tally = tally or _Tally(output.shape[1], top_k)
            # Of images with a class for each pixel every pixel is one row.
            part = tally.add(np.moveaxis(output.as_ndarray(), 1, -1).reshape(-1, output.shape[1]), labels.reshape(-1))
        if part:
            # The loss of a batch is the mean over those that it does not ignore, NaN of none.
            losses.append(mean * (part * batch.size))
            weights.append(part * batch.size)
        examples += batch.size
    if ranks.size > 1:
        tallies, of_ranks, weights_of_ranks, counts = zip(
            *ranks.gather((tally, losses, weights, examples)), strict=True
        )
        tally, losses, weights = _Tally.sum(tallies), sum(of_ranks, []), sum(weights_of_ranks, [])
        examples = sum(counts)
    # In an order in which it does not matter who computed which.
    mean = sum(sorted(losses)) / sum(sorted(weights)) if weights else math.nan
    if not math.isfinite(mean):
        raise NonFiniteLossError(f"the validation loss is {mean}")
    if tally is None:
        return Evaluation(mean, examples, None, None, top_k, None)
    counts = ClassCounts(tally.examples, tally.predicted, tally.right)
    judged = int(tally.examples.sum())
    within = tally.within / judged if top_k < len(tally.right) else None
    return Evaluation(mean, examples, int(tally.right.sum()) / judged, within, top_k, counts)


def _parts(source, after_batch):
    for batch in source.epoch():
        yield from batch.parts
        after_batch()


def labels_of(batch: Batch, output: Variable) -> np.ndarray | None:
    """Return the indices of the classes, int64 (N, ...), of which probabilities have the largest; None of others.

    Parameters
    ----------
    batch : Batch
    output : Variable
        What the model made of it.
    """
    target = batch.target.as_ndarray() if isinstance(batch.target, Variable) else np.asarray(batch.target)
    shape: tuple[int, ...] = getattr(output, "shape", ())
    if len(shape) < 2 or shape[1] < 2:
        return None
    if target.shape == (shape[0], *shape[2:]) and target.dtype.kind in "iu":
        return target.astype(np.int64)
    is_probable = target.shape == shape and (target >= 0).all() and (target <= 1).all()
    return target.argmax(axis=1) if is_probable else None


class _Tally:
    """Counts over batches."""

    def __init__(self, classes, top_k):
        self.examples, self.predicted, self.right = (np.zeros(classes, np.int64) for _ in range(3))
        self.within, self._top_k = 0, top_k

    @classmethod
    def sum(cls, tallies):
        """Return the tally of all that several counted, None among which counted nothing; None where none did."""
        counted = [tally for tally in tallies if tally is not None]
        if not counted:
            return None
        total = cls(len(counted[0].right), counted[0]._top_k)
        for tally in counted:
            for name in ("examples", "predicted", "right", "within"):
                setattr(total, name, getattr(total, name) + getattr(tally, name))
        return total

    def add(self, output, labels):
        """Count what has a class; return which part of all that is."""
        # The loss refuses numbers of no class, but for one that it ignores.
        is_class = (labels >= 0) & (labels < len(self.right))
        output, labels = output[is_class], labels[is_class]
        found, rows = output.argmax(axis=1), np.arange(len(labels))
        classes = len(self.right)
        self.examples += np.bincount(labels, minlength=classes)
        self.predicted += np.bincount(found, minlength=classes)
        self.right += np.bincount(labels[found == labels], minlength=classes)
        # Of equal outputs the first counts as the larger, as for argmax.
        own = output[rows, labels][:, None]
        ahead = (output > own) | ((output == own) & (np.arange(classes) < labels[:, None]))
        self.within += int((ahead.sum(axis=1) < self._top_k).sum())
        return is_class.mean()
