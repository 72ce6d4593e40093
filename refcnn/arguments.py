"""The arguments of layers and optimizers: written as one would write them, and those of other libraries named.

A call in the order or with the names of another library is refused with the call that does the same here, since it
could mean something else: ``Conv2d(1, 32, 3)`` would be one kernel of 32x32 pixels.
"""

import inspect

from .errors import ArgumentError

#: What other libraries call an argument: the name here, or the names of those that its value has in a sequence.
_NAMES_ELSEWHERE = {
    "filters": "channel",
    "out_channels": "channel",
    "kernel_size": "filter",
    "pool_size": "filter",
    "strides": "stride",
    "dilation_rate": "dilation",
    "units": "output_size",
    "out_features": "output_size",
    "in_channels": "input_size",
    "in_features": "input_size",
    "input_dim": "input_size",
    "kernel_initializer": "initializer",
    "rate": "dropout_ratio",
    "p": "dropout_ratio",
    "negative_slope": "alpha",
    "learning_rate": "lr",
    "beta_1": "beta1",
    "beta_2": "beta2",
    "betas": ("beta1", "beta2"),
    "eps": "epsilon",
    "global_clipnorm": "clip_norm",
    "max_norm": "clip_norm",
    "clipvalue": "clip_value",
    "gradient_accumulation_steps": "accumulation_steps",
    "ema_momentum": "average_decay",
    "count_include_pad": "count_include_padding",
}
#: Arguments of other libraries that say the opposite of one here.
_OPPOSITES = {"bias": "ignore_bias", "use_bias": "ignore_bias"}
#: Arguments of other libraries that are left out here, for the reason given.
_LEFT_OUT = {
    "input_shape": "the first input tells its size",
    "activation": "an activation is a layer of its own, such as Relu(), after this one",
}


class Written:
    """What is written in Python by its arguments, and refuses those that another library would take."""

    #: For messages: how a call with too many arguments by position reads here, a function of them; or None.
    _instead = None
    #: How many arguments ``repr`` tells by position at most, of those that may be given so; None for all where others
    #: are taken by name alone, else for the first.
    _by_position: int | None = None
    #: Whether ``repr`` tells all arguments that may be given by position, by name, and not those alone that differ from
    #: their defaults.
    _shows_all = False

    def __new__(cls, *arguments, **keywords):
        """Refuse arguments that another library would take; what else is wrong Python finds."""
        parameters = parameters_of(cls)
        kinds = {parameter.kind for parameter in parameters.values()}
        by_position = [name for name, parameter in parameters.items() if parameter.kind in _POSITIONAL]
        by_name = [name for name, parameter in parameters.items() if parameter.kind is parameter.KEYWORD_ONLY]
        if inspect.Parameter.VAR_KEYWORD not in kinds:
            _refuse_names(cls, arguments, keywords, parameters, by_position)
        is_long = len(arguments) > len(by_position) and inspect.Parameter.VAR_POSITIONAL not in kinds
        if is_long and (by_name or cls._instead is not None):
            by_rule = f"Give {_and(by_position) or 'none'} so at most, and the others by name: {', '.join(by_name)}."
            advice = [by_rule] * bool(by_name) + [cls._instead(*arguments)] * (cls._instead is not None)
            call = written(cls, arguments, keywords)
            raise ArgumentError(f"{call}: {len(arguments)} values are given by position. {' '.join(advice)}")
        return super().__new__(cls)

    def __repr__(self):
        parameters, texts = parameters_of(type(self)), []
        names_some = any(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters.values())
        most = self._by_position or (len(parameters) if names_some else 1)
        by_position = not self._shows_all
        for number, (name, parameter) in enumerate(parameters.items()):
            value = _compact(self._argument(name))
            is_kept = value is not inspect.Parameter.empty
            if not is_kept and parameter.default is inspect.Parameter.empty:
                # A class of the user's own, which keeps it under another name.
                return f"{type(self).__name__}(...)"
            if is_kept and by_position and parameter.kind in _POSITIONAL and number < most:
                texts.append(repr(value))
                continue
            by_position = False
            is_shown = self._shows_all and parameter.kind in _POSITIONAL
            if is_kept and (is_shown or repr(value) != repr(_compact(parameter.default))):
                texts.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(texts)})"

    def _argument(self, name):
        """Return the value of an argument of the constructor, ``inspect.Parameter.empty`` if it is not kept."""
        attributes = vars(self).get("attributes")
        kept = {**(attributes if isinstance(attributes, dict) else {}), **vars(self)}
        return kept.get(name, inspect.Parameter.empty)


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def parameters_of(cls):
    """Return the parameters of a constructor by name, without ``self``."""
    if cls.__init__ is object.__init__:
        return {}
    return dict(list(inspect.signature(cls.__init__).parameters.items())[1:])


def _refuse_names(cls, arguments, keywords, parameters, by_position):
    """Raise ArgumentError if an argument has the name that it has in another library, with the call to write here."""
    strange, here, left_out = [], {}, []
    for name, value in keywords.items():
        found = {} if name in parameters else _here(name, value)
        if found and found.keys() <= parameters.keys():
            strange.append(name)
            here |= found
        elif name in _LEFT_OUT and name not in parameters:
            strange.append(name)
            left_out.append(f", since {_LEFT_OUT[name]}")
        else:
            here[name] = value
    if not strange:
        return
    twice = [value for name, value in here.items() if name in by_position[: len(arguments)]]
    if twice and cls._instead is not None:
        advice = cls._instead(*arguments, *twice)
    else:
        advice = f"Here it is {written(cls, arguments, here)}{''.join(left_out)}."
    raise ArgumentError(
        f"{written(cls, arguments, keywords)}: no argument is called {' or '.join(map(repr, strange))}. {advice}"
    )


def _here(name, value):
    """Return by the names that they have here the arguments for which another library has one."""
    if name in _OPPOSITES:
        return {_OPPOSITES[name]: not value}
    names = _NAMES_ELSEWHERE.get(name, ())
    if isinstance(names, str):
        return {names: value}
    values = value if isinstance(value, (tuple, list)) else ()
    return dict(zip(names, values, strict=True)) if len(values) == len(names) else {}


def written(cls, arguments, keywords):
    """Return a call of a class with arguments as it is written in Python."""
    texts = [*map(_short, arguments), *(f"{name}={_short(value)}" for name, value in keywords.items())]
    return f"{cls.__name__}({', '.join(texts)})"


def _short(value):
    text = repr(value)
    return text if len(text) <= 40 else f"{type(value).__name__}"


def _and(names):
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _compact(value):
    """Return one number for a tuple of equal ones, and half of padding whose beginnings are its ends."""
    if isinstance(value, tuple) and value:
        if all(entry == value[0] for entry in value):
            return value[0]
        half = len(value) // 2
        if len(value) in (4, 6) and value[:half] == value[half:]:
            return value[:half]
    return value
