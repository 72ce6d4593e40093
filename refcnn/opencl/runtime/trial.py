"""The trial of a device: it must build, run and read back a small kernel rightly before it is offered.

A runtime may list a device for which it builds nothing (PoCL on a CPU that is
newer than its compiler), and may crash or hang when it is first used. So an
unknown device is tried in a process of its own
(:mod:`~refcnn.opencl.runtime.trial_process`), several devices side by side. The verdict
is kept in the user's cache under all that it can depend on, so that a known
device costs the reading of a small file.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import platform
import sys
import time
from pathlib import Path

from ... import processes
from ...errors import BackendError, FileWriteError
from ...files import atomic_write
from ...reading import check, field, parse_json, read_plain, reading, schema_of
from ...version import __version__
from . import kernels

#: Seconds that a device has.
LIMIT = 30.0
#: Seconds after which a device that failed is tried again: a full disk or a busy machine does not last.
FAILURE_LASTS = 24 * 3600.0
#: Variables that decide what a runtime does begin so.
_RUNTIME_VARIABLES = ("POCL_", "CL_CONFIG_", "OCL_")
_DETAIL_CHARACTERS = 2000
# Seconds for a process that was killed.
_ENDING = 1.0

# Verdicts of this process by device name, so that one without a cache tries once.
_known = {}


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a trial found.

    Attributes
    ----------
    problem : str or None
        What the device does wrong, on one line, such as ``builds nothing: unknown target CPU``; None if it passed.
    details : str
        What there is to add, on several lines.
    """

    problem: str | None = field({"type": ["string", "null"]}, default=None)
    details: str = field({"type": "string"}, default="")

    @property
    def is_usable(self):
        """Whether the device passed."""
        return self.problem is None

    @property
    def indented_details(self):
        """The details below a message, or nothing."""
        return "".join(f"\n  {line}" for line in self.details.splitlines())


class _Untried(Verdict):
    """What stood in the way of a trial: it says nothing of the device, and is not kept."""


def verdicts(devices):
    """Return the Verdict of each device, in their order; those that are not known yet are tried, side by side.

    A simulator passes untried: its checks would be reported of the trial, and it is only taken when it is named.

    Parameters
    ----------
    devices : sequence of refcnn.opencl.runtime.device.Device

    Returns
    -------
    list of Verdict
    """
    for device in devices:
        if device.name not in _known:
            verdict = Verdict() if device.is_simulator else _read(device)
            if verdict is not None:
                _known[device.name] = verdict
    unknown = [device for device in devices if device.name not in _known]
    for device, verdict in zip(unknown, _try(unknown), strict=True):
        _known[device.name] = verdict
        if not isinstance(verdict, _Untried):
            _write(device, verdict)
    return [_known[device.name] for device in devices]


def forget(devices):
    """Forget the verdicts on devices, so that they are tried when they are next asked about."""
    for device in devices:
        _known.pop(device.name, None)
        with contextlib.suppress(OSError):
            _file(device).unlink(missing_ok=True)


def _try(devices):
    """Return the verdicts on devices, each tried in a process of its own, all at once."""
    if not sys.executable or getattr(sys, "frozen", False):
        # Inside another program there is no Python to start, and nothing speaks against the devices.
        return [Verdict() for device in devices]
    started = [_Process(device) for device in devices]
    try:
        return [process.verdict() for process in started]
    finally:
        for process in started:
            process.stop()


class _Process:
    """A process that tries a device."""

    def __init__(self, device):
        self._deadline = time.monotonic() + LIMIT
        self._child = processes.Child(processes.command(f"{__package__}.trial_process"), processes.environment())
        self._child.send({"do": "verdict", "expected": identity(device), "name": device.name})
        self._child.close()

    def verdict(self):
        """Wait for its verdict and its end, or for the end of its time."""
        try:
            answer = self._child.answer(self._left())
            self._child.wait(self._left())
        except processes.Silence:
            log = self._child.log(_DETAIL_CHARACTERS)
            return Verdict(f"hangs: a small kernel was not built and run in {LIMIT:g} s", log)
        except processes.Ended as error:
            if error.status is None:
                return self._failed(_Untried, f"cannot be tried: {error}")
            return self._failed(Verdict, f"ends the process that uses it with {processes.ending(error.status)}")
        except processes.NoAnswer as error:
            return self._failed(_Untried, f"cannot be tried: {error}")
        if "error" in answer:
            return self._failed(_Untried, f"cannot be tried: {answer['error']}")
        return Verdict(**answer)

    def _failed(self, kind, problem):
        log = self._child.log(_DETAIL_CHARACTERS)
        last = "".join(f": {line}" for line in log.splitlines()[-1:])
        return kind(problem + last, log)

    def _left(self):
        return max(self._deadline - time.monotonic(), 0)

    def stop(self):
        """End it and all that it started."""
        self._child.stop(_ENDING)


def identity(device):
    """Return all that a verdict on a device can depend on, as JSON holds it."""
    from importlib.metadata import version

    text = kernels.source("trial")
    return {
        "device": [device.platform_name, device.platform_version, device.device_name, device.driver_version],
        "place": device.device_index,
        "cpu": _cpu(),
        "versions": [__version__, version("pyopencl"), platform.python_version(), platform.release()],
        "trial": hashlib.sha256(text.encode()).hexdigest(),
        "environment": sorted(f"{k}={v}" for k, v in os.environ.items() if k.startswith(_RUNTIME_VARIABLES)),
    }


def _cpu():
    """Return what tells one kind of CPU from another."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        first = file.read().partition("\n\n")[0]
        entries = dict(map(str.strip, line.split(":", 1)) for line in first.splitlines() if ":" in line)
        # Not its frequency, which changes.
        return [entries.get(key, "") for key in ("vendor_id", "cpu family", "model", "model name", "stepping", "flags")]
    return [platform.machine(), platform.processor()]


def _file(device):
    import platformdirs

    digest = hashlib.sha256(json.dumps(identity(device)).encode()).hexdigest()[:32]
    return Path(platformdirs.user_cache_dir("refcnn", appauthor=False)) / "trials" / f"{digest}.json"


def _read(device):
    """Return the verdict that is kept, or None if there is none that still holds."""
    try:
        file = _file(device)
        with reading(file, "a verdict on a device", BackendError, "Delete it."):
            entries = parse_json(read_plain(file))
            check(entries, schema_of(Verdict))
            verdict, age = Verdict(**entries), time.time() - file.stat().st_mtime
    except (OSError, BackendError):
        # The device is tried again.
        return None
    return verdict if verdict.is_usable or 0 <= age < FAILURE_LASTS else None


def _write(device, verdict):
    # Without a cache the verdict holds for this process.
    with contextlib.suppress(OSError, FileWriteError):
        file = _file(device)
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as temporary:
            temporary.write_text(json.dumps(dataclasses.asdict(verdict)) + "\n", encoding="utf-8")
