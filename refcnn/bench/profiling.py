"""Where the time of a training step or of inference goes: by operation and kernel, against the device's limits."""

import contextlib
import dataclasses
import functools
import math
import statistics
import time
import types

from ..backend import results_of, use_backend
from ..opencl.backend import OpenCL
from ..tables import table
from .arithmetic import by_algorithm, by_formula

OTHER = "other"
_DIRECT = "direct: direct-equivalent GFLOP/s, by the formula, where an algorithm does less."


@dataclasses.dataclass
class Kernel:
    """The launches of one kernel for one operation, in a step.

    Attributes
    ----------
    name : str
        File stem and kernel, such as ``conv2d.forward``.
    launches : float
    seconds : float
        By the device's clock.
    """

    name: str
    launches: float = 0
    seconds: float = 0


@dataclasses.dataclass
class Operation:
    """One operation of the step.

    Attributes
    ----------
    label : str
        Such as ``conv2d backward 64x32x28x28``.
    flop : int
        Multiplications and additions that are really done, by the algorithm that the device takes.
    direct_flop : int
        Those of its formula, whatever the algorithm.
    bytes : int
        Of its inputs and results, each counted once.
    kernels : dict of str to Kernel
    """

    label: str
    flop: int = 0
    direct_flop: int = 0
    bytes: int = 0
    kernels: dict = dataclasses.field(default_factory=dict)

    @property
    def seconds(self):
        """What its kernels took."""
        return math.fsum(kernel.seconds for kernel in self.kernels.values())

    def limit(self, gflops, bandwidth):
        """Return the seconds it would take at the device's limits."""
        return max(self.flop / gflops / 1e9, self.bytes / bandwidth / 1e9)


@dataclasses.dataclass
class Profile:
    """The operations of a step, which is one of training or a pass of inference, and the host's part.

    Attributes
    ----------
    operations : list of Operation
    step : float
        Seconds of a step without profiling.
    host : float
        Seconds of a step until all is queued and only the results are waited for.
    """

    operations: list
    step: float
    host: float

    @property
    def launches(self):
        """Kernels launched in a step."""
        return sum(kernel.launches for operation in self.operations for kernel in operation.kernels.values())


class _Labelled(OpenCL):
    """A backend on the same device that notes for which operation each kernel is launched."""

    def __init__(self, device):
        super().__init__(device)
        self.costs = {}
        self._launched, self._owners, self._now = None, [], Operation(OTHER)
        self._of_forward = {}

    def operation(self, stem):
        """Return an operation whose passes are noted."""
        module = super().operation(stem)
        # Whatever else a module offers is not noted, and its kernels count as others.
        passes = {**vars(module), "forward": functools.partial(self._forward, stem, module.forward)}
        if hasattr(module, "forward_all"):
            passes["forward_all"] = functools.partial(self._forward_all, stem, module.forward_all)
        if hasattr(module, "backward"):
            passes["backward"] = functools.partial(self._backward, stem, module.backward)
        return types.SimpleNamespace(**passes)

    def recorded(self, compute, inputs, follow=None):
        """As of :class:`OpenCL`; what is launched anew belongs to the same operations as when it was recorded."""
        self._note()
        first = len(self._owners)
        results, replay = super().recorded(compute, inputs, follow)
        self._note()
        return results, replay and _LabelledReplay(self, replay, self._owners[first:])

    def replayed(self, owners):
        """Say for which operations the latest kernels were launched."""
        if self._launched is not None:
            self._owners += owners

    def forget_kernels(self):
        """Take from the operations what was launched for them."""
        for cost in (*self.costs.values(), self._now):
            cost.kernels.clear()

    def profiled(self, workload_step, steps):
        """Make so many steps, and give their operations the kernels."""
        self._owners.clear()
        with self.device.profiling() as self._launched:
            for _ in range(steps):
                _read(workload_step())
                # Forward passes that no backward pass takes up would hold what they saved.
                self._of_forward.clear()
            self._note()
        for owner, (file_stem, kernel_name, seconds, _) in zip(self._owners, self._launched, strict=True):
            kernel = owner.kernels.setdefault(f"{file_stem}.{kernel_name}", Kernel(f"{file_stem}.{kernel_name}"))
            kernel.launches += 1
            kernel.seconds += seconds
        self._launched = None

    def _forward(self, stem, forward, *arrays, **attributes):
        cost = self._cost(f"{stem} forward", arrays[0])
        with self._during(cost):
            y, saved, *more = forward(*arrays, **attributes)
        results = results_of(y)
        cost.bytes = _bytes((*arrays, *results))
        done, direct = by_algorithm(self.device, stem, arrays, attributes), by_formula(stem, arrays, attributes)
        cost.flop, cost.direct_flop = done.forward, direct.forward
        # Kept with what forward saved, so that its id stays its own.
        self._of_forward[id(saved)] = saved, cost.bytes, done, direct
        for result in results:
            if getattr(result, "pending", None) is not None:
                # It is launched when another operation needs it, and yet for this one.
                result.pending.wrap(lambda run: functools.partial(self._run, cost, run))
        return y, saved, *more

    def _forward_all(self, stem, forward_all, rows, **attributes):
        label = f"{stem} forward of {len(rows)} parameters"
        cost = self.costs.setdefault(label, Operation(label))
        with self._during(cost):
            results = forward_all(rows, **attributes)
        cost.bytes = _bytes(array for row in (*rows, *results) for array in row)
        return results

    def _run(self, cost, run, *arguments):
        with self._during(cost):
            return run(*arguments)

    def _backward(self, stem, backward, dy, saved, needs, **attributes):
        _, of_forward, done, direct = self._of_forward.pop(id(saved))
        cost = self._cost(f"{stem} backward", results_of(dy)[0])
        with self._during(cost):
            gradients = backward(dy, saved, needs, **attributes)
        cost.bytes = of_forward + _bytes(gradients)
        cost.flop, cost.direct_flop = done.backward(needs), direct.backward(needs)
        return gradients

    def _cost(self, name, array):
        label = f"{name} {'x'.join(map(str, array.shape))}"
        return self.costs.setdefault(label, Operation(label))

    @contextlib.contextmanager
    def _during(self, cost):
        self._note()
        former, self._now = self._now, cost
        try:
            yield
        finally:
            self._note()
            self._now = former

    def _note(self):
        """What was launched since the last time belongs to the present operation."""
        if self._launched is not None:
            self._owners += [self._now] * (len(self._launched) - len(self._owners))


class _LabelledReplay:
    """A replay that says for which operations its kernels are launched."""

    def __init__(self, backend, replay, owners):
        self._backend, self._replay = backend, replay
        self._owners = [owners[number] for number in replay.numbers]
        self.release = replay.release

    def __call__(self, *given):
        results = self._replay(*given)
        self._backend.replayed(self._owners)
        return results


def _bytes(arrays):
    return sum(array.nbytes for array in arrays if array is not None)


def profile(backend, workload_step, steps=10):
    """Return the profile of a step.

    Parameters
    ----------
    backend : OpenCL
    workload_step : callable
        ``workload_step()`` begins a step and returns its results, a Variable or a tuple, which are not read yet.
    steps : int
    """
    device = backend.device
    for _ in range(3):
        _read(workload_step())
    host, total = [], []
    for _ in range(steps):
        start = time.perf_counter()
        results = workload_step()
        host.append(time.perf_counter() - start)
        _read(results)
        total.append(time.perf_counter() - start)
    labelled = _Labelled(device)
    with use_backend(labelled):
        # Of a model that is recorded at its second step, the third is as all that follow.
        labelled.profiled(workload_step, 2)
        labelled.forget_kernels()
        labelled.profiled(workload_step, steps)
    operations = [one for one in (*labelled.costs.values(), labelled._now) if one.kernels]
    for kernel in (kernel for operation in operations for kernel in operation.kernels.values()):
        kernel.launches /= steps
        kernel.seconds /= steps
    operations.sort(key=lambda one: -one.seconds)
    return Profile(operations, statistics.median(total), statistics.median(host))


def _read(results):
    for result in results_of(results):
        result.as_ndarray()


def lines(found, gflops, bandwidth, width=None):
    """Return a profile as text.

    Parameters
    ----------
    found : Profile
    gflops, bandwidth : float
        The device's limits, in GFLOP/s and GB/s, as :mod:`.peaks` measures them.
    width : int, optional
        As in :func:`refcnn.tables.table`.
    """
    rows = [("operation and kernel", "launches", "ms", "MFLOP", "MB", "GFLOP/s", "direct", "GB/s", "of limit")]
    for operation in found.operations:
        seconds = operation.seconds
        known = operation.bytes > 0
        rows.append(
            (
                operation.label,
                "",
                f"{seconds * 1e3:.3f}",
                f"{operation.flop / 1e6:.1f}" if operation.flop else "",
                f"{operation.bytes / 1e6:.2f}" if known else "",
                f"{operation.flop / seconds / 1e9:.1f}" if operation.flop else "",
                f"{operation.direct_flop / seconds / 1e9:.1f}" if operation.direct_flop != operation.flop else "",
                f"{operation.bytes / seconds / 1e9:.1f}" if known else "",
                f"{operation.limit(gflops, bandwidth) / seconds:.0%}" if known else "",
            )
        )
        for kernel in operation.kernels.values():
            rows.append((f"  {kernel.name}", f"{kernel.launches:g}", f"{kernel.seconds * 1e3:.3f}", *[""] * 6))
    kernels = math.fsum(operation.seconds for operation in found.operations)
    return [
        *table(rows, width=width),
        *([_DIRECT] if any(operation.direct_flop != operation.flop for operation in found.operations) else []),
        f"A step takes {found.step * 1e3:.2f} ms, its kernels {kernels * 1e3:.2f} ms. The host needs "
        f"{found.host * 1e3:.2f} ms to queue {found.launches:g} launches, "
        f"{found.host / found.launches * 1e6:.0f} us each.",
    ]
