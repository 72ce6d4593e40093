"""The page that explains an operation, and those that belong with it."""

import dataclasses

from .. import rooms
from ..conformance.theory.examples import examples
from ..errors import ArgumentError
from ..pages import page
from ..suggestions import did_you_mean
from ..version import __version__
from .curves import Curve, curve
from .facts import Facts, facts
from .playback import playback
from .walking import Walks

FORMAT = "refcnn explanation 1"


@dataclasses.dataclass(frozen=True)
class Explained:
    """An operation on a page.

    Attributes
    ----------
    facts : Facts
    curve : Curve or None
    data : dict
        What the page plays: one of the ``operations`` of ``explain.schema.json``.
    """

    facts: Facts
    curve: Curve | None
    data: dict


def require_operation(name):
    """Raise ArgumentError unless there is an operation of that name."""
    if name not in rooms.operations():
        raise ArgumentError(
            f"there is no operation {name!r}, and no run or file of that name.{did_you_mean(name, rooms.operations())} "
            "'refcnn explain' without a name explains convolutional networks, and lists all operations."
        )


def explained(operation, wanted=lambda choices: True):
    """Return an operation, explained by its examples.

    Parameters
    ----------
    operation : str
    wanted : callable, optional
        Which examples, by their choices.
    """
    found = [one for one in examples(operation) if wanted(one.choices)]
    sources = {}
    cases = [case_data(operation, one, sources) for one in found]
    names = found[0].choices
    choices = {name: list(dict.fromkeys(one.choices[name] for one in found)) for name in names}
    said = facts(operation, found[0].case)
    data = {"name": operation, "choices": choices, "sources": sources, "cases": cases}
    if said.kernels:
        data["kernel"] = dict(zip(("path", "text"), said.kernels[0], strict=True))
    return Explained(said, curve(operation, found[0].case), data)


def case_data(operation, example, sources):
    """Return what a page plays of an example, and enter the functions of the reference in ``sources``."""
    case = example.case
    walks = Walks(operation, case.inputs, case.attributes, case.dy)
    runs = [one for one in (walks.forward, walks.backward) if one is not None]
    for run in runs:
        sources |= {name: dataclasses.asdict(source) for name, source in run.sources.items()}
    attributes = {name: _plain(value) for name, value in case.attributes.items()}
    return {"choices": example.choices, "attributes": attributes, "runs": [playback(one, walks) for one in runs]}


def _plain(value):
    """Return an attribute as JSON can say it."""
    if isinstance(value, (tuple, list)):
        return [_plain(one) for one in value]
    is_simple = value is None or isinstance(value, (bool, int, str))
    return value if is_simple else str(value)


def write_operation(operation, path):
    """Write the page of an operation.

    Raises
    ------
    ArgumentError
        If there is no such operation.
    FileWriteError
        If the page cannot be written.
    """
    require_operation(operation)
    together = operation, *rooms.trait(rooms.CONFORMANCE, operation, "EXPLAINED_WITH")
    found = [explained(one) for one in together]
    write(path, "operation.html.jinja", [one.data for one in found], explained=found)


def write(path, template, operations, **values):
    """Write a page that plays operations.

    Parameters
    ----------
    path : str or os.PathLike
    template, operations, **values
        As of :func:`render`.
    """
    page.write(page.environment(__package__), template, path, **_filled(operations, values))


def render(template, operations, **values):
    """Return a page that plays operations.

    Parameters
    ----------
    template : str
    operations : list of dict
        The data of each, which players name by their number.
    **values
        What the template speaks of, and what :func:`refcnn.pages.page.render` takes.
    """
    return page.render(page.environment(__package__), template, **_filled(operations, values))


def _filled(operations, values):
    data = {"format": FORMAT, "version": __version__, "operations": operations}
    return {"scripts": ["explain.js"], "data": data, "version": __version__, **values}
