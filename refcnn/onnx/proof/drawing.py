"""Inputs that Hypothesis draws for a proof, and its search for one on which a check fails."""

import dataclasses
import math
import time

import hypothesis
import numpy as np
from hypothesis import strategies as st

from ...conformance.theory import hypothesis_folder
from ...errors import RefcnnError
from ...formats import FLOAT32
from ...interruption import stop_if_asked

#: Seconds that a search may spend on a simpler input that fails too, once it has found one.
SHRINKING_TIME = 10.0


@dataclasses.dataclass(frozen=True)
class Drawn:
    """Inputs that were drawn.

    Attributes
    ----------
    arrays : tuple of ndarray
    is_random : bool
        Whether their numbers have random mantissas, and are so small that what is rounded is little beside what
        activations turn at.
    is_usual : bool
        Whether they are besides such as the network would get.
    """

    arrays: tuple
    is_random: bool
    is_usual: bool

    @classmethod
    def of(cls, arrays, pattern):
        """Return inputs whose numbers are of a pattern."""
        return cls(tuple(arrays), pattern in (*_USUAL, *_RANDOM), pattern in _USUAL)


@st.composite
def drawn_inputs(draw, input_shapes, top, patterns=None):
    """Draw a float32 batch of 1 to 6: zeros, one pixel, one value, few pixels, or noise of several ranges.

    Only a pattern and a seed are drawn, and the simple patterns come first,
    so that Hypothesis gets from noise to a single pixel in one step.

    Parameters
    ----------
    input_shapes : sequence of tuple of int
        One example's, of each input.
    top : float
        The largest value of usual inputs.
    patterns : sequence of str, optional
        Those to draw of; all if they are not given.
    """
    batch, pattern = draw(st.sampled_from(BATCHES)), draw(st.sampled_from(patterns or PATTERNS))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    arrays = []
    for input_shape in input_shapes:
        shape = (batch, *input_shape)
        arrays.append((numbers(pattern, random, math.prod(shape)) * top).astype(FLOAT32.dtype).reshape(shape))
    return Drawn.of(arrays, pattern)


def numbers(pattern, random, size):
    """Return so many numbers of a pattern, about 1 in size where they are usual, a float64 array."""
    return np.asarray(_PATTERNS[pattern](random, size), np.float64)


_PATTERNS = {
    "zeros": lambda random, size: np.zeros(size),
    "single": lambda random, size: np.arange(size) == random.integers(size),
    "constant": lambda random, size: np.full(size, random.uniform(-1, 1)),
    "sparse": lambda random, size: random.uniform(-1, 1, size) * (random.random(size) < 0.1),
    "usual": lambda random, size: random.random(size),
    "signed": lambda random, size: random.uniform(-1, 1, size),
    "large": lambda random, size: random.uniform(-1e6, 1e6, size),
    "wide": lambda random, size: random.uniform(-1, 1, size) * 2.0 ** random.integers(-30, 20, size),
}

PATTERNS = tuple(_PATTERNS)
_USUAL, _RANDOM = ("usual", "signed"), ("sparse",)
#: Mostly small ones: what takes several examples together differs at the second already.
BATCHES = (1, 2, 3, 1, 6, 2)


def search(strategy_of, examples, check):
    """Draw inputs as :func:`failure`, of all patterns and then, a quarter of them, of usual ones.

    Hypothesis has its own mind as to how often it draws which.

    Parameters
    ----------
    strategy_of : callable
        Given the patterns to draw of, returns a Hypothesis strategy of Drawn.
    examples, check
        As of :func:`failure`.
    """
    usual = max(1, examples // 4)
    found = failure(strategy_of(PATTERNS), examples - usual, check) if examples > usual else None
    return failure(strategy_of(_USUAL), usual, check) if found is None else found


def failure(strategy, examples, check):
    """Draw inputs until a check fails, and simplify the input on which it does.

    Parameters
    ----------
    strategy : Hypothesis strategy of Drawn
    examples : int
        How many inputs to draw; those that ``check`` rejects do not count.
    check : callable
        Given an input, raises a RefcnnError if it fails, or calls ``hypothesis.reject()``.

    Returns
    -------
    (Drawn, RefcnnError) or None
        The simplest input found on which the check failed, and its error.
    """
    failed, deadline = {}, None

    def judge(drawn):
        nonlocal deadline
        stop_if_asked()
        key = key_of(drawn)
        if key in failed:
            raise failed[key][1]
        if deadline is not None and time.monotonic() > deadline:
            return
        try:
            check(drawn)
        except RefcnnError as error:
            failed[key] = drawn, error
            deadline = deadline or time.monotonic() + SHRINKING_TIME
            raise

    settings = hypothesis.settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=True,
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
        verbosity=hypothesis.Verbosity.quiet,
    )
    with hypothesis_folder.in_the_cache():
        try:
            settings(hypothesis.given(strategy)(judge))()
        except (RefcnnError, hypothesis.errors.Flaky):
            return min(failed.values(), key=lambda entry: _size(entry[0].arrays))
    return None


def key_of(drawn):
    """Return what tells inputs apart."""
    return tuple((array.shape, array.tobytes()) for array in drawn.arrays)


def _size(arrays):
    return sum(array.size for array in arrays), sum(np.count_nonzero(array) for array in arrays)
