"""What a page says of an operation beside the animation: its formula, kernel's code, bound and ONNX operator."""

import dataclasses
import inspect
import re

import numpy as np

from .. import rooms
from ..conformance.theory import bounds
from ..errors import ExportError
from . import notation

#: What marks the variants that every device runs.
_PLAIN = ("plain", None)


@dataclasses.dataclass(frozen=True)
class Facts:
    """What is said of an operation.

    Attributes
    ----------
    title, summary : str
        Its name, and what the reference says of it in a sentence.
    formulas : list of str
        In MathML.
    notes : list of str
        What the reference says further, paragraph by paragraph.
    kernels : list of (str, str)
        The file of each plain kernel from the checkout on, and what of it belongs to the operation.
    bound : list of (str, str, str)
        Of forward and backward: the direction, what the bound's code says of itself, and that code.
    model : str
        What all bounds follow from.
    onnx : list of str
        The operators that stand for it, as ONNX's nodes; empty where there is none.
    """

    title: str
    summary: str
    formulas: list
    notes: list
    kernels: list
    bound: list
    model: str
    onnx: list


def facts(operation, case):
    """Return the :class:`Facts` of an operation.

    Parameters
    ----------
    operation : str
    case : Case
        A call of it, of which ONNX's nodes are shown.
    """
    summary, formulas, notes = described(operation)
    return Facts(
        operation,
        summary,
        formulas,
        notes,
        kernels(operation),
        _bounds(operation),
        _model(),
        onnx_nodes(operation, case),
    )


def described(operation):
    """Return the sentence, the formulas and the further paragraphs of what the reference says of an operation."""
    room = rooms.require(rooms.REFERENCE, operation)
    if inspect.ismodule(room):
        text = inspect.getdoc(room)
        gradient = inspect.getdoc(room.backward) if hasattr(room, "backward") else ""
        summary, formulas, notes = notation.read(text)
        return summary, formulas + notation.read(gradient or "")[1], notes
    texts = [inspect.getdoc(part) for part in _parts(room) if inspect.getdoc(part)]
    page = inspect.getdoc(inspect.getmodule(type(room)))
    formulas, notes = [], []
    for text in texts or [page]:
        summary, found, more = notation.read(text)
        formulas += found
        notes += ([summary] if summary and not found else []) + more
    summary, own, _ = notation.read(page)
    return summary, formulas or own, notes


def _parts(room):
    """Return what of a page says what an operation computes: its formula and slopes, or the class of its entry."""
    named = [getattr(room, name, None) for name in ("formula", "slope", "of_x", "of_t", "of_a", "of_b")]
    return [one for one in named if callable(one) and inspect.getdoc(one)] or [type(room)]


def kernels(operation):
    """Return (file, code) of the kernels that any device can run."""
    from ..opencl.runtime.kernels import kernel_folder

    folder = kernel_folder()
    extra = rooms.trait(rooms.OPENCL, operation, "KERNELS")
    named = [operation, *(stem for stem, variants in extra.items() if set(variants) & set(_PLAIN))]
    page = rooms.path(rooms.OPENCL, operation).rpartition("/")[2].removesuffix(".py")
    found = []
    for stem in dict.fromkeys([operation, page, *named]):
        path = folder / f"{stem}.cl"
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            own = _functions(text, operation) if stem == page and page != operation else ""
            found.append((f"kernels/{stem}.cl", own or text))
    return found


def _functions(text, operation):
    """Return the functions of a page of kernels that bear the operation's name, and what stands before each."""
    begin = rf"^(?:__kernel |inline |/\*[^\n]*\n)*[^\n]*\b{re.escape(operation)}(?:_\w+)?\([^;]*?\)\n\{{.*?^\}}\n"
    return "\n".join(re.findall(begin, text, re.MULTILINE | re.DOTALL))


def _bounds(operation):
    room = rooms.require(rooms.CONFORMANCE, operation)
    found = []
    for direction in ("forward", "backward"):
        function = getattr(room, f"{direction}_bound", None)
        if function is not None:
            text = inspect.getdoc(function) or "From the reference's lines, run on numbers that know their errors."
            found.append((direction, text, inspect.getsource(inspect.unwrap(function))))
    return found


def _model():
    """Return what the theory says that all bounds follow from."""
    return inspect.getdoc(bounds)


def onnx_nodes(operation, case):
    """Return the operators that stand for a call of an operation, as ONNX's nodes; none where there is none."""
    from ..onnx.writing.graph import build_alone, printed

    inputs = [one if one is None or one.dtype.kind != "f" else one.astype(np.float32) for one in case.inputs]
    try:
        model, _ = build_alone(operation, inputs, case.attributes)
    except ExportError:
        return []
    return printed(model)
