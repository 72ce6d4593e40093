"""Contestants' processes, and letting them take turns so that a noisy machine hits all of them alike."""

import dataclasses
import os
import statistics
import time
from pathlib import Path

from .. import processes
from ..errors import RefcnnError
from ..interruption import stop_if_asked

_CONTESTANTS = Path(__file__).parent / "contestants"
# Seconds between turns. Threads of OpenMP spin for a while when there is no more to do, for which the next one's turn
# must not pay; told to sleep instead, they make PyTorch about a sixth slower, so it keeps its own settings.
_PAUSE = 0.3
# Seconds that each works before its time is taken: cores that rested, and threads that slept, are slow at first.
_WARM_UP = 0.05
# Seconds of a turn that are not measured.
BETWEEN_TURNS = _PAUSE + _WARM_UP
_LOG_CHARACTERS = 1500


class ContestantError(RefcnnError):
    """A contestant that could not do what it was asked; the message says why."""


class Process:
    """One contestant's process.

    Parameters
    ----------
    command : sequence of str
    environment : dict of str to str, optional
        Variables that are set in it beside the present ones.

    Attributes
    ----------
    name, about, kind : str
        Known after :meth:`open`.
    """

    def __init__(self, command, environment=None):
        self.name = self.about = self.kind = None
        self._child = processes.Child(command, environment)

    def open(self, device):
        """Let it choose its device and as many threads as there are cores."""
        answer = self.ask("open", device=device, threads=cores())
        self.name, self.about, self.kind = answer["name"], answer["about"], answer["kind"]
        return self

    def ask(self, request, **arguments):
        """Return the answer to a request.

        Raises
        ------
        ContestantError
            If it answers with an error, or its process has ended.
        """
        try:
            answer = self._child.ask(request, **arguments)
        except processes.NoAnswer as error:
            raise ContestantError(f"{error}. {self._child.log(_LOG_CHARACTERS)}") from None
        if "error" in answer:
            raise ContestantError(answer["error"])
        return answer

    def stop(self):
        """End the process."""
        self._child.stop()


def cores():
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def refcnn(device, environment=None):
    """Start refcnn on a backend."""
    return _opened(_command("refcnn_process"), device, processes.environment() | (environment or {}))


def onnxruntime(device):
    """Start onnxruntime on ``cpu`` or ``cuda``."""
    return _opened(_command("onnxruntime_process"), device, processes.environment())


def pytorch(python, device, precision="float32"):
    """Start PyTorch of a Python interpreter on ``cpu`` or ``cuda``, in ``float32`` or ``bfloat16``."""
    return _opened([python, str(_CONTESTANTS / "pytorch_process.py"), precision], device)


def _command(name):
    return processes.command(f"refcnn.bench.contestants.{name}")


def _opened(command, device, environment=None):
    try:
        process = Process(command, environment)
    except OSError as error:
        raise ContestantError(f"{command[0]} could not be started: {error.strerror}") from error
    try:
        return process.open(device)
    except BaseException:
        process.stop()
        raise


@dataclasses.dataclass
class Times:
    """Seconds for one repetition of a workload, a number for each round, and how the contestant does it."""

    seconds: list = dataclasses.field(default_factory=list)
    error: str | None = None
    remark: str = ""

    @property
    def median(self):
        """The median over the rounds."""
        return statistics.median(self.seconds)

    @property
    def quartiles(self):
        """The quartiles over the rounds, with the median between; thrice the time of a single round."""
        if len(self.seconds) < 2:
            return 3 * tuple(self.seconds)
        return tuple(statistics.quantiles(self.seconds, n=4, method="inclusive"))

    @property
    def spread(self):
        """Half the distance between the quartiles as a share of the median; 0 of a single round."""
        low, _, high = self.quartiles
        return (high - low) / 2 / self.median


def ratio(ours, theirs):
    """Return how many times faster the first is: the median over rounds of the quotients within a round."""
    pairs = zip(theirs.seconds, ours.seconds, strict=False)
    return statistics.median(their / our for their, our in pairs)


def measure(contestants, workload, rounds, seconds, tick=lambda: None):
    """Let contestants do a workload, round after round, each in its turn.

    Parameters
    ----------
    contestants : sequence of Process
    workload : Workload
    rounds : int
    seconds : float
        What one turn should take.
    tick : callable
        Called after each turn.

    Returns
    -------
    dict of str to Times
    """
    times, counts, warm_ups = {}, {}, {}
    parameters = None
    for contestant in contestants:
        times[contestant.name] = Times()
        try:
            answer = contestant.ask("prepare", workload=workload.description)
            found, times[contestant.name].remark = answer["parameters"], answer["remark"]
            parameters = found if parameters is None else parameters
            if found != parameters:
                raise ContestantError(f"it has {found} parameters, others {parameters}: that is another computation.")
            contestant.ask("run", count=1)
            once = contestant.ask("run", count=2)["seconds"] / 2
            counts[contestant.name], warm_ups[contestant.name] = (
                max(1, round(wanted / once)) for wanted in (seconds, _WARM_UP)
            )
        except ContestantError as error:
            times[contestant.name].error = str(error)
        time.sleep(_PAUSE)
    for _ in range(rounds):
        for contestant in contestants:
            stop_if_asked()
            count = counts.get(contestant.name)
            if count is not None:
                try:
                    contestant.ask("run", count=warm_ups[contestant.name])
                    taken = contestant.ask("run", count=count)["seconds"]
                    times[contestant.name].seconds.append(taken / count)
                except ContestantError as error:
                    times[contestant.name].error = str(error)
                    del counts[contestant.name]
                time.sleep(_PAUSE)
            tick()
    return times
