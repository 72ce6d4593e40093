"""Pages of a server that computes what is chosen on them: one for each operation, and their list."""

import dataclasses

from .. import rooms
from ..pages import page
from ..version import __version__
from .calling import call_of
from .choices import MOST_NUMBERS, text_of
from .curves import curve
from .explaining import render, require_operation
from .facts import facts
from .families import families
from .live import MOST_PRODUCTS, computed
from .recording import input_names


@dataclasses.dataclass(frozen=True)
class Form:
    """What can be chosen.

    Attributes
    ----------
    shapes : dict of str to str
        Of the arrays that the call takes, as typed.
    axes : dict of str to str
        What the axes of these are called, or nothing.
    arrays : list of str
        The names of all, also of those that a layer makes itself.
    arguments : list of (Argument, str)
        With what stands in the field at first.
    documentation : str
        What the library says of the call.
    """

    shapes: dict
    axes: dict
    arrays: list
    arguments: list
    documentation: str


def operation_page(operation):
    """Return the page on which an operation is computed with what is chosen there.

    Raises
    ------
    ArgumentError
        If there is no such operation.
    """
    require_operation(operation)
    call, found = call_of(operation), computed(operation)
    (data,) = found["operations"]
    said = facts(operation, call.example)
    if said.kernels:
        data["kernel"] = dict(zip(("path", "text"), said.kernels[0], strict=True))
    return render(
        "live.html.jinja",
        [data],
        scripts=["explain.js", "live.js"],
        connects=True,
        facts=said,
        curve=curve(operation, call.example),
        form=_form(call),
        call=data["cases"][0]["call"],
        together=[one for one in _together(operation) if one != operation],
        most_numbers=MOST_NUMBERS,
        most_products=MOST_PRODUCTS,
    )


def operations_page():
    """Return the page that leads to the chapter and to all operations."""
    made = page.environment(__package__)
    return page.render(made, "operations.html.jinja", families=families(), version=__version__)


def _form(call):
    names, inputs = input_names(call.operation, len(call.example.inputs)), call.example.inputs
    shapes = {name: text_of(one.shape) for name, one in zip(call.inputs, inputs, strict=False)}
    arguments = [(one, text_of(one.default)) for one in call.arguments.values()]
    axes = {name: call.axes(name) for name in shapes}
    arrays = [name for name, one in zip(names, inputs, strict=True) if one is not None]
    return Form(shapes, axes, arrays, arguments, call.documentation)


def _together(operation):
    """Return the operations that belong with one, whichever of them says so."""
    for one in rooms.operations():
        found = one, *rooms.trait(rooms.CONFORMANCE, one, "EXPLAINED_WITH")
        if operation in found[1:] or (one == operation and len(found) > 1):
            return found
    return ()
