"""Formulas of sizes in a text, such as ``round_up(y.shape[3], 8)``: Python's expressions, of few kinds.

They come with kernels that anyone may have written, so that nothing of them is run by Python: they are read into a
tree, whose nodes are few, and numbers keep to 64 bits.
"""

import ast
import math
import operator

import numpy as np

from ...errors import ArgumentError
from ...suggestions import did_you_mean

#: No formula of a size is nearly as long.
_MOST_CHARACTERS = 1000
_LARGEST = 2**63

_OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARISONS = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_SIGNS = {ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Not: operator.not_}
_LEAVES = (ast.Name, ast.Constant, ast.Attribute, ast.Subscript, ast.Tuple, ast.Slice, ast.Call, ast.IfExp)
_NODES = (*_OPERATORS, *_COMPARISONS, *_SIGNS, ast.Is, ast.IsNot, ast.And, ast.Or, ast.Load, *_LEAVES)
_EXPRESSIONS = (ast.Expression, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare)
#: What an array says of itself.
_OF_ARRAYS = ("shape", "ndim", "size")

#: What formulas may call, for messages.
FUNCTIONS = "ceil_div(a, b), round_up(a, multiple), min, max, product(shape), sum(shape), len(shape), local(bytes)"


class LocalMemory(int):
    """Bytes of local memory, what ``local(bytes)`` gives: each work-group of a launch has its own."""


def _ceil_div(a, b):
    return -(-a // b)


_FUNCTIONS = {
    "ceil_div": _ceil_div,
    "round_up": lambda a, multiple: _ceil_div(a, multiple) * multiple,
    "min": lambda *numbers: min(_spread(numbers)),
    "max": lambda *numbers: max(_spread(numbers)),
    "product": lambda shape: math.prod(_spread((shape,))),
    "sum": lambda shape: sum(_spread((shape,))),
    "len": lambda shape: len(_tuple(shape)),
    "local": LocalMemory,
}


def _spread(numbers):
    """Return numbers that are given each by itself, or as one tuple."""
    return tuple(map(_number, _tuple(numbers[0]) if len(numbers) == 1 else numbers))


class Formula:
    """A formula that was read.

    Parameters
    ----------
    text : str, int or float
        A number stands for itself.
    is_known : callable
        Is asked of each name whether there is such a thing.
    names : iterable of str
        What there is, for messages.

    Raises
    ------
    ValueError
        If it is none, or has a name that is not known.
    """

    def __init__(self, text, is_known, names):
        self.text = str(text)
        if isinstance(text, bool) or not isinstance(text, str | int | float):
            raise ValueError(f"{text!r} is no formula: give a text or a number")
        if len(self.text) > _MOST_CHARACTERS:
            raise ValueError(f"the formula {self.text[:40]!r}... has more than {_MOST_CHARACTERS} characters")
        try:
            self._tree = ast.parse(self.text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            why = error.msg if isinstance(error, SyntaxError) else str(error)
            raise ValueError(f"the formula {self.text!r} cannot be read: {why}") from None
        self._check(is_known, names)

    def _check(self, is_known, names):
        called = {id(node.func) for node in ast.walk(self._tree) if isinstance(node, ast.Call)}
        for node in ast.walk(self._tree):
            if not isinstance(node, (*_NODES, *_EXPRESSIONS)):
                raise ValueError(
                    f"the formula {self.text!r} has what none may have ({type(node).__name__}): there are names, "
                    f"numbers, + - * / // %, comparisons, and, or, not, a if b else c, [ ], .shape, .ndim, .size and "
                    f"{FUNCTIONS}"
                )
            if isinstance(node, ast.Name) and id(node) not in called and not is_known(node.id):
                known = sorted(names)
                raise ValueError(
                    f"the formula {self.text!r} has {node.id!r}, which is not known.{did_you_mean(node.id, known)} "
                    f"There are {', '.join(known)}"
                )
            if isinstance(node, ast.Call) and (getattr(node.func, "id", None) not in _FUNCTIONS or node.keywords):
                raise ValueError(f"the formula {self.text!r} may call {FUNCTIONS}, each by position")
            if isinstance(node, ast.Attribute) and node.attr not in _OF_ARRAYS:
                raise ValueError(f"the formula {self.text!r} has .{node.attr}, but there are .{', .'.join(_OF_ARRAYS)}")

    @property
    def name(self):
        """The name that the formula consists of, or None."""
        return self._tree.id if isinstance(self._tree, ast.Name) else None

    @property
    def names(self):
        """All names in it that it does not call."""
        called = {id(node.func) for node in ast.walk(self._tree) if isinstance(node, ast.Call)}
        return {node.id for node in ast.walk(self._tree) if isinstance(node, ast.Name) and id(node) not in called}

    def __call__(self, values):
        """Return what the formula comes to.

        Parameters
        ----------
        values : mapping of str to (ndarray, number, bool, str, tuple or None)

        Raises
        ------
        ArgumentError
            If it comes to nothing: an axis that is not there, a division by zero.
        """
        try:
            return _value(self._tree, values)
        except (TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
            shapes = [
                f"{name}.shape == {value.shape}"
                for name, value in ((name, values[name]) for name in sorted(self.names) if name in values)
                if isinstance(value, np.ndarray)
            ]
            of = f" where {', '.join(shapes)}" if shapes else ""
            raise ArgumentError(
                f"the formula {self.text!r} cannot be computed{of}: {_reason(error)}. If the kernel is not made for "
                "such a case, say in 'where' for which it is, such as \"x.ndim == 4\"."
            ) from error


def _reason(error):
    return f"there is no name {error}" if isinstance(error, KeyError) else str(error)


def _value(node, values):
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return values[name]
        case ast.Tuple(elts=elements):
            return tuple(_value(element, values) for element in elements)
        case ast.Attribute(value=array, attr=name):
            return _attribute(_value(array, values), name)
        case ast.Subscript(value=whole, slice=place):
            return _tuple(_value(whole, values))[_value(place, values)]
        case ast.Slice(lower=lower, upper=upper, step=step):
            return slice(*(None if part is None else _value(part, values) for part in (lower, upper, step)))
        case ast.IfExp(test=test, body=body, orelse=other):
            return _value(body if _truth(test, values) else other, values)
        case ast.BoolOp(op=op, values=parts):
            decide = any if isinstance(op, ast.Or) else all
            return decide(_truth(part, values) for part in parts)
        case ast.Compare():
            return _compared(node, values)
        case _:
            return _computed(node, values)


def _computed(node, values):
    match node:
        case ast.UnaryOp(op=op, operand=operand):
            value = _truth(operand, values) if isinstance(op, ast.Not) else _number(_value(operand, values))
            return _SIGNS[type(op)](value)
        case ast.BinOp(left=left, op=op, right=right):
            a, b = _number(_value(left, values)), _number(_value(right, values))
            return _in_range(_OPERATORS[type(op)](a, b))
        case ast.Call(func=function, args=arguments):
            found = [_value(argument, values) for argument in arguments]
            if function.id in ("ceil_div", "round_up", "local"):
                found = list(map(_number, found))
            return _in_range(_FUNCTIONS[function.id](*found))
    raise TypeError(f"{type(node).__name__} has no value")


def _compared(node, values):
    left = _value(node.left, values)
    for op, right in zip(node.ops, node.comparators, strict=True):
        right = _value(right, values)
        if isinstance(op, ast.Is | ast.IsNot):
            holds = (left is right) == isinstance(op, ast.Is)
        elif isinstance(left, np.ndarray) or isinstance(right, np.ndarray):
            raise TypeError("arrays are not compared, but their .shape, .ndim and .size, or 'is None'")
        else:
            holds = _COMPARISONS[type(op)](left, right)
        if not holds:
            return False
        left = right
    return True


def _truth(node, values):
    value = _value(node, values)
    if isinstance(value, np.ndarray):
        raise TypeError("an array is neither true nor false: write 'is not None'")
    return bool(value)


def _attribute(value, name):
    if value is None:
        raise TypeError(f"there is no array of which .{name} could be told")
    if not isinstance(value, np.ndarray):
        raise TypeError(f"only arrays have .{name}")
    return getattr(value, name)


def _tuple(value):
    if not isinstance(value, tuple):
        raise TypeError(f"{'an array' if isinstance(value, np.ndarray) else repr(value)} is no tuple, as .shape is")
    return value


def _number(value):
    # Not bool alone is one that counts: NumPy's numbers come out of attributes.
    if not isinstance(value, int | float | np.number | np.bool_):
        raise TypeError(f"{'an array' if isinstance(value, np.ndarray) else repr(value)} is no number")
    return value


def _in_range(value):
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise OverflowError("it has more than 64 bits")
    return value
