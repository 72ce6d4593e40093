"""Any ONNX file that takes images: what goes in and what comes out, run by onnxruntime or on a backend of refcnn."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx

from ... import backend as backends
from ...errors import BackendError, DataError
from ...reading import read_plain, reading, reason
from .. import metadata, runtime
from ..writing.graph import PRODUCER
from . import checks, external, foreign

#: The types that an input may have.
_DTYPES = {onnx.TensorProto.FLOAT: "float32", onnx.TensorProto.UINT8: "uint8"}
#: As many channels image files give.
_CHANNELS = (1, 3)
_MOST_BYTES = 2**31 - 1
_WHAT, _ADVICE = "an ONNX file that can be read", "Give a whole file, or export it anew."


class ImageInput(NamedTuple):
    """The input of a file, as it is declared.

    Attributes
    ----------
    name : str
    dtype : str
        ``float32`` or ``uint8``.
    batch : int or None
        How many images at once, if it is one number.
    sizes : tuple of (int or None)
        Of the three axes of an image; None where it is free.
    """

    name: str
    dtype: str
    batch: int | None
    sizes: tuple

    @property
    def layout(self):
        """``NHWC`` if the last axis alone can be that of the channels, else ``NCHW``."""
        return "NHWC" if self.sizes[0] not in _CHANNELS and self.sizes[2] in _CHANNELS else "NCHW"

    def image_sizes(self, layout):
        """Return what is declared of an image in a layout, (channels, height, width)."""
        first, second, third = self.sizes
        return (third, first, second) if layout == "NHWC" else (first, second, third)

    def __str__(self):
        sizes = "x".join("?" if size is None else str(size) for size in (self.batch, *self.sizes))
        return f"{self.name!r} ({self.dtype}, {sizes})"


class ImageModel:
    """A file that takes images.

    Attributes
    ----------
    path : str or os.PathLike
    input : ImageInput
    classes : tuple of str or None
        As the file's metadata name them.
    preprocessing : refcnn.data.Preprocessing or None
        As in the metadata.
    scores : dict of str to str
        For each output what its numbers are if they are scores of classes, one of
        :data:`refcnn.onnx.metadata.SCORES`.
    network : ImportedModel or None
        What computes on a backend of refcnn; None if onnxruntime computes.
    """

    def __init__(self, path, run, network, image, classes, preprocessing, scores):
        self.path, self.input, self.network = path, image, network
        self.classes, self.preprocessing, self.scores = classes, preprocessing, scores
        self._run, self._most = run, image.batch

    def run(self, x):
        """Return all outputs of a batch of any size, a dict of ndarrays by their names.

        Raises
        ------
        DataError
            If they cannot be computed.
        """
        if self._most is not None:
            return self._by_parts(x, self._most)
        try:
            outputs = self._computed(x)
        except DataError:
            if len(x) == 1:
                raise
            outputs = {}
        if len(x) > 1 and not all(array.shape[:1] == (len(x),) for array in outputs.values() or [np.zeros(())]):
            # The batch is declared as free, and yet a shape inside holds it at one.
            self._most = 1
            return self._by_parts(x, 1)
        return outputs

    def _by_parts(self, x, size):
        """Compute so many images at a time; what is missing in the last part is black, and dropped again."""
        found = []
        for start in range(0, len(x), size):
            part = x[start : start + size]
            missing = np.zeros((size - len(part), *x.shape[1:]), x.dtype)
            outputs = self._computed(np.concatenate([part, missing]))
            found.append({name: array[: len(part)] if len(missing) else array for name, array in outputs.items()})
        return {name: np.concatenate([part[name] for part in found]) for name in found[0]}

    def _computed(self, x):
        try:
            return self._run(x)
        except BackendError:
            raise
        except Exception as error:
            shape = "x".join(map(str, x.shape))
            raise DataError(
                f"{self.path} cannot be computed for its input {self.input.name!r} of {shape}: {reason(error)}."
            ) from error


def open_image_model(path, backend=None):
    """Open any ONNX file that has one input, for images.

    Parameters
    ----------
    path : str or os.PathLike
    backend : str or backend, optional
        The backend of refcnn that computes; onnxruntime does if none is given.

    Returns
    -------
    ImageModel

    Raises
    ------
    DataError
        If the file is missing or broken, keeps data elsewhere than in its own folder, or takes something else.
    UnsupportedError
        If it needs what the backend does not have.
    BackendError
        If there is no such backend.
    """
    backend = None if backend is None else backends.find(backend)
    with reading(path, _WHAT, DataError, _ADVICE):
        content = read_plain(path, _MOST_BYTES)
        model = onnx.load_model_from_string(content)
        is_whole = _check_external(model, path)
        if is_whole and model.producer_name == PRODUCER:
            model = checks.parse(content, PRODUCER, Path(path).parent)
        image = _image_input(model.graph, path)
        classes, preprocessing = metadata.read(model)
        scores = {entry.name: metadata.scores(model, entry.name) for entry in model.graph.output}
        if backend is None:
            # It looks for data beside a file whose path it is given.
            run, network = runtime.Session(content if is_whole else str(path)).run, None
        else:
            run, network = _on(backend, path)
    return ImageModel(path, run, network, image, classes, preprocessing, scores)


def _check_external(model, path):
    """Return whether a file is all in one piece; DataError if it keeps data elsewhere than in its own folder."""
    kept = [
        entry
        for entry in checks.messages(model)
        if isinstance(entry, onnx.TensorProto) and onnx.external_data_helper.uses_external_data(entry)
    ]
    for entry in kept:
        fields = {field.key: field.value for field in entry.external_data}
        try:
            external.path_of(entry.name, fields.get("location", ""), Path(path).parent)
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
    return not kept


def _on(backend, path):
    """Return what computes a file's outputs on a backend, and the model."""
    with backends.use_backend(backend):
        model = foreign.read(path, rebatch=False)

    def run(x):
        with backends.use_backend(backend):
            return dict(zip(model.output_names, model.run([x]), strict=True))

    return run, model


def _image_input(graph, path):
    constants = {entry.name for entry in graph.initializer}
    given = [entry for entry in graph.input if entry.name not in constants]
    expected = "one input of images, float32 or uint8, with a batch, channels, height and width in some order"
    if len(given) != 1:
        names = ", ".join(repr(entry.name) for entry in given) or "none"
        raise DataError(f"{path} has {len(given)} inputs ({names}), but {expected} is expected.")
    (entry,) = given
    tensor = entry.type.tensor_type
    sizes = [size.dim_value if size.dim_value > 0 else None for size in tensor.shape.dim]
    sizes = sizes if tensor.HasField("shape") else [None] * 4
    if tensor.elem_type not in _DTYPES or len(sizes) != 4:
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
        said = "x".join("?" if size is None else str(size) for size in sizes)
        raise DataError(f"{path} takes {entry.name!r} ({kind}, {said}), but {expected} is expected.")
    return ImageInput(entry.name, _DTYPES[tensor.elem_type], sizes[0], tuple(sizes[1:]))
