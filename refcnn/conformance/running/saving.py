"""What is kept of a case that failed: what a report says of it, and its bundle."""

import functools
from pathlib import Path

from ...errors import RefcnnError
from ..theory.strategies import describe


def summary(case):
    """Return what :class:`~refcnn.conformance.reports.results.Failure` says of a case."""
    dy = None if case.dy is None else describe(case.dy)
    return {"inputs": list(map(describe, case.inputs)), "attributes": case.attributes, "dy": dy}


def numbered(bundle, number):
    """Return the folder of a row's fault: the first has the row's own, and others lie beside it; None without one."""
    return bundle if bundle is None or number == 1 else f"{bundle}-{number}"


def not_saved(error):
    """Return what is added to a row's message where :func:`save_bundle` raised an error."""
    return f"the bundle could not be saved: {error if isinstance(error, RefcnnError) else repr(error)}"


def save_bundle(job, case, subject, message, error=None, execute=True, known=None):
    """Write what reproduces a failure without refcnn to the folder ``job.bundle``.

    Parameters
    ----------
    job : Job
    case : Case
    subject : object
        As in :mod:`~refcnn.conformance.subjects.finding`; one with a ``device`` is asked for its kernels.
    message : str
        What went wrong.
    error : Exception, optional
        What the case raised: as a :class:`~refcnn.conformance.judging.comparison.ConformanceFailure` it tells what was
        computed.
    execute : bool
        Whether the device can be trusted to run the case once more.
    known : str, optional
        The identifier of the known fault that this is.

    Returns
    -------
    str
        The folder's name.

    Raises
    ------
    RefcnnError
    """
    from ..bundles.bundle import capture_case, expected, write_bundle

    results = getattr(error, "results", None)
    if not results:
        answers = expected(job.operation, job.direction, case, job.variant, subject)
        results = {name: (None, *entries) for name, entries in answers.items()}
    capture = None
    record = subject.captured or (subject.device and functools.partial(capture_case, subject.device))
    if record is not None:
        # A kernel that does not build is recorded all the same when it need not run.
        try:
            capture = record(job.operation, job.direction, job.variant, case, execute=execute)
        except Exception as unrecorded:
            # The case and its exact answer are worth having without.
            message += f"\nThe launches could not be recorded: {unrecorded!r}"
    write_bundle(
        job.bundle,
        operation=job.operation,
        direction=job.direction,
        variant=job.variant,
        case=case,
        results=results,
        device={"specification": subject.specification, **subject.description},
        capture=capture,
        message=message,
        known=known,
        again=getattr(error, "again", ()),
        probable=list(getattr(error, "probable", {}).values()),
    )
    return Path(job.bundle).name
