"""Variables: arrays on a backend, how they were computed, and the gradients of one."""

import copy
import numbers
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from . import attributes as attribute
from . import backend as backends
from . import formats, repeating, rooms
from .errors import BackendError, GradientError, ShapeError
from .host_arrays import converted, host_array
from .numpy_protocol import ARITHMETIC, NumpyProtocol
from .tape import Node, leaf_gradients
from .typing import ArrayLike, DTypeLike

#: In the memo of ``copy.deepcopy``, whose other keys are integers: the backend to which arrays are copied.
DESTINATION = "refcnn backend"


class Place:
    """Where a variable's array lies, and the copies of it on other backends.

    They are replaced together: threads that compute with one variable on several backends each read one value.
    """

    __slots__ = ("backend", "array", "copies")

    def __init__(self, backend, array):
        self.backend, self.array, self.copies = backend, array, {}


class Variable(NumpyProtocol):
    """An array on a backend, and how it was computed.

    Parameters
    ----------
    value : array_like
        Numbers or truth values of any dtype.
    requires_grad : bool
        Whether :meth:`grad` shall compute the gradient with respect to it.
    dtype : str, type or numpy dtype, optional
        int64, int32, bool, or any float, which stands for the backend's floats. As a rule it is the value's own, which
        for a list is what NumPy makes of it: ``[1, 2]`` is int64. Dtypes that no backend has become its floats: other
        floats, and smaller or unsigned integers such as the uint8 of images.

    Raises
    ------
    ArgumentError
        If no tensor has that dtype.
    GradientError
        If a gradient is asked for of what is no float.
    ShapeError
        If the value is no array of numbers.
    """

    if TYPE_CHECKING:
        # Made below, as methods that apply the operations.
        def __add__(self, other: ArrayLike, /) -> "Variable": ...
        def __radd__(self, other: ArrayLike, /) -> "Variable": ...
        def __sub__(self, other: ArrayLike, /) -> "Variable": ...
        def __rsub__(self, other: ArrayLike, /) -> "Variable": ...
        def __mul__(self, other: ArrayLike, /) -> "Variable": ...
        def __rmul__(self, other: ArrayLike, /) -> "Variable": ...
        def __truediv__(self, other: ArrayLike, /) -> "Variable": ...
        def __rtruediv__(self, other: ArrayLike, /) -> "Variable": ...
        def __pow__(self, other: ArrayLike, /) -> "Variable": ...
        def __rpow__(self, other: ArrayLike, /) -> "Variable": ...
        def __matmul__(self, other: ArrayLike, /) -> "Variable": ...
        def __rmatmul__(self, other: ArrayLike, /) -> "Variable": ...

    #: Whether an optimizer changes it.
    is_parameter = False
    #: Whether it holds floats in the place of integers or truth values that were given: see :func:`as_variable`.
    is_stand_in = False
    node: Node | None
    _given: "np.ndarray | Variable"

    def __init__(self, value: ArrayLike, requires_grad: bool = False, dtype: DTypeLike | None = None) -> None:
        backend, host = backends.active(), host_array(value)
        dtype = formats.kept(host.dtype, backend.dtype) if dtype is None else formats.named(dtype, backend.dtype)
        requires_grad = attribute.flag("Variable", "requires_grad", requires_grad)
        if requires_grad and dtype.kind != "f":
            raise GradientError(
                f"requires_grad is True, but the array is {dtype}, and only floats have gradients. Give floats, or "
                f'dtype="{formats.FLOAT32.name}", or leave requires_grad out.'
            )
        self._place = Place(backend, backend.array(host, dtype))
        told = repeating.listener()
        if told is not None:
            told.entered(host, self._place.array)
        self.requires_grad = requires_grad
        self.node, self.position = None, 0
        self._is_walked = False

    @classmethod
    def of(
        cls, backend: Any, array: Any, node: Node | None = None, requires_grad: bool = False, position: int = 0
    ) -> "Variable":
        """Wrap an array that lies on a backend, the node's result at a position; only one of floats has a gradient."""
        self = cls.__new__(cls)
        self._place = Place(backend, array)
        self.node, self.position = node, position
        self.requires_grad = requires_grad and array.dtype.kind == "f"
        self._is_walked = False
        return self

    @property
    def backend(self) -> Any:
        """The backend that holds the array."""
        return self._place.backend

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape, a tuple of int."""
        return tuple(self._place.array.shape)

    @property
    def dtype(self) -> np.dtype:
        """The array's NumPy dtype."""
        return self._place.array.dtype

    def on(self, backend: Any) -> Any:
        """Return the array on a backend, a copy if the variable lies elsewhere.

        The copy is kept until the variable gets another value. The variable itself stays where it is, so that nothing
        is lost where it has more digits than the other backend.

        Raises
        ------
        BackendError
            If the variable is the recorded result of another backend: copying it would cut its gradient.
        """
        place = self._place
        if backend is place.backend:
            return place.array
        if self.node is not None:
            raise BackendError(
                f"a result computed on {place.backend.name} is used on {backend.name} while its gradient is "
                "recorded. Switch the backend before or after the forward and backward pass, not in between."
            )
        if backend not in place.copies:
            place.copies[backend] = backend.array(place.backend.to_host(place.array))
        return place.copies[backend]

    def __copy__(self):
        return copy.deepcopy(self)

    def __deepcopy__(self, memo):
        self._refuse_if_recorded("copied", "copy")
        place = self._place
        backend = memo.get(DESTINATION, place.backend)
        twin = type(self).__new__(type(self))
        others = {name: value for name, value in vars(self).items() if name != "_place"}
        vars(twin).update(copy.deepcopy(others, memo))
        twin._place = Place(backend, backend.array(place.backend.to_host(place.array)))
        return twin

    def __getstate__(self):
        """Return what is pickled, the array as one of NumPy: another process may have no such device."""
        self._refuse_if_recorded("pickled", "pickle")
        return {**vars(self), "_place": self.as_ndarray()}

    def __setstate__(self, state):
        backend = backends.active()
        vars(self).update(state, _place=Place(backend, backend.array(state["_place"])))

    def _refuse_if_recorded(self, done, advised):
        if self.node is not None:
            raise GradientError(
                f"a result of shape {self.shape} was to be {done} while it is recorded how it was computed, which no "
                f"copy can know: its gradient would be cut off. {advised.capitalize()} it, or the model that keeps it, "
                "after grad() or outside of `with model.train():`."
            )

    def astype(self, dtype: DTypeLike) -> "Variable":
        """Return a Variable of the same numbers in another dtype: :func:`refcnn.cast`."""
        return rooms.function("cast")(self, dtype)

    def as_given(self, dtype: np.dtype | None = None) -> "Variable":
        """Return the integers or truth values that were given in the place of a Variable, as a Variable, else itself.

        :func:`as_variable` makes floats of them, which most operations take.

        Parameters
        ----------
        dtype : numpy dtype, optional
            In which to return what was given; as a rule it is its own.

        Raises
        ------
        ArgumentError
            If the dtype does not hold what was given.
        """
        if not self.is_stand_in or dtype is not None and dtype.kind == "f":
            return self
        told = repeating.listener()
        if told is not None:
            told.lost("integers or truth values are given where an operation takes no floats")
        if dtype is not None:
            return Variable(converted(np.asarray(self._given), dtype))
        if isinstance(self._given, np.ndarray):
            self._given = Variable(self._given)
        return self._given

    def as_ndarray(self) -> np.ndarray:
        """Return a copy of the array on the host, a NumPy array of the same dtype."""
        place = self._place
        return place.backend.to_host(place.array)

    def sum(self, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> "Variable":
        """Return the sum over an axis, several, or all: :func:`refcnn.reduce_sum`."""
        return rooms.function("reduce_sum")(self, axis, keepdims=keepdims)

    def mean(self, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> "Variable":
        """Return the mean over an axis, several, or all: :func:`refcnn.reduce_mean`."""
        return rooms.function("reduce_mean")(self, axis, keepdims=keepdims)

    def max(self, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> "Variable":
        """Return the largest over an axis, several, or all: :func:`refcnn.reduce_max`."""
        return rooms.function("reduce_max")(self, axis, keepdims=keepdims)

    def __neg__(self) -> "Variable":
        return rooms.function("negative")(self)

    def __pos__(self) -> "Variable":
        return self

    def __abs__(self) -> "Variable":
        return rooms.function("absolute")(self)

    def __eq__(self, other):
        # With a number as with an array, of which NumPy compares each; variables are equal to themselves alone.
        return np.equal(self, other) if isinstance(other, numbers.Number) else NotImplemented

    def __ne__(self, other):
        return np.not_equal(self, other) if isinstance(other, numbers.Number) else NotImplemented

    __hash__ = object.__hash__

    def __float__(self) -> float:
        return float(self._single("float()"))

    def __int__(self) -> int:
        return int(self._single("int()"))

    def __bool__(self) -> bool:
        return bool(self._single("a condition such as if, and or not"))

    def __format__(self, specification: str) -> str:
        """Return a single number as ``f"{loss:.3f}"`` shows it; without a specification any variable as ``str()``."""
        return format(self._single("a format") if specification else str(self), specification)

    def _single(self, what):
        """Return the number of a variable that is one."""
        if self.shape != ():
            raise ShapeError(
                f"{what} needs a single number, but this variable has shape {self.shape}. Give one of its numbers, "
                "as x[0, 0], or its sum(), mean() or max()."
            )
        return self.as_ndarray()[()]

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a variable of shape () has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator["Variable"]:
        if not self.shape:
            raise TypeError("a variable of shape () cannot be iterated over")
        return (self[index] for index in range(len(self)))

    #: Python would compare with every row, and variables are equal to themselves alone.
    __contains__ = None

    def __getitem__(self, key: object) -> "Variable":
        """Return a part, as NumPy's basic indexing: integers, slices, ``...`` and None.

        Raises
        ------
        ArgumentError
            If something else is in the index, such as an array of indices or a mask.
        OutOfRangeError
            If an index lies outside of its axis, or there are more than axes.
        """
        return rooms.require(rooms.LAYERS, "slice").item(self, key)

    def reshape(self, *shape: int | Sequence[int]) -> "Variable":
        """Return the same numbers in another shape: ``x.reshape(2, -1)``, ``x.reshape((2, -1))``.

        See :func:`refcnn.reshape`.
        """
        return rooms.function("reshape")(self, *_one_sequence(shape))

    def transpose(self, *axes: int | Sequence[int]) -> "Variable":
        """Return the axes in another order: ``x.transpose(0, 2, 1)``, ``x.transpose((0, 2, 1))``; reversed without any.

        See :func:`refcnn.transpose`.
        """
        return rooms.function("transpose")(self, *_one_sequence(axes) if axes else ())

    @property
    def T(self) -> "Variable":
        """The array with its axes reversed."""
        return self.transpose()

    def __repr__(self):
        return f"{type(self).__name__}(shape={self.shape}, backend={self.backend.name!r})\n{self.as_ndarray()!r}"

    def grad(self, on_ready: "Callable[[Variable, Any], None] | None" = None) -> "Grads":
        """Return the gradients of this scalar with respect to every variable that requires one.

        The tape is walked backwards and let go, so that the memory of the
        forward pass is free again; a second call needs a new forward pass.

        Parameters
        ----------
        on_ready : callable, optional
            Called as ``on_ready(variable, gradient)`` for each of them as soon as its gradient is known, while those of
            others are still to be computed: an array of the backend, or None where the scalar does not depend on the
            variable after all.

        Returns
        -------
        Grads

        Raises
        ------
        GradientError
            If this is no single number, was not computed inside ``with model.train():``, or depends on a result
            whose record was let go by another call.
        """
        if self.shape != ():
            raise GradientError(
                f"grad() starts from a single number, but this variable has shape {self.shape}. "
                "Call it on a loss with reduce_sum=True, or on the sum() or mean() of this one."
            )
        if self.dtype.kind != "f":
            raise GradientError(
                f"grad() starts from a float, but this variable is {self.dtype}, and only floats have gradients."
            )
        if self.node is None:
            raise GradientError(
                "grad() has no record of how this variable was computed: either it was computed outside "
                "`with model.train():`, or grad() was called before. Compute the loss anew inside the block."
            )
        return Grads.of(self.backend, leaf_gradients(self, on_ready))


def _arithmetic(name, operation, is_reflected):
    """Return the method of an operator that is an operation of refcnn, of a Variable and what can be made one."""

    def method(self, other):
        if not isinstance(other, _OPERANDS):
            return NotImplemented
        a, b = (other, self) if is_reflected else (self, other)
        return rooms.function(operation)(a, b)

    method.__name__ = f"__{'r' * is_reflected}{name}__"
    method.__qualname__, method.__doc__ = f"Variable.{method.__name__}", f"As :func:`refcnn.{operation}`."
    return method


#: What may stand on the other side of an operator.
_OPERANDS = (Variable, numbers.Number, np.ndarray, np.generic, list, tuple)

for _name, _operation in ARITHMETIC.items():
    for _method in (_arithmetic(_name, _operation, is_reflected) for is_reflected in (False, True)):
        setattr(Variable, _method.__name__, _method)


#: What an operation takes for an array.
Input: TypeAlias = Variable | ArrayLike


class Updating(Protocol):
    """What takes a step with gradients: an optimizer."""

    def update(self, gradients: Any, backend: Any) -> None:
        """Take one step for each of several (Parameter, array of the backend)."""


class Grads:
    """The gradients of one loss.

    They are kept by the variables themselves: copy or pickle them together with the model.

    Attributes
    ----------
    backend : Backend
        Where the gradients lie.
    """

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        # By the variables themselves, not by their ids, so that a copy of both together belongs together.
        self._entries = {}

    @classmethod
    def of(cls, backend: Any, pairs: Iterable[tuple[Variable, Any]]) -> "Grads":
        """Return gradients that are known, (variable, array of the backend) each; of one that comes again the last."""
        self = cls(backend)
        self._entries.update(pairs)
        return self

    def __getstate__(self):
        """Return what is copied and pickled: variables know how."""
        return {"pairs": [(variable, Variable.of(self.backend, array)) for variable, array in self]}

    def __setstate__(self, state):
        pairs = state["pairs"]
        self.backend = pairs[0][1].backend if pairs else backends.active()
        self._entries = {variable: gradient.on(self.backend) for variable, gradient in pairs}

    def get(self, node: Variable) -> Variable:
        """Return the gradient with respect to a parameter or another leaf variable, as a Variable.

        Raises
        ------
        GradientError
            If the loss does not depend on it, or no gradient was asked for.
        """
        try:
            return Variable.of(self.backend, self._entries[node])
        except KeyError:
            raise GradientError(
                "there is no gradient for this variable: the loss does not depend on it, or it is an intermediate "
                "result, or it was made without requires_grad=True."
            ) from None

    def __repr__(self):
        shapes = "".join(f"\n  {tuple(array.shape)}" for _, array in self)
        return f"Grads of {len(self._entries)} variables on {self.backend.name}{shapes}"

    def __iter__(self):
        """Iterate over (variable, gradient array on the backend)."""
        return iter(self._entries.items())

    def update(self, optimizer: "Updating") -> None:
        """Take one step of an optimizer with every parameter that has a gradient.

        Raises
        ------
        GradientError
            If none has one, so that nothing would be trained.
        """
        pairs = [pair for pair in self if pair[0].is_parameter]
        if not pairs:
            raise GradientError(
                "update: the loss was computed from no Parameter by refcnn's operations, so there is nothing to train. "
                "Compute it from the model's output itself, not from numbers that as_ndarray() gave."
            )
        optimizer.update(pairs, self.backend)


def _one_sequence(arguments):
    """Return the arguments of a function that takes one sequence, of a method that takes its entries too."""
    return arguments if len(arguments) == 1 else (arguments,)


def as_variable(value: Input) -> Variable:
    """Return a variable: itself, or a constant made of an array_like.

    Who gives an array_like has chosen no dtype, and has often integers where floats are meant: one-hot rows, images,
    ``[[-1, 2]]``. The constant is one of floats, and an operation that takes integers alone, such as indices, gets
    them by :meth:`Variable.as_given`, without loss.
    """
    if isinstance(value, Variable):
        return value
    host = host_array(value)
    constant = Variable(host, dtype=formats.FLOAT32.dtype)
    if formats.kept(host.dtype, constant.dtype) != constant.dtype:
        # A copy, since the caller may change its array.
        constant.is_stand_in, constant._given = True, np.array(host)
    return constant


def variable_or_none(value: Input | None) -> Variable | None:
    """Return what :func:`as_variable` does, and None for None, as an input that is left out."""
    return value if value is None or isinstance(value, Variable) else as_variable(value)
