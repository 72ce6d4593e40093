"""Models: layers put together, their parameters by name, saving and loading."""

import json

import numpy as np

from . import npz
from .errors import CheckpointError, ShapeError
from .files import atomic_write
from .layer import Layer
from .mode import training
from .reading import parse_json, reading


class Model(Layer):
    """Base class of models: assign layers to attributes (or lists of layers) and define ``forward(self, x)``.

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

    def children(self):
        """Yield (name, layer) of the layers in this model's attributes."""
        for name, value in vars(self).items():
            if isinstance(value, Layer):
                yield name, value
            elif isinstance(value, (list, tuple)):
                for index, entry in enumerate(value):
                    if isinstance(entry, Layer):
                        yield f"{name}.{index}", entry

    def layers(self):
        """Yield (name, layer) of every layer that is no model itself, depth first; each once."""
        yield from _layers(self, "", set())

    def parameters(self):
        """Yield (name, Parameter) of every parameter, such as ``("0.w", w)``."""
        for name, layer in self.layers():
            for key, parameter in layer.params.items():
                yield f"{name}.{key}", parameter

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
        shapes = {}
        if input_shape is not None:
            shapes = self._output_shapes(input_shape)
        rows = [("layer", "output shape", "parameters")]
        total = 0
        for name, layer in self.layers():
            count = sum(int(np.prod(parameter.shape)) for parameter in layer.params.values())
            total += count
            rows.append((f"{name}: {type(layer).__name__}", str(shapes.get(id(layer), "")), f"{count:,}"))
        rows.append(("total", "", f"{total:,}"))
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        for row in rows:
            print(f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:>{widths[2]}}".rstrip())

    def _output_shapes(self, input_shape):
        shapes = {}
        layers = [layer for _, layer in self.layers()]

        def watch(layer):
            def forward(x):
                y = type(layer).forward(layer, x)
                shapes[id(layer)] = ("N", *y.shape[1:])
                return y

            return forward

        for layer in layers:
            layer.forward = watch(layer)
        try:
            self(np.zeros((1, *input_shape)))
        finally:
            for layer in layers:
                del layer.forward
        return {key: "(" + ", ".join(map(str, shape)) + ")" for key, shape in shapes.items()}

    def state(self):
        """Return every parameter as a host array, by name."""
        return {name: parameter.as_ndarray() for name, parameter in self.parameters()}

    def set_state(self, arrays):
        """Take over what :meth:`state` returned, in this model or another of the same layers.

        Raises
        ------
        CheckpointError
            If the names or shapes are not this model's; the model is then unchanged.
        """
        layers = dict(self.layers())
        by_layer = {}
        for name, array in arrays.items():
            layer, _, key = name.rpartition(".")
            by_layer.setdefault(layer, {})[key] = array
        unknown = sorted(set(by_layer) - set(layers))
        missing = sorted(name for name, _ in self.parameters() if name not in arrays)
        if unknown or missing:
            raise CheckpointError(
                f"the parameters are not those of this model: {unknown or 'none'} belong to no layer of it, "
                f"{missing or 'none'} are missing. Build the model as it was when it was saved."
            )
        for name, values in by_layer.items():
            for key, array in values.items():
                parameter = layers[name].params.get(key)
                if parameter is not None and parameter.shape != array.shape:
                    raise CheckpointError(
                        f"the parameter {name}.{key} has shape {array.shape} in the file and {parameter.shape} in "
                        "this model. Build the model as it was when it was saved."
                    )
        for name, values in by_layer.items():
            layers[name].set_parameters(values)

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

    def children(self):
        """Yield (index, layer)."""
        return ((str(index), layer) for index, layer in enumerate(self._layers))

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


def _layers(parent, prefix, seen):
    for name, layer in parent.children():
        if id(layer) in seen:
            continue
        seen.add(id(layer))
        if isinstance(layer, Model):
            yield from _layers(layer, f"{prefix}{name}.", seen)
        else:
            yield prefix + name, layer


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
    FileWriteError
        If the file cannot be written.
    """
    text = np.frombuffer(json.dumps(metadata).encode(), dtype=np.uint8)
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **{_METADATA: text}, **arrays)


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
