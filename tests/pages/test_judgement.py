"""What was taken for what, and which images were hard, against scikit-learn and SciPy."""

import numpy as np
import pytest
import scipy.special
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from refcnn.runs.judgement import Judgement
from refcnn.runs.pages.gathering import most_confused

#: Such that probabilities are near each other, and so far that their exponentials underflow.
NUMBERS = st.floats(-2, 2, width=32) | st.floats(-2000, 2000, width=32)
LOGITS = npst.arrays(np.float32, st.tuples(st.integers(1, 20), st.integers(1, 6)), elements=NUMBERS)


def judged(data):
    logits = data.draw(LOGITS)
    labels = data.draw(npst.arrays(np.int64, len(logits), elements=st.integers(0, logits.shape[1] - 1)))
    return logits, labels, Judgement(logits, labels)


@pytest.mark.filterwarnings("ignore:A single label")
@given(st.data())
def test_counts_and_probabilities(data):
    logits, labels, judgement = judged(data)
    classes = range(logits.shape[1])
    expected = sklearn.metrics.confusion_matrix(labels, logits.argmax(axis=1), labels=classes)
    np.testing.assert_array_equal(judgement.counts, expected)
    images = np.arange(len(labels))[::2]
    softmax = scipy.special.softmax(logits.astype(np.float64), axis=1)
    np.testing.assert_allclose(judgement.probabilities(images), softmax[images], rtol=1e-9, atol=1e-300)


@given(st.data(), st.integers(0, 25))
def test_hard_images(data, count):
    logits, labels, judgement = judged(data)
    logarithms = scipy.special.log_softmax(logits.astype(np.float64), axis=1)
    wrong = judgement.most_wrong(count)
    assert set(wrong) <= set(np.flatnonzero(logits.argmax(axis=1) != labels))
    assert len(wrong) == min(count, np.count_nonzero(logits.argmax(axis=1) != labels))
    own = logarithms[np.arange(len(labels)), labels]
    assert (np.diff(own[wrong]) >= 0).all()
    left = np.setdiff1d(np.flatnonzero(logits.argmax(axis=1) != labels), wrong)
    assert not len(wrong) or (own[left] >= own[wrong[-1]]).all()
    highest = np.sort(np.exp(logarithms), axis=1)
    margins = highest[:, -1] - (highest[:, -2] if logits.shape[1] > 1 else highest[:, -1])
    unsure = judgement.most_unsure(count)
    np.testing.assert_allclose(margins[unsure], np.sort(margins)[:count], atol=1e-12)


def test_unsure_is_where_two_classes_are_near_each_other():
    shares = np.array([[0.45, 0.3, 0.25], [0.5, 0.49, 0.01], [0.2, 0.1, 0.7]])
    assert Judgement(np.log(shares), np.zeros(3, int)).most_unsure(2).tolist() == [1, 0]


def test_the_most_confused_classes_come_first():
    counts = np.array([[10, 0, 0, 0], [0, 5, 5, 0], [0, 1, 9, 0], [0, 0, 0, 0]])
    assert most_confused(counts) == [1, 2, 0, 3]
