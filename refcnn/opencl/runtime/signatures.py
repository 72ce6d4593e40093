"""The arguments of kernels, by the names and types that they have in the kernel's own text.

Compilers tell them too, but only of a program that was built from text, with an
option for it: neither of one that comes out of a cache, nor of what is recorded
without being built. So the text is read here, as far as it lies outside of
functions: comments, the build options' macros and the text's own, conditions.
"""

import functools
import itertools
import operator
import re
import typing

import numpy as np

from ...errors import ArgumentError, BackendError
from ...formats import BOOL
from .array import DeviceArray

_NOT_CODE = re.compile(r'//[^\n]*|/\*.*?\*/|("(?:\\.|[^"\\])*")', re.DOTALL)
_TOKEN = re.compile(r'[A-Za-z_]\w*|\d[\w.]*|##|&&|\|\||[=!<>]=|"(?:\\.|[^"\\])*"|\S')
_DIRECTIVE = re.compile(r"\s*#\s*(\w+)(.*)")
_DEFINITION = re.compile(r"\s*(\w+)(?:\(([^)]*)\))?(.*)")
# The operators of conditions, from those that bind least.
_OPERATORS = {
    "||": lambda a, b: int(bool(a or b)),
    "&&": lambda a, b: int(bool(a and b)),
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.floordiv,
    "%": operator.mod,
}
_BINDING = {
    symbol: strength
    for strength, symbols in enumerate(("||", "&&", "== !=", "< > <= >=", "+ -", "* / %"), 1)
    for symbol in symbols.split()
}
_NUMBERS = {
    "char": "int8",
    "uchar": "uint8",
    "short": "int16",
    "ushort": "uint16",
    "int": "int32",
    "uint": "uint32",
    "long": "int64",
    "ulong": "uint64",
    "half": "float16",
    "float": "float32",
    "double": "float64",
}
_VECTOR = re.compile(rf"({'|'.join(_NUMBERS)})(?:2|3|4|8|16)")
_QUALIFIERS = {"const", "restrict", "volatile", "__global", "global", "__constant", "constant", "__local", "local"}


class Parameter(typing.NamedTuple):
    """An argument of a kernel; ``dtype`` is its own or that of the array's elements, None if the text does not tell."""

    name: str
    dtype: np.dtype | None
    is_array: bool
    is_read_only: bool = False

    def __str__(self):
        kind = "a number" if self.dtype is None else self.dtype.name
        return f"an array of {kind}" if self.is_array else kind

    def takes(self, value):
        """Return whether it can be given a value, whose dtype and size it can hold."""
        if self.is_array:
            return value is None or (isinstance(value, DeviceArray) and self.holds(value.dtype))
        if self.dtype is None:
            return isinstance(value, (int, float, np.generic))
        if isinstance(value, (bool, np.bool_)) or type(value) is int:
            return self.dtype.kind in "iu"
        if isinstance(value, float):
            return self.dtype.kind == "f"
        return isinstance(value, np.generic) and self.holds(value.dtype)

    def holds(self, dtype):
        """Return whether arrays of a dtype can be given; truth values are bytes to a kernel."""
        return (
            self.dtype is None or dtype == self.dtype or (dtype == BOOL.dtype and self.dtype == _NUMBERS[BOOL.c_type])
        )

    def converted(self, number):
        """Return a Python number as the NumPy scalar that the kernel is given."""
        if self.dtype is not None:
            return self.dtype.type(number)
        if isinstance(number, np.generic) and not isinstance(number, (np.bool_, np.float64)):
            return number
        return np.float32(number) if isinstance(number, float) else np.int32(number)


class Signature(typing.NamedTuple):
    """A kernel's parameters, in order."""

    file_stem: str
    kernel_name: str
    parameters: tuple

    def check(self, arguments):
        """Raise ArgumentError unless every parameter, and nothing else, is given a value that it can have.

        Parameters
        ----------
        arguments : dict of str to (DeviceArray, None, int, float or numpy scalar)
        """
        names = [parameter.name for parameter in self.parameters]
        missing = [name for name in names if name not in arguments]
        unknown = [name for name in arguments if name not in names]
        if missing or unknown:
            faults = (("lacks", missing), ("has no", unknown))
            text = " and ".join(f"{what} {', '.join(named)}" for what, named in faults if named)
            raise ArgumentError(f"{self} {text}. Name each of its arguments: {', '.join(names)}.")
        for parameter in self.parameters:
            self.check_value(parameter, arguments[parameter.name])

    def in_order(self, arguments):
        """Return the arguments as the kernel is given them: arrays, and numpy scalars in the place of numbers.

        In the place of None stands the first array.
        """
        values = [arguments[parameter.name] for parameter in self.parameters]
        stand_in = next((value for value in arguments.values() if isinstance(value, DeviceArray)), None)
        return [
            stand_in if value is None else value if parameter.is_array else parameter.converted(value)
            for parameter, value in zip(self.parameters, values, strict=True)
        ]

    def __str__(self):
        return f"the launch of {self.kernel_name} in kernels/{self.file_stem}.cl"

    def check_value(self, parameter, value):
        """Raise ArgumentError unless a parameter can have a value."""
        if not parameter.takes(value):
            given = f"an array of {value.dtype.name}" if isinstance(value, DeviceArray) else repr(value)
            raise ArgumentError(f"{self}: {parameter.name} is {given}, but the kernel takes {parameter}.")
        if type(value) is int:
            limits = np.iinfo(parameter.dtype or np.int32)
            if not limits.min <= value <= limits.max:
                raise ArgumentError(
                    f"{self}: {parameter.name} is {value}, but kernels count in {limits.bits} bits, up to "
                    f"{limits.max}. Use smaller arrays, such as a smaller batch."
                )


def signature(file_stem, kernel_name, text, options):
    """Return the Signature of a kernel.

    Parameters
    ----------
    file_stem, kernel_name : str
    text : str
        The text of the kernel file, without ``#include``.
    options : tuple of str
        Build options.

    Raises
    ------
    BackendError
        If there is no such kernel in the text, or the text cannot be read.
    """
    try:
        found = kernels_in(text, tuple(options))
    except (ValueError, LookupError, ZeroDivisionError) as error:
        raise BackendError(
            f"the text of kernels/{file_stem}.cl outside of functions cannot be read: {error}."
        ) from error
    if kernel_name not in found:
        raise BackendError(
            f"kernels/{file_stem}.cl has no kernel {kernel_name}; it has {', '.join(found) or 'none at all'}."
        )
    return Signature(file_stem, kernel_name, found[kernel_name])


def as_given(file_stem, kernel_name, arguments):
    """Return the Signature that a kernel would have whose parameters are just those that it is given, in their order.

    Parameters
    ----------
    file_stem, kernel_name : str
    arguments : dict of str to (DeviceArray, None, int, float or numpy scalar)
    """
    parameters = (
        Parameter(name, None, value is None or isinstance(value, DeviceArray)) for name, value in arguments.items()
    )
    return Signature(file_stem, kernel_name, tuple(parameters))


@functools.lru_cache(maxsize=256)
def kernels_in(text, options):
    """Return the parameters of each kernel of a text by its name.

    Parameters
    ----------
    text : str
        Without ``#include``.
    options : tuple of str
        Build options.

    Raises
    ------
    ValueError, LookupError, ZeroDivisionError
        If the text cannot be read.
    """
    tokens = _outside_functions(text, options)
    types = {name: np.dtype(dtype) for name, dtype in _NUMBERS.items()}
    found = {}
    for index, token in enumerate(tokens):
        if token == "typedef":
            *meaning, name = _until(tokens[index + 1 :], ";", "__attribute__")
            types[name] = _element(meaning, types)
        elif token in ("__kernel", "kernel"):
            start = tokens.index("void", index)
            arguments, _ = _in_parentheses(tokens, start + 2)
            found[tokens[start + 1]] = tuple(_parameter(one, types) for one in arguments if one not in ([], ["void"]))
    return found


def _parameter(tokens, types):
    *meaning, name = tokens
    is_array = "*" in meaning
    words = [word for word in meaning if word != "*" and word not in _QUALIFIERS]
    if not words:
        raise ValueError(f"the argument {name!r} has no type")
    dtype = _element(words, types) if is_array else types.get(_unsigned(words))
    # What is constant stands before the last star; behind it would stand that the pointer is.
    return Parameter(name, dtype, is_array, is_array and "const" in _until(meaning, "*"))


def _element(words, types):
    """Return the dtype of a type's numbers, one or a vector of them, or None if it is not known."""
    name = _unsigned([word for word in words if word not in _QUALIFIERS])
    vector = _VECTOR.fullmatch(name)
    return types.get(vector[1] if vector else name)


def _unsigned(words):
    return f"u{(words[1:] or ['int'])[0]}" if words[:1] == ["unsigned"] else " ".join(words)


def _until(tokens, *ends):
    return list(itertools.takewhile(lambda token: token not in ends, tokens))


def _outside_functions(text, options):
    """Return the tokens of a text as its compiler sees them, without what stands between braces."""
    text = _NOT_CODE.sub(lambda found: found[1] or " ", text).replace("\\\n", " ")
    macros = {}
    for option in options:
        if option.startswith("-D"):
            name, _, value = option[2:].strip().partition("=")
            macros[name] = None, _TOKEN.findall(value or "1")
    tokens, run, depth, conditions = [], [], 0, _Conditions(macros)
    for line in text.split("\n"):
        directive = _DIRECTIVE.match(line)
        if directive:
            # Macros hold from their definition on.
            tokens += _expanded(run, macros)
            run = []
            if not conditions.follow(*directive.groups()) and conditions.hold:
                _define(*directive.groups(), macros)
        elif conditions.hold and not (depth and "{" not in line and "}" not in line):
            for token in _TOKEN.findall(line):
                depth -= token == "}"
                if depth == 0:
                    run.append(token)
                depth += token == "{"
    return tokens + _expanded(run, macros)


def _define(directive, rest, macros):
    if directive == "undef":
        macros.pop(rest.strip(), None)
    elif directive == "define":
        definition = _DEFINITION.fullmatch(rest)
        if definition is None:
            raise ValueError(f"#define{rest} names no macro")
        name, parameters, body = definition.groups()
        names = None if parameters is None else [one.strip() for one in parameters.split(",")]
        macros[name] = names, _TOKEN.findall(body)


class _Conditions:
    """The conditions that a place in a text lies within; macros that only a compiler knows count as not defined."""

    def __init__(self, macros):
        # For each: whether it holds, and whether it or one before its #elif did.
        self._macros, self._within = macros, []

    @property
    def hold(self):
        return all(holds for holds, _ in self._within)

    def follow(self, directive, rest):
        """Return whether a directive was one of a condition."""
        if directive in ("if", "ifdef", "ifndef"):
            outside = self.hold
            holds = outside and self._value(directive, rest)
            self._within.append((holds, holds or not outside))
        elif directive in ("elif", "else"):
            _, was_true = self._within.pop()
            holds = not was_true and (directive == "else" or self._value("if", rest))
            self._within.append((holds, holds or was_true))
        elif directive == "endif":
            self._within.pop()
        else:
            return False
        return True

    def _value(self, directive, rest):
        if directive != "if":
            return (rest.strip() in self._macros) == (directive == "ifdef")
        known = re.sub(r"\bdefined\s*\(?\s*(\w+)\s*\)?", lambda found: str(int(found[1] in self._macros)), rest)
        tokens = _expanded(_TOKEN.findall(known), self._macros)[::-1]
        value = _evaluated(tokens)
        if tokens:
            raise ValueError(f"the condition {rest.strip()} goes on after its end")
        return bool(value)


def _evaluated(tokens, least=0):
    """Return the value of the expression that begins at the end of reversed tokens, and take it from them.

    It ends before the first operator that binds no more than ``least``.
    """
    token = tokens.pop()
    if token == "(":
        value = _evaluated(tokens)
        tokens.pop()
    elif token in ("!", "-"):
        value = _evaluated(tokens, len(_BINDING))
        value = -value if token == "-" else not value
    else:
        value = int(token.rstrip("uUlL"), 0) if token[0].isdigit() else 0
    while tokens and _BINDING.get(tokens[-1], 0) > least:
        symbol = tokens.pop()
        value = _OPERATORS[symbol](value, _evaluated(tokens, _BINDING[symbol]))
    return int(value)


def _expanded(tokens, macros):
    """Return tokens with macros replaced by what they mean; one is not replaced within its own meaning."""
    waiting, done = [(token, frozenset()) for token in reversed(tokens)], []
    while waiting:
        token, within = waiting.pop()
        parameters, body = macros.get(token, (None, None))
        is_called = bool(waiting) and waiting[-1][0] == "("
        if body is None or token in within or (parameters is not None and not is_called):
            done.append(token)
            continue
        if parameters is not None:
            following = [one for one, _ in reversed(waiting)]
            arguments, length = _in_parentheses(following, 0)
            del waiting[-length:]
            body = _substituted(body, _bound(parameters, arguments), macros)
        waiting += [(one, within | {token}) for one in reversed(_joined(body))]
    return done


def _bound(parameters, arguments):
    """Return a macro's arguments by its parameters; those for which it has ``...`` go by ``__VA_ARGS__``."""
    bound = dict(zip(parameters, arguments, strict=False))
    if parameters[-1] == "...":
        more = [token for argument in arguments[len(parameters) - 1 :] for token in (",", *argument)]
        bound["__VA_ARGS__"] = more[1:]
    return bound


def _in_parentheses(tokens, start):
    """Return the arguments that stand in the parentheses at ``start``, each as its tokens, and where those end."""
    arguments, depth = [[]], 0
    for place in range(start, len(tokens)):
        token = tokens[place]
        depth -= token == ")"
        if depth == 0 and token == ")":
            return arguments, place + 1
        if depth == 1 and token == ",":
            arguments.append([])
        elif depth:
            arguments[-1].append(token)
        depth += token == "("
    raise ValueError("a parenthesis is not closed")


def _substituted(body, arguments, macros):
    result = []
    for place, token in enumerate(body):
        is_joined = "##" in (*body[max(0, place - 1) : place], *body[place + 1 : place + 2])
        if token not in arguments:
            result.append(token)
        else:
            result += arguments[token] if is_joined else _expanded(arguments[token], macros)
    return result


def _joined(tokens):
    result = []
    for place, token in enumerate(tokens):
        if place and tokens[place - 1] == "##" and result:
            result[-1] += token
        elif token != "##":
            result.append(token)
    return result
