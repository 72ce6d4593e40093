"""Models: layers put together, their parameters by name, saving and loading."""

import json
import typing
import zipfile

import numpy as np

from . import npz
from .errors import ArgumentError, CheckpointError, ShapeError
from .files import atomic_write
from .layer import Layer, described, fits, watched
from .mode import training
from .reading import parse_json, reading
from .variable import Parameter, tape


class Model(Layer):
    """Base class of models: assign layers to attributes and define ``forward(self, x)``.

    Layers and parameters are found in the model's attributes, in those of its layers, and in lists, tuples and dicts
    there, however deep; not in sets, closures or other objects.

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

    def __call__(self, x):
        y = super().__call__(x)
        self._has_run = True
        return y

    def layers(self):
        """Yield (name, layer) of every layer that is no model itself, depth first; each once."""
        return ((name, layer) for name, layer in _walk(self) if not isinstance(layer, Model))

    def parameters(self):
        """Yield (name, Parameter) of every parameter, such as ``("0.w", w)``; each once, by its first name."""
        seen = set()
        for name, parameter in self._named_parameters():
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield name, parameter

    def _named_parameters(self):
        for name, layer in _walk(self):
            for key, parameter in layer.own_parameters():
                yield _joined(name, key), parameter

    def train(self):
        """Return a context manager: inside it operations are recorded for ``grad()``, and Dropout drops."""
        return training()

    def summary(self, input_shape=None):
        """Print every layer with its output shape and its number of parameters.

        Parameters
        ----------
        input_shape : (int, int, int), optional
            (C, H, W): shapes are found by running one image of zeros. Needed if the parameters are not made yet.
        """
        print(self._table({} if input_shape is None else self._output_shapes(input_shape)))

    def __repr__(self):
        return self._table({})

    def _table(self, shapes):
        """Return the layers as text, each with its output shape, by the layer's id, and its number of parameters."""
        rows = [("layer", "output shape" if shapes else "", "parameters")]
        for name, layer in _walk(self):
            own = {id(parameter): parameter for _, parameter in layer.own_parameters()}
            if own or layer is self or not isinstance(layer, Model):
                written = type(layer).__name__ if isinstance(layer, Model) else repr(layer)
                is_made = own or not layer.parameter_shapes()
                count = f"{_count(own.values()):,}" if is_made else "not made yet"
                rows.append((f"{name}: {written}" if name else written, str(shapes.get(id(layer), "")), count))
        rows.append(("total", "", f"{_count(parameter for _, parameter in self.parameters()):,}"))
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        return "\n".join(
            f"{layer:<{widths[0]}}  {f'{shape:<{widths[1]}}  ' * bool(shapes)}{count:>{widths[2]}}".rstrip()
            for layer, shape, count in rows
        )

    def _output_shapes(self, input_shape):
        shapes = {}

        def note(layer, y):
            shapes[id(layer)] = "(" + ", ".join(map(str, ("N", *y.shape[1:]))) + ")"

        with watched(note):
            self(np.zeros((1, *input_shape)))
        return shapes

    def state(self):
        """Return every parameter as a host array, by name; one that has several names under each of them."""
        return {name: parameter.as_ndarray() for name, parameter in self._named_parameters()}

    def set_state(self, arrays):
        """Take over what :meth:`state` returned, in this model or another of the same layers.

        Parameters that are not made yet are made of the arrays, if the layers tell which they will have
        (:meth:`Layer.parameter_shapes`), as refcnn's own do.

        Raises
        ------
        CheckpointError
            If the names or shapes are not this model's, or an array holds no numbers; the model is then unchanged.
        """
        places = {_joined(name, key): place for name, layer in _walk(self) for key, place in _places(layer).items()}
        unknown = sorted(set(arrays) - set(places))
        # A layer that the model did not need when it was run has no parameters where it was saved either.
        is_given = {id(places[name].layer) for name in arrays if name in places}
        missing = sorted(
            name
            for name, place in places.items()
            if name not in arrays and (place.parameter is not None or id(place.layer) in is_given or not self._has_run)
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
                    f"the parameter {name} has shape {np.shape(array)} in the file and {described(places[name].shape)} "
                    "in this model. Build the model as it was when it was saved."
                )
        fresh = {}
        for name, array in arrays.items():
            try:
                fresh[name] = Parameter(array)
            except ShapeError as error:
                raise CheckpointError(f"the parameter {name} cannot be taken over: {error}") from None
        for name, parameter in fresh.items():
            layer, key, former, _ = places[name]
            # A parameter that was there stays the same object, for an optimizer keeps its state by it.
            if former is None:
                layer.params[key] = parameter
            else:
                former.set(parameter.backend, parameter.on(parameter.backend))

    def save(self, path):
        """Write the parameters to an ``.npz`` file, whole or not at all.

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
        save_arrays(path, arrays, {"format": "refcnn parameters"})

    def load(self, path):
        """Read parameters that :meth:`save` wrote.

        Raises
        ------
        CheckpointError
            If the file is missing, corrupt or of another model, or holds NaN or infinity.
        """
        with reading(path, "a file of parameters", CheckpointError, "Give a file that refcnn wrote."):
            arrays, _ = load_arrays(path, "refcnn parameters")
            check_parameters(arrays)
        self.set_state(arrays)


class Sequential(Model):
    """Layers one after the other.

    Parameters
    ----------
    layers : list of Layer, optional
    """

    _unnamed = (*Model._unnamed, "_layers")

    def __init__(self, layers=()):
        super().__init__()
        self._layers = []
        for layer in layers:
            self.append(layer)

    def append(self, layer):
        """Put a layer (anything that can be called with a Variable) at the end."""
        if not isinstance(layer, Layer):
            raise ShapeError(
                f"Sequential: {layer!r} is no layer. Give instances of layers, such as Relu() (with brackets)."
            )
        self._layers.append(layer)

    def __getitem__(self, index):
        return self._layers[index]

    def __len__(self):
        return len(self._layers)

    def __iter__(self):
        return iter(self._layers)

    def forward(self, x):
        """Call each layer with the result of the one before."""
        for layer in self._layers:
            x = layer(x)
        return x


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
    """Where a parameter lies, or will lie; ``parameter`` is None if it is not made yet."""

    layer: Layer
    key: str
    parameter: Parameter | None
    shape: tuple


def _places(layer):
    made = dict(layer.own_parameters())
    expected = {key: shape for key, shape in (layer.parameter_shapes() or {}).items() if key not in made}
    places = {key: _Place(layer, key, parameter, parameter.shape) for key, parameter in made.items()}
    return places | {key: _Place(layer, key, None, shape) for key, shape in expected.items()}


def _joined(name, key):
    return f"{name}.{key}" if name else key


def _count(parameters):
    return sum(int(np.prod(parameter.shape)) for parameter in parameters)


def unlisted(model, result):
    """Return the parameters that a recorded result was computed from and that the model does not list.

    They would train, but be saved nowhere.

    Parameters
    ----------
    model : Model
    result : Variable

    Returns
    -------
    list of (str, Parameter)
        Each with the stem of an operation that reads it.
    """
    listed, found = {id(parameter) for _, parameter in model.parameters()}, {}
    for node in tape(result):
        for entry in node.inputs:
            if isinstance(entry, Parameter) and id(entry) not in listed:
                found.setdefault(id(entry), (node.operation, entry))
    return list(found.values())


def describe_unlisted(found):
    """Return the part of a message that tells what :func:`unlisted` found, and what to do."""
    shown = ", ".join(f"one of shape {parameter.shape}, read by {operation}" for operation, parameter in found[:3])
    return (
        f"{len(found)} of the parameters that its output is computed from are not the model's own: {shown}"
        f"{', and so on' * (len(found) > 3)}. They would be neither saved nor exported. Keep each layer and each "
        "Parameter in an attribute of the model or of its layers, or in a list, a tuple or a dict there; sets, "
        "closures and other objects are not searched."
    )


_METADATA = "refcnn.json"


def save_arrays(path, arrays, metadata):
    """Write host arrays and JSON metadata to an ``.npz`` file, whole or not at all.

    Parameters
    ----------
    path : str or os.PathLike
    arrays : dict of str to ndarray
    metadata : dict
        What JSON can hold; ``format`` names the kind of file.

    Raises
    ------
    ArgumentError
        If an array has the name under which the metadata are stored.
    FileWriteError
        If the file cannot be written.
    """
    text = np.frombuffer(json.dumps(metadata).encode(), dtype=np.uint8)
    if _METADATA in arrays:
        raise ArgumentError(f"save: a parameter has the name {_METADATA!r}, which files need. Give it another name.")
    # Not by np.savez, which cannot write arrays that have the names of its own arguments, "file" among them.
    with atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in {_METADATA: text, **arrays}.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


def load_arrays(path, format):
    """Read what :func:`save_arrays` wrote; nothing in the file is executed.

    Returns
    -------
    arrays : dict of str to ndarray
    metadata : dict

    Raises
    ------
    CheckpointError
        If the file is missing, corrupt, or of another format.
    """
    advice = "Give a file that refcnn wrote, or an earlier copy of it."
    with reading(path, f"a whole file of {format!r}", CheckpointError, advice):
        arrays = npz.read(path)
        if _METADATA not in arrays:
            raise ValueError(f"it holds no {_METADATA}, which tells what the file is")
        metadata = parse_json(arrays.pop(_METADATA).tobytes())
        found = metadata.get("format") if isinstance(metadata, dict) else None
        if found != format:
            raise ValueError(f"it holds {found!r}, but {format!r} was expected")
    return arrays, metadata


def check_parameters(arrays):
    """Raise ValueError unless host arrays could be parameters: float32 or float64, and finite."""
    for name, array in arrays.items():
        if array.dtype not in (np.float32, np.float64):
            raise ValueError(f"the parameter {name!r} has dtype {array.dtype}, but float32 or float64 is expected")
        if not np.isfinite(array).all():
            raise ValueError(f"the parameter {name!r} holds NaN or infinity")
