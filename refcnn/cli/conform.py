"""``refcnn conform``."""

import math
import secrets
import sys

import click

from ..display import shown
from ..errors import RefcnnError
from ..tables import table, terminal_width
from . import message, streams
from .ranks import among_ranks
from .verdicts import CouldNotRun, VerdictCommand, fails_without_verdict


class _Seconds(click.FloatRange):
    def convert(self, value, param, ctx):
        seconds = super().convert(value, param, ctx)
        # NaN is neither in the range nor out of it.
        return self.fail(f"{value} is no number of seconds.", param, ctx) if math.isnan(seconds) else seconds


@click.command("conform", cls=VerdictCommand)
@click.option(
    "--device",
    "devices",
    multiple=True,
    metavar="DEVICE",
    help="all, reference, opencl:PLATFORM:DEVICE, "
    "oclgrind, onnxruntime, onnxruntime:PROVIDER, or MODULE:OBJECT, an implementation of your own; may be "
    "given several times.  [default: all]",
)
@click.option(
    "--operation", "operations", multiple=True, metavar="NAME", help="May be given several times.  [default: all]"
)
@click.option(
    "--variant",
    metavar="NAME",
    help="The only variant of the kernels to run on OpenCL devices, where an "
    "operation has it: cpu, gpu, plain, direct, depthwise, winograd_2x2, winograd_4x4, chosen (what the device takes "
    "for each shape), or one of them with what is fused into it, such as cpu+relu.  [default: in the quick profile "
    "the device's own, else all]",
)
@click.option(
    "--profile",
    type=click.Choice(["quick", "standard", "long"], case_sensitive=False),
    default="quick",
    show_default=True,
    help="100, 400 or 10,000 cases of each operation and direction.",
)
@click.option("--examples", type=click.IntRange(1), metavar="N", help="So many cases instead.")
@click.option(
    "--seed", type=click.IntRange(0, 2**64 - 1), metavar="N", help="Fixes the cases.  [default: drawn, and printed]"
)
@click.option(
    "--case-limit",
    type=_Seconds(0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="A case that takes longer counts as hung; the first ones of each row, "
    "which compile, may take five times as long.",
)
@click.option("--report", "folder", metavar="DIR", help="Write report.json, report.html and a folder for each failure.")
@click.option("--repro", "case", metavar="CASE", help="Run a saved case in place of drawn ones.")
@click.option(
    "--merge",
    is_flag=True,
    help="Test nothing; make one page, merged.html in the folder of --report, of "
    "reports (or folders of them) that are named.",
)
@click.argument("reports", nargs=-1, metavar="[REPORT.json]...")
def command(devices, operations, variant, profile, examples, seed, case_limit, folder, case, merge, reports):
    """Hold every operation on every device against a proved error bound.

    The device oclgrind runs the OpenCL kernels, in all variants, on tiny cases in the simulator Oclgrind, whose
    reports of races, uninitialised reads and accesses out of bounds are failures. It is slow, so that "all" leaves it
    out: give it few --examples, 5 for a minute or two.

    Exit status: 0 if all conform, 1 if one does not, else 2 if it could not run, or nothing was tested on a device that
    is named: it offers none of the operations, or cannot be asked the case of --repro. Of those that "all" stands for
    it is enough that one was tested. After a fault of refcnn's own it is 2 too; REFCNN_TRACEBACK=1 shows where.

    Under mpiexec the ranks share the work, and the first gives the same report.
    """
    if merge:
        _merge(reports, folder)
        return
    if reports:
        raise click.UsageError(f"{reports[0]} is not looked at without --merge.")
    _conform(
        devices,
        folder,
        profile=profile,
        examples=examples,
        operations=operations,
        variant=variant,
        seed=seed,
        case=case,
        case_limit=case_limit,
    )


@among_ranks
@fails_without_verdict()
def _conform(ranks, devices, folder, **given):
    from ..conformance.running import runner

    specifications, options = ranks.by_first(_planned, devices, folder, **given)
    examples = 1 if options.case else options.examples
    click.echo(f"seed {options.seed}, {examples} cases of each row")
    progress = _printing(runner.Progress, examples)
    try:
        report = runner.run(specifications, options, progress, ranks)
    finally:
        # What was found until then is told of a run that is interrupted, too.
        progress.print_faults()
    # All end with the same status, and only when the first has told everything.
    sys.exit(ranks.by_first(_concluded, report, options))


def _planned(devices, folder, **given):
    """Return the specifications of the devices and the options, when it is known that a run can be made of them."""
    from ..conformance.running import known_faults, runner
    from ..conformance.subjects import finding as subjects

    _check(given["operations"], given["variant"], given["examples"], given["case"])
    known_faults.load(known_faults.file())
    folder = _locked(folder)
    named = subjects.expand(name for name in devices if name != "all")
    drawn = {
        "seed": secrets.randbits(32) if given["seed"] is None else given["seed"],
        "examples": given["examples"] or runner.PROFILES[given["profile"]],
    }
    return subjects.expand(devices or ("all",)), runner.Options(**given | drawn, folder=folder, named=named)


def _concluded(report, options):
    """Write the report, print the verdict, and return the exit status."""
    unsaved = None if options.folder is None else _save(report, options.folder)
    untested = [device for device in report.devices if not device.fails and not device.conforms]
    _print_verdict(report, untested)
    if unsaved is not None:
        click.echo(f"Error: {unsaved}", err=True)
    is_named = any(one.specification in options.named for one in untested)
    could_not_run = unsaved is not None or not report.conforms or is_named
    return 1 if any(device.fails for device in report.devices) else 2 if could_not_run else 0


def _check(operations, variant, examples, case):
    """Refuse what no run can be made of."""
    from ..conformance.running import runner
    from ..conformance.subjects import base

    unknown = [name for name in operations if name not in base.operations()]
    if unknown:
        raise CouldNotRun(f"there is no operation {unknown[0]!r} to test. There are: {', '.join(base.operations())}.")
    if variant is not None and variant not in base.variant_names():
        raise CouldNotRun(
            f"there is no variant {variant!r} of the kernels. There are: {', '.join(base.variant_names())}."
        )
    if case is not None:
        if operations or examples:
            raise click.UsageError("--repro runs the one case saved: leave --operation and --examples out.")
        runner.saved_case(case)


def _locked(folder):
    """Return the folder of the report, made and kept from other processes while the command runs; None as it is."""
    from ..conformance.running import runner
    from ..locking import locked_folder

    if folder is None:
        return None
    folder = runner.writable_folder(folder)
    lock = locked_folder(folder, "name another folder with --report")
    click.get_current_context().with_resource(lock)
    streams.work_goes_on()
    return folder


def _save(report, folder):
    """Write the report; return what went wrong, or None."""
    from ..conformance.reports import html

    try:
        report.save(folder / "report.json")
        html.render(report, folder / "report.html")
    except RefcnnError as error:
        return message(error)
    click.echo(shown(f"The report is {folder / 'report.html'}, its data {folder / 'report.json'}."))
    return None


def _print_verdict(report, untested):
    for device in untested:
        click.echo(f"Nothing was tested on {device.specification}, which {device.unusable or _lack(device)}.")
    failing = [_what_fails(device) for device in report.devices if device.fails]
    if failing:
        click.echo(f"Not conforming: {', '.join(failing)}.")
    elif report.conforms:
        click.echo("All others conform." if untested else "All conform.")


def _what_fails(device):
    """Return a device and its rows that do not pass, which the end of a log that was cut still names."""
    rows = [row.name for row in device.rows if not row.passes]
    return f"{device.specification} ({', '.join(rows)})" if rows else device.specification


def _ratio(ratio):
    # Beyond the bound it may have forty digits.
    return f"{ratio:.3f}" if ratio < 1000 else f"{ratio:.3g}"


def _lack(device):
    """Return why no case ran on a device."""
    from ..conformance.subjects import finding as subjects
    from ..conformance.subjects import implementation

    if isinstance(subjects.find(device.specification), implementation.Implementation):
        functions = [row.operation + ("_backward" if row.direction == "backward" else "") for row in device.rows]
        return f"has none of the functions that were looked for: {', '.join(functions)}"
    return f"does not offer {', '.join(row.name for row in device.rows)}"


def _merge(paths, folder):
    from ..conformance.reports import merge
    from ..conformance.running import runner

    if not paths or folder is None:
        raise click.UsageError("--merge needs reports, and with --report the folder of the page to write.")
    page = runner.writable_folder(folder) / "merged.html"
    merge.render_merged(merge.merge(merge.load(paths)), page)
    click.echo(shown(f"The page is {page}."))


def _printing(base, examples):
    from tqdm import tqdm

    class Printing(base):
        """A bar while a device is tested, then its table; what is at fault when all are tested, to stand at the end."""

        def __init__(self):
            self._faults = []

        def device_begins(self, specification, rows):
            self._done = 0
            # disable=None: only on a terminal.
            self._bar = tqdm(total=len(rows) * examples, unit="case", disable=None, leave=False, desc=specification)

        def case_begins(self, row, cases):
            self._bar.set_postfix_str(".".join(row[:2]), refresh=False)
            self._bar.update(self._done + min(cases, examples) - self._bar.n)

        def row_ends(self, row):
            self._done += examples
            self._bar.update(self._done - self._bar.n)

        def device_ends(self, device):
            self._bar.close()
            # What drivers and implementations said may hold anything.
            click.echo(shown(results(device), keep="\n\t"))
            self._faults.append(faults(device))

        def print_faults(self):
            for text in filter(None, self._faults):
                click.echo(shown(text, keep="\n\t"))

    return Printing()


def results(device):
    """Return a device's results as text, with what failed as it is known to; the rest is for :func:`faults`.

    Parameters
    ----------
    device : refcnn.conformance.reports.results.DeviceReport

    Returns
    -------
    str
    """
    about = ", ".join(filter(None, (device.name, device.platform, device.driver and f"driver {device.driver}")))
    lines = ["", f"{device.specification}: {about}"]
    if device.unusable is not None:
        lines.append(f"unusable: {device.unusable}")
    if not device.rows:
        return "\n".join(lines)
    cells = [("operation", "cases", "error/bound", "ULP", "verdict", "seconds")]
    offered = [row for row in device.rows if row.verdict != "not offered"]
    cells += [
        (row.name, str(row.cases), _ratio(row.worst_ratio), f"{row.worst_ulp:.3g}", row.verdict, f"{row.seconds:.1f}")
        for row in offered
    ]
    lines += table(cells, left=(0, 4), width=terminal_width())
    missing = [row.name for row in device.rows if row.verdict == "not offered"]
    if missing:
        lines.append(f"not offered: {', '.join(missing)}")
    lines += [_failure(row, device) for row in device.rows if row.failure is not None and row.passes]
    return "\n".join(lines)


def faults(device):
    """Return what makes a device fail as text, which is empty if nothing does.

    Parameters
    ----------
    device : refcnn.conformance.reports.results.DeviceReport

    Returns
    -------
    str
    """
    lines = [_failure(row, device) for row in device.rows if row.failure is not None and not row.passes]
    if device.error is not None:
        further = " any further" if device.rows else ""
        lines.append(f"\n{device.specification} could not be tested{further}: {device.error}")
    return "\n".join(lines)


def _failure(row, device):
    known = f", known as {row.failure.known}" if row.failure.known else ""
    lines = [f"\n{row.name} on {device.specification}: {row.verdict}{known}"]
    lines += [f"  {line}" for line in row.failure.message.rstrip().splitlines()]
    if row.failure.bundle is not None:
        lines.append(f"  saved as {row.failure.bundle}")
    return "\n".join(lines)
