"""The data of an ONNX file's page, as ``report.schema.json`` has it."""

import contextlib
import os
from pathlib import Path

from ...data import Preprocessing
from ...errors import RefcnnError
from ...pages.texts import short
from .. import drawing
from . import gathering, model_table, pictures, verified

#: Larger examples are not computed: a size in a damaged file may be anything.
_MOST_NUMBERS = 2**22


def of_file(path, wanted):
    """Return the data of an ONNX file's page, and its pictures by their elements, two dicts.

    Parameters
    ----------
    path : str or os.PathLike
    wanted : refcnn.runs.pages.verified.Wanted

    Raises
    ------
    DataError
        If it cannot be read.
    """
    from ...onnx.reading.description import describe

    described = describe(path)
    left_out = []
    data = {
        "schema": gathering.SCHEMA,
        "kind": "file",
        "written": gathering.written(),
        "file": {
            "name": short(Path(path).name),
            "bytes": os.path.getsize(path),
            "producer": short(described.producer),
            "opset": described.opset,
            "inputs": [_tensor(one) for one in described.inputs],
            "outputs": [_tensor(one) for one in described.outputs],
            "classes": None if described.classes is None else gathering.shown_classes(described.classes),
            "preprocessing": None if described.preprocessing is None else described.preprocessing.to_json(),
        },
        **dict.fromkeys(("model", "kernels", "verification", "unverified")),
        "certificate": described.certificate,
    }
    if data["file"]["classes"] is not None and len(described.classes) > gathering.MOST_CLASSES:
        data["file"]["classes"] = data["file"]["classes"][: gathering.MOST_CLASSES]
        left_out.append(f"Of {len(described.classes):,} classes all but the first {gathering.MOST_CLASSES:,}.")
    shown = {}
    if described.model is None:
        left_out.append(f"Layers and kernels: {described.unsupported}")
        data["unverified"] = described.unsupported
    else:
        shown = _computed(described, data, left_out)
        data["verification"], data["unverified"] = verified.told(path, described, data["model"], wanted)
    return data | {"left_out": left_out}, shown


def _computed(described, data, left_out):
    """Enter the layers, and the kernels, whose pictures are returned."""
    shape, shown = _example(described), {}
    dtype = described.inputs[0].dtype if described.inputs else "float32"
    data["model"] = model_table.told(described.model, shape, dtype)
    if not data["model"]["has_costs"]:
        left_out.append("Shapes, operations and memory: the file does not say what one example is, or computes none.")
    seen = _look(described, shape, dtype)
    if seen is not None:
        data["kernels"], shown = pictures.kernels(seen)
    else:
        reason = "no convolution of images was found" if data["model"]["has_costs"] else "no image was computed"
        left_out.append(f"Kernels: {reason}.")
    return shown


def _tensor(tensor):
    return {"name": short(tensor.name), "dtype": tensor.dtype, "sizes": list(tensor.sizes)}


def _example(described):
    """Return the shape of one example, or None where the file does not tell."""
    if len(described.inputs) != 1 or not described.inputs[0].dtype:
        return None
    sizes, known = described.inputs[0].sizes[1:], described.preprocessing
    if None in sizes and known is not None and len(sizes) == len(known.shape):
        sizes = tuple(own or other for own, other in zip(sizes, known.shape, strict=True))
    total = 1
    for size in sizes:
        total *= size or 0
    return sizes if 0 < total <= _MOST_NUMBERS else None


def _look(described, shape, dtype):
    """Return what the convolutions of a file make of an image of zeros, or None if there are none."""
    if shape is None or len(shape) != 3:
        return None
    preprocessing = described.preprocessing
    if preprocessing is None:
        preprocessing = Preprocessing(1.0, *shape, white=None)
    with contextlib.suppress(RefcnnError):
        return drawing.look(described.model, preprocessing, dtype=dtype)
    return None
