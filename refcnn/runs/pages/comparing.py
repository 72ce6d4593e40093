"""The data of a page that compares runs, as ``report.schema.json`` has it."""

from ...errors import ArgumentError
from ...fitting.metrics import best_row
from ...pages.charts import MOST_LINES
from . import gathering

#: So many rows of metrics are shown at most of all runs together.
_MOST_ROWS = 3000


def of_runs(runs):
    """Return the data of a page that compares runs, a dict.

    Parameters
    ----------
    runs : sequence of RunFolder
        Two at least.

    Raises
    ------
    CheckpointError
        If one has no epoch yet, or is broken.
    ArgumentError
        If there are more than can be told apart.
    """
    if len(runs) > MOST_LINES:
        raise ArgumentError(
            f"{len(runs)} runs were given, but {MOST_LINES} curves at most can be told apart. Compare fewer at a time."
        )
    left_out = []
    told = [_run(run, left_out, _MOST_ROWS // len(runs)) for run in runs]
    for name, run in zip(_distinct([one["name"] for one in told]), told, strict=True):
        run["name"] = name
    return {
        "schema": gathering.SCHEMA,
        "kind": "comparison",
        "written": gathering.written(),
        "runs": told,
        "differences": _differences(told),
        "left_out": left_out,
    }


def _run(run, left_out, most):
    history = run.history()
    best = best_row(history, run.configuration.monitor)
    remarks = []
    told = gathering.run_fields(run, history)
    told |= {"best": gathering.metrics(best), **gathering.history_fields(history, best, remarks, most)}
    told["seconds"] = sum(row["seconds"] for row in history)
    left_out += [f"{told['name']}: {remark}" for remark in remarks]
    return told


def _distinct(names):
    """Return names of which none is that of another: equal ones get the number of their place."""
    return [f"{name} ({place})" if names.count(name) > 1 else name for place, name in enumerate(names, 1)]


def _differences(told):
    """Return the entries of the configurations that are not alike in all runs, with the value that each run has."""
    flat = [dict(_flat(run["configuration"])) for run in told]
    names = dict.fromkeys(name for one in flat for name in one)
    found = [{"name": name, "values": [one.get(name) for one in flat]} for name in names]
    return [one for one in found if any(value != one["values"][0] for value in one["values"])]


def _flat(value, name=""):
    """Yield (name, value) of what is no object in an object of JSON, with dots between the names of nested ones."""
    for key, entry in value.items():
        inner = f"{name}.{key}" if name else key
        if isinstance(entry, dict):
            yield from _flat(entry, inner)
        else:
            yield inner, entry
