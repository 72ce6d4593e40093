"""A model made of a foreign ONNX graph: its nodes computed one after the other by refcnn's operations."""

import itertools
from typing import NamedTuple

import numpy as np

from ... import backend as backends
from ...errors import ArgumentError, DataError, DeviceMemoryError, OutOfRangeError, ShapeError
from ...model import Model
from ...reading import printable, reason
from ...stored import Buffer, Parameter
from ...variable import Variable, as_variable
from . import limits
from .nodes import MESSAGE_CHARACTERS
from .replaying import Replays

#: Shapes of the inputs for which what follows from them is kept.
_MOST_SHAPES = 8


class Graph(NamedTuple):
    """What an :class:`ImportedModel` is made of.

    Attributes
    ----------
    inputs, all_inputs, outputs : sequence of str
        Names of the inputs that must be given, of those that may, and of the outputs.
    nodes : list of refcnn.onnx.reading.nodes.Node
        In an order in which they can be computed.
    constants : dict of str to ndarray
    tied : dict of str to tuple of str
    batch : (bool, int) or None
        Whether shapes follow the size of the batch, and the size that the file declares, where it does.
    """

    inputs: tuple
    all_inputs: tuple
    outputs: tuple
    nodes: list
    constants: dict
    tied: dict
    batch: tuple | None


class ImportedModel(Model):
    """A model that was read from an ONNX file.

    What follows from constants and from the shapes of the inputs alone is computed on the host, once for each new
    shape. Floats among the constants that operators compute with are parameters, under the names of the tensors, or
    buffers where they are running statistics.

    Attributes
    ----------
    input_names, output_names : tuple of str
    tied : dict of str to tuple of str
        Of parameters that have other names in the file too, by ``Identity``, those names: they are one parameter here.
    """

    def __init__(self, inputs, all_inputs, outputs, nodes, constants, tied, batch):
        super().__init__()
        self._all_inputs = tuple(all_inputs)
        self.input_names, self.output_names, self.tied = tuple(inputs), tuple(outputs), tied
        self._nodes, self._last_uses = nodes, _last_uses(nodes, outputs)
        buffers, parameters = _stored(nodes, constants)
        self._constants = {
            name: value for name, value in constants.items() if name not in buffers and name not in parameters
        }
        for name in constants:
            if name in buffers:
                self.buffers[name] = Buffer(constants[name])
            elif name in parameters:
                self.params[name] = Parameter(np.reshape(constants[name], parameters[name]))
        self._plans, self._batch, self._replays = {}, batch, Replays()

    def forward(self, *inputs):
        """Compute the outputs: a Variable, or a tuple of as many as there are.

        Raises
        ------
        ShapeError
            If the number of inputs is another, or an operator cannot compute their shapes.
        """
        names = self._names(len(inputs))
        inputs = [as_variable(entry) for entry in inputs]
        stored = (*self.params.values(), *self.buffers.values())
        results = self._replays.results(lambda: self._computed(names, inputs), inputs, stored, backends.active())
        return results if len(results) > 1 else results[0]

    def _computed(self, names, inputs):
        values = {"": None, **self._constants, **self.params, **self.buffers}
        values |= dict(zip(names, inputs, strict=True))
        shapes = tuple((entry.shape, entry.dtype) for entry in inputs)
        kept = self._plans.get(shapes, {})
        # What the file says is the batch, where another one is given: whether it holds, and the two sizes.
        batch = None
        if self._batch is not None and inputs and inputs[0].shape[:1] != self._batch[1:]:
            batch = (*self._batch, *inputs[0].shape[:1])
        found = _Run(values, kept, batch, shapes in self._plans).outputs(self._nodes, self._last_uses)
        if shapes not in self._plans:
            while len(self._plans) >= _MOST_SHAPES:
                self._plans.pop(next(iter(self._plans)))
            self._plans[shapes] = found
        return tuple(_as_variable(values[name]) for name in self.output_names)

    def _table(self, costs, is_recorded=False):
        lines = [super()._table(costs, is_recorded)]
        lines += [
            f"tied in the file, one parameter: {', '.join((name, *others))}" for name, others in self.tied.items()
        ]
        return "\n".join(lines)

    def recorded(self, inputs):
        """Compute all tensors on the tape, with floats that are constants as Variables too.

        Parameters
        ----------
        inputs : dict of str to Variable
            By name.

        Returns
        -------
        dict of str to (Variable, ndarray or None)
            All tensors of the graph by name: ndarrays are known to the host without any of the inputs' values.
        """
        values = {"": None, **self._constants, **self.params, **self.buffers}
        values = {name: _recordable(value) for name, value in values.items()} | inputs
        _Run(values, is_recorded=True).outputs(self._nodes, [()] * len(self._nodes))
        return values

    @property
    def nodes(self):
        """The nodes of the graph that its outputs need, in an order in which they can be computed."""
        return tuple(self._nodes)

    def _find(self, kind):
        # What it stores bears the name that its tensor has in the file, dots and all.
        return ((name, entry) for name, entry in (self.params | self.buffers).items() if isinstance(entry, kind))

    def _names(self, count):
        """Return the names of so many inputs: of those that must be given, or of the first that may."""
        first = self._all_inputs[:count]
        if count == len(self.input_names):
            return self.input_names
        if len(first) == count and set(first) >= set(self.input_names):
            return first
        raise ShapeError(
            f"the model has {len(self.input_names)} inputs, {', '.join(self.input_names)}, but {count} were given. "
            "Give an array for each."
        )

    def run(self, arrays):
        """Return the outputs, ndarrays, of a list of arrays."""
        with np.errstate(all="ignore"):
            results = self(*(Variable(np.asarray(entry)) for entry in arrays))
        results = results if isinstance(results, tuple) else (results,)
        return tuple(entry.as_ndarray() for entry in results)


def computed(node, values):
    """Return the results of a node of which the host knows all inputs."""
    return _Run(values).compute(node)


class _Run:
    """One pass over the nodes: ``values`` holds ndarrays of what the host knows, and Variables."""

    def __init__(self, values, kept=None, batch=None, is_known=False, is_recorded=False):
        self._values, self._kept, self._batch, self._is_recorded = values, kept or {}, batch, is_recorded
        # What was computed of these shapes before can be again, but for what the inputs' values make of it.
        self._is_known, self._limit = is_known, None
        self._constants = {name for name, value in values.items() if isinstance(value, np.ndarray)}
        # What was read of the inputs' values, and what follows of it: it holds for this pass alone.
        self._read = set()

    def outputs(self, nodes, last_uses):
        """Compute all nodes, and return by node what holds for every input of these shapes."""
        found, self._limit = {}, limits.Limit(self._values)
        for node, done in zip(nodes, last_uses, strict=True):
            results = self._kept.get(node)
            if results is None:
                results = self.compute(node)
            if self._is_recorded:
                # All of them are to live.
                results = tuple(map(_recordable, results))
            elif not self._is_known:
                self._limit.made(node, results)
            is_known = all(result is None or isinstance(result, np.ndarray) for result in results)
            if is_known and not self._read.intersection(node.inputs):
                found[node] = results
            elif is_known:
                self._read.update(node.outputs)
            self._values.update(zip(node.outputs, results, strict=False))
            dropped = [self._values.pop(name, None) for name in done]
            if not self._is_known:
                self._limit.dropped(dropped)
        return found

    def compute(self, node):
        """Return the results of a node, ndarrays or Variables, a tuple.

        Raises
        ------
        RefcnnError
            That names the node, whatever is wrong with it.
        """
        try:
            results = self._computed(node)
        except (ArgumentError, DataError, DeviceMemoryError, OutOfRangeError, ShapeError) as error:
            raise type(error)(printable(f"{node}: {error}", MESSAGE_CHARACTERS)) from None
        except (ArithmeticError, LookupError, MemoryError, TypeError, ValueError) as error:
            # A file may hold anything, of which not all is foreseen.
            raise DataError(f"{node}: it cannot be computed ({reason(error)}).") from error
        for name, result in itertools.zip_longest(node.outputs, results[: len(node.outputs)]):
            if name and result is None:
                raise DataError(f"{node}: it gives {len(results)} results, but none of the name {name!r}.")
        return results

    def _computed(self, node):
        reader, tensors, known = node.reader, [], dict(node.attributes)
        for name, tensor in zip(node.input_names, node.inputs, strict=True):
            value = self._values[tensor]
            if name in reader.known:
                if value is not None:
                    known[name] = _plain(name, self._host(tensor, value))
            elif reader.needs_values(len(tensors)):
                tensors.append(self._host(tensor, value))
            else:
                tensors.append(value)
        if node.op_type == "Reshape" and self._batch is not None and node.inputs[1:2] and tensors[0] is not None:
            known["shape"] = self._with_batch(node.inputs[1], tensors[0].shape, known["shape"])
        if "version" in reader.known:
            known["version"] = node.version
        if "outputs" in reader.known:
            known["outputs"] = tuple(map(bool, node.outputs))
        if reader.takes_shapes:
            return _as_tuple(reader.function(*tensors, **known))
        if not self._is_known or self._read.intersection(node.inputs):
            self._limit.check(reader.count([None if entry is None else entry.shape for entry in tensors], known))
        if any(isinstance(entry, Variable) for entry in tensors):
            return _as_tuple(reader.function(*map(_as_variable, tensors), **known))
        with backends.use_backend("reference"), np.errstate(all="ignore"):
            results = _as_tuple(reader.function(*map(_as_variable, tensors), **known))
            return tuple(entry.as_ndarray() if isinstance(entry, Variable) else entry for entry in results)

    def _with_batch(self, tensor, shape, wanted):
        """Return a Reshape's constant, in which the size of the batch stands if it is another and may take its place.

        Raises
        ------
        ShapeError
            If it may not.
        """
        follows, declared, *given = self._batch
        if tensor not in self._constants or [*shape[:1]] != given or not isinstance(wanted, tuple):
            return wanted
        if wanted[:1] != (declared,):
            return wanted
        if follows:
            return (*given, *wanted[1:])
        raise ShapeError(
            f"its shape {wanted} holds the batch at {declared}, but {given[0]} examples were given. Give {declared}, "
            "or read the model by load(..., rebatch=True), which puts the size of the batch in the place of the first."
        )

    def _host(self, tensor, value):
        if isinstance(value, np.ndarray):
            return value
        if not isinstance(value, Parameter | Buffer):
            self._read.add(tensor)
        return value.as_ndarray()


def _as_tuple(results):
    return results if isinstance(results, tuple) else (results,)


def _recordable(value):
    """Return floats as a Variable, that what is computed of them is recorded."""
    return Variable(value) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value


def _as_variable(value):
    return Variable(value) if isinstance(value, np.ndarray) else value


def _plain(name, array):
    """Return numbers as readers take them: one, or a tuple of those along one axis."""
    if array.ndim > 1:
        raise DataError(f"{name} has shape {array.shape}, but numbers along one axis are expected.")
    return tuple(array.tolist()) if array.ndim else array.item()


def _last_uses(nodes, outputs):
    """Return for each node the tensors that no later one reads, in the order of the nodes."""
    seen, found = {"", *outputs}, []
    for node in reversed(nodes):
        names = {*node.inputs, *node.outputs} - seen
        seen |= names
        found.append(names)
    return found[::-1]


def _stored(nodes, constants):
    """Return the names of constants that are buffers, and the shapes by name of those that are parameters.

    These are the floats that operators compute with, in the shape that the only ones want, or else in that of the file.
    """
    buffers, parameters = set(), {}
    for node in nodes:
        names = [
            tensor for name, tensor in zip(node.input_names, node.inputs, strict=True) if name not in node.reader.known
        ]
        values = [constants.get(name) for name in names]
        wanted = node.reader.stored_shapes([None if value is None else value.shape for value in values])
        for place, (name, value, shape) in enumerate(zip(names, values, wanted, strict=False)):
            if value is None or value.dtype.kind != "f" or value.ndim == 0 or node.reader.takes_shapes:
                continue
            if node.reader.is_buffer(place):
                buffers.add(name)
            elif parameters.setdefault(name, shape) != shape:
                parameters[name] = value.shape
    return buffers - parameters.keys(), parameters
