"""How a classifier's outputs compare with the true classes: what was taken for what, and which images were hard."""

import functools

import numpy as np

from ..fitting.metrics import ClassCounts
from . import plotting


class Judgement:
    """What a classifier makes of labelled images.

    Parameters
    ----------
    logits : ndarray, (N, K)
    labels : ndarray of int, (N,)

    Attributes
    ----------
    predicted : ndarray of int, (N,)
    counts : ndarray of int64, (K, K)
        How often a class (row) was taken for another (column).
    """

    def __init__(self, logits, labels):
        # As float64 of which exponentials do not overflow.
        self._shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
        self.labels, self.predicted = labels, logits.argmax(axis=1)
        self.counts = plotting.confusion_counts(labels, self.predicted, logits.shape[1])

    @property
    def of_classes(self):
        """What was counted of each class, a ClassCounts."""
        return ClassCounts(self.counts.sum(axis=1), self.counts.sum(axis=0), np.diag(self.counts))

    @functools.cached_property
    def _log_sums(self):
        return np.log(np.exp(self._shifted).sum(axis=1))

    def probabilities(self, images):
        """Return the probabilities of all classes for images of these indices, float64 (n, K)."""
        return np.exp(self._shifted[images] - self._log_sums[images, None])

    def most_wrong(self, count):
        """Return the indices of images that were taken for another class, the least probable own class first."""
        # As a logarithm that does not underflow.
        likelihoods = self._shifted[np.arange(len(self.labels)), self.labels] - self._log_sums
        wrong = np.flatnonzero(self.predicted != self.labels)
        return wrong[np.argsort(likelihoods[wrong], kind="stable")][:count]

    def most_unsure(self, count):
        """Return the indices of images of which the two most probable classes are nearest, the nearest first."""
        highest = -np.partition(-self._shifted, 1, axis=1)[:, :2] if self._shifted.shape[1] > 1 else self._shifted
        shares = np.exp(highest - self._log_sums[:, None])
        return np.argsort(shares[:, 0] - shares[:, -1], kind="stable")[:count]
