"""How users call an operation: its layer, its function or its optimizer, and what of a call reaches the backends.

Forms offer what such a call takes, and a call says by its own errors what it does not take. Nothing is computed for
that: the arrays and attributes are caught where a backend would compute.
"""

import dataclasses
import inspect
import re
import sys
import types
import typing
from collections.abc import Sequence

import numpy as np

from .. import attributes as attribute
from .. import backend as backends
from .. import philox, rooms
from ..arguments import parameters_of
from ..conformance.theory.examples import examples
from ..errors import ArgumentError
from ..layer import Layer
from ..mode import recording, training
from ..optimizers.optimizer import Optimizer
from ..variable import Input, Variable
from .recording import input_names

#: Arguments that cannot be written in a form, or that say what the input says.
_INITIALIZER = "initializer"
_LEFT_OUT = {_INITIALIZER, "input_size"}
#: The argument by which operations say whether they compute as in training; layers take it from the mode.
TRAINING = "training"


@dataclasses.dataclass(frozen=True)
class Argument:
    """What a call takes beside arrays.

    Attributes
    ----------
    name : str
    kind : str
        ``flag``, ``integer``, ``float`` (one number) or ``any``.
    default : object
        What is offered at first; None where it is left to the call.
    is_needed : bool
        Whether a call without it is none.
    """

    name: str
    kind: str
    default: object
    is_needed: bool


class Call:
    """How an operation is called.

    Attributes
    ----------
    operation : str
    example : Case
        A call of it.
    inputs : tuple of str
        The arrays that it takes, by the reference's names; a layer makes further ones itself.
    arguments : dict of str to Argument
    """

    def __init__(self, operation):
        self.operation, self.example = operation, examples(operation)[0].case
        taken, self._parameters = self._signature()
        self.inputs = tuple(input_names(operation, len(self.example.inputs))[: taken or None])
        self._trains_by_argument = TRAINING in self.example.attributes and TRAINING not in self._parameters
        if self._trains_by_argument:
            self._parameters[TRAINING] = inspect.Parameter(TRAINING, _BY_NAME, default=False, annotation=bool)
        offered = rooms.trait(rooms.CONFORMANCE, operation, "OFFERED")
        self.arguments = {name: self._argument(one, offered) for name, one in self._parameters.items()}

    def _argument(self, parameter, offered):
        is_needed = parameter.default is inspect.Parameter.empty
        default = None if is_needed else parameter.default
        default = offered.get(parameter.name, self.example.attributes.get(parameter.name, default))
        return Argument(parameter.name, _kind(parameter.annotation), default, is_needed)

    def caught(self, arrays, arguments, seed=0, initializer=np.zeros):
        """Return the inputs and the attributes that a backend is given.

        Parameters
        ----------
        arrays : list of ndarray
            For each of the inputs; what a layer makes itself has its initial numbers.
        arguments : dict
            By name; what is not there has the call's own default.
        seed : int
            Of what is drawn.
        initializer : callable
            Gives a layer's weights of a shape.

        Returns
        -------
        (list of (ndarray or None), dict)

        Raises
        ------
        RefcnnError
            If the call takes no such arguments or arrays, or computes something else.
        """
        unknown = [name for name in arguments if name not in self.arguments]
        if unknown:
            known = ", ".join(self.arguments) or "none"
            raise ArgumentError(f"{self.operation}: there is no argument {unknown[0]!r}. There are: {known}.")
        missing = [one.name for one in self.arguments.values() if one.is_needed and one.name not in arguments]
        if missing:
            raise ArgumentError(f"{self.operation}: give a value for {missing[0]}.")
        arguments = dict(arguments)
        trains = arguments.pop(TRAINING, False) if self._trains_by_argument else True
        trains = attribute.flag(self.operation, TRAINING, trains)
        catcher = _Catcher(self.operation)
        mode = training() if trains else recording()
        with backends.use_backend(catcher), philox.drawing_from(philox.Generator(seed)), mode:
            try:
                self._run(arrays, arguments, initializer)
            except _Caught as caught:
                return caught.inputs, caught.attributes
        others = " and ".join(catcher.others) or "nothing"
        raise ArgumentError(f"{self.operation}: with these choices {others} is computed in its place.")

    def written(self, arguments):
        """Return the call as one writes it, with the arguments that differ from its defaults."""
        defaults = {name: one.default for name, one in self._parameters.items()} | self._own_defaults()
        return self._written(
            [
                f"{name}={value!r}"
                for name, value in arguments.items()
                if name != TRAINING and not _is_same(value, defaults[name])
            ]
        )

    def _own_defaults(self):
        """Return the defaults by name that are others than those of the form."""
        return {}

    def _signature(self):
        """Return how many arrays the call takes, 0 for as many as the operation, and the parameters beside them."""
        raise NotImplementedError

    def _run(self, arrays, arguments, initializer):
        raise NotImplementedError

    def _written(self, told):
        raise NotImplementedError

    @property
    def documentation(self):
        """What the library says of the call."""
        return inspect.getdoc(self._documented) or ""

    def axes(self, name):
        """Return what the library calls the axes of an array, such as ``N, C, H, W``, or nothing."""
        texts = [self.documentation, inspect.getdoc(getattr(self._documented, "forward", None)) or ""]
        found = re.search(rf"^{name}(?: : [^\n(]*)? ?\(([A-Z][^)\n]*)\)", "\n".join(texts), re.MULTILINE)
        return found[1] if found else ""


class _FunctionCall(Call):
    def __init__(self, operation, function):
        self._function = function
        # Of one with arguments of its own what it is without them.
        self._documented = getattr(function, "func", function)
        super().__init__(operation)

    def _signature(self):
        parameters = inspect.signature(self._function).parameters
        arrays = [one for one in parameters.values() if _is_array(one.annotation)]
        self._has_many = any(one.annotation == Sequence[Input] for one in arrays)
        names = [one.name for one in arrays if one.kind is not one.VAR_POSITIONAL]
        others = {name: one for name, one in parameters.items() if not _is_array(one.annotation)}
        return 0 if self._has_many else len(names), others

    def _own_defaults(self):
        return {name: one.default for name, one in inspect.signature(self._documented).parameters.items()}

    def _run(self, arrays, arguments, initializer):
        self._function(*([arrays] if self._has_many else arrays), **arguments)

    def _written(self, told):
        names = [f"[{', '.join(self.inputs)}]"] if self._has_many else self.inputs
        return f"rm.{self._documented.__name__}({', '.join([*names, *told])})"


class _LayerCall(Call):
    def __init__(self, operation, layer):
        self._documented = layer
        super().__init__(operation)

    def _signature(self):
        given = inspect.signature(self._documented.forward).parameters
        arrays = [name for name, one in given.items() if one.annotation is Variable]
        self._of_call = {name: one for name, one in given.items() if name not in (*arrays, "self")}
        made = parameters_of(self._documented)
        self._takes_initializer = _INITIALIZER in made
        self._of_layer = {name: one for name, one in made.items() if name not in _LEFT_OUT}
        return len(arrays), {**self._of_layer, **self._of_call}

    def _run(self, arrays, arguments, initializer):
        of_layer = {_INITIALIZER: initializer} if self._takes_initializer else {}
        of_layer |= {name: value for name, value in arguments.items() if name in self._of_layer}
        layer = self._documented(**of_layer)
        layer(*arrays, **{name: value for name, value in arguments.items() if name in self._of_call})

    def _written(self, told):
        of_call = [one for one in told if one.partition("=")[0] in self._of_call]
        of_layer = ", ".join(one for one in told if one not in of_call)
        return f"rm.{self._documented.__name__}({of_layer})({', '.join([*self.inputs, *of_call])})"


class _OptimizerCall(Call):
    def __init__(self, operation, optimizer):
        self._documented = optimizer
        super().__init__(operation)

    def _signature(self):
        shared, own = parameters_of(Optimizer).keys(), parameters_of(self._documented).items()
        others = {name: one for name, one in own if name not in shared or name in self.example.attributes}
        step = inspect.Parameter("step", _BY_NAME, default=1, annotation=int)
        return 0, others | {"step": step}

    def _run(self, arrays, arguments, initializer):
        arguments = {"step": 1, **arguments}
        step = attribute.integer(self._documented.__name__, "step", arguments.pop("step"))
        attributes = self._documented(**arguments).attributes(step)
        shapes = {one.shape for one in arrays}
        if len(shapes) > 1:
            raise ArgumentError(f"{self._documented.__name__}: give arrays of one shape, not of {sorted(shapes)}.")
        raise _Caught(arrays, attributes)

    def _written(self, told):
        return f"rm.{self._documented.__name__}({', '.join(one for one in told if not one.startswith('step='))})"


_BY_NAME = inspect.Parameter.KEYWORD_ONLY


def call_of(operation):
    """Return the :class:`Call` of an operation."""
    card, function = rooms.find(rooms.LAYERS, operation), rooms.trait(rooms.LAYERS, operation, "FUNCTION")
    if card is None:
        module = rooms.find(rooms.OPTIMIZERS, operation)
        (optimizer,) = (one for one in _classes(module, Optimizer) if one.operation == operation)
        return _OptimizerCall(operation, optimizer)
    called = _FunctionCall(operation, rooms.function(operation) if function is None else function)
    if function is None:
        module = sys.modules[rooms.function(operation).__module__]
        for layer in (one for one in _classes(module, Layer) if _stem(one) == _stem(operation)):
            of_layer = _LayerCall(operation, layer)
            # One that makes its weights fits them to the input.
            if len(of_layer.inputs) < len(called.inputs):
                return of_layer
    return called


def _classes(module, base):
    return [one for one in vars(module).values() if inspect.isclass(one) and issubclass(one, base)]


def _stem(named):
    """Return a name in the form that those of an operation and its layer have alike."""
    return (named if isinstance(named, str) else named.__name__).replace("_", "").lower()


def _is_same(value, default):
    """Return whether a value is the default, also where it says so for each axis or side."""
    return value == default or (isinstance(value, tuple) and bool(value) and set(value) == {default})


def _is_array(annotation):
    return annotation in (Input, Input | None, Sequence[Input])


def _kind(annotation):
    options = typing.get_args(annotation) if _is_union(annotation) else (annotation,)
    options = [one for one in options if one is not types.NoneType]
    return {(bool,): "flag", (int,): "integer", (float,): "float"}.get(tuple(options), "any")


def _is_union(annotation):
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


class _Caught(Exception):
    """What a backend was given, on its way to who asked for it."""

    def __init__(self, inputs, attributes):
        super().__init__()
        self.inputs, self.attributes = [None if one is None else np.asarray(one) for one in inputs], attributes


class _Catcher(backends.Reference):
    """A backend that computes all but one operation."""

    def __init__(self, wanted):
        super().__init__()
        self._wanted, self.others = wanted, []

    def operation(self, stem):
        """Return what catches the wanted operation's arrays, or computes another."""
        if stem == self._wanted:
            return types.SimpleNamespace(forward=self._catch)
        self.others.append(stem)
        return super().operation(stem)

    def _catch(self, *inputs, **attributes):
        raise _Caught(inputs, attributes)
