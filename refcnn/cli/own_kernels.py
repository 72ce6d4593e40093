"""``refcnn conform --kernel``: somebody's own kernels on devices."""

import click

from .verdicts import CouldNotRun

#: Seconds that a case of theirs may take as a rule: cases are small, and one that hangs is to be known soon.
CASE_LIMIT = 10.0


def planned(kernel, devices, operations, variant):
    """Return the specifications of a file of kernels on devices, those of devices that were named, and its operation.

    Parameters
    ----------
    kernel : str
        The file.
    devices, operations : sequence of str
        As the options were given.
    variant : str or None
    """
    from ..conformance.subjects import finding as subjects
    from ..conformance.subjects import kernel_description

    if variant is not None:
        raise click.UsageError("--variant chooses among refcnn's kernels: leave it out with --kernel.")
    operation = kernel_description.load(kernel).operation
    others = [name for name in operations if name != operation]
    if others:
        raise CouldNotRun(f"{kernel} says that its kernels compute {operation}, not {others[0]}.")
    named = subjects.of_kernels(kernel, [name for name in devices if name != "all"])
    return subjects.of_kernels(kernel, devices or ("all",)), named, operation


def left_out(report):
    """Return a line for each row of which cases that were drawn were left out, by what, over all devices.

    Parameters
    ----------
    report : refcnn.conformance.reports.results.Report

    Returns
    -------
    list of str
    """
    from ..conformance.subjects.own_kernels import LEFT_OUT

    counts = {}
    for device in report.devices:
        for row in device.rows:
            for reason, count in row.coverage.items():
                if reason.startswith(LEFT_OUT):
                    left, run = counts.get((row.name, reason), (0, 0))
                    counts[row.name, reason] = left + count, run + row.cases
    return [
        f"{name}: {left:,} of {left + run:,} cases that were drawn are {reason}"
        for (name, reason), (left, run) in counts.items()
    ]
