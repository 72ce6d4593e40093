"""The subject that a specification names."""

import contextlib
import sys

from ... import backend, own_code
from ...errors import BackendError
from .backends import BackendSubject, Oclgrind
from .implementation import Implementation

#: What :func:`find` takes, for messages.
FORMS = "all, reference, opencl:PLATFORM:DEVICE, oclgrind, onnxruntime, onnxruntime:PROVIDER or MODULE:OBJECT"


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
    """Return the subject that a specification names.

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
        If there is no such subject.
    """
    kind, _, rest = specification.partition(":")
    if specification == "reference" or kind == "opencl":
        return BackendSubject(backend.find(specification, tried=False).name, variant)
    if specification == "oclgrind":
        return Oclgrind(variant)
    if kind == "onnxruntime":
        from .onnxruntime import OnnxRuntime

        return OnnxRuntime(rest or "CPUExecutionProvider")
    if ":" in specification and kind:
        return Implementation(specification, _load(kind, rest))
    present = ", ".join(_everything())
    raise BackendError(f"the device is {specification!r}, but devices are {FORMS}. There are: {present}.")


def _everything():
    from .onnxruntime import providers

    return ["reference", *backend.device_names(), *(f"onnxruntime:{provider}" for provider in providers())]


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
