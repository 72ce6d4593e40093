"""What is checked of an ONNX file before anything computes with it: it may hold anything."""

import math

import numpy as np
import onnx

from .external import external_array

#: Of any one array that is made of numbers in a file, and its elements if they are floats. Sizes in a damaged file may
#: be anything.
MOST_BYTES = 2**29
MOST_ELEMENTS = MOST_BYTES // 4
_DOMAINS = ("", "ai.onnx")
#: Of any one array of integers along one axis: ONNX's inference lays out as many sizes as such an array may hold.
_MOST_INTEGERS = 2**16


def parse(content, producer, folder):
    """Return the ONNX model that a file holds.

    Parameters
    ----------
    content : bytes
    producer : str
        Who must have written it.
    folder : pathlib.Path
        Where it lies: the only one from which data beside it is read.

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    Exception
        Of any kind, if it holds no such model, or one that keeps data anywhere else, is no graph of ONNX's own
        operators, or computes arrays whose sizes are not known or too large.
    """
    model = onnx.load_model_from_string(content)
    if model.producer_name != producer:
        raise ValueError(f"it was not written by {producer}: its producer is {model.producer_name!r}")
    _check_constants(model, folder)
    _check_graph(model)
    return model


def keeps_data_elsewhere(model):
    """Return whether initializers of a model lie in other files."""
    return bool(_outside(model))


def _outside(model):
    return [entry for entry in model.graph.initializer if onnx.external_data_helper.uses_external_data(entry)]


def _check_constants(model, folder):
    """Hold every constant's size against its values, which must be finite; only files of the folder are opened."""
    tensors = [entry for entry in messages(model) if isinstance(entry, onnx.TensorProto)]
    is_outside = list(map(onnx.external_data_helper.uses_external_data, tensors))
    if sum(is_outside) > len(_outside(model)):
        raise ValueError("it keeps data of attributes in other files, which refcnn never writes and does not follow")
    for tensor, elsewhere in zip(tensors, is_outside, strict=True):
        array = external_array(tensor, folder) if elsewhere else onnx.numpy_helper.to_array(tensor)
        if array.dtype.kind in "fc" and not np.isfinite(array).all():
            raise ValueError(f"its constant {tensor.name!r} holds NaN or infinity")


def _check_graph(model):
    """Infer every array's shape, hold it against what the file says, and refuse what is larger than any that is meant.

    onnxruntime allocates whatever attributes and shapes ask for.
    """
    if model.functions or any(node.domain not in _DOMAINS for node in model.graph.node):
        raise ValueError("it has functions or operators of its own, which refcnn never writes")
    if any(attribute.HasField("g") or attribute.graphs for node in model.graph.node for attribute in node.attribute):
        raise ValueError("it has graphs inside its graph, which refcnn never writes")
    _check_for_inference(model.graph)
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True).graph
    arrays = {value.name: value for value in (*inferred.input, *inferred.output, *inferred.value_info)}
    for name in (name for node in model.graph.node for name in node.output if name):
        if name not in arrays or not arrays[name].type.tensor_type.HasField("shape"):
            raise ValueError(f"the shape of {name!r} does not follow from it")
    for name, array in arrays.items():
        sizes = [axis.dim_value for axis in array.type.tensor_type.shape.dim if axis.HasField("dim_value")]
        if min(sizes, default=0) < 0 or math.prod(sizes) > MOST_ELEMENTS:
            raise ValueError(
                f"{name!r} would have the sizes {sizes} for each example, but at most {MOST_ELEMENTS:,} elements are "
                "computed"
            )


def _check_for_inference(graph):
    """Refuse what ONNX's inference of shapes does not survive: it cuts large numbers off, and trusts small ones."""
    for node in graph.node:
        for attribute in node.attribute:
            if any(abs(number) > MOST_ELEMENTS for number in (attribute.i, *attribute.ints)):
                raise ValueError(
                    f"the attribute {attribute.name} of {node.op_type} holds a number past {MOST_ELEMENTS:,}"
                )
            if attribute.name == "num_outputs" and attribute.i != len(node.output):
                raise ValueError(f"a {node.op_type} has num_outputs={attribute.i}, but {len(node.output)} outputs")
    for value in (*graph.input, *graph.output, *graph.value_info):
        tensor = value.type.tensor_type
        sizes = [axis.dim_value for axis in tensor.shape.dim]
        if tensor.elem_type != onnx.TensorProto.FLOAT and len(sizes) == 1 and sizes[0] > _MOST_INTEGERS:
            raise ValueError(f"{value.name!r} is said to hold {sizes[0]:,} integers")


def messages(message):
    """Yield a protocol buffer message and all messages inside it."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for entry in [value] if hasattr(value, "ListFields") else value:
                yield from messages(entry)
