"""Reading ONNX files: any as a model of refcnn, and those that refcnn wrote to run them by onnxruntime."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import DataError, ShapeError, UnsupportedError
from ...formats import FLOAT32
from ...reading import read_plain, reading
from ...typing import ArrayLike, PathLike

if TYPE_CHECKING:
    import onnx

    from .imported import ImportedModel

#: Protocol buffers hold no more bytes.
_MOST_BYTES = 2**31 - 1
_OUTPUTS = ("logits", "probabilities")
_WHAT, _ADVICE = "a whole ONNX file of refcnn", "Give a file that refcnn wrote, or export the model anew."


def load(source: "PathLike | bytes | onnx.ModelProto", *, rebatch: bool = False) -> "ImportedModel":
    """Read any ONNX file as a model, which computes on the active backend, trains, and can be exported again.

    Floats that operators compute with become parameters under the names of their tensors, running statistics buffers.

    Parameters
    ----------
    source : str, os.PathLike, bytes or onnx.ModelProto
        Data that a file keeps beside itself is read from its own folder; for bytes and a ModelProto there is none.
    rebatch : bool
        Whether, in a file that was exported for a batch of one size, the shapes that Reshape puts down follow the size
        of the batch that is given. They are refused otherwise.

    Returns
    -------
    ImportedModel

    Raises
    ------
    DataError
        If the file is missing or broken, or its graph contradicts itself.
    UnsupportedError
        If it needs what refcnn does not have; operators that are missing are named, all of them.
    """
    from .foreign import read

    return read(source, rebatch)


class ExportedModel:
    """A model read from an ONNX file, run by onnxruntime on the CPU.

    Attributes
    ----------
    path : str or os.PathLike
    classes : tuple of str or None
        The names of the classes.
    preprocessing : refcnn.data.Preprocessing or None
        How an image becomes the input.
    input_shape : tuple of int
        The shape of one example, without the batch.
    output_name : str
        ``logits`` or ``probabilities``.
    """

    def __init__(self, path, session, input_shape, output_name, classes, preprocessing):
        self.path, self._session = path, session
        self.input_shape, self.output_name = input_shape, output_name
        self.classes, self.preprocessing = classes, preprocessing

    def predict(self, x: ArrayLike) -> np.ndarray:
        """Return the file's output for a batch.

        Parameters
        ----------
        x : array_like, (N, \\*input_shape)
            What the model was trained on: stored images after ``preprocessing.apply``.

        Returns
        -------
        ndarray of float32, (N, ...)
            Logits, or probabilities if the file was exported with ``softmax=True``.

        Raises
        ------
        ShapeError
            If the shape is another.
        DataError
            If onnxruntime cannot compute the file.
        """
        x = np.asarray(x)
        if x.ndim == 0 or not len(x) or x.shape[1:] != self.input_shape or x.dtype.kind not in "fiub":
            raise ShapeError(
                f"{self.path}: the input has shape {x.shape} and dtype {x.dtype}. Give numbers of shape "
                f"{('N', *self.input_shape)}, at least one example."
            )
        with reading(self.path, _WHAT, DataError, _ADVICE):
            return self._session.run(np.ascontiguousarray(x, dtype=FLOAT32.dtype))[self.output_name]


def open_exported(path: PathLike) -> ExportedModel:
    """Open an ONNX file that :func:`export` wrote, to run it by onnxruntime.

    Parameters
    ----------
    path : str or os.PathLike

    Returns
    -------
    ExportedModel

    Raises
    ------
    DataError
        If the file is missing, corrupt, not written by refcnn, or keeps data outside of its folder; if its sizes, its
        classes and its preprocessing do not belong together, or its parameters are not finite.
    """
    with reading(path, _WHAT, DataError, _ADVICE):
        content = read_plain(path, _MOST_BYTES)
        return _model(path, content)


def _model(path, content):
    from .. import runtime
    from ..writing import graph
    from . import checks

    try:
        model = checks.parse(content, graph.PRODUCER, Path(path).parent)
    except (DataError, UnsupportedError) as error:
        raise DataError(f"{path}: {error}") from None
    (input_shape, _), (output_shape, output_name) = map(_example, (model.graph.input, model.graph.output))
    if output_name not in _OUTPUTS:
        raise ValueError(f"its output is {output_name!r}, but {' or '.join(_OUTPUTS)} is expected")
    classes, preprocessing = checked_metadata(model, input_shape, output_shape)
    session = runtime.Session(os.fspath(path) if checks.keeps_data_elsewhere(model) else content)
    return ExportedModel(path, session, input_shape, output_name, classes, preprocessing)


def _example(values):
    """Return the shape of one example, and the name, of the only input or output."""
    import onnx

    if len(values) != 1:
        raise ValueError(f"it has {len(values)} inputs or outputs, but one of each is expected")
    tensor = values[0].type.tensor_type
    if tensor.elem_type != onnx.TensorProto.FLOAT:
        raise ValueError(f"{values[0].name!r} is not float32")
    batch, *sizes = tensor.shape.dim
    if not batch.dim_param or not all(size.dim_value > 0 for size in sizes):
        raise ValueError(f"{values[0].name!r} has not a batch of any size and then the sizes of an example")
    return tuple(size.dim_value for size in sizes), values[0].name


def checked_metadata(model, input_shape, output_shape):
    """Return the class names and the Preprocessing that a file holds, each None where it does not.

    Raises
    ------
    ValueError
        If they do not belong to the shapes of an example and of its output.
    """
    from .. import metadata

    classes, preprocessing = metadata.read(model)
    if classes is not None and output_shape != (len(classes),):
        raise ValueError(f"it names {len(classes)} classes, but the output of an example has shape {output_shape}")
    if preprocessing is not None and preprocessing.shape != input_shape:
        raise ValueError(
            f"its preprocessing makes images of shape {preprocessing.shape}, but its input has shape {input_shape}"
        )
    return classes, preprocessing
