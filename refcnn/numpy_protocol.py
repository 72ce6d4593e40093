"""What NumPy's functions, and operators that refcnn has no operation for, do with a Variable."""

import numpy as np

from . import rooms
from .errors import GradientError
from .mode import is_recording

#: Functions of NumPy that read no numbers, so that they cut nothing off.
_OF_SHAPES_ALONE = {"shape", "ndim", "size", "empty_like", "zeros_like", "ones_like", "full_like"}

#: Functions of NumPy that call a method, or take a part, where their first argument knows how.
_METHODS = {np.sum, np.mean, np.max, np.amax, np.reshape, np.transpose, np.moveaxis, np.trim_zeros}

#: Python's names of the operators that are operations of refcnn, without underscores, and what computes them.
ARITHMETIC = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "divide",
    "pow": "power",
    "matmul": "matmul",
}
#: By the function of NumPy that an array to the left calls, the operators' methods of what is to the right.
REFLECTED = {getattr(np, operation): f"__r{name}__" for name, operation in ARITHMETIC.items()}


class NumpyProtocol:
    """A base of Variable, by which NumPy asks it."""

    def __array__(self, dtype=None, copy=None):
        if is_recording() and (self.requires_grad or self.node is not None):
            raise GradientError(
                f"a Variable of shape {self.shape} was to become a NumPy array, as numpy.asarray, a list of Variables "
                "or another library makes it, while operations are recorded: its gradient would be cut off. Give "
                "refcnn's functions the Variable itself, or call as_ndarray() to read the numbers apart from the "
                "gradient."
            )
        return self.as_ndarray().astype(dtype or self.dtype, copy=False)

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **keywords):
        reflected = REFLECTED.get(ufunc) if method == "__call__" and not (out or keywords) else None
        if reflected and not isinstance(inputs[0], NumpyProtocol):
            # This is what NumPy makes of an array or a number of its own to the left of an operator.
            return getattr(inputs[1], reflected)(inputs[0])
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        _refuse_if_recording(f"numpy.{name}", name)
        if any(isinstance(entry, NumpyProtocol) for entry in out):
            return NotImplemented
        arrays = [entry.as_ndarray() if isinstance(entry, NumpyProtocol) else entry for entry in inputs]
        return getattr(ufunc, method)(*arrays, **({"out": out} if out else {}), **keywords)

    def __array_function__(self, function, types, arguments, keywords):
        if function.__name__ in _OF_SHAPES_ALONE:
            arguments = [entry._placeholder() if isinstance(entry, NumpyProtocol) else entry for entry in arguments]
        else:
            _refuse_if_recording(f"{function.__module__}.{function.__name__}", function.__name__)
            if function in _METHODS and arguments and isinstance(arguments[0], NumpyProtocol):
                # Or else the function would call that method, whose arguments are others, and return a Variable.
                arguments = (arguments[0].as_ndarray(), *arguments[1:])
        # As if there were no such method: the function itself makes arrays of variables.
        return np.ndarray.__array_function__(np.empty(0), function, (), tuple(arguments), keywords)

    def _placeholder(self):
        return np.broadcast_to(np.zeros((), self.dtype), self.shape)


def _operator(symbol, numpy_name):
    """Return the method of an operator that refcnn does not have yet; outside of recording an array may know it."""

    def method(self, *others):
        _refuse_if_recording(f"the operator {symbol}", numpy_name)
        return NotImplemented

    return method


#: Python's names of such operators, without underscores: their signs, and NumPy's names of what they compute.
_OPERATORS = {"floordiv": ("//", "floor_divide"), "mod": ("%", "remainder"), "divmod": ("divmod", "divmod")}
for _name, _described in _OPERATORS.items():
    for _prefix in ("", "r"):
        setattr(NumpyProtocol, f"__{_prefix}{_name}__", _operator(*_described))


def _refuse_if_recording(what, numpy_name):
    """Raise GradientError while operations are recorded, for what computes with a Variable but is not recorded."""
    if not is_recording():
        return
    found = _counterpart(numpy_name)
    raise GradientError(
        f"{what} on a Variable is none of refcnn's operations, which are being recorded: its result would be cut off "
        f"from the gradient. {f'Use {found}' if found else 'refcnn has no function for it yet; do without it'}, or "
        "call as_ndarray() to read the numbers apart from the gradient."
    )


def _counterpart(numpy_name):
    """Return what refcnn has in the place of a function of NumPy: a function of that name, or what a card says."""
    for stem in rooms.operations():
        if stem == numpy_name:
            return f"refcnn.{numpy_name}"
        found = rooms.trait(rooms.LAYERS, stem, "IN_PLACE_OF_NUMPY").get(numpy_name)
        if found:
            return found
    return None
