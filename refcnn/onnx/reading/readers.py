"""How operators of ONNX are computed here, collected from the cards: the way back of their ``to_onnx``."""

import functools
import inspect

import numpy as np

from ... import rooms
from ...errors import DataError, UnsupportedError
from ...stored import Buffer
from . import host

#: Attributes that say nothing of the result: hints of old versions, and the precision of inner sums.
IGNORED = frozenset({"consumed_inputs", "is_test", "stash_type", "saturate", "round_mode"})

#: What is known of every node, and says nothing of sizes.
_OF_NO_SIZE = frozenset({"version", "outputs"})


class Reader:
    """How an operator of ONNX is computed here: a function of a card's ``FROM_ONNX``.

    Its parameters say what it takes. Those that may be given by position are tensors, in ONNX's order, None for what is
    left out; one that is annotated as a Buffer is none that is trained. Behind them, by ONNX's names, stands what must
    be known before anything is computed: attributes, and inputs such as ``axes``, whichever of both a version has.
    ``version`` is the operator's version, ``outputs`` tells of each output whether it is wanted.

    Parameters
    ----------
    function : callable
    stored_shapes : callable, optional
        Of the shapes of its tensors, None for those that are not known: in which shapes parameters are kept.
    count : callable, optional
        Of the shapes of its tensors, and of what it must know: how many numbers the largest array has that it makes,
        for those that make more than they take.
    takes_shapes : bool
        Whether it is a function of the host: see :mod:`refcnn.onnx.reading.host`.
    """

    def __init__(self, function, stored_shapes=None, count=None, takes_shapes=False):
        self.function, self._stored_shapes, self.takes_shapes = function, stored_shapes, takes_shapes
        self._count = count
        parameters = inspect.signature(function).parameters.values()
        by_name = [entry for entry in parameters if entry.kind is entry.KEYWORD_ONLY]
        self.known = {entry.name for entry in by_name}
        self._needed = {entry.name for entry in by_name if entry.default is entry.empty}
        self._takes_any_number = any(entry.kind is entry.VAR_POSITIONAL for entry in parameters)
        self.tensors = [entry for entry in parameters if entry.kind is entry.POSITIONAL_OR_KEYWORD]

    def stored_shapes(self, shapes):
        """Return in which shapes tensors are kept that are parameters, given those of all, None where not known."""
        return shapes if self._stored_shapes is None else self._stored_shapes(*shapes)

    @property
    def is_counted(self):
        """Whether it makes more than it takes, and says how much."""
        return self._count is not None

    def count(self, shapes, known):
        """Return how many numbers the largest array has that is made, 0 where it is no larger than what is taken."""
        if not self.is_counted:
            return 0
        try:
            return self._count(*shapes, **{name: value for name, value in known.items() if name not in _OF_NO_SIZE})
        except (ArithmeticError, LookupError, TypeError, ValueError):
            # What contradicts itself is refused by the operator, which says more of it.
            return 0

    def needs_values(self, place):
        """Return whether a function of the host reads the values of the tensor at a place."""
        return place < len(self.tensors) and self.tensors[place].annotation is np.ndarray

    def is_buffer(self, place):
        """Return whether the tensor at a place is stored and not trained."""
        return place < len(self.tensors) and self.tensors[place].annotation is Buffer

    def checked(self, label, attributes, inputs):
        """Return the attributes that the function takes.

        Parameters
        ----------
        label : str
            What messages call the node.
        attributes : dict
        inputs : list of (str, str)
            What ONNX calls each input, and the tensor that is given, ``""`` for none.

        Raises
        ------
        DataError
            If one is missing, or there are too many.
        UnsupportedError
            If another one would change the result.
        """
        missing = sorted(self._needed - attributes.keys() - {name for name, tensor in inputs if tensor})
        if missing:
            raise DataError(f"the node {label} lacks {', '.join(missing)}.")
        given = [tensor for name, tensor in inputs if name not in self.known]
        least = len([entry for entry in self.tensors if entry.default is entry.empty])
        if not all(given[:least]) or not least <= len(given) <= len(self.tensors) and not self._takes_any_number:
            count = len(list(filter(None, given)))
            raise DataError(f"the node {label} has {count} inputs, but {least} to {len(self.tensors)} are expected.")
        for name in attributes.keys() - self.known - IGNORED:
            raise UnsupportedError(
                f"the node {label} has the attribute {name}={attributes[name]!r}, which is not read."
            )
        return {name: value for name, value in attributes.items() if name in self.known}


def reader(op_type):
    """Return the :class:`Reader` of an operator, or None."""
    return _readers().get(op_type)


@functools.cache
def _readers():
    found = {}
    for module in rooms.modules(rooms.LAYERS):
        shapes, counts = getattr(module, "STORED_SHAPES", {}), getattr(module, "COUNTS", {})
        for op_type, function in getattr(module, "FROM_ONNX", {}).items():
            found[op_type] = Reader(function, shapes.get(op_type), counts.get(op_type))
    return found | {op_type: Reader(function, takes_shapes=True) for op_type, function in host.FROM_ONNX.items()}
