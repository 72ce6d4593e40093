"""Reading an ONNX file that refcnn wrote, and running it in onnxruntime."""

import json

import numpy as np

from ..data import Preprocessing
from ..errors import DataError, ShapeError


class OnnxModel:
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

    def predict(self, x):
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
        """
        x = np.asarray(x)
        if x.ndim == 0 or not len(x) or x.shape[1:] != self.input_shape or x.dtype.kind not in "fiub":
            raise ShapeError(
                f"{self.path}: the input has shape {x.shape} and dtype {x.dtype}. Give numbers of shape "
                f"{('N', *self.input_shape)}, at least one example."
            )
        return self._session.run(np.ascontiguousarray(x, dtype=np.float32))[self.output_name]


def load(path):
    """Read an ONNX file that :func:`export` wrote.

    Parameters
    ----------
    path : str or os.PathLike

    Returns
    -------
    OnnxModel

    Raises
    ------
    DataError
        If the file is missing, corrupt, not written by refcnn, or keeps data outside itself.
    """
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}. Give the path of an ONNX file that refcnn wrote."
        ) from None

    import onnx
    from google.protobuf.message import DecodeError

    from . import graph, runtime

    try:
        model = onnx.load_model_from_string(content)
    except DecodeError:
        raise DataError(f"{path} is no whole ONNX file. Give a file that refcnn wrote, or export it anew.") from None
    if model.producer_name != graph.PRODUCER:
        raise DataError(
            f"{path} was not written by refcnn (its producer is {model.producer_name!r}). Give a file that refcnn "
            "wrote."
        )
    if any(isinstance(entry, onnx.TensorProto) and onnx.external_data_helper.uses_external_data(entry)
           for entry in _messages(model)):  # fmt: skip
        raise DataError(
            f"{path} keeps data in other files, which refcnn never writes and does not follow. Export the model anew."
        )
    try:
        session = runtime.Session(content)
    except Exception as error:
        # onnxruntime's exceptions have no common class of their own.
        raise DataError(f"{path} is damaged: {str(error).strip()} Export the model anew.") from None
    try:
        (image,), (output,) = model.graph.input, model.graph.output
        input_shape = tuple(axis.dim_value for axis in image.type.tensor_type.shape.dim[1:])
        metadata = {entry.key: entry.value for entry in model.metadata_props}
        classes, preprocessing = (
            json.loads(metadata.get(key, "null")) for key in (graph.CLASSES_KEY, graph.PREPROCESSING_KEY)
        )
        if classes is not None and not (isinstance(classes, list) and all(isinstance(name, str) for name in classes)):
            raise ValueError(f"the classes are {classes!r}")
        preprocessing = None if preprocessing is None else Preprocessing.from_json(preprocessing)
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error} Export the model anew.") from None
    return OnnxModel(
        path, session, input_shape, output.name, None if classes is None else tuple(classes), preprocessing
    )  # fmt: skip


def _messages(message):
    """Yield a protocol buffer message and all messages inside it."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for entry in [value] if hasattr(value, "ListFields") else value:
                yield from _messages(entry)
