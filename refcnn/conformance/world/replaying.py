"""Replaying the entries of the list, each from its data, in a process of its own, where they were found."""

import contextlib
import datetime
import re
import tempfile
from pathlib import Path

import numpy as np

from ... import npz
from ...errors import BackendError
from ..bundles.case_file import ARRAYS_FILE, write_case
from ..judging.comparison import verdict
from ..running import runner
from ..running.testing import Rows, Task
from ..subjects import finding as subjects
from .entries import FOLDER
from .outcomes import Outcome

#: The verdicts by which a fault shows: an error is a crash too, and what is not the same each time is wrong.
_CRASHES, _WRONG = ("failed", "crashed", "hung"), ("wrong", "not deterministic")
#: Of larger arrays only one element is told.
_WHOLE = 8
_CHARACTERS = 200


def replay(implementation, folder=FOLDER):
    """Run each case of an implementation once, as ``--repro`` does, and yield what came of it.

    Parameters
    ----------
    implementation : refcnn.conformance.world.entries.Implementation
    folder : path
        Of the list, where kernels lie.

    Yields
    ------
    Outcome

    Raises
    ------
    BackendError
        If there is no such implementation here, or it has another version.
    """
    options = runner.Options(profile="quick", examples=1, seed=0)
    with tempfile.TemporaryDirectory(prefix="refcnn-world-") as scratch:
        scratch = Path(scratch)
        with contextlib.closing(Rows(options, scratch, 0, lambda task, cases: None)) as rows:
            for number, fault in enumerate(implementation.faults):
                tested = rows.run(_task(implementation, fault, Path(folder), scratch, number))
                if tested.row is None:
                    raise BackendError(f"{implementation.name} could not be tested: {tested.error}")
                _check_version(implementation, fault, tested.description)
                yield _outcome(implementation, fault, tested.row, scratch)


def _task(implementation, fault, folder, scratch, number):
    """Return the Task of running a fault's case, all of them in one process as long as that lives."""
    case = scratch / f"case-{number}.npz"
    write_case(case, fault.operation, fault.direction, None, fault.case)
    runner.saved_case(case)
    if fault.kernel is None:
        (specification,) = subjects.expand([implementation.device])
    else:
        (specification,) = subjects.of_kernels(str(folder / fault.kernel), [implementation.device])
    planned = fault.operation, fault.direction, None
    return Task(0, number, specification, planned, ("small",), str(scratch / f"fault-{number}"), str(case))


def _check_version(implementation, fault, description):
    by_pip = implementation.packager == "pip"
    if fault.kernel is None:
        # A build may be named behind the version.
        version = re.split("[-+]", description.get("driver", ""))[0]
        is_listed = version in ("", implementation.version)
    else:
        # A compiler's version is not that of the package, which pip knows, but that of Debian's package.
        version = description["versions"]["OpenCL"]
        is_listed = by_pip or implementation.version in version
    if not is_listed:
        how = f"pip install {implementation.package}==" if by_pip else f"apt-get install {implementation.package}, of "
        raise BackendError(
            f"{implementation.name} {implementation.version} is listed, but {version} is installed. "
            f"Install it: {how}{implementation.version}."
        )


def _outcome(implementation, fault, row, scratch):
    computed, exact = _told(row, scratch)
    return Outcome(
        id=fault.id,
        implementation=implementation.name,
        version=implementation.version,
        kind=fault.kind,
        date=datetime.date.today().isoformat(),
        verdict=row.verdict,
        reproduced=shows(fault, row),
        computed=computed,
        exact=exact,
    )


def shows(fault, row):
    """Return whether a row of results is what a fault of that kind comes to."""
    if row.verdict == "known fault":
        return row.failure.known == fault.known
    return row.verdict in (_CRASHES if fault.kind == "crash" else _WRONG)


def _told(row, scratch):
    """Return what was computed and what is exact, as texts, of the first result that is wrong."""
    if row.failure is None or row.failure.bundle is None:
        return "", ""
    arrays = npz.read(scratch / row.failure.bundle / ARRAYS_FILE)
    texts = None
    for number in range(sum(name.startswith("exact_") for name in arrays)):
        exact, bound = arrays[f"exact_{number}"], arrays[f"bound_{number}"]
        computed = arrays.get(f"computed_{number}")
        if computed is None:
            return _shortened(_said(row)), _numbers(exact)
        found = verdict(computed, exact, bound, dtype=_type_of(exact))
        # A result that has another type or shape has no elements to compare.
        if not found.within and found.worst is None:
            return _typed(computed, computed.dtype.name), _typed(exact, _type_of(exact))
        if texts is None or not found.within:
            texts = _elements(computed, exact, found.worst)
        if not found.within:
            break
    return texts


def _said(row):
    """Return the line that says what a crash was: the last one, behind which Python tells where it was of a signal."""
    lines = row.failure.message.strip().splitlines() or [row.verdict]
    return next((line for line in lines if line.strip().startswith("Fatal Python error: ")), lines[-1]).strip()


def _elements(computed, exact, worst):
    if computed.size <= _WHOLE:
        return _numbers(computed), _numbers(exact)
    return f"{_numbers(computed[worst])} at [{', '.join(map(str, worst))}]", _numbers(exact[worst])


def _type_of(exact):
    """Return the type that a result should have, which is exact in another one."""
    return "float32" if exact.dtype.kind == "f" else exact.dtype.name


def _typed(array, dtype):
    return f"{_numbers(array)}, {dtype} of shape {array.shape}"


def _numbers(array):
    """Return an array's numbers, those of float32 as they are and exact ones to nine digits."""
    array = np.asarray(array)

    def text(value):
        return f"{value:.9g}" if array.dtype == np.float64 else str(value)

    def whole(part):
        return text(part[()]) if part.ndim == 0 else f"[{', '.join(map(whole, part))}]"

    return _shortened(whole(array))


def _shortened(text):
    return text if len(text) <= _CHARACTERS else text[:_CHARACTERS] + "..."
