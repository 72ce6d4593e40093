"""Where an operation lives in each wing of the house: the only lookup of operations by name.

A wing is a package in which each operation has a room of its own, a module that bears its stem, or an entry of a page:
a module for many operations of one line each, whose ``OPERATIONS`` maps a stem to an object with what such a module
would have.

What code that serves all operations must know of one is a trait: a name in its room, where it differs from the default
that the wing's package has under the same name (:func:`trait`).
"""

import functools
import importlib
import pkgutil

from .errors import BackendError

#: The wings by the package below :mod:`refcnn`.
REFERENCE, OPENCL, CONFORMANCE = "reference", "opencl.operations", "conformance.operations"
LAYERS, OPTIMIZERS = "layers", "optimizers"

#: The stems of the pages, the same in each wing.
PAGES = ("activation", "arithmetic", "elementary", "logic", "loss", "normalization", "reduction")

_PACKAGE = __package__


def find(wing, stem):
    """Return the room of an operation in a wing.

    Parameters
    ----------
    wing : str
        One of the wings of this module.
    stem : str
        The operation's name.

    Returns
    -------
    module or object
        None if the wing has no such room.
    """
    return _find(wing, stem)[1]


def require(wing, stem):
    """Return the room of an operation in a wing, as :func:`find`.

    Raises
    ------
    BackendError
        If the wing has no such room.
    """
    found = find(wing, stem)
    if found is None:
        raise BackendError(f"{_PACKAGE}.{wing} has no operation {stem!r}. Use a backend that has it, or add it.")
    return found


def trait(wing, stem, name):
    """Return what an operation's room has under a name, or else the default, which the wing's package has.

    Parameters
    ----------
    wing, stem
        As in :func:`find`.
    name : str
        One of the traits of the wing: its package lists them, and says what each means.

    Raises
    ------
    AttributeError
        If the wing has no such trait.
    """
    default = getattr(importlib.import_module(f"{_PACKAGE}.{wing}"), name)
    return getattr(find(wing, stem), name, default)


def card(stem):
    """Return an operation's room among the layers, or else among the optimizers, or None."""
    found = find(LAYERS, stem)
    return find(OPTIMIZERS, stem) if found is None else found


def function(stem):
    """Return the public function of an operation, which bears its name and stands in its room among the layers.

    For what is below the layers and yet offers an operation, as the operators of Variables do.
    """
    return getattr(require(LAYERS, stem), stem)


@functools.cache
def operations():
    """Return the names of all operations, sorted: those of which the reference has a room."""
    package = importlib.import_module(f"{_PACKAGE}.{REFERENCE}")
    stems = {module.name for module in pkgutil.iter_modules(package.__path__)} - set(PAGES)
    pages = (_module(REFERENCE, page) for page in PAGES)
    return tuple(sorted(stems.union(*(page.OPERATIONS for page in pages if page is not None))))


def modules(wing):
    """Return all modules of a wing, for what one of them has for several operations."""
    package = importlib.import_module(f"{_PACKAGE}.{wing}")
    return [_module(wing, module.name) for module in pkgutil.iter_modules(package.__path__)]


def path(wing, stem):
    """Return the file that is or would be the room of an operation, or the page on which it stands, for messages."""
    return f"{_PACKAGE}/{wing.replace('.', '/')}/{_find(wing, stem)[0]}.py"


@functools.cache
def _find(wing, stem):
    """Return the name of an operation's module in a wing, and its room."""
    module = None if stem in PAGES else _module(wing, stem)
    if module is not None:
        return stem, module
    for name in PAGES:
        page = _module(wing, name)
        if page is not None and stem in page.OPERATIONS:
            return name, page.OPERATIONS[stem]
    return stem, None


def _module(wing, name):
    full_name = f"{_PACKAGE}.{wing}.{name}"
    try:
        return importlib.import_module(full_name)
    except ModuleNotFoundError as error:
        if error.name != full_name:
            raise
        return None
