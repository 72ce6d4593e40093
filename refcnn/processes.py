"""Child processes of Python: they run this very package, and import nothing from the folder of the command."""

import os
import sys
from pathlib import Path


def program(module):
    """Return the command that runs one of refcnn's modules in a process of its own.

    Without ``-P`` the current folder would be the first place for every
    import, and it may be one that holds data of strangers, such as a bundle.
    """
    return [sys.executable, "-P", "-m", module]


def environment():
    """Return the environment in which :func:`program` finds this very package; the user's ``PYTHONPATH`` holds too."""
    package = str(Path(__file__).resolve().parents[1])
    paths = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": paths}
