"""The user's own code: modules that a command names, and the only ones that are looked for in the current folder."""

import importlib
import os
import sys


def import_named(module):
    """Import a module that the user named on the command line.

    The current folder is looked through last: what lies there must not take
    the place of an installed module. Never give a name that stands in a file:
    a run's or a bundle's folder may come from anyone.

    Parameters
    ----------
    module : str

    Returns
    -------
    module

    Raises
    ------
    BaseException
        Whatever the module raises, ModuleNotFoundError if there is none.
    """
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.append(folder)
    importlib.invalidate_caches()
    return importlib.import_module(module)
