"""Variables that a model keeps: what an optimizer changes, and what is saved beside it."""

from typing import Any

import numpy as np

from . import formats
from .errors import ArgumentError, ShapeError
from .host_arrays import host_array
from .typing import ArrayLike, DTypeLike
from .variable import Input, Place, Variable


class Stored(Variable):
    """A variable that a model keeps: it is saved, and its value can be replaced."""

    def set(self, value: Input) -> None:
        """Replace the value by another of its shape and dtype; what the new one was computed from is not recorded.

        Threads that compute with it meanwhile each read the former value or this one, whole.

        Parameters
        ----------
        value : Variable or array_like
            A Variable's numbers are taken from where they lie, others copied to the active backend. Of an array_like,
            integers and truth values may become floats, and integers other integers.

        Raises
        ------
        ArgumentError
            If it has another dtype.
        ShapeError
            If it has another shape, or is no array of numbers.
        """
        fresh = value if isinstance(value, Variable) else self._made_of(host_array(value))
        if fresh.dtype != self.dtype and not fresh.dtype.kind == self.dtype.kind == "f":
            raise ArgumentError(
                f"set: a {type(self).__name__} of {self.dtype} was to become one of {fresh.dtype}. Convert the value "
                f'where that is meant: x.astype("{self.dtype}").'
            )
        if fresh.shape != self.shape:
            raise ShapeError(
                f"set: a {type(self).__name__} of shape {self.shape} was to become one of shape {fresh.shape}. Give a "
                "value of its shape."
            )
        self._place = fresh._place

    def _made_of(self, host):
        return Variable(host, dtype=self.dtype if np.can_cast(host.dtype, self.dtype, "same_kind") else None)

    def put(self, backend: Any, array: Any) -> None:
        """Replace the value by an array of a backend without a check, as optimizers do."""
        self._place = Place(backend, array)


class Parameter(Stored):
    """A variable that an optimizer changes, and so one of floats, whatever numbers it is made of."""

    is_parameter = True

    def __init__(self, value: ArrayLike) -> None:
        super().__init__(value, requires_grad=True, dtype=formats.FLOAT32.dtype)


class Buffer(Stored):
    """A variable that is saved, resumed, copied and exported with a model, but has no gradient.

    A layer that learns something of its inputs in training, such as their mean, keeps it so and changes it by
    :meth:`set`. Numbers that are counted are whole ones, and stay so.

    Parameters
    ----------
    value, dtype
        As of :class:`Variable`.

    Examples
    --------
    >>> import numpy as np
    >>> import refcnn as rm
    >>> from refcnn.mode import is_training
    >>> class Centre(rm.Layer):
    ...     def __init__(self, size):
    ...         super().__init__()
    ...         self.buffers["mean"] = rm.Buffer(np.zeros((1, size)))
    ...     def forward(self, x):
    ...         mean = self.buffers.mean
    ...         if is_training():
    ...             mean.set(0.9 * mean + 0.1 * x.mean(axis=0, keepdims=True))
    ...         return x - mean
    """

    def __init__(self, value: ArrayLike, dtype: DTypeLike | None = None) -> None:
        super().__init__(value, dtype=dtype)
