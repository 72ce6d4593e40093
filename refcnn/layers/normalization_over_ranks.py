"""Batch normalisation by the statistics of a whole batch, of which each rank has a part."""

import contextvars
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..function import apply
from ..mode import setting
from ..parallel.alone import Alone
from ..tape import Node
from ..variable import Variable

_ranks: contextvars.ContextVar = contextvars.ContextVar("refcnn ranks of batch statistics", default=None)


def sharing() -> Alone | None:
    """Return the ranks over which batch normalisation takes its statistics; None where it takes them of its input."""
    return _ranks.get()


def computed(ranks: Alone, compute: Callable[[], tuple[Any, Any]], is_idle: bool) -> tuple[Any, Any]:
    """Return the loss and the gradients of this rank's part, computed with the statistics of the whole batch.

    All ranks must call it, and a rank without an example takes part in the others' exchanges: each begins with the size
    of what is exchanged, and 0 tells the end.

    Parameters
    ----------
    ranks : Ranks
    compute : callable
        Computes them, backward too.
    is_idle : bool
        Whether this rank has no example; it gets None and None.
    """
    if is_idle:
        while size := ranks.largest(0, is_limited=True)[0]:
            ranks.sum(np.zeros(size))
        return None, None
    with setting(_ranks, ranks):
        found = compute()
    ranks.largest(0, is_limited=True)
    return found


def batch_normalization_over(
    ranks: Alone,
    x: Variable,
    scale: Variable,
    bias: Variable,
    mean: Variable,
    variance: Variable,
    *,
    momentum: float,
    epsilon: float,
) -> tuple[Variable, Variable, Variable]:
    """Return what :func:`refcnn.batch_normalization` does in training, of a part of the batch.

    Each rank's mean and variance are merged, then x is normalised by what came of it, whose gradients reach x through
    that of all ranks.

    Raises
    ------
    ShapeError
        If a channel has one value alone in the whole batch.
    """
    channels = x.shape[1]
    zeros, ones = np.zeros(channels), np.ones(channels)
    # Nothing is kept of former statistics, so that those of x come. What is normalised is not used: with this epsilon
    # there is no division by 0 where a rank has one value, whose variance is 0.
    options = {"momentum": 0.0, "epsilon": 1.0, "training": True}
    _, own_mean, own_variance = apply("batch_normalization", x, ones, zeros, zeros, ones, **options)
    whole = _merged(ranks, own_mean, own_variance, math.prod(x.shape) // channels)
    y = apply("batch_normalization", x, scale, bias, *whole, momentum=momentum, epsilon=epsilon, training=False)
    running = (momentum * former + (1 - momentum) * new for former, new in zip((mean, variance), whole, strict=True))
    return y, *running


def _merged(ranks, mean, variance, count):
    """Return mean and variance of so many values on each rank that has its own, in the order of the ranks.

    Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979).
    """
    backend = mean.backend
    rows = np.zeros((ranks.size, 1 + 2 * mean.shape[0]))
    rows[ranks.rank] = np.concatenate([[count], mean.as_ndarray(), variance.as_ndarray()])
    rows = _sum(ranks, rows)
    shares = rows[:, :1] / rows[:, 0].sum()
    if rows[:, 0].sum() == 1:
        raise ShapeError(
            "batch_normalization: there is one value for each channel in the whole batch, from which no variance "
            "follows. Give a larger batch in training, or larger images."
        )
    means, variances = np.split(rows[:, 1:], 2, axis=1)
    # What is not finite is told where the loss is.
    with np.errstate(all="ignore"):
        whole = (shares * means).sum(axis=0)
        off = means - whole
        of_squares = (shares * (variances + off * off)).sum(axis=0)
    saved = ranks, backend, shares[ranks.rank], off[ranks.rank]
    node = Node("batch_statistics", _Merged, (mean, variance), {}, saved)
    return node.record(Variable.of, backend, (backend.array(whole), backend.array(of_squares)))


class _Merged:
    """The gradients of what ranks have merged: a change of one rank's statistics moves the losses of all."""

    @staticmethod
    def backward(dy, saved, needs):
        """Return the gradients of this rank's mean and variance."""
        ranks, backend, share, off = saved
        d_mean, d_variance = _sum(ranks, np.stack([backend.to_host(entry) for entry in dy]))
        # By what a mean is off from that of all, the variance grows; that this one follows it, has no part.
        with np.errstate(all="ignore"):
            found = share * (d_mean + 2 * off * d_variance), share * d_variance
        return tuple(map(backend.array, found))


def _sum(ranks, array):
    ranks.largest(array.size, is_limited=True)
    (total,) = ranks.sum(array.astype(np.float64).reshape(-1))
    return total.reshape(array.shape)
