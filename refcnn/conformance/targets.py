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
- ``is_simulator``: whether it is so slow that only tiny cases make sense;
- ``unusable``: what is wrong with a device that failed its trial, or None;
- ``environment(folder)``: what the environment of its process needs beside this
  one's, with files of its own in a folder;
- ``reported()``: what watches its kernels and has reported since this was last
  asked; an empty text where nothing does.

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
``name``, and ``denormals`` if it flushes subnormal numbers to zero: False. If
it computes a convolution by Winograd's algorithm, which errs more, it must say
so to be judged by that bound: ``algorithms(operation, inputs, attributes)``
returns a dict, ``forward``, ``backward_x`` or ``backward_w`` to
``winograd_2x2`` or ``winograd_4x4`` (tiles of so many results; of a larger
algorithm nothing is known here), without those that are computed directly.
"""

import contextlib
import functools
import platform
import sys
from pathlib import Path

import numpy as np

from .. import __version__, backend, own_code
from ..errors import ArgumentError, BackendError
from ..opencl import variants
from ..opencl.device import forced_vector_width
from . import composition, oclgrind
from .judge import ConformanceFailure

_ROOM = Path(__file__).parent
_OPTIMIZERS = ("adam", "sgd")

#: What :func:`find` takes, for messages.
FORMS = "all, reference, opencl:PLATFORM:DEVICE, oclgrind, onnxruntime, onnxruntime:PROVIDER or MODULE:OBJECT"


class NotExpressible(Exception):
    """A case that a target has no way to be asked."""


def operations():
    """Return the names of all operations that can be tested."""
    shared = {path.stem for path in _ROOM.glob("*.py")}
    return sorted(shared & {path.stem for path in (_ROOM.parent / "reference").glob("*.py")} - {"__init__"})


def directions(operation):
    """Return the directions of an operation; an optimizer's update has no backward."""
    return ("forward",) if operation in _OPTIMIZERS else ("forward", "backward")


def variant_names():
    """Return the variants that :func:`find` takes, with and without what can be fused into them."""
    return list(dict.fromkeys(name for stem in variants.OPERATIONS for name in variants.names(stem)))


def expand(specifications):
    """Return the specifications with ``all`` replaced by all that is there, each once and each known to exist.

    Devices that failed their trial are among them: see ``unusable``.

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
        ``oclgrind``, ``onnxruntime`` or ``onnxruntime:PROVIDER``, or
        ``MODULE:OBJECT``. It must come from the user, never from a file: the module is imported.
    variant : str, optional
        Of an OpenCL device's kernels; the device's own choice as a rule.

    Raises
    ------
    BackendError
        If there is no such target.
    """
    kind, _, rest = specification.partition(":")
    if specification == "reference" or kind == "opencl":
        return BackendTarget(backend.find(specification, tried=False).name, variant)
    if specification == "oclgrind":
        return Oclgrind(variant)
    if kind == "onnxruntime":
        from .onnxruntime_target import OnnxRuntime

        return OnnxRuntime(rest or "CPUExecutionProvider")
    if ":" in specification and kind:
        return Implementation(specification, _load(kind, rest))
    present = ", ".join(_everything())
    raise BackendError(f"the device is {specification!r}, but devices are {FORMS}. There are: {present}.")


def _everything():
    from ..opencl.finding import available
    from .onnxruntime_target import providers

    return [
        "reference",
        *(device.name for device in available()),
        *(f"onnxruntime:{provider}" for provider in providers()),
    ]


class _Target:
    """A target in whose process there is nothing out of the common."""

    is_simulator = False
    unusable = None

    def environment(self, folder):
        """Nothing."""
        return {}

    def reported(self):
        """Nothing."""
        return ""


class BackendTarget(_Target):
    """refcnn's own reference or an OpenCL device, by the name of its backend."""

    def __init__(self, name, variant=None):
        self.name = self.specification = name
        self._kernels, _ = composition.split(variant)
        if variant is not None and (name == "reference" or self._kernels not in variants.VARIANTS):
            variants_of = ", ".join(variants.VARIANTS)
            raise ArgumentError(f"there is no variant {variant!r} on {name}: OpenCL devices have {variants_of}.")

    @functools.cached_property
    def _backend(self):
        # A device that failed its trial is tested too: what is wrong with it is to be found.
        return backend.find(self.name, tried=False)

    @property
    def device(self):
        """The OpenCL device, or None."""
        return getattr(self._backend, "device", None)

    @property
    def denormals(self):
        """Whether it keeps subnormal numbers."""
        return self._backend.denormals

    @property
    def is_simulator(self):
        """Whether the device is one."""
        return self.device is not None and self.device.is_simulator

    @property
    def unusable(self):
        """What the device's trial found wrong, if it is one."""
        from ..opencl import trial

        return None if self.device is None else trial.verdicts([self.device])[0].problem

    def array(self, host):
        """The backend's."""
        return self._backend.array(host)

    def to_host(self, array):
        """The backend's."""
        return self._backend.to_host(array)

    @property
    def description(self):
        """What DeviceReport says of it."""
        if self.device is None:
            return {"name": self._backend.description, "versions": _versions("numpy")}
        device, forced = self.device, forced_vector_width()
        return {
            # Merged reports tell devices by their names, and this one runs the kernels of another.
            "name": device.device_name + (f", vectors of {forced} floats" if forced else ""),
            "platform": device.platform_name,
            "driver": device.driver_version,
            "versions": {**_versions("pyopencl"), "platform": device.platform_version, "device": device.opencl_version},
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
        return tuple(sorted(variants.names(stem), key=lambda name: composition.split(name)[0] != own))

    def offers(self, stem, direction):
        """Everything is offered."""
        return direction in directions(stem)

    def operation(self, stem):
        """The backend's module, with the variant chosen."""
        module = self._backend.operation(stem)
        return module if self._kernels is None else _Forced(module, self._kernels)


class Oclgrind(BackendTarget):
    """refcnn's kernels inside Oclgrind, whose device exists only in a process with :meth:`environment`.

    Raises
    ------
    BackendError
        If Oclgrind is not installed.
    """

    is_simulator = True
    # It passes untried, and is there in another process only.
    unusable = None

    def __init__(self, variant=None):
        super().__init__("oclgrind", variant)
        if oclgrind.library() is None:
            raise BackendError(f"Oclgrind is not installed. {oclgrind.INSTALL_ADVICE}")
        self._reports = oclgrind.Reports()

    @functools.cached_property
    def _backend(self):
        return backend.find("opencl:oclgrind:0")

    def variants(self, stem):
        """All, in no order of preference: each has places of its own to race in."""
        return tuple(variants.names(stem)) if stem in variants.OPERATIONS else (None,)

    def environment(self, folder):
        """Oclgrind as the only platform, with all its checks."""
        return oclgrind.environment(folder)

    def reported(self):
        """Oclgrind's reports."""
        # What nobody waited for would be reported of the next case.
        self.device.finish()
        return self._reports.following()


class _Forced:
    """An operation of which one variant runs."""

    def __init__(self, module, variant):
        self.forward = _inside(variant, module.forward)
        if hasattr(module, "backward"):
            self.backward = _inside(variant, module.backward)


def _inside(variant, function):
    def run(*arguments, **attributes):
        with variants.use_variant(variant, composition.has_small_strips(arguments[0])):
            return function(*arguments, **attributes)

    return run


class HostTarget(_Target):
    """A target of NumPy arrays, of which it is given copies, so that it cannot alter a case."""

    device = None
    denormals = True

    def array(self, host):
        """A copy."""
        return np.array(host, dtype=np.float32, order="C")

    def to_host(self, array):
        """What the implementation gave, whatever it is: the judge says if it is no array."""
        # NumPy's own sums are such numbers, not arrays without axes.
        return np.asarray(array) if isinstance(array, np.generic) else array

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

    def algorithms(self, stem, inputs, attributes):
        """What the object says of it, if it says anything."""
        find = getattr(self._functions, "algorithms", None)
        found = {} if find is None else find(stem, inputs, attributes)
        is_known = isinstance(found, dict) and set(found) <= {"forward", "backward_x", "backward_w"}
        if not is_known or not set(found.values()) <= set(variants.TILES):
            raise ConformanceFailure(
                f"algorithms({stem!r}, ...) returned {found!r}, but a dict of forward, backward_x and backward_w is "
                f"needed, each {' or '.join(variants.TILES)}, or left out if it is computed directly."
            )
        return found

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
    try:
        # Standard output is the command's own.
        with contextlib.redirect_stdout(sys.stderr):
            found = own_code.import_named(module)
            for part in filter(None, name.split(".")):
                found = getattr(found, part)
    except (Exception, SystemExit) as error:
        # It is not refcnn's, and may raise anything.
        hidden = own_code.hidden(module)
        advice = (
            f"If the module is yours, see that 'import {module}' works in Python"
            if hidden is None
            else f"{hidden} is not looked at, since an installed module has its name: give it another one"
        )
        raise BackendError(
            f"the device {module}:{name} cannot be loaded: {type(error).__name__}: {error}. {advice}. "
            f"Devices are {FORMS}; there are: {', '.join(_everything())}."
        ) from error
    return found


def _versions(*libraries):
    from importlib import metadata

    found = {name: metadata.version(name) for name in libraries}
    return {"refcnn": __version__, "Python": platform.python_version(), **found}
