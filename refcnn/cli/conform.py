"""``refcnn conform``."""

import math
import secrets
import sys
import textwrap

import click

from ..conformance.subjects.shipped import PACKAGES
from ..display import shown
from ..errors import RefcnnError
from ..tables import table, terminal_width
from . import message, own_kernels, streams
from . import world as world_list
from .ranks import among_ranks, start_ranks
from .verdicts import CouldNotRun, VerdictCommand, fails_without_verdict

#: Characters of a line where there is no terminal that says how many it has.
_WIDTH = 120


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
    "oclgrind, onnxruntime, onnxruntime:PROVIDER, another library "
    f"({', '.join(PACKAGES)}, with or without :DEVICE), or MODULE:OBJECT, an implementation of your own; may be "
    "given several times.  [default: all]",
)
@click.option(
    "--kernel",
    type=click.Path(),
    metavar="FILE.cl",
    help="OpenCL kernels of your own, in a file that says what they compute, on the OpenCL devices and in Oclgrind "
    "where it is installed.",
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
    metavar="SECONDS",
    help="A case that takes longer counts as hung; the first ones of each row, "
    "which compile, may take five times as long.  [default: 60, of --kernel 10]",
)
@click.option(
    "--processes",
    type=click.IntRange(2),
    metavar="N",
    help="Deal the operations to so many processes on this machine. It needs refcnn[mpi].",
)
@click.option("--report", "folder", metavar="DIR", help="Write report.json, report.html and a folder for each failure.")
@click.option("--repro", "case", metavar="CASE", help="Run a saved case in place of drawn ones.")
@click.option("--strict", is_flag=True, help="What is only suspect counts as wrong.")
@click.option(
    "--merge",
    is_flag=True,
    help="Test nothing; make one page, merged.html in the folder of --report, of "
    "reports (or folders of them) that are named.",
)
@click.option(
    "--world",
    is_flag=True,
    help="Show the list of faults of released implementations; replay those of each --device that is named, add what "
    "the reports that are named say, and write world.html and world.json in the folder of --report.",
)
@click.argument("reports", nargs=-1, metavar="[REPORT.json]...")
def command(
    devices,
    kernel,
    operations,
    variant,
    profile,
    examples,
    seed,
    case_limit,
    processes,
    folder,
    case,
    strict,
    merge,
    world,
    reports,
):
    """Hold every operation on every device against a proved error bound.

    The device oclgrind runs the OpenCL kernels, in all variants, on tiny cases in the simulator Oclgrind, whose
    reports of races, uninitialised reads and accesses out of bounds are failures. It is slow, so that "all" leaves it
    out: give it few --examples, 5 for a minute or two.

    What is within its proved bound, but beyond what a correct implementation errs by but for one case in thousands, is
    suspect. That is asked of sums and of formulas with sums, on cases that are drawn for it; of other operations there
    is no such verdict.

    Exit status: 0 if all conform, 1 if one does not (or, with --strict, is suspect), else 2 if it could not run, or
    nothing was tested on a device that is named: it offers none of the operations, or cannot be asked the case of
    --repro. Of those that "all" stands for it is enough that one was tested. After a fault of refcnn's own it is 2 too;
    REFCNN_TRACEBACK=1 shows where.

    With --processes, or under mpiexec, the ranks of MPI share the work, and the first gives the same report.
    """
    if world:
        others = (
            merge or None,
            strict or None,
            kernel,
            variant,
            examples,
            seed,
            case_limit,
            processes,
            case,
            *operations,
        )
        if any(given is not None for given in others):
            raise click.UsageError("--world takes --device, --report and reports alone.")
        sys.exit(world_list.show(devices, folder and _locked(folder), reports))
    if merge:
        _merge(reports, folder)
        return
    if reports:
        raise click.UsageError(f"{reports[0]} is not looked at without --merge or --world.")
    if processes is not None:
        start_ranks(processes, "--processes")
    _conform(
        devices,
        folder,
        kernel=kernel,
        profile=profile,
        examples=examples,
        operations=operations,
        variant=variant,
        seed=seed,
        case=case,
        case_limit=case_limit,
        strict=strict,
    )


@among_ranks
@fails_without_verdict()
def _conform(ranks, devices, folder, strict, **given):
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
    sys.exit(ranks.by_first(_concluded, report, options, strict))


def _planned(devices, folder, kernel, **given):
    """Return the specifications of the devices and the options, when it is known that a run can be made of them."""
    from ..conformance.running import known_faults, runner
    from ..conformance.subjects import finding as subjects

    _check(given["operations"], given["variant"], given["examples"], given["case"])
    known_faults.load(known_faults.file())
    if kernel is None:
        specifications = subjects.expand(devices or ("all",), loaded=False)
        named = subjects.expand((name for name in devices if name != "all"), loaded=False)
    else:
        specifications, named, operation = own_kernels.planned(kernel, devices, given["operations"], given["variant"])
        given["operations"] = (operation,)
    folder = _locked(folder)
    drawn = {
        "seed": secrets.randbits(32) if given["seed"] is None else given["seed"],
        "examples": given["examples"] or runner.PROFILES[given["profile"]],
        "case_limit": given["case_limit"] or (runner.CASE_LIMIT if kernel is None else own_kernels.CASE_LIMIT),
    }
    return specifications, runner.Options(**given | drawn, folder=folder, named=named)


def _concluded(report, options, strict):
    """Write the report, print the verdict, and return the exit status."""
    unsaved = None if options.folder is None else _save(report, options.folder)
    untested = [device for device in report.devices if not device.fails and not device.conforms]
    for line in own_kernels.left_out(report):
        click.echo(shown(line))
    _print_verdict(report, untested)
    if unsaved is not None:
        click.echo(f"Error: {unsaved}", err=True)
    is_named = any(one.specification in options.named for one in untested)
    could_not_run = unsaved is not None or not report.conforms or is_named
    is_wrong = any(_fails(device) or strict and device.suspects for device in report.devices)
    return 1 if is_wrong else 2 if could_not_run else 0


def _fails(device):
    """Return whether a device does not conform; of an implementation that could not be loaded nothing is known."""
    return device.fails and not (device.error is not None and not device.rows and _is_implementation(device))


def _is_implementation(device):
    from ..conformance.subjects import finding as subjects
    from ..conformance.subjects.implementation import Unloaded

    return isinstance(subjects.find(device.specification, loaded=False), Unloaded)


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
    failing = [_what_fails(device) for device in report.devices if _fails(device)]
    suspect = [_with_rows(device, device.suspects) for device in report.devices if device.suspects]
    if failing:
        click.echo(f"Not conforming: {', '.join(failing)}.")
    if suspect:
        click.echo(f"Suspect: {', '.join(suspect)}.")
    elif not failing and report.conforms:
        click.echo("All others conform." if untested else "All conform.")


def _what_fails(device):
    """Return a device and its rows that do not pass, which the end of a log that was cut still names."""
    return _with_rows(device, [row for row in device.rows if not row.passes])


def _with_rows(device, rows):
    names = ", ".join(row.name for row in rows)
    return f"{device.specification} ({names})" if names else device.specification


def _errors(row):
    """Return the worst error as a share of its bound, of its probable bound, and in ULP, as text, where there is any.

    Of what has no verdict by a probable bound that is said, since it is not known to conform.
    """
    if not row.is_compared:
        return "", "", ""
    probable = "no verdict" if row.worst_probable is None else _ratio(row.worst_probable)
    return _ratio(row.worst_ratio), probable, f"{row.worst_ulp:.3g}"


def _ratio(number):
    # Beyond the bound it may have forty digits.
    return f"{number:.3f}" if number < 1000 else f"{number:.3g}"


def _lack(device):
    """Return why no case ran on a device."""
    if _is_implementation(device):
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
            self._devices = []

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
            self._devices.append(device)

        def print_faults(self):
            if text := faults(self._devices):
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
    cells = [("operation", "cases", "error/bound", "probable", "ULP", "verdict", "seconds")]
    offered = [row for row in device.rows if row.verdict != "not offered"]
    cells += [(row.name, str(row.cases), *_errors(row), row.verdict, f"{row.seconds:.1f}") for row in offered]
    lines += table(cells, left=(0, 5), width=terminal_width())
    missing = [row.name for row in device.rows if row.verdict == "not offered"]
    if missing:
        lines.append(f"not offered: {', '.join(missing)}")
    lines += [_failure(row, one, device) for row in device.rows for one in row.failures if row.passes]
    return "\n".join(lines)


def faults(devices):
    """Return what makes devices fail as text, which is empty if nothing does; failures that are alike are one.

    Parameters
    ----------
    devices : sequence of refcnn.conformance.reports.results.DeviceReport

    Returns
    -------
    str
    """
    from ..conformance.reports.failures import Failing, Failures

    rows = [(column, device, row) for column, device in enumerate(devices) for row in device.rows if not row.passes]
    found = [one for entry in rows for one in Failing.all_of(*entry) if one.failure is not None]
    lines = list(map(_alike, Failures.of(found).groups))
    for device in devices:
        if device.error is not None:
            further = " any further" if device.rows else ""
            lines.append(f"\n{device.specification} could not be tested{further}: {device.error}")
    return "\n".join(lines)


def _alike(group):
    """Return a group of failures as text: the first's message, and what else fails so."""
    first, *others = group.members
    if not others:
        return _failure(first.row, first.failure, first.device)
    lines, names = [f"\n{first.verdict}, {len(group.members)} alike"], {}
    for member in group.members:
        names.setdefault(member.column, (member.device.specification, {}))[1].setdefault(member.row.name)
    for specification, of_device in names.values():
        text = f"on {specification}: {', '.join(of_device)}"
        width = terminal_width() or _WIDTH
        lines += textwrap.wrap(text, width, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)
    if any(_text(member.failure) != _text(first.failure) for member in others):
        lines.append(f"  the message of {first.row.name} on {first.device.specification}:")
    lines += _told(first.failure)
    saved = sum(member.failure.bundle is not None for member in others)
    if saved:
        lines.append(f"  and {saved} more, of the others, beside it")
    return "\n".join(lines)


def _failure(row, failure, device):
    known = f", known as {failure.known}" if failure.known else ""
    verdict = failure.verdict or row.verdict
    return "\n".join([f"\n{row.name} on {device.specification}: {verdict}{known}", *_told(failure)])


def _text(failure):
    return "\n".join(filter(None, (failure.explanation, failure.message.rstrip())))


def _told(failure):
    lines = [f"  {line}" for line in _text(failure).splitlines()]
    return lines if failure.bundle is None else [*lines, f"  saved as {failure.bundle}"]
