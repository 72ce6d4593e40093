"""What the judge of ``refcnn verify`` finds of an ONNX file, as its page tells it."""

import time
from collections.abc import Callable
from typing import NamedTuple

from ... import summary
from ...errors import RefcnnError
from ...formats import FLOAT32
from ...machine import memory
from ...pages.texts import short
from .. import proofs

#: Bytes that are held at the most while a file is judged, for each of its parameters and results.
_COPIES = 16
#: Examples in an input at the most, where the file leaves that open.
_MOST_EXAMPLES = 6
#: A file is judged that takes no more than this part of the memory.
_MOST_OF_MEMORY = 1 / 2
#: So many characters of a message, and of an operator's name.
_MESSAGE, _NAME = 500, 160


class Wanted(NamedTuple):
    """How a file is to be judged.

    Attributes
    ----------
    examples : int
        Inputs to draw; for 0 it is not judged.
    devices : sequence of str
        As of :func:`refcnn.onnx.proof.verifying.verify`.
    seconds : float or None
        After which no further operation is judged.
    progress : callable or None
        Called with (inputs judged, inputs wanted).
    """

    examples: int
    devices: tuple
    seconds: float | None = None
    progress: Callable | None = None


def told(path, described, model, wanted):
    """Return what is told of a file that was judged, and why it was not, of which one is None.

    Parameters
    ----------
    path : str or os.PathLike
    described : refcnn.onnx.reading.description.Description
    model : dict
        What the page tells of the model.
    wanted : Wanted
    """
    if not wanted.examples:
        return None, "It was not asked for: --examples was 0."
    from ...onnx.proof import verifying

    shape, begin = model["input"], time.monotonic()
    batch, needed = _fitting(described, model["total"])
    if batch == 0:
        return None, (
            f"It is too large: judging it takes some {summary.written(needed)} of memory, which is more than half of "
            "this machine's. 'refcnn verify' tries it nevertheless."
        )
    try:
        found = verifying.verify(
            path,
            wanted.devices,
            examples=wanted.examples,
            shapes={} if shape is None else {"": (batch, *shape)},
            progress=wanted.progress,
            seconds=wanted.seconds,
        )
    except (RefcnnError, MemoryError) as error:
        return None, short(error, _MESSAGE) or "The memory did not suffice."
    return _fields(found, time.monotonic() - begin), None


def _fitting(described, total):
    """Return how many examples an input is to have, and the bytes of the least that can be: None for any, 0 for none.

    Of a file that does not tell its costs nothing is known.
    """
    sizes = described.inputs[0].sizes if len(described.inputs) == 1 else ()
    of_parameters = total["parameters"] * FLOAT32.dtype.itemsize
    of_results = max(0, total["memory"] - of_parameters)

    def needed(examples):
        return _COPIES * (of_parameters + examples * of_results)

    is_open = not sizes or sizes[0] is None
    for batch, examples in ((None, _MOST_EXAMPLES), (1, 1)) if is_open else ((None, sizes[0]),):
        if needed(examples) <= memory() * _MOST_OF_MEMORY:
            return batch, needed(examples)
    return 0, needed(examples)


def _fields(found, seconds):
    return {
        "examples": found.examples,
        "overflowing": found.overflowing,
        "is_cut": found.is_cut,
        "shapes": sorted([list(map(list, shapes)) for shapes in found.shapes]),
        "seconds": seconds,
        "executors": list(map(_executor, found.results)),
        "bounds": proofs.told_bounds(found.bounds),
    }


def _executor(result):
    parting, was_judged = result.parting, result.examples > 0
    return {
        "name": short(result.name),
        "verdict": result.verdict,
        "examples": result.examples,
        "ratio": proofs.finite(result.ratio) if was_judged else None,
        "nearest": short(result.node, _NAME) if was_judged else None,
        "difference": None if result.difference is None else proofs.finite(result.difference),
        "parts_at": None if parting is None else short(parting.node, _NAME),
        "parts_by": None if parting is None else short(parting.text, _MESSAGE),
        "parts_on": None if parting is None else list(map(list, parting.shapes)),
        "suspicion": short(result.suspicion, _MESSAGE) or None,
        "unusable": short(result.unusable, _MESSAGE) or None,
        "known_faults": [{"operation": operation, "link": link} for operation, link in sorted(result.faults)],
    }
