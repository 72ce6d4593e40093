"""What an ONNX file says of itself: who wrote it, what goes in and comes out, and the metadata."""

import dataclasses

import numpy as np
import onnx

from ...errors import UnsupportedError
from ...reading import printable
from .. import metadata
from . import nodes
from .foreign import graph_of, read_with
from .imported import ImportedModel


@dataclasses.dataclass(frozen=True)
class Tensor:
    """An input or an output of a file.

    Attributes
    ----------
    name : str
    dtype : str
        As NumPy calls it; of others, such as sequences, ``""``.
    sizes : tuple of (int or None)
        Along each axis; None where it is free.
    """

    name: str
    dtype: str
    sizes: tuple


@dataclasses.dataclass(frozen=True)
class Description:
    """What a file says of itself.

    Attributes
    ----------
    producer : str
        With its version.
    opset : int
        Of ONNX's own operators.
    inputs, outputs : tuple of Tensor
    classes : tuple of str or None
    preprocessing : refcnn.data.Preprocessing or None
    certificate : dict or None
        As :class:`refcnn.onnx.proof.certifying.Certificate` has it.
    model : ImportedModel or None
        None where it asks for what refcnn does not have.
    unsupported : str
        What that is.
    """

    producer: str
    opset: int
    inputs: tuple
    outputs: tuple
    classes: tuple | None
    preprocessing: object
    certificate: dict | None
    model: ImportedModel | None
    unsupported: str = ""


def describe(path):
    """Read an ONNX file, whoever wrote it.

    Parameters
    ----------
    path : str or os.PathLike

    Returns
    -------
    Description

    Raises
    ------
    DataError
        If it is missing or damaged.
    """
    return read_with(path, _described)


def _described(proto, folder):
    constants = {entry.name for entry in proto.graph.initializer}
    classes, preprocessing = metadata.read(proto)
    model, unsupported = None, ""
    try:
        model = ImportedModel(*graph_of(proto, folder, True))
    except UnsupportedError as error:
        unsupported = printable(str(error), nodes.MESSAGE_CHARACTERS)
    return Description(
        producer=f"{proto.producer_name} {proto.producer_version}".strip(),
        opset=next((entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")), 0),
        inputs=tuple(_tensor(entry) for entry in proto.graph.input if entry.name not in constants),
        outputs=tuple(map(_tensor, proto.graph.output)),
        classes=classes,
        preprocessing=preprocessing,
        certificate=metadata.certificate(proto),
        model=model,
        unsupported=unsupported,
    )


def dtype_of(entry):
    """Return the dtype of a value that a file declares.

    Parameters
    ----------
    entry : onnx.ValueInfoProto

    Raises
    ------
    UnsupportedError
        If it declares none that is known.
    """
    try:
        return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(entry.type.tensor_type.elem_type))
    except KeyError:
        raise UnsupportedError(f"{entry.name!r} has no type of elements that is known.") from None


def _tensor(entry):
    tensor = entry.type.tensor_type
    try:
        dtype = dtype_of(entry).name
    except UnsupportedError:
        dtype = ""
    sizes = tuple(size.dim_value if size.dim_value > 0 else None for size in tensor.shape.dim)
    return Tensor(entry.name, dtype, sizes)
