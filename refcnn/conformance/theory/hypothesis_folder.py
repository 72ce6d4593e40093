"""Where Hypothesis keeps what it finds in the text of modules."""

import contextlib
from pathlib import Path

from hypothesis import configuration


@contextlib.contextmanager
def in_the_cache():
    """Let Hypothesis keep its files in refcnn's cache, not in a folder of its own in the current one.

    It reads the text of every module for numbers to draw, which takes half a second, unless it has kept them.
    """
    import platformdirs

    configuration.set_hypothesis_home_dir(Path(platformdirs.user_cache_dir("refcnn", appauthor=False), "hypothesis"))
    try:
        yield
    finally:
        configuration.set_hypothesis_home_dir(None)
