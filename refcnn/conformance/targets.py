"""What is put to the test: a backend, onnxruntime, or anyone's own implementation.

A target has what :mod:`~refcnn.conformance.judge` asks of a backend (``name``,
``array``, ``to_host``, ``operation``), and

- ``specification``: what ``--device`` takes;
- ``variants(stem)``: the variants of an operation's kernels, the device's own
  choice first, each with and without what can be fused into it
  (:mod:`~refcnn.conformance.composition`); ``(None,)`` where there is no choice;
- ``offers(stem, direction)``: whether there is such a thing to test;
- ``description``: a dict for :class:`~refcnn.conformance.results.DeviceReport`;
- ``device``: the OpenCL device, or None;
- ``denormals``: whether it keeps subnormal numbers, or may flush them to zero;
- ``is_simulator``: whether it is so slow that only tiny cases make sense.

``operation(stem)`` gives an object with ``forward`` and ``backward`` as in
:mod:`refcnn.reference`, or None where the operation is not offered.

An implementation of one's own is named MODULE:OBJECT: an object, or a module
(``MODULE:`` alone), with a function for each operation that it offers::

    conv2d(x, w, b, *, stride, padding, dilation, groups) -> y
    conv2d_backward(dy, x, w, b, *, stride, padding, dilation, groups) -> (dx, dw, db)
    sgd(w, g, v, *, lr, momentum, nesterov) -> (w, v)

with names, arrays and attributes as ``forward`` in :mod:`refcnn.reference` has
them. Arrays are float32 NumPy arrays in and out. A gradient of an input that
is None is not looked at. A function that is missing is not offered.
:mod:`refcnn.conformance.adapters.pytorch` is an example. An object may have a
``name``, and ``denormals`` if it flushes subnormal numbers to zero: False.
"""

import importlib
import os
import platform
import sys
from pathlib import Path

import numpy as np

from .. import __version__, backend
from ..errors import ArgumentError, BackendError
from ..opencl import variants
from . import composition
from .judge import ConformanceFailure

_ROOM = Path(__file__).parent
_OPTIMIZERS = ("adam", "sgd")

#: What :func:`find` takes, for messages.
FORMS = "all, reference, opencl:PLATFORM:DEVICE, onnxruntime, onnxruntime:PROVIDER or MODULE:OBJECT"


class NotExpressible(Exception):
    """A case that a target has no way to be asked."""


def operations():
    """Return the names of all operations that can be tested."""
    shared = {path.stem for path in _ROOM.glob("*.py")}
    return sorted(shared & {path.stem for path in (_ROOM.parent / "reference").glob("*.py")} - {"__init__"})


def directions(operation):
    """Return the directions of an operation; an optimizer's update has no backward."""
    return ("forward",) if operation in _OPTIMIZERS else ("forward", "backward")


def expand(specifications):
    """Return the specifications with ``all`` replaced by all that is there, each once and each known to exist.

    Raises
    ------
    BackendError
        As :func:`find`.
    """
    found = []
    for specification in specifications:
        for one in _everything() if specification == "all" else (find(specification).specification,):
            if one not in found:
                found.append(one)
    return found


def find(specification, variant=None):
    """Return the target that a specification names.

    Parameters
    ----------
    specification : str
        ``reference``, ``opencl:PLATFORM:DEVICE`` (numbers or parts of names),
        ``onnxruntime`` or ``onnxruntime:PROVIDER``, or ``MODULE:OBJECT``.
    variant : str, optional
        Of an OpenCL device's kernels; the device's own choice as a rule.

    Raises
    ------
    BackendError
        If there is no such target.
    """
    kind, _, rest = specification.partition(":")
    if specification == "reference" or kind == "opencl":
        return BackendTarget(backend.find(specification), variant)
    if kind == "onnxruntime":
        from .onnxruntime_target import OnnxRuntime

        return OnnxRuntime(rest or "CPUExecutionProvider")
    if ":" in specification and kind:
        return Implementation(specification, _load(kind, rest))
    present = ", ".join(_everything())
    raise BackendError(f"the device is {specification!r}, but devices are {FORMS}. There are: {present}.")


def _everything():
    from ..opencl.device import available
    from .onnxruntime_target import providers

    return [
        "reference", *(device.name for device in available()), *(f"onnxruntime:{provider}" for provider in providers())
    ]  # fmt: skip


class BackendTarget:
    """refcnn's own reference or an OpenCL device."""

    def __init__(self, found, variant=None):
        self._backend = found
        self.name = self.specification = found.name
        self.array, self.to_host = found.array, found.to_host
        self.device, self.denormals = getattr(found, "device", None), found.denormals
        self.is_simulator = self.device is not None and self.device.is_simulator
        self._kernels, _ = composition.split(variant)
        if variant is not None and (self.device is None or self._kernels not in variants.VARIANTS):
            variants_of = ", ".join(variants.VARIANTS)
            raise ArgumentError(f"there is no variant {variant!r} on {self.name}: OpenCL devices have {variants_of}.")

    @property
    def description(self):
        """What DeviceReport says of it."""
        if self.device is None:
            return {"name": self._backend.description, "versions": _versions("numpy")}
        device = self.device
        return {
            "name": device.device_name,
            "platform": device.platform_name,
            "driver": device.driver_version,
            "versions": {
                **_versions("pyopencl"), "platform": device.platform_version, "device": device.opencl_version,
            },  # fmt: skip
            "build_options": "-cl-opt-disable" if device.is_simulator else "",
            "denormals": device.denormals,
        }

    def algorithms(self, stem, inputs, attributes):
        """As in :mod:`refcnn.backend`, with the variant chosen."""
        if self.device is None:
            return {}
        with variants.use_variant(self._kernels):
            return self._backend.algorithms(stem, inputs, attributes)

    def variants(self, stem):
        """The variants of an operation's kernels, the device's own choice first."""
        if self.device is None or stem not in variants.OPERATIONS:
            return (None,)
        own = variants.of_operation(stem, self.device)
        names = []
        for one in (own, *(one for one in variants.OPERATIONS[stem] if one != own)):
            names += variants.with_fused(stem, one)
        return tuple(names)

    def offers(self, stem, direction):
        """Everything is offered."""
        return direction in directions(stem)

    def operation(self, stem):
        """The backend's module, with the variant chosen."""
        module = self._backend.operation(stem)
        return module if self._kernels is None else _Forced(module, self._kernels)


class _Forced:
    """An operation of which one variant runs."""

    def __init__(self, module, variant):
        self.forward = _inside(variant, module.forward)
        if hasattr(module, "backward"):
            self.backward = _inside(variant, module.backward)


def _inside(variant, function):
    def run(*arguments, **attributes):
        with variants.use_variant(variant):
            return function(*arguments, **attributes)

    return run


class HostTarget:
    """A target of NumPy arrays, of which it is given copies, so that it cannot alter a case."""

    is_simulator = False
    device = None
    denormals = True

    def array(self, host):
        """A copy."""
        return np.array(host, dtype=np.float32, order="C")

    def to_host(self, array):
        """What the implementation gave, whatever it is: the judge says if it is no array."""
        return array

    def variants(self, stem):
        """There is no choice."""
        return (None,)


class Unavailable(HostTarget):
    """In the place of a target that ends every process that asks for it."""

    def __init__(self, specification):
        self.specification = self.name = specification
        self.description = {"name": specification}

    def offers(self, stem, direction):
        """Nothing."""
        return False

    def operation(self, stem):
        """None."""
        return None


class Implementation(HostTarget):
    """Anyone's own implementation."""

    def __init__(self, specification, functions):
        self.specification = specification
        self.name = str(getattr(functions, "name", specification))
        self.denormals = bool(getattr(functions, "denormals", True))
        self._functions = functions
        self.description = {"name": self.name, "versions": _versions("numpy"), "denormals": self.denormals}

    def offers(self, stem, direction):
        """Whether the object has the function."""
        name = stem if direction == "forward" else f"{stem}_backward"
        return direction in directions(stem) and callable(getattr(self._functions, name, None))

    def operation(self, stem):
        """The functions as ``forward`` and ``backward``, each of which can be tested without the other."""
        offered = [direction for direction in directions(stem) if self.offers(stem, direction)]
        if not offered:
            return None
        return (_Update if stem in _OPTIMIZERS else _Functions)(self._functions, stem)


class _Update:
    def __init__(self, functions, stem):
        self._function, self._stem = getattr(functions, stem), stem

    def forward(self, *inputs, **attributes):
        return _tuple(self._stem, self._function(*inputs, **attributes))


class _Functions:
    needs_forward = False

    def __init__(self, functions, stem):
        self._stem = stem
        self._forward = getattr(functions, stem, None)
        self._backward = getattr(functions, f"{stem}_backward", None)

    def forward(self, *inputs, **attributes):
        return self._forward(*inputs, **attributes), inputs

    def backward(self, dy, saved, needs, **attributes):
        gradients = _tuple(f"{self._stem}_backward", self._backward(dy, *saved, **attributes), len(needs))
        return tuple(gradient if need else None for gradient, need in zip(gradients, needs, strict=True))


def _tuple(name, result, length=None):
    if not isinstance(result, tuple | list) or length not in (None, len(result)):
        wanted = "a tuple of arrays" if length is None else f"a tuple of {length} arrays"
        found = f"{type(result).__name__}" + (f" of {len(result)}" if isinstance(result, tuple | list) else "")
        raise ConformanceFailure(f"{name} returned {found}, but {wanted} is needed.")
    return tuple(result)


def _load(module, name):
    folder = os.getcwd()
    if folder not in sys.path:
        # As with "python -m": what lies where the command runs can be named.
        sys.path.insert(0, folder)
    try:
        found = importlib.import_module(module)
        for part in filter(None, name.split(".")):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise BackendError(
            f"the device {module}:{name} cannot be loaded: {type(error).__name__}: {error}. Devices are {FORMS}; "
            f"there are: {', '.join(_everything())}."
        ) from error
    return found


def _versions(*libraries):
    from importlib import metadata

    found = {name: metadata.version(name) for name in libraries}
    return {"refcnn": __version__, "Python": platform.python_version(), **found}
