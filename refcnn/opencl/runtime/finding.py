"""Which OpenCL devices there are, which of them compute, and which one is best.

All devices that OpenCL lists are :func:`available`. What is offered where none is named are those that passed their
trial (:mod:`~refcnn.opencl.runtime.trial`): a runtime may list a device that it cannot build a single kernel for.
"""

import functools
import os
import threading

from ...errors import BackendError, NoDeviceError
from . import icd, trial
from .device import Device, keep_from_children
from .vectors import pocl_version

INSTALL_ADVICE = (
    'Install a runtime: pip install "refcnn[intel]" (x86-64 CPUs), pip install "refcnn[pocl]" (x86-64 CPUs, smaller), '
    "or the driver of your GPU's vendor."
)

_listing = threading.Lock()


def available():
    """Return every device of every OpenCL platform, as a list of :class:`Device`; empty without OpenCL.

    Not all of them need compute: see :func:`usable`.
    """
    return _list_once()[0]


def problems():
    """Return what kept runtimes, platforms or devices from being listed, a text for each."""
    return _list_once()[1]


def _list_once():
    # Of two threads one waits, lest a device become two.
    with _listing:
        return _listed()


@functools.cache
def _listed():
    found = icd.prepare_environment()
    try:
        import pyopencl as cl
    except Exception as error:
        # An OpenCL library that does not fit the system raises whatever it likes.
        return [], [*found, f"pyopencl cannot be imported ({_text(error)})"]
    devices = []
    try:
        platforms = cl.get_platforms()
    except Exception as error:
        if not _is_absence(error, cl.status_code.PLATFORM_NOT_FOUND_KHR):
            found.append(f"the platforms cannot be listed ({_text(error)})")
        platforms = []
    for platform_index, platform in enumerate(platforms):
        try:
            for device_index, device in enumerate(platform.get_devices()):
                devices.append(Device(device, platform_index, device_index))
        except cl.Error as error:
            found.append(f"the devices of {_name(platform)} cannot be listed ({_text(error)})")
    keep_from_children(devices)
    if not devices and os.environ.get("OCL_ICD_VENDORS"):
        found.append(f"OCL_ICD_VENDORS names {os.environ['OCL_ICD_VENDORS']}: only the runtimes there are looked for")
    return devices, found


def _is_absence(error, code):
    # Without any runtime pyopencl itself raises another class than OpenCL's loader.
    return getattr(error, "code", None) == code or type(error) is RuntimeError


def _text(error):
    return " ".join(str(error).split()) or type(error).__name__


def _name(platform):
    try:
        return platform.name.strip()
    except Exception as error:
        return f"a platform without a name ({_text(error)})"


def usable():
    """Return the devices that passed their trial, in the order of :func:`available`."""
    return [device for device, verdict in _judged(available()) if verdict.is_usable]


def unusable():
    """Return the devices that failed their trial, each with its Verdict."""
    return [(device, verdict) for device, verdict in _judged(available()) if not verdict.is_usable]


def _judged(devices):
    return list(zip(devices, trial.verdicts(devices), strict=True))


def remarks():
    """Return a line for each device that is passed over, with the cause."""
    return list(map(_remark, unusable()))


def _remark(judged):
    device, verdict = judged
    return f"{describe(device)} is passed over: it {verdict.problem}"


def describe(device):
    """Return the names of a device for messages."""
    return f"{device.name} ({device.device_name}, {device.platform_name})"


def find(platform, device=0, *, tried=True):
    """Return the first device that fits.

    Parameters
    ----------
    platform, device : int or str
        A number, as in :attr:`Device.name`, or a part of a name (of the
        platform also of its version), in upper or lower case.
    tried : bool
        Whether it must have passed its trial; of several that fit, the first that did is taken.

    Raises
    ------
    BackendError
        If there is none, or it is unusable.
    """
    fitting = [
        candidate
        for candidate in _require_devices()
        if _fits(platform, candidate.platform_index, f"{candidate.platform_name} {candidate.platform_version}")
        and _fits(device, candidate.device_index, candidate.device_name)
    ]
    if not fitting:
        present = "\n".join(f"  {one.name}  {one.device_name} ({one.platform_name})" for one in available())
        raise BackendError(
            f"there is no OpenCL device opencl:{platform}:{device}. Name one of these by its numbers or a part of its "
            f"names:\n{present}"
        )
    if not tried:
        return fitting[0]
    found = _judged(fitting)
    for candidate, verdict in found:
        if verdict.is_usable:
            return candidate
    candidate, verdict = found[0]
    raise BackendError(
        f"{describe(candidate)} is unusable: it {verdict.problem}. Choose another device ('refcnn devices' lists "
        f"them), or mend its driver and have it tried again with 'refcnn devices --retry'.{verdict.indented_details}"
    )


def best():
    """Return the device to compute on when none is named: a GPU, else an accelerator, else a CPU.

    Among CPU devices Intel's runtime comes first, then the newest PoCL. A
    simulator is never taken, nor a device that failed its trial.

    Raises
    ------
    NoDeviceError
        If there is none.
    """
    candidates = [device for device in _require_devices() if not device.is_simulator]
    if not candidates:
        raise NoDeviceError("the only OpenCL device is a simulator", INSTALL_ADVICE)
    passed = [device for device, verdict in _judged(candidates) if verdict.is_usable]
    if not passed:
        causes = "; ".join(f"{describe(device)} {verdict.problem}" for device, verdict in unusable())
        raise NoDeviceError(f"no OpenCL device is usable: {causes}", INSTALL_ADVICE)
    return min(passed, key=_preference)


def passed_over(taken):
    """Return the :func:`remarks` on the devices that would have been taken before the best, had they been usable."""
    ranked = sorted(available(), key=_preference)
    return [_remark(judged) for judged in unusable() if ranked.index(judged[0]) < ranked.index(taken)]


def _preference(device):
    kind = ("gpu", "accelerator", "cpu").index(device.kind)
    intel = "intel" in device.platform_name.lower()
    return kind, not intel, tuple(-number for number in pocl_version(device) or (0, 0))


def _require_devices():
    if not available():
        causes = "".join(f"; {problem}" for problem in problems())
        raise NoDeviceError(f"no OpenCL device was found{causes}", INSTALL_ADVICE)
    return available()


def _fits(wanted, index, name):
    wanted = str(wanted).strip()
    return int(wanted) == index if wanted.isdecimal() else wanted.lower() in name.lower()
