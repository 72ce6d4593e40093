"""Which backend computes: the reference or an OpenCL device."""

import contextvars
import functools
import os
import sys
import threading
import time
import weakref

import numpy as np

from . import formats, rooms
from .errors import BackendError


class Reference:
    """The reference backend: NumPy arrays and the loops of :mod:`refcnn.reference`.

    Parameters
    ----------
    dtype : numpy dtype
        The format of its floats: float32 as on devices, or float64, in which
        it is the oracle.
    """

    #: Whether numbers below the normal ones are kept, or may become zero.
    denormals = True

    def __init__(self, dtype=formats.FLOAT32.dtype):
        self.dtype = np.dtype(dtype)
        self.name = "reference" if self.dtype == formats.FLOAT32.dtype else f"reference:{self.dtype.name}"
        self.description = f"NumPy {np.__version__}, {self.dtype.name}"

    def __repr__(self):
        return f"<backend {self.name}: {self.description}>"

    def array(self, host, dtype=None):
        """Return a copy of a host array.

        Parameters
        ----------
        host : array_like
        dtype : numpy dtype, optional
            What :func:`refcnn.formats.kept` says of the array's dtype as a rule: int64, int32 and bool stay, all else
            becomes this backend's floats.
        """
        host = np.asarray(host)
        dtype = formats.kept(host.dtype, self.dtype) if dtype is None else dtype
        return np.array(host, dtype=dtype, order="C")

    def to_host(self, array):
        """Return a copy of an array of this backend as a NumPy array."""
        return np.array(array)

    def start_reading(self, array, host):
        """Begin to copy an array of this backend into one of the host, neither of which may be changed meanwhile.

        Returns
        -------
        object or None
            With ``wait()``, and ``is_done``, which does not wait; None if it is done already.
        """
        np.copyto(host, array)

    def operation(self, stem):
        """Return the module that holds ``forward`` and ``backward`` of an operation."""
        return rooms.require(rooms.REFERENCE, stem)


def results_of(y):
    """Return what an operation's ``forward`` gave as a tuple of arrays: a tuple of results, or one result."""
    return y if isinstance(y, tuple) else (y,)


def algorithms_of(backend, stem, inputs, attributes):
    """Return what a backend's ``algorithms`` says, as the keyword that error bounds take; none if it says nothing.

    Parameters
    ----------
    backend : object
        A backend, or anything else that computes operations.
    stem, inputs, attributes
        As in :meth:`refcnn.opencl.backend.OpenCL.algorithms`.

    Returns
    -------
    dict
    """
    find = getattr(backend, "algorithms", None)
    found = find(stem, inputs, attributes) if find else {}
    return {"algorithms": found} if found else {}


@functools.cache
def _best():
    from .opencl.runtime import finding

    device = finding.best()
    for remark in finding.passed_over(device):
        print(f"refcnn: {remark}", file=sys.stderr)
    return on_device(device)


@functools.cache
def _opencl(platform, device, tried):
    from .opencl.runtime import finding

    return on_device(finding.find(platform, device, tried=tried))


@functools.cache
def on_device(device):
    """Return the backend that computes on a :class:`~refcnn.opencl.runtime.device.Device`."""
    from .opencl.backend import OpenCL

    # One backend for one device, however it was named: variables compare backends by identity.
    return OpenCL(device)


def find(specification, *, tried=True):
    """Return the backend that a specification names.

    Parameters
    ----------
    specification : str or backend
        ``reference`` (float32), ``reference:float64``, ``opencl`` (the best
        device), ``opencl:PLATFORM:DEVICE`` (numbers or parts of names; the
        device may be left out), or ``auto``: the best OpenCL device, or else
        the reference, with one line on standard error that says why. A
        backend is returned as it is.
    tried : bool
        Whether a device that is named must have passed its trial
        (:mod:`refcnn.opencl.runtime.trial`), as it must where none is named.

    Raises
    ------
    BackendError
        If there is no such backend or device, or it is unusable.
    """
    if hasattr(specification, "operation"):
        return specification
    # One of two threads that name a device for the first time waits, lest it become two backends.
    with _choosing:
        return _find(specification, tried)


def _find(specification, tried):
    kind, _, rest = specification.partition(":") if isinstance(specification, str) else ("", "", "")
    if kind == "auto" and not rest:
        try:
            return _best()
        except BackendError as error:
            print(f"refcnn: computing on the reference backend, since {error}", file=sys.stderr)
            return _reference(formats.FLOAT32.name)
    if kind == "reference" and rest in ("", formats.FLOAT32.name, formats.FLOAT64.name):
        return _reference(rest or formats.FLOAT32.name)
    if kind == "opencl":
        if not rest:
            return _best()
        platform, _, device = rest.partition(":")
        return _opencl(platform, device or "0", tried)
    raise BackendError(
        f"the backend is {specification!r}, but the backends are auto, reference, reference:float64, opencl and "
        "opencl:PLATFORM:DEVICE (numbers or parts of names, as 'refcnn devices' lists them)."
    )


@functools.cache
def _reference(dtype):
    return Reference(dtype)


#: The backend of a context, that of a ``with use_backend(...)`` block as a rule; None: the process's.
_of_context: contextvars.ContextVar = contextvars.ContextVar("refcnn backend", default=None)
#: The process's choice, and a lock under which it is made when it is first needed.
_of_process, _choosing = None, threading.RLock()
#: Seconds that a thread waits at most to learn whether another one's ``use_backend`` opens a block.
_LONGEST_OPENING = 1.0


def active():
    """Return the backend in use; the first call takes it from ``REFCNN_BACKEND``, or else ``auto``."""
    chosen = _of_context.get()
    return chosen if chosen is not None else _process_backend()


def _process_backend():
    global _of_process
    while True:
        choice = _of_process
        if choice is None:
            with _choosing:
                if _of_process is None:
                    _of_process = _Choice(find(os.environ.get("REFCNN_BACKEND") or "auto"))
        elif choice.is_certain():
            return choice.backend
        else:
            time.sleep(0.001)


class _Choice:
    """A choice for the whole process.

    When the main thread calls ``use_backend``, a block may be about to begin that is no other thread's concern. It is
    known that none is when the object that was made is gone, or when the main thread computes.
    """

    def __init__(self, backend, maker=None):
        self.backend = backend
        self._maker, self._is_certain = maker and weakref.ref(maker), maker is None
        self._end = time.monotonic() + _LONGEST_OPENING

    def is_certain(self):
        """Return whether other threads may act on it."""
        if not self._is_certain:
            is_over = self._maker() is None or time.monotonic() > self._end
            self._is_certain = is_over or threading.current_thread() is threading.main_thread()
        return self._is_certain


class use_backend:
    """Compute on a backend from now on, or inside a ``with`` block only.

    A block concerns nothing but itself: threads and asyncio tasks that overlap each keep the backend of their own. As
    :mod:`contextvars` has it, a thread that is started inside a block is not in it (``asyncio.to_thread`` and
    ``contextvars.copy_context().run`` are), and a task is.

    Without ``with`` the choice holds to the end of the block in which it is made. Made outside of any, in the main
    thread, it holds for the whole process: for all threads that do not choose for themselves; in another thread it
    holds for that thread. Models and optimizers are copied to the active backend when they are next used;
    :meth:`refcnn.Model.replica` gives another model for it.

    Parameters
    ----------
    specification : str or backend
        As in :func:`find`: ``"reference"``, ``"opencl"``, ``"opencl:1:0"``,
        ``"opencl:intel:0"``, ``"auto"``.

    Raises
    ------
    BackendError
        If there is no such backend or device; the former one stays active.

    Examples
    --------
    >>> import refcnn as rm
    >>> with rm.use_backend("reference"):
    ...     y = rm.relu([[-1.0, 2.0]])
    """

    def __init__(self, specification: "str | object") -> None:
        global _of_process
        self._backend = find(specification)
        self._former, self._choice = _of_context.get(), None
        if self._former is None and threading.current_thread() is threading.main_thread():
            self._choice, self._former_choice = _Choice(self._backend, self), _of_process
            _of_process = self._choice
        else:
            _of_context.set(self._backend)

    def __repr__(self):
        return f"{type(self).__name__}({self._backend.name!r})"

    def __enter__(self) -> object:
        global _of_process
        _of_context.set(self._backend)
        if self._choice is not None and _of_process is self._choice:
            _of_process = self._former_choice
        return self._backend

    def __exit__(self, *exception: object) -> None:
        _of_context.set(self._former)


def device_names():
    """Return the names of all OpenCL devices as :func:`find` takes them, those that failed their trial too."""
    from .opencl.runtime.finding import available

    return [device.name for device in available()]


def alike(specification):
    """Return the names of what computes as well as the best device: all GPUs of its platform, if it is a GPU.

    Parameters
    ----------
    specification : str
        As of :func:`find`; that of the best device, whose name comes first.
    """
    best = getattr(find(specification), "device", None)
    if best is None or best.kind != "gpu":
        return [specification]
    from .opencl.runtime import finding

    same = [one for one in finding.usable() if (one.kind, one.platform_index) == (best.kind, best.platform_index)]
    return [best.name, *(one.name for one in same if one is not best)]


def kernel_variants(stem=None):
    """Return the names of the variants in which kernels for OpenCL devices come.

    Parameters
    ----------
    stem : str, optional
        Of that operation alone, each with and without what can be fused into it; empty if it has no choice.

    Returns
    -------
    tuple of str
    """
    from .opencl import variants

    return variants.VARIANTS if stem is None else variants.names(stem)


def kernels_in(text, options):
    """Return the parameters of each OpenCL kernel of a text by its name.

    Parameters
    ----------
    text : str
        Without ``#include``.
    options : tuple of str
        Build options.

    Returns
    -------
    dict of str to (tuple of refcnn.opencl.runtime.signatures.Parameter)

    Raises
    ------
    BackendError
        If the text cannot be read.
    """
    from .opencl.runtime import signatures

    try:
        return signatures.kernels_in(text, options)
    except (ValueError, LookupError, ZeroDivisionError) as error:
        raise BackendError(f"its text outside of functions cannot be read: {error}") from error


def set_opencl_active(active: bool = True) -> None:
    """Compute on the best OpenCL device from now on, or on the reference backend again.

    The short form of ``use_backend("opencl")`` and ``use_backend("reference")``.

    Raises
    ------
    BackendError
        If there is no OpenCL device.
    """
    use_backend("opencl" if active else "reference")
