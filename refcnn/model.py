"""Models: layers put together, their parameters by name, saving and loading."""

import contextlib
import copy
import itertools
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np

from . import backend as backends
from . import npz
from . import summary as summaries
from .errors import ArgumentError, CheckpointError, ShapeError
from .formats import EXACT
from .layer import Layer, described, fits, making
from .mode import training
from .reading import reading
from .stored import Buffer, Parameter, Stored
from .tables import table
from .tape import tape
from .typing import PathLike
from .variable import DESTINATION


class Model(Layer):
    """Base class of models: assign layers to attributes and define ``forward(self, x)``.

    Layers, parameters and buffers are found in the model's attributes, in those of its layers, and in lists, tuples and
    dicts there, however deep; not in sets, closures or other objects. What two layers share is trained once, with the
    sum of the gradients, and saved under each name.

    A model can be copied (:meth:`replica`, ``copy.deepcopy``), and pickled, to be sent to a process that was spawned;
    what is unpickled lies on the backend that is active there. To keep one in a file, :meth:`save` it: reading that
    executes nothing, whereas pickle does what a stranger's file says.

    Examples
    --------
    >>> import refcnn as rm
    >>> class Net(rm.Model):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.hidden = rm.Dense(16)
    ...         self.output = rm.Dense(10)
    ...     def forward(self, x):
    ...         return self.output(rm.relu(self.hidden(x)))
    """

    _has_run = False

    def __call__(self, *inputs: Any, **keywords: Any) -> Any:
        """Return what ``forward`` makes of the inputs, as :meth:`Layer.__call__`."""
        y = super().__call__(*inputs, **keywords)
        if not self._has_run:
            with making:
                self._has_run = True
        return y

    def layers(self) -> Iterator[tuple[str, Layer]]:
        """Yield (name, layer) of every layer that is no model itself, depth first; each once."""
        return ((name, layer) for name, layer in _walk(self) if not isinstance(layer, Model))

    def parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield (name, Parameter) of every parameter, such as ``("0.w", w)``; each once, by its first name."""
        return _once(self._named_state(), Parameter)

    def named_buffers(self) -> Iterator[tuple[str, Buffer]]:
        """Yield (name, Buffer) of every buffer, such as ``("1.mean", mean)``; each once, by its first name."""
        return _once(self._named_state(), Buffer)

    def named_state(self) -> Iterator[tuple[str, Stored]]:
        """Yield (name, Parameter or Buffer) of all that :meth:`state` holds; each once, by its first name."""
        return _once(self._named_state(), Stored)

    def _named_state(self):
        for name, layer in _walk(self):
            for key, entry in layer.own_state():
                yield _joined(name, key), entry

    def train(self) -> contextlib.AbstractContextManager[None]:
        """Return a context manager: inside it operations are recorded for ``grad()``, and Dropout drops."""
        return training()

    def summary(self, input_shape: Sequence | None = None) -> None:
        """Print every layer with its number of parameters, that of values in buffers if any, and what an example costs.

        That is the shape of the output, where N stands for the number of examples; the multiplications and additions of
        the forward pass in convolutions and products of matrices (FLOP); and the memory of the results of all
        operations, which training holds, with that of parameters and buffers. A model among the layers has a line if it
        computes something itself.

        Parameters
        ----------
        input_shape : tuple of int, or list of such tuples, optional
            (C, H, W) of one image, or of a model with several inputs a shape for each: one example of zeros is run.
            Needed if the parameters are not made yet; without it there are parameters and buffers alone.
        """
        if input_shape is None:
            print(self._table({}))
            return
        of_inputs = input_shape if any(np.ndim(size) for size in input_shape) else [input_shape]
        print(self._table(*summaries.costs(self, [np.zeros((1, *shape)) for shape in of_inputs])))

    def __repr__(self):
        return self._table({})

    def _table(self, costs, is_recorded=False):
        """Return the layers as text, each with how much it stores and, by the layer's id, what an example costs."""
        found = layer_costs(self, costs)
        stores_buffers = any(
            issubclass(place.kind, Buffer) for _, layer in _walk(self) for place in _places(layer).values()
        )
        headings = ("parameters", "buffers") if stores_buffers else ("parameters",)
        rows = [("layer", "output shape", *headings, "FLOP", "memory")]
        for one in found:
            name = f"{one.name}: {one.layer}" if one.name and one.layer else one.name or one.layer
            counts = (one.parameters, one.buffers)[: len(headings)]
            counts = ("not made yet" if count is None else f"{count:,}" for count in counts)
            rows.append((name, one.shape, *counts, f"{one.flop:,}", summaries.written(one.memory)))
        columns = [True, bool(costs), *[True] * len(headings), is_recorded, is_recorded]
        rows = [tuple(itertools.compress(row, columns)) for row in rows]
        return "\n".join(table(rows, left=(0, 1) if costs else (0,)))

    def replica(self, backend: "str | object | None" = None) -> Self:
        """Return a copy of the model on a device, which shares nothing with the original.

        Whatever becomes of either, the other stays as it is: a thread can train the one while others serve with
        replicas. What is shared within the model, such as a parameter of two layers, is shared within the replica.
        ``replica.set_state(model.state())`` brings it up to date. A replica of a model whose parameters are not made
        yet makes its own.

        Parameters
        ----------
        backend : str or backend, optional
            Where its parameters and buffers shall lie, as :class:`refcnn.use_backend` takes it; the active backend if
            it is not given. It computes on the active backend, as every model does.

        Returns
        -------
        Model
            Of the same class.

        Raises
        ------
        BackendError
            If there is no such backend or device.
        GradientError
            If the model keeps a result whose gradient is recorded.
        """
        backend = backends.active() if backend is None else backends.find(backend)
        # No parameters are made meanwhile.
        with making:
            memo: dict = {DESTINATION: backend}
            return copy.deepcopy(self, memo)

    def state(self) -> dict[str, np.ndarray]:
        """Return every parameter and buffer as a host array, by name; one that has several names under each of them."""
        return {name: entry.as_ndarray() for name, entry in self._named_state()}

    def set_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take over what :meth:`state` returned, in this model or another of the same layers.

        Parameters and buffers that are not made yet are made of the arrays, if the layers tell which they will have
        (:meth:`Layer.parameter_shapes`, :meth:`Layer.buffer_shapes`), as refcnn's own do.

        Raises
        ------
        CheckpointError
            If the names or shapes are not this model's, or an array holds no numbers, or whole ones where a buffer
            holds floats or the other way round, or a parameter that has several names has other values under each; the
            model is then unchanged.
        """
        places = _all_places(self)
        unknown = sorted(set(arrays) - set(places))
        # A layer that the model did not need when it was run has no parameters where it was saved either.
        is_given = {id(places[name].layer) for name in arrays if name in places}
        missing = sorted(
            name
            for name, place in places.items()
            if name not in arrays and (place.stored is not None or id(place.layer) in is_given or not self._has_run)
        )
        if unknown or missing:
            advice = "" if self._has_run else ", or call it once before, so that all its parameters are made"
            raise CheckpointError(
                f"the parameters are not those of this model: {unknown or 'none'} belong to no layer of it, "
                f"{missing or 'none'} are missing. Build the model as it was when it was saved{advice}."
            )
        for name, array in arrays.items():
            if not fits(np.shape(array), places[name].shape):
                raise CheckpointError(
                    f"the {places[name].word} {name} has shape {np.shape(array)} in the file and "
                    f"{described(places[name].shape)} in this model. Build the model as it was when it was saved."
                )
        fresh = {}
        for name, array in arrays.items():
            try:
                fresh[name] = places[name].kind(array)
            except ShapeError as error:
                raise CheckpointError(f"the {places[name].word} {name} cannot be taken over: {error}") from None
        _check_dtypes(fresh, places)
        _check_shared(fresh, places)
        for name, entry in fresh.items():
            place = places[name]
            # What was there stays the same object, for an optimizer keeps its state by it.
            if place.stored is None:
                place.container[place.key] = entry
            else:
                place.stored.set(entry)

    def save(self, path: PathLike) -> None:
        """Write the parameters and buffers to an ``.npz`` file, whole or not at all.

        Raises
        ------
        FileWriteError
            If the file cannot be written.
        ShapeError
            If the model has no parameters yet.
        """
        arrays = self.state()
        if not arrays:
            raise ShapeError("save: the model has no parameters yet. Call it once, or give its layers input_size.")
        npz.save(path, arrays, {"format": "refcnn parameters"})

    def load(self, path: PathLike) -> None:
        """Read parameters and buffers that :meth:`save` wrote.

        Raises
        ------
        CheckpointError
            If the file is missing, corrupt or of another model, or holds NaN or infinity.
        """
        with reading(path, "a file of parameters", CheckpointError, "Give a file that refcnn wrote."):
            arrays, _ = npz.load(path, "refcnn parameters")
            check_saved(arrays, self)
        self.set_state(arrays)


class Sequential(Model):
    """Layers one after the other.

    Parameters
    ----------
    layers : list of Layer, optional
    """

    _unnamed = (*Model._unnamed, "_layers")

    def __init__(self, layers: Iterable[Layer] = ()) -> None:
        super().__init__()
        self._layers = []
        try:
            several = list(layers)
        except TypeError:
            advice = self._instead(layers) if isinstance(layers, Layer) else "Give a list of layers."
            raise ArgumentError(f"Sequential: {layers!r} is given alone. {advice}") from None
        for layer in several:
            self.append(layer)

    @staticmethod
    def _instead(*layers):
        """Return what a call with PyTorch's order, the layers one by one, is here."""
        return f"Give all layers in one list: Sequential([{', '.join(map(repr, layers))}])."

    def append(self, layer: Layer) -> None:
        """Put a layer (anything that can be called with a Variable) at the end."""
        if not isinstance(layer, Layer):
            raise ShapeError(
                f"Sequential: {layer!r} is no layer. Give instances of layers, such as Relu() (with brackets)."
            )
        self._layers.append(layer)

    def __getitem__(self, index: int) -> Layer:
        return self._layers[index]

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self._layers)

    def forward(self, x: Any, *others: Any) -> Any:
        """Call each layer with the result of the one before, or with all of its results if it has several."""
        y = (x, *others) if others else x
        for layer in self._layers:
            y = layer(*y) if isinstance(y, tuple) else layer(y)
        return y


def _walk(layer, name="", seen=None):
    """Yield (name, layer) of a layer and of all that are inside it, depth first; each once."""
    seen = set() if seen is None else seen
    if id(layer) in seen:
        return
    seen.add(id(layer))
    yield name, layer
    for key, child in layer.children():
        yield from _walk(child, _joined(name, key), seen)


class _Place(typing.NamedTuple):
    """Where a parameter or buffer lies, or will lie; ``stored`` is None if it is not made yet."""

    layer: Layer
    key: str
    stored: Stored | None
    shape: tuple
    kind: type

    @property
    def container(self):
        return self.layer.params if self.kind is Parameter else self.layer.buffers

    @property
    def word(self):
        return self.kind.__name__.lower()


def _places(layer):
    """Return by its name in the layer the place of all that it stores, or will store."""
    places = {}
    for kind, expected in ((Parameter, layer.parameter_shapes()), (Buffer, layer.buffer_shapes())):
        places |= {key: _Place(layer, key, None, shape, kind) for key, shape in (expected or {}).items()}
    made = {key: _Place(layer, key, entry, entry.shape, type(entry)) for key, entry in layer.own_state()}
    return made | {key: place for key, place in places.items() if key not in made}


def _all_places(model):
    return {_joined(name, key): place for name, layer in _walk(model) for key, place in _places(layer).items()}


def _check_dtypes(fresh, places):
    """Raise CheckpointError where a buffer would get numbers of another dtype; of floats each backend has its own."""
    for name, entry in fresh.items():
        stored = places[name].stored
        if stored is not None and stored.dtype != entry.dtype and {stored.dtype.kind, entry.dtype.kind} != {"f"}:
            raise CheckpointError(
                f"the {places[name].word} {name} is of {entry.dtype} in the file and of {stored.dtype} in this model. "
                "Build the model as it was when it was saved."
            )


def _check_shared(fresh, places):
    """Raise CheckpointError where one parameter or buffer would be given other values under each of its names."""
    names = {}
    for name, entry in fresh.items():
        stored = places[name].stored
        first = name if stored is None else names.setdefault(id(stored), name)
        if first != name and not np.array_equal(entry.as_ndarray(), fresh[first].as_ndarray(), equal_nan=True):
            raise CheckpointError(
                f"{first} and {name} are one {places[name].word} in this model, but have different values in the file. "
                "Build the model as it was when it was saved."
            )


def _once(named, kind):
    """Yield (name, entry) of the entries that are of a kind; each once, by its first name."""
    seen = set()
    for name, entry in named:
        if isinstance(entry, kind) and id(entry) not in seen:
            seen.add(id(entry))
            yield name, entry


def _joined(name, key):
    return f"{name}.{key}" if name else key


class LayerCost(typing.NamedTuple):
    """What a layer holds and what one example costs in it; the last of :func:`layer_costs` is the sum of all.

    Attributes
    ----------
    name : str
        In the model; ``""`` for the model itself, and ``"total"`` for the sum.
    layer : str
        As it is written, ``""`` for the sum.
    shape : str
        Of the output, with N for the number of examples.
    parameters, buffers : int or None
        Numbers in them; None where they are not made yet.
    flop : int
    memory : int
        Bytes of the results, parameters and buffers.
    """

    name: str
    layer: str
    shape: str
    parameters: int | None
    buffers: int | None
    flop: int
    memory: int


def layer_costs(model: Model, costs: dict) -> list[LayerCost]:
    """Return the :class:`LayerCost` of each layer, and of all; of a model among them, if it computes something itself.

    Parameters
    ----------
    model : Model
    costs : dict
        By a layer's id its :class:`refcnn.summary.Cost`; empty if that is not known.
    """
    rows = []
    for name, layer in _walk(model):
        own, cost = list(_places(layer).values()), costs.get(id(layer), summaries.Cost())
        if own or cost.memory or layer is model or not isinstance(layer, Model):
            written = type(layer).__name__ if isinstance(layer, Model) else repr(layer)
            stored = {id(place.stored): place.stored for place in own if place.stored is not None}
            memory = cost.memory + sum(map(summaries.size, stored.values()))
            parameters, buffers = (
                _count_of_layer([place for place in own if issubclass(place.kind, kind)])
                for kind in (Parameter, Buffer)
            )
            rows.append(LayerCost(name, written, cost.shape, parameters, buffers, cost.flop, memory))
    flop, memory = (sum(getattr(cost, key) for cost in costs.values()) for key in ("flop", "memory"))
    memory += sum(summaries.size(entry) for _, entry in model.named_state())
    parameters, buffers = (_count(_once(model.named_state(), kind)) for kind in (Parameter, Buffer))
    return [*rows, LayerCost("total", "", "", parameters, buffers, flop, memory)]


def _count_of_layer(places):
    made = [("", place.stored) for place in places if place.stored is not None]
    return _count(_once(made, Stored)) if made or not places else None


def _count(named):
    return sum(int(np.prod(entry.shape)) for _, entry in named)


def unlisted(model, *results):
    """Return the parameters and buffers that recorded results were computed from and that the model does not list.

    They would be saved nowhere.

    Parameters
    ----------
    model : Model
    *results : Variable

    Returns
    -------
    list of (str, Parameter or Buffer)
        Each with the stem of an operation that reads it.
    """
    listed, found = {id(entry) for _, entry in model.named_state()}, {}
    for node in tape(*results):
        for entry in node.inputs:
            if isinstance(entry, Stored) and id(entry) not in listed:
                found.setdefault(id(entry), (node.operation, entry))
    return list(found.values())


def describe_unlisted(found):
    """Return the part of a message that tells what :func:`unlisted` found, and what to do."""
    shown = ", ".join(f"one of shape {entry.shape}, read by {operation}" for operation, entry in found[:3])
    return (
        f"{len(found)} of the parameters and buffers that its output is computed from are not the model's own: {shown}"
        f"{', and so on' * (len(found) > 3)}. They would be neither saved nor exported. Keep each layer, Parameter and "
        "Buffer in an attribute of the model or of its layers, or in a list, a tuple or a dict there; sets, closures "
        "and other objects are not searched."
    )


#: Of what a model stores; all but the floats are dtypes of buffers alone.
_FLOATS = (np.float32, np.float64)
_SAVED_DTYPES = (*_FLOATS, *(entry.dtype for entry in EXACT))


def check_saved(arrays, model=None):
    """Raise ValueError unless host arrays could be a model's parameters and buffers: of their dtypes, and finite.

    Parameters
    ----------
    arrays : dict of str to ndarray
    model : Model, optional
        Whose parameters must be floats among them.
    """
    places = {} if model is None else _all_places(model)
    for name, array in arrays.items():
        of_parameter = name in places and places[name].kind is Parameter
        expected = _FLOATS if of_parameter else _SAVED_DTYPES
        if array.dtype not in expected:
            names = " or ".join(np.dtype(dtype).name for dtype in expected)
            raise ValueError(f"{name!r} has dtype {array.dtype}, but {names} is expected")
        if not np.isfinite(array).all():
            raise ValueError(f"{name!r} holds NaN or infinity")
