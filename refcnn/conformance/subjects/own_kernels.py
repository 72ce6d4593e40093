"""Somebody's own OpenCL kernels as a subject, on one device: a file that says itself what they compute.

:mod:`~refcnn.conformance.subjects.kernel_description` reads what it says.
"""

import collections
import functools
import re

import numpy as np

from ... import backend, rooms
from ...backend import results_of
from ...errors import ArgumentError
from ...formats import kept
from ..judging.comparison import ConformanceFailure
from ..judging.judge import asked_gradients, conformance, title
from ..theory.bounds import number_format
from ..theory.strategies import Case
from . import kernel_description
from .backends import BackendSubject, Oclgrind
from .base import HostSubject, NotExpressible, is_update
from .formulas import LocalMemory

_SPECIFICATION = re.compile(r"kernel:(?P<path>.+):(?P<device>oclgrind|opencl:\d+:\d+)", re.DOTALL)
_SIMULATOR = "oclgrind"
#: What the names of cases begin with that were drawn and that kernels are not made for.
LEFT_OUT = "left out by where = "
#: Cases of a row in the simulator, which is slow, and to which races and stray accesses show in few.
_IN_SIMULATOR = 12
#: Texts that stay built, of which formulas in build options may make many.
_MOST_BUILT = 64


def specification(path, device):
    """Return what names the kernels of a file on a device: the name of an OpenCL device, or ``oclgrind``."""
    return f"kernel:{path}:{device}"


def named(text):
    """Return the subject that a :func:`specification` names, or None if it is none."""
    found = _SPECIFICATION.fullmatch(text)
    return None if found is None else OwnKernels(found["path"], found["device"])


class OwnKernels(HostSubject):
    """The kernels of one file on one device.

    Parameters
    ----------
    path : str
    device : str
        The name of an OpenCL device, or ``oclgrind``.

    Raises
    ------
    BackendError
        If there is no such device.
    DataError
        If the file cannot be read, or does not say what its kernels compute.

    Attributes
    ----------
    left_out : collections.Counter
        By what they are called, cases that were drawn and that the kernels are not made for.
    """

    compares_runs = True
    # No kernel need keep subnormal numbers, whose device may have none.
    denormals = False

    def __init__(self, path, device):
        self.specification = specification(path, device)
        self._machine = Oclgrind() if device == _SIMULATOR else BackendSubject(device)
        self._kernels = kernel_description.load(path)
        self.name = f"{self._kernels.path.name} on {device}"
        self.is_simulator = device == _SIMULATOR
        self.left_out = collections.Counter()
        self._built = {}

    @property
    def unusable(self):
        """What the trial of the device found wrong, or None."""
        return self._machine.unusable

    @property
    def device(self):
        """The OpenCL device."""
        return self._machine.device

    def environment(self, folder):
        """The device's."""
        return self._machine.environment(folder)

    def reported(self):
        """What the simulator reports."""
        return self._machine.reported()

    @property
    def description(self):
        """That of the device, as what runs the kernels; faults that are known of it are those of other kernels."""
        machine = self._machine.description
        known = {"name": f"{self._kernels.path.name} on {machine['name']}", "platform": "", "driver": ""}
        versions = {"OpenCL": f"{machine['platform']}, driver {machine['driver']}", **machine["versions"]}
        return machine | known | {"versions": versions, "build_options": " ".join(self._kernels.options.words)}

    def examples(self, wanted):
        """Few in the simulator."""
        return min(wanted, _IN_SIMULATOR) if self.is_simulator else wanted

    def offers(self, stem, direction):
        """Whether the file has launches for it."""
        return stem == self._kernels.operation and bool(self._kernels.launches[direction])

    def gradients(self, stem, count):
        """Return for each of so many inputs whether its gradient is computed."""
        return tuple(f"d{name}" in self._kernels.gradients for name in kernel_description.input_names(stem, count))

    def algorithms(self, stem, inputs, attributes):
        """None; what the kernels are not made for is refused here, before an exact answer is computed."""
        _Call(self._kernels, inputs, attributes).require_taken(self.left_out)
        return {}

    def operation(self, stem):
        """The launches as ``forward`` and ``backward``."""
        if stem != self._kernels.operation:
            return None
        return (_Update if is_update(stem) else _Operation)(self, stem)

    def captured(self, stem, direction, variant, case, *, execute=True):
        """As :func:`refcnn.conformance.bundles.bundle.capture_case`; nothing is run for it."""
        call = _Call(self._kernels, case.inputs, case.attributes, case.dy if direction == "backward" else None)
        return self._on_device(call).captured(*call.planned(direction, asked_gradients(stem, case, self)))

    def computed(self, stem, direction, needs, inputs, attributes, dy=None):
        """Return the results of one call, which are the same each time that it is computed, in whatever memory."""
        call = _Call(self._kernels, inputs, attributes, dy)
        call.require_taken(self.left_out)
        launches, arrays, wanted = call.planned(direction, needs)
        kernels, what = self._on_device(call), functools.partial(self._title, stem, direction, inputs, attributes, dy)
        first = kernels.run(launches, arrays, 0)
        if self.is_simulator:
            return [first.arrays[name] for name in wanted]
        second = kernels.run(launches, arrays, 1)
        # What the first run wrote astray is what the second did, unless it is by chance.
        for stray in first.strays or second.strays:
            raise ConformanceFailure(f"{what()}: the kernels {stray}.")
        for name in wanted:
            unwritten = first.untouched[name] & second.untouched[name]
            _require_same(what, name, first.arrays[name], second.arrays[name], unwritten)
        return [first.arrays[name] for name in wanted]

    def _title(self, stem, direction, inputs, attributes, dy):
        return title(f"{stem}.{direction}", Case(inputs, attributes, dy), self.name)

    def _on_device(self, call):
        options = call.options()
        if options not in self._built:
            while len(self._built) >= _MOST_BUILT:
                del self._built[next(iter(self._built))]
            text = self._kernels.text
            parameters = backend.kernels_in(text, options)
            self._built[options] = self.device.own_kernels(self._kernels.path.name, text, parameters, options)
        return self._built[options]


def _require_same(what, name, first, second, unwritten):
    """Raise ConformanceFailure where a result depends on what memory held before."""
    if unwritten.any():
        raise ConformanceFailure(
            f"{what()}: {np.count_nonzero(unwritten)} of {first.size} elements of {name} were never written, "
            f"{_first(unwritten)} the first."
        )
    both = [array.reshape(-1).view(np.uint8).reshape(*array.shape, array.itemsize) for array in (first, second)]
    differ = (both[0] != both[1]).any(axis=-1)
    if first.dtype.kind == "f":
        # Which of its many patterns a NaN has is no result.
        differ &= ~(np.isnan(first) & np.isnan(second))
    if differ.any():
        place = _first(differ)
        raise ConformanceFailure(
            f"{what()}: computed twice, {np.count_nonzero(differ)} of {first.size} elements of {name} were not the "
            f"same, {place} the first: {first[place]!r}, and {second[place]!r} where memory held something else before."
            " The kernels read what nobody has written, or what they do depends on the order of work-items."
        )


def _first(chosen):
    return tuple(map(int, np.argwhere(chosen)[0]))


class _Operation:
    needs_forward = False

    def __init__(self, subject, stem):
        self._subject, self._stem = subject, stem

    def forward(self, *inputs, **attributes):
        y = self._subject.computed(self._stem, "forward", (), inputs, attributes)
        return y[0] if len(y) == 1 else tuple(y), inputs

    def backward(self, dy, saved, needs, **attributes):
        inputs = tuple(saved)
        found = iter(self._subject.computed(self._stem, "backward", needs, inputs, attributes, dy))
        return tuple(next(found) if need else None for need in needs)


class _Update:
    def __init__(self, subject, stem):
        self._subject, self._stem = subject, stem

    def forward(self, *inputs, **attributes):
        return tuple(self._subject.computed(self._stem, "forward", (), inputs, attributes))


class _Call(collections.abc.Mapping):
    """One call of an operation: what its formulas may ask, by name.

    Parameters
    ----------
    kernels : Description
    inputs : tuple of (ndarray or None)
    attributes : dict
    dy : ndarray or tuple of ndarray, optional
    """

    def __init__(self, kernels, inputs, attributes, dy=None):
        self._kernels, self._inputs = kernels, tuple(inputs)
        self._attributes = kernel_description.attributes_of(kernels.operation, attributes)
        self._input_names = kernel_description.input_names(kernels.operation, len(self._inputs))
        self._given = dict(zip(self._input_names, self._inputs, strict=True))
        several = isinstance(dy, tuple)
        self._given |= {f"dy{number if several else ''}": one for number, one in enumerate(results_of(dy))}

    @functools.cached_property
    def _results(self):
        """What the results are like, which the reference tells: arrays that hold nothing in particular."""
        operation = self._kernels.operation
        room = rooms.require(rooms.REFERENCE, operation)
        forward = getattr(conformance(operation), "exact_forward", None) or room.forward
        with np.errstate(all="ignore"):
            y = forward(*self._inputs, **self._attributes)
        y = y[0] if hasattr(room, "backward") else y
        several = isinstance(y, tuple)
        return {f"y{number if several else ''}": one for number, one in enumerate(map(np.asarray, results_of(y)))}

    def __getitem__(self, name):
        if name in self._given:
            return self._given[name]
        if name in self._attributes:
            value = self._attributes[name]
            return tuple(value) if isinstance(value, list) else value
        if re.fullmatch(r"y\d*", name) and name in self._results:
            return self._results[name]
        if name in self._kernels.scratch:
            return np.empty(self._scratch_size(name), number_format().dtype)
        if name.startswith("d") and name[1:] in self._given:
            return self._given[name[1:]]
        raise KeyError(name)

    def __iter__(self):
        yield from (*self._given, *self._attributes, *self._results, *self._kernels.scratch)

    def __len__(self):
        return sum(1 for _ in self)

    def __contains__(self, name):
        try:
            self[name]
        except (KeyError, ArgumentError):
            return False
        return True

    def require_taken(self, left_out):
        """Raise NotExpressible if the kernels are not made for such a case."""
        if not self._kernels.where(self):
            left_out[f"{LEFT_OUT}{self._kernels.where.text!r}"] += 1
            raise NotExpressible(f"{self._kernels.path.name} is made for {self._kernels.where.text}")

    def options(self):
        """Return the build options."""
        return self._kernels.options(lambda formula: formula(self))

    def planned(self, direction, needs):
        """Return the launches of a direction, the arrays that they are given, and the names of those that are asked.

        Parameters
        ----------
        direction : str
        needs : tuple of bool
            Whose gradients are asked.
        """
        launches = self._kernels.launches[direction]
        names = set().union(*(launch.names for launch in launches))
        if direction == "backward":
            if names & self._results.keys():
                # What follows from the results begins with them.
                launches = self._kernels.launches["forward"] + launches
            wanted = [f"d{name}" for name, need in zip(self._input_names, needs, strict=True) if need]
            written = [f"d{name}" for name, one in zip(self._input_names, self._inputs, strict=True) if one is not None]
        else:
            wanted = written = list(self._results)
        written = [*dict.fromkeys((*written, *self._results)), *self._kernels.scratch]
        names = names.union(wanted, *(launch.names for launch in launches))
        arrays = {
            name: (array, array.shape, kept(array.dtype, number_format().dtype))
            for name, array in self._given.items()
            if array is not None
        }
        arrays |= {name: self._to_write(name) for name in written if name in names}
        return [self._launch(launch, arrays) for launch in launches], arrays, wanted

    def _to_write(self, name):
        like = self[name]
        return None, like.shape, kept(like.dtype, number_format().dtype)

    def _scratch_size(self, name):
        return kernel_description.size_of(self._kernels.scratch[name], self, f"scratch {name}")

    def _launch(self, launch, arrays):
        sizes = [
            tuple(
                kernel_description.size_of(formula, self, f"the {what} size of {launch.kernel}") for formula in formulas
            )
            for what, formulas in (("global", launch.global_size), ("local", launch.local_size))
        ]
        if any(local == 0 or whole % local for whole, local in zip(*sizes, strict=True)):
            raise ArgumentError(
                f"the global size of {launch.kernel} is {sizes[0]}, which is no multiple of its local size {sizes[1]}. "
                "Write round_up(size, local) in global."
            )
        arguments = {name: self._argument(formula, arrays) for name, formula in launch.arguments.items()}
        return launch.kernel, *sizes, arguments

    def _argument(self, formula, arrays):
        if formula.name in arrays:
            return "array", formula.name
        value = formula(self)
        if value is None or isinstance(value, np.ndarray):
            return "null", None
        return ("local", int(value)) if isinstance(value, LocalMemory) else ("number", value)
