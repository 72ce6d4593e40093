"""The user's own code: modules that a command names, and the only ones that are looked for in the current folder."""

import importlib.machinery
import importlib.util
import os
import sys
from pathlib import Path


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
    # What was imported may have gone to another folder, of which nothing is to be imported.
    if module not in sys.modules:
        folder = os.getcwd()
        if folder not in sys.path:
            sys.path.append(folder)
        importlib.invalidate_caches()
    return importlib.import_module(module)


def is_there(module):
    """Return whether there is a module or package of a name's first part, which is not imported for that."""
    top = module.partition(".")[0]
    try:
        # Of an installed one its finder knows, which need not look into folders.
        found = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        found = None
    return found is not None or importlib.machinery.PathFinder.find_spec(top, [os.getcwd()]) is not None


def hidden(module):
    """Return the file or folder of the current folder that a name leads to no more, an installed module having it."""
    top = module.partition(".")[0]
    taken = getattr(sys.modules.get(top), "__file__", None)
    for path, inside in ((Path(f"{top}.py"), ""), (Path(top), "__init__.py")):
        if taken is not None and (path / inside).is_file() and not os.path.samefile(path / inside, taken):
            return path.absolute()
    return None
