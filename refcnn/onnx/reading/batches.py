"""Which inputs a file takes for a batch of some size; files that were exported for another one, made to take it."""

import dataclasses

import numpy as np
import onnx

from ...errors import ArgumentError, DataError, UnsupportedError
from ...reading import read_plain, reading
from .description import dtype_of

_WHAT, _ADVICE = "an ONNX file that can be read", "Give a whole file, or export it anew."
_MOST_BYTES = 2**31 - 1
# Images whose size is free: that of ImageNet's, in colour.
_USUAL_IMAGE = (3, 224, 224)


@dataclasses.dataclass(frozen=True)
class FileInput:
    """An input of a file.

    Attributes
    ----------
    name : str
    shape : tuple of int
    dtype : str
        As NumPy calls it.
    """

    name: str
    shape: tuple
    dtype: str


class File:
    """An ONNX file, and what it says of its inputs.

    Parameters
    ----------
    path : str or os.PathLike

    Raises
    ------
    DataError
        If it is missing or broken.
    UnsupportedError
        If an input is no tensor.
    """

    def __init__(self, path):
        self.path = path
        with reading(path, _WHAT, DataError, _ADVICE):
            self._model = onnx.load_model_from_string(read_plain(path, _MOST_BYTES))
        constants = {entry.name for entry in self._model.graph.initializer}
        self._inputs = [entry for entry in self._model.graph.input if entry.name not in constants]
        for entry in self._inputs:
            if not entry.type.HasField("tensor_type"):
                raise UnsupportedError(f"{path}: the input {entry.name!r} is no tensor. Export the model with tensors.")

    @property
    def batch(self):
        """The size of the batch that the file was exported for, or None if it takes any."""
        sizes = _sizes(self._inputs[0]) if self._inputs else ()
        return sizes[0] if sizes else None

    @property
    def elements(self):
        """How many numbers its initializers have."""
        return sum(int(np.prod(entry.dims)) for entry in self._model.graph.initializer)

    def inputs(self, batch, shapes):
        """Return the inputs for a batch of some size.

        Parameters
        ----------
        batch : int
        shapes : dict of str to tuple of int
            By the names of inputs the sizes behind that of the batch; one under ``""`` is that of the only input.

        Returns
        -------
        list of FileInput

        Raises
        ------
        ArgumentError
            If a size is free that is not given, or one is given that contradicts the file.
        """
        names = [entry.name for entry in self._inputs]
        if "" in shapes and len(names) == 1:
            shapes = {names[0]: shapes[""], **{name: shape for name, shape in shapes.items() if name}}
        for name in shapes.keys() - set(names):
            raise ArgumentError(
                f"{self.path}: a shape was given for {name or 'the only input'!r}, but the inputs are "
                f"{', '.join(names)}. Write one as {names[0] if names else 'x'}=3x224x224."
            )
        return [self._input(entry, batch, shapes.get(entry.name)) for entry in self._inputs]

    def for_batch(self, batch):
        """Return the file's content made to take a batch of another size, or None if it takes it as it is.

        The inputs are declared with it, the sizes of all results are left open, and where a constant puts down the size
        of the batch in a Reshape, that stays as it is.

        Raises
        ------
        UnsupportedError
            If it keeps data in other files.
        """
        former = self.batch
        if former in (None, batch):
            return None
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        if any(entry.data_location == onnx.TensorProto.EXTERNAL for entry in model.graph.initializer):
            raise UnsupportedError(
                f"{self.path}: it was exported for a batch of {former} and keeps its data in other files, so that it "
                f"cannot be made to take {batch}. Give --batch {former}, or export it with a free batch."
            )
        given = {entry.name for entry in self._inputs}
        for entry in model.graph.input:
            sizes = entry.type.tensor_type.shape.dim
            if entry.name in given and sizes and sizes[0].dim_value == former:
                sizes[0].dim_value = batch
        for entry in model.graph.output:
            entry.type.tensor_type.ClearField("shape")
        _free_reshapes(model, former)
        del model.graph.value_info[:]
        return model.SerializeToString()

    def _input(self, entry, batch, given):
        declared = _sizes(entry)
        if given is None and len(declared) == 4:
            given = tuple(size or usual for size, usual in zip(declared[1:], _USUAL_IMAGE, strict=True))
        shape = declared[1:] if given is None else given
        is_open = not entry.type.tensor_type.HasField("shape")
        fits = is_open or len(declared) == len(shape) + bool(declared)
        if not fits or any(size not in (None, own) for size, own in zip(declared[1:], shape, strict=False)):
            raise ArgumentError(
                f"{self.path}: the input {entry.name} is declared as {_written(declared)}, N being the batch, but "
                f"{_written((None, *shape))} was given. Give sizes that it takes, or leave --shape out."
            )
        if (is_open and given is None) or None in shape:
            raise ArgumentError(
                f"{self.path}: the input {entry.name} is declared as {_written(declared)}, which leaves sizes free. "
                f"Give them, without the batch, as --shape {entry.name}=3x224x224."
            )
        dtype = dtype_of(entry)
        follows = not declared or declared[0] in (None, self.batch)
        if declared or is_open:
            shape = (batch if follows else declared[0], *shape)
        return FileInput(entry.name, shape, dtype.name)


def _sizes(entry):
    """Return the sizes that are declared of a tensor, None for those that are free."""
    return tuple(
        size.dim_value if size.HasField("dim_value") and size.dim_value > 0 else None
        for size in entry.type.tensor_type.shape.dim
    )


def _written(sizes):
    return "x".join("N" if not place else "?" if size is None else str(size) for place, size in enumerate(sizes))


def _free_reshapes(model, former):
    """Let each Reshape whose constant begins with the size of the batch keep what its input has there."""
    graph = model.graph
    constants = {entry.name: entry for entry in graph.initializer}
    changed = {}
    for node in graph.node:
        if node.op_type != "Reshape" or any(entry.name == "allowzero" and entry.i for entry in node.attribute):
            continue
        name = node.input[1] if len(node.input) > 1 and node.input[0] not in constants else None
        shape = onnx.numpy_helper.to_array(constants[name]) if name in constants else np.zeros(0)
        if shape.ndim != 1 or not shape.size or shape[0] != former:
            continue
        if name not in changed:
            # Under a name of its own: what else reads the constant gets what it had.
            shape = shape.copy()
            shape[0] = 0
            changed[name] = f"{name}/any batch"
            graph.initializer.append(onnx.numpy_helper.from_array(shape, changed[name]))
        node.input[1] = changed[name]
