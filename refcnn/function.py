"""One operation applied: pick the backend, run forward, record."""

import contextlib
import functools

from . import backend as backends
from . import formats, repeating, rooms
from .errors import ArgumentError
from .mode import is_recording
from .tape import Node
from .variable import Variable, variable_or_none


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

    Raises
    ------
    ArgumentError
        If an input has a dtype that the operation does not take.
    """
    backend = backends.active()
    inputs = tuple(map(variable_or_none, inputs))
    # One loop, since this stands before every operation: floats alone, as nearly always, are found quickly.
    arrays, are_floats = [], True
    for entry in inputs:
        array = None if entry is None else entry.on(backend)
        arrays.append(array)
        are_floats = are_floats and (array is None or array.dtype.kind == "f")
    if not are_floats or not _takes_floats(operation):
        inputs = taken(operation, inputs)
        arrays = [None if entry is None else entry.on(backend) for entry in inputs]
    implementation = backend.operation(operation)
    told = repeating.listener()
    with contextlib.nullcontext() if told is None else told.calling(implementation, arrays, attributes):
        y, saved = implementation.forward(*arrays, **attributes)
    if is_recording():
        return Node(operation, implementation, inputs, attributes, saved).record(Variable.of, backend, y)
    if isinstance(y, tuple):
        return tuple(Variable.of(backend, array) for array in y)
    return Variable.of(backend, y)


def taken(operation, inputs):
    """Return the inputs of an operation in dtypes that it takes, as its card's ``DTYPES`` says.

    Integers and truth values that were given as an array_like are taken as floats, and as what they are where the
    operation takes no floats. Where inputs must have one dtype, they are taken in that of the Variables beside them.

    Parameters
    ----------
    operation : str
    inputs : tuple of (Variable or None)

    Returns
    -------
    tuple of (Variable or None)

    Raises
    ------
    ArgumentError
        If a Variable has another dtype: refcnn converts none of its own accord. Or if Variables that must have one
        dtype have several, or what is given beside them is not held by theirs.
    """
    dtypes, first = _dtypes(operation), rooms.trait(rooms.LAYERS, operation, "ALIKE_FROM")
    if first is not None:
        inputs = *inputs[:first], *_alike(operation, inputs[first:])
    return tuple(
        entry if entry is None else _taken(operation, number, entry, dtypes[min(number, len(dtypes) - 1)])
        for number, entry in enumerate(inputs)
    )


@functools.cache
def _takes_floats(operation):
    """Return whether each input may be of floats, so that floats need not be looked at."""
    return all(accepted >= formats.FLOATS for accepted in _dtypes(operation))


@functools.cache
def _dtypes(operation):
    return rooms.trait(rooms.LAYERS, operation, "DTYPES")


def _alike(operation, inputs):
    """Return inputs in the dtype of those that were not made of whole numbers or truth values."""
    found = {entry.dtype for entry in inputs if not entry.is_stand_in}
    dtypes = sorted(found, key=lambda dtype: (dtype.kind != "f", dtype.name))
    if len(dtypes) > 1:
        names = [dtype.name for dtype in dtypes]
        raise ArgumentError(
            f"{operation}: arrays of {' and '.join(names)} meet, but all must have one dtype. Convert what is meant "
            f'to be another: x.astype("{names[0]}").'
        )
    return [entry.as_given(*dtypes) for entry in inputs] if dtypes else inputs


def _taken(operation, number, variable, accepted):
    for entry in (variable, variable.as_given()):
        if entry.dtype in accepted:
            return entry
    names = sorted(dtype.name for dtype in accepted - formats.FLOATS)
    names = [formats.FLOAT32.name] * bool(accepted & formats.FLOATS) + names
    raise ArgumentError(
        f"{operation}: input {number} is of {entry.dtype}, but {' or '.join(names)} is needed. Convert it where "
        f'that is meant: x.astype("{names[0]}").'
    )
