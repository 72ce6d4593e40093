"""Reading an ONNX file that refcnn wrote, and running it in onnxruntime."""

import math

import numpy as np

from ..data import Preprocessing
from ..errors import DataError, ShapeError
from ..reading import check, parse_json, read_plain, reading

#: Protocol buffers hold no more bytes.
_MOST_BYTES = 2**31 - 1
#: Elements of any one array while an example is computed: 512 MiB. Sizes in a damaged file may be anything.
_MOST_ELEMENTS = 2**27
_OUTPUTS = ("logits", "probabilities")
_DOMAINS = ("", "ai.onnx")
_WHAT, _ADVICE = "a whole ONNX file of refcnn", "Give a file that refcnn wrote, or export the model anew."


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
        If the file is missing, corrupt, not written by refcnn, or keeps data outside itself; if its sizes, its classes
        and its preprocessing do not belong together, or its parameters are not finite.
    """
    with reading(path, _WHAT, DataError, _ADVICE):
        content = read_plain(path, _MOST_BYTES)

        import onnx

        from . import runtime
        from .writing import graph

        model = onnx.load_model_from_string(content)
        if model.producer_name != graph.PRODUCER:
            raise ValueError(f"it was not written by refcnn: its producer is {model.producer_name!r}")
        _check_constants(model)
        _check_graph(model)
        (input_shape, _), (output_shape, output_name) = map(_example, (model.graph.input, model.graph.output))
        if output_name not in _OUTPUTS:
            raise ValueError(f"its output is {output_name!r}, but {' or '.join(_OUTPUTS)} is expected")
        classes, preprocessing = _metadata(model, input_shape, output_shape)
        return OnnxModel(path, runtime.Session(content), input_shape, output_name, classes, preprocessing)


def _check_constants(model):
    """Hold every constant's size against its values, which must be finite; no other file is opened for them."""
    import onnx

    for tensor in messages(model):
        if not isinstance(tensor, onnx.TensorProto):
            continue
        if onnx.external_data_helper.uses_external_data(tensor):
            raise ValueError("it keeps data in other files, which refcnn never writes and does not follow")
        array = onnx.numpy_helper.to_array(tensor)
        if array.dtype.kind in "fc" and not np.isfinite(array).all():
            raise ValueError(f"its constant {tensor.name!r} holds NaN or infinity")


def _check_graph(model):
    """Infer every array's shape, hold it against what the file says, and refuse what is larger than any that is meant.

    onnxruntime allocates whatever attributes and shapes ask for.
    """
    import onnx

    if model.functions or any(node.domain not in _DOMAINS for node in model.graph.node):
        raise ValueError("it has functions or operators of its own, which refcnn never writes")
    if any(attribute.HasField("g") or attribute.graphs for node in model.graph.node for attribute in node.attribute):
        raise ValueError("it has graphs inside its graph, which refcnn never writes")
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True).graph
    arrays = {value.name: value for value in (*inferred.input, *inferred.output, *inferred.value_info)}
    for name in (name for node in model.graph.node for name in node.output if name):
        if name not in arrays or not arrays[name].type.tensor_type.HasField("shape"):
            raise ValueError(f"the shape of {name!r} does not follow from it")
    for name, array in arrays.items():
        sizes = [axis.dim_value for axis in array.type.tensor_type.shape.dim if axis.HasField("dim_value")]
        if min(sizes, default=0) < 0 or math.prod(sizes) > _MOST_ELEMENTS:
            raise ValueError(
                f"{name!r} would have the sizes {sizes} for each example, but at most {_MOST_ELEMENTS:,} elements are "
                "computed"
            )


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


def _metadata(model, input_shape, output_shape):
    from .writing import graph

    entries = {entry.key: entry.value for entry in model.metadata_props}
    classes, fields = (parse_json(entries.get(key, "null")) for key in (graph.CLASSES_KEY, graph.PREPROCESSING_KEY))
    if classes is not None:
        check(classes, {"type": "array", "items": {"type": "string"}})
        if output_shape != (len(classes),):
            raise ValueError(f"it names {len(classes)} classes, but the output of an example has shape {output_shape}")
        classes = tuple(classes)
    if fields is None:
        return classes, None
    try:
        preprocessing = Preprocessing.from_json(fields)
    except DataError as error:
        raise ValueError(str(error)) from None
    if preprocessing.shape != input_shape:
        raise ValueError(
            f"its preprocessing makes images of shape {preprocessing.shape}, but its input has shape {input_shape}"
        )
    return classes, preprocessing


def messages(message):
    """Yield a protocol buffer message and all messages inside it."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for entry in [value] if hasattr(value, "ListFields") else value:
                yield from messages(entry)
