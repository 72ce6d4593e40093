"""Inputs that Hypothesis draws for a proof, and its search for one on which a check fails."""

import tempfile
import time

import hypothesis
import numpy as np
from hypothesis import configuration
from hypothesis import strategies as st

from ...errors import RefcnnError
from ...formats import FLOAT32
from ...interruption import stop_if_asked

#: Seconds that a search may spend on a simpler input that fails too, once it has found one.
SHRINKING_TIME = 10.0


@st.composite
def images(draw, input_shape, top):
    """Draw a float32 batch of 1 to 6: zeros, one pixel, one value, few pixels, or noise of several ranges.

    Only a pattern and a seed are drawn, and the simple patterns come first,
    so that Hypothesis gets from noise to a single pixel in one step.

    Parameters
    ----------
    input_shape : tuple of int
    top : float
        The largest value of usual inputs.
    """
    shape = (draw(st.integers(1, 6)), *input_shape)
    pattern = draw(st.sampled_from(list(_PATTERNS)))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = np.asarray(_PATTERNS[pattern](random, int(np.prod(shape))), np.float64)
    return (values * top).astype(FLOAT32.dtype).reshape(shape)


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


def failure(strategy, examples, check):
    """Draw inputs until a check fails, and simplify the input on which it does.

    Parameters
    ----------
    strategy : Hypothesis strategy of ndarray
    examples : int
        How many inputs to draw; those that ``check`` rejects do not count.
    check : callable
        Given an input, raises a RefcnnError if it fails, or calls ``hypothesis.reject()``.

    Returns
    -------
    (ndarray, RefcnnError) or None
        The simplest input found on which the check failed, and its error.
    """
    failed, deadline = {}, None

    def judge(image):
        nonlocal deadline
        stop_if_asked()
        key = image.shape, image.tobytes()
        if key in failed:
            raise failed[key][1]
        if deadline is not None and time.monotonic() > deadline:
            return
        try:
            check(image)
        except RefcnnError as error:
            failed[key] = image, error
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
    with tempfile.TemporaryDirectory() as folder:
        # Hypothesis would leave a folder of its own in the current one.
        configuration.set_hypothesis_home_dir(folder)
        try:
            settings(hypothesis.given(strategy)(judge))()
        except (RefcnnError, hypothesis.errors.Flaky):
            return min(failed.values(), key=lambda entry: (entry[0].size, np.count_nonzero(entry[0])))
        finally:
            configuration.set_hypothesis_home_dir(None)
    return None
