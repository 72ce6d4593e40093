"""``refcnn conform --world``: the list of faults of released implementations."""

import click

from ..display import shown
from ..errors import BackendError
from ..tables import table, terminal_width
from .verdicts import CouldNotRun

#: The files in the folder of the report.
DATA, PAGE = "world.json", "world.html"


def show(devices, folder, files):
    """Replay what is listed of some implementations, show all, and return the exit status.

    Parameters
    ----------
    devices : sequence of str
        As ``--device`` was given: those to replay; none if only what is known is shown.
    folder : pathlib.Path or None
        Where to write; what lies there is gone on with.
    files : sequence of str
        Reports of runs, whose verdicts are added.
    """
    from ..conformance.reports import merge
    from ..conformance.world import entries, outcomes, summary

    listed = entries.load_all()
    last = outcomes.load()
    known = folder is not None and (folder / DATA).exists()
    now = outcomes.load(folder / DATA) if known else last
    for report in merge.load(files):
        now = now.with_report(report)
    replayed = []
    for implementation in _named(listed, devices):
        found = _replayed(implementation)
        now = now.with_outcomes(implementation.name, found)
        replayed += found
    standing = summary.Overview.of(listed, now, outcomes.compare(last, now))
    _print(standing)
    if folder is not None:
        now.save(folder / DATA)
        summary.render(standing, folder / PAGE)
        click.echo(shown(f"The page is {folder / PAGE}, its data {folder / DATA}."))
    missed = [one.id for one in replayed if not one.reproduced]
    if missed:
        click.echo(f"Not reproduced: {', '.join(missed)}.")
    return 1 if missed else 0


def _named(listed, devices):
    """Return the implementations that are named, by the name of their file, or else by their device."""
    files = {one.file for one in listed}
    found = [one for one in listed if one.file in devices or one.device in set(devices) - files]
    unknown = [name for name in devices if all(name not in (one.device, one.file) for one in listed)]
    if unknown:
        raise CouldNotRun(f"{unknown[0]} is not in the list. There are: {', '.join(one.file for one in listed)}.")
    return found


def _replayed(implementation):
    from ..conformance.world import replaying

    found = []
    try:
        for outcome in replaying.replay(implementation):
            click.echo(f"{outcome.id}: {'reproduced' if outcome.reproduced else 'not reproduced'} ({outcome.verdict})")
            found.append(outcome)
    except BackendError as error:
        raise CouldNotRun(str(error)) from error
    return found


def _print(standing):
    cells = [("implementation", "version", *standing.kinds, "not reproduced", "replayed")]
    for one in standing.implementations:
        counts = (str(one.counts[kind]) for kind in standing.kinds)
        cells.append((one.name, one.version, *counts, str(len(one.missing)), one.date or "never"))
    for line in table(cells, left=(0, 1), width=terminal_width()):
        click.echo(shown(line))
    click.echo(standing.sentence)
    for change in standing.changes:
        click.echo(shown(f"{change.what}: {change.id} of {change.implementation}: {change.text}"))
