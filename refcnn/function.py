"""One operation applied: pick the backend, run forward, record."""

from . import backend as backends
from .mode import is_recording
from .variable import Node, Variable, as_variable


def apply(operation, *inputs, **attributes):
    """Run an operation on the active backend and record it if a gradient may be asked for.

    Parameters
    ----------
    operation : str
        The stem that names the operation in every backend.
    *inputs : Variable, array_like or None
        The operation's arrays, in the order of its ``forward``.
    **attributes
        Normalised attributes; backends do not check them again.

    Returns
    -------
    Variable, or tuple of Variable
        A tuple where ``forward`` gives a tuple of results.
    """
    backend = backends.active()
    inputs = tuple(None if entry is None else as_variable(entry) for entry in inputs)
    arrays = [None if entry is None else entry.on(backend) for entry in inputs]
    implementation = backend.operation(operation)
    y, saved = implementation.forward(*arrays, **attributes)
    if is_recording():
        return Node(operation, implementation, inputs, attributes, saved).record(backend, y)
    if isinstance(y, tuple):
        return tuple(Variable.of(backend, array) for array in y)
    return Variable.of(backend, y)
