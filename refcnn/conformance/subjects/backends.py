"""refcnn's own backends as subjects."""

import contextlib
import functools

from ... import backend
from ...backend import results_of
from ...errors import ArgumentError, BackendError
from ...version import versions
from ..judging import composition
from . import oclgrind
from .base import GARBAGE, Subject, directions


class BackendSubject(Subject):
    """refcnn's own reference or an OpenCL device, by the name of its backend."""

    def __init__(self, name, variant=None):
        self.name = self.specification = name
        self._kernels, _ = composition.split(variant)
        known = backend.kernel_variants()
        if variant is not None and (name == "reference" or self._kernels not in known):
            variants_of = ", ".join(known)
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
        """Whether the device is a simulator."""
        return self.device is not None and self.device.is_simulator

    @property
    def unusable(self):
        """What the trial of an OpenCL device found wrong, or None."""
        return None if self.device is None else self._backend.problem

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
            return {"name": self._backend.description, "versions": versions("numpy")}
        device, forced = self.device, self.device.forced_vector_width
        return {
            # Merged reports tell devices by their names, and this one runs the kernels of another.
            "name": device.device_name + (f", vectors of {forced} floats" if forced else ""),
            "platform": device.platform_name,
            "driver": device.driver_version,
            "versions": {**versions("pyopencl"), "platform": device.platform_version, "device": device.opencl_version},
            "build_options": " ".join(device.build_options),
            "denormals": self.denormals,
        }

    def algorithms(self, stem, inputs, attributes):
        """As in :mod:`refcnn.backend`, with the variant chosen."""
        if self.device is None:
            return {}
        with self._backend.use_variant(self._kernels):
            return self._backend.algorithms(stem, inputs, attributes)

    @contextlib.contextmanager
    def other_memory(self, sizes):
        """Other places of the device's memory, where all that is free holds garbage; of the host's where there is none.

        A simulator looks at each access itself.
        """
        if self.device is None:
            with super().other_memory(sizes):
                yield
        elif self.is_simulator:
            yield
        else:
            # What lies in between moves all others.
            between = self.device.empty(1)
            self.device.fill_free_memory(GARBAGE)
            yield
            del between

    def variants(self, stem):
        """The variants of an operation's kernels, the device's own choice first."""
        return (None,) if self.device is None else self._backend.variants(stem) or (None,)

    def offers(self, stem, direction):
        """Everything is offered."""
        return direction in directions(stem)

    def operation(self, stem):
        """The backend's module, with the variant chosen."""
        module = self._backend.operation(stem)
        return module if self._kernels is None else _Forced(module, self._backend, self._kernels)


class Oclgrind(BackendSubject):
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
        return backend.kernel_variants(stem) or (None,)

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

    def __init__(self, module, backend, variant):
        self.forward = _inside(backend, variant, module.forward)
        if hasattr(module, "backward"):
            self.backward = _inside(backend, variant, module.backward)


def _inside(backend, variant, function):
    def run(*arguments, **attributes):
        # The gradients of several results come together; that of the first is always one.
        with backend.use_variant(variant, composition.has_small_strips(results_of(arguments[0])[0])):
            return function(*arguments, **attributes)

    return run
