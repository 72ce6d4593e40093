"""The subject that a specification names."""

import contextlib
import sys

import numpy as np

from ... import backend, own_code
from ...errors import BackendError
from . import oclgrind, own_kernels, shipped
from .backends import BackendSubject, Oclgrind
from .implementation import Implementation, Unloaded, in_one_process

#: What :func:`find` takes, for messages.
FORMS = (
    "all, reference, opencl:PLATFORM:DEVICE, oclgrind, onnxruntime, onnxruntime:PROVIDER, "
    f"{', '.join(shipped.PACKAGES)} or MODULE:OBJECT"
)


def expand(specifications, loaded=True):
    """Return the specifications with ``all`` replaced by all that is there, each once and each known to exist.

    Devices that failed their trial are among them: see ``unusable``.

    Parameters
    ----------
    specifications : iterable of str
    loaded : bool
        As :func:`find` has it.

    Raises
    ------
    BackendError
        As :func:`find`.
    """
    found = []
    for specification in specifications:
        for one in _everything() if specification == "all" else (find(specification, loaded=loaded).specification,):
            if one not in found:
                found.append(one)
    return found


def of_kernels(path, devices):
    """Return the specifications of a file of somebody's own kernels on devices.

    Parameters
    ----------
    path : str
    devices : sequence of str
        OpenCL devices, ``oclgrind``, or ``all``: these, as far as they are there.

    Raises
    ------
    BackendError
        As :func:`find`, or if a device runs no kernels.
    DataError
        If the file does not say what its kernels compute.
    """
    everything = [*backend.device_names(), *(["oclgrind"] if oclgrind.library() else [])]
    names = [name for one in devices for name in (everything if one == "all" else [find(one).specification])]
    for name in names:
        if name not in (*everything, "oclgrind"):
            raise BackendError(f"kernels run on OpenCL devices, not on {name}. There are: {', '.join(everything)}.")
    return [find(own_kernels.specification(path, name)).specification for name in dict.fromkeys(names)]


def find(specification, variant=None, *, loaded=True):
    """Return the subject that a specification names.

    Parameters
    ----------
    specification : str
        ``reference``, ``opencl:PLATFORM:DEVICE`` (numbers or parts of names),
        ``oclgrind``, ``onnxruntime`` or ``onnxruntime:PROVIDER``, a name of
        :data:`shipped.PACKAGES`, alone or with a colon and the library's own
        name of a device, ``MODULE:OBJECT``, or what :func:`of_kernels`
        returned. It must come from the user, never from a file: the module is imported.
    variant : str, optional
        Of an OpenCL device's kernels; the device's own choice as a rule.
    loaded : bool
        Whether the code of others is imported, which may do anything; else an :class:`Unloaded` stands in for it.

    Raises
    ------
    BackendError
        If there is no such subject.
    """
    kind, _, rest = specification.partition(":")
    own = own_kernels.named(specification)
    if own is not None:
        return own
    if specification == "reference" or kind == "opencl":
        return BackendSubject(backend.find(specification, tried=False).name, variant)
    if specification == "oclgrind":
        return Oclgrind(variant)
    if kind == "onnxruntime":
        from .onnxruntime import OnnxRuntime

        return OnnxRuntime(rest or "CPUExecutionProvider")
    if kind in shipped.PACKAGES:
        return _implementation(specification) if loaded else Unloaded(specification)
    if ":" in specification and kind:
        return _implementation(specification) if loaded or not own_code.is_there(kind) else Unloaded(specification)
    present = ", ".join(_everything())
    raise BackendError(f"the device is {specification!r}, but devices are {FORMS}. There are: {present}.")


def _everything():
    from .onnxruntime import providers

    return ["reference", *backend.device_names(), *(f"onnxruntime:{provider}" for provider in providers())]


def _implementation(specification):
    kind, _, rest = specification.partition(":")
    # How NumPy treats what overflows is the judge's own.
    with np.errstate(), in_one_process(f"to import {kind}"):
        if kind in shipped.PACKAGES:
            found = Implementation(specification, shipped.load(kind, rest or None))
        else:
            found = _of(specification, _load(kind, rest))
    return found


def _of(specification, functions):
    try:
        return Implementation(specification, functions)
    except Exception as error:
        raise BackendError(
            f"the device {specification} cannot be tested: its name, version or denormals cannot be read: "
            f"{type(error).__name__}: {error}"
        ) from error


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
        if module.endswith(".py"):
            advice = f"A module is named without the end of its file: {module.removesuffix('.py')}:{name}"
        raise BackendError(
            f"the device {module}:{name} cannot be loaded: {type(error).__name__}: {error}. {advice}. "
            f"Devices are {FORMS}; there are: {', '.join(_everything())}."
        ) from error
    return found
