"""What tells the classes of images: the best checkpoint of a run, or any ONNX file."""

import os

import numpy as np

from .. import program
from ..errors import ArgumentError, CheckpointError, DataError
from ..reading import read_plain, reading
from .image_options import ImageOptions
from .run_folder import RunFolder

_NAMES = "Give --classes FILE for the names of the classes, one on each line."
_ADVICE = "Give a text file with the name of a class on each line, in the order of the scores."


def open_classifier(path, *, named_model=None, images=None, **options):
    """Return what tells the classes of images by a run's folder or an ONNX file.

    The parameters are those of :class:`refcnn.runs.prediction.Predictor`.

    Returns
    -------
    RunClassifier or FileClassifier
    """
    images = images or ImageOptions()
    if not os.path.isdir(path):
        if not os.path.lexists(path):
            raise CheckpointError(f"{path} does not exist. Give the folder of a training run, or an .onnx file.")
        return FileClassifier(path, images, **options)
    run = RunFolder.open(path, named_model)
    if run.has_own_model and named_model is None and run.is_exported:
        return FileClassifier(run.model_file, images, data=run.configuration.data, **options)
    return RunClassifier(run, images)


class RunClassifier:
    """The best checkpoint of a run, on the active backend.

    Attributes
    ----------
    path : pathlib.Path
    classes : tuple of str
    preprocessing : Preprocessing
    dtype : str
        Of the input.
    onnx_file : pathlib.Path or None
        What was exported of it.
    output_number : int
        Which of the network's outputs the scores are.
    data : str
        The data set, as it was named.
    kind : str
        What these are, one of :data:`refcnn.onnx.metadata.SCORES`.
    """

    dtype, output_number, kind = "float32", 0, "logits"

    def __init__(self, run, images):
        self.path, self._model, self.data = run.path, run.best_model(), run.configuration.data
        self.onnx_file = run.model_file if run.is_exported else None
        self.classes = run.configuration.classes
        self.preprocessing = run.configuration.preprocessing.with_pixel_range(images.pixel_range)
        self.preprocessing.require_pixel_range()

    def scores(self, x):
        """Return the scores of a batch, float64 (N, K), and what they are."""
        return np.asarray(self._model(x).as_ndarray(), np.float64), self.kind

    def traced(self, x):
        """Return the :class:`~refcnn.program.Program` of the network on a batch."""
        return program.trace(self._model, x)


class FileClassifier:
    """An ONNX file, of which one image of zeros tells what its outputs are.

    Attributes
    ----------
    path : str or os.PathLike
    classes : tuple of str
        Numbers where neither the file nor anybody says their names.
    preprocessing : Preprocessing
    dtype : str
        Of the input.
    onnx_file : str or os.PathLike
        The same path.
    output_number : int
        Which of the network's outputs the scores are.
    data : str or None
        The data set, as it was named, of a run.
    kind : str
        What these are, one of :data:`refcnn.onnx.metadata.SCORES`.
    """

    def __init__(self, path, images, *, backend=None, classes=None, output=None, scores=None, data=None):
        from ..onnx.reading.image_model import open_image_model

        self._model = open_image_model(path, backend)
        self.path = self.onnx_file = path
        self.data = data
        self.dtype = self._model.input.dtype
        self.preprocessing = images.preprocessing(self._model, advice=_NAMES)
        names = self._model.classes if classes is None else read_classes(classes)
        found = self._model.run(np.zeros((1, *self.preprocessing.shape), self.dtype))
        self._output = _output_of_scores(path, found, output, names)
        self.output_number = list(found).index(self._output)
        count = found[self._output].size
        if names is not None and len(names) != count:
            raise DataError(
                f"{path if classes is None else classes} names {len(names)} classes, but the output {self._output!r} "
                f"of {path} has {count} scores for an image. Give --classes FILE with a name for each."
            )
        self.classes = tuple(map(str, range(count))) if names is None else names
        self.kind = self._model.scores[self._output] if scores is None else scores

    def scores(self, x):
        """Return the scores of a batch, float64 (N, K), and what they are."""
        found = self._model.run(np.asarray(x, self.dtype))[self._output]
        if found.size != len(x) * len(self.classes):
            raise DataError(
                f"{self.path} gives {self._output!r} of shape {found.shape} for {len(x)} images, but "
                f"{len(self.classes)} scores for each are expected."
            )
        return found.reshape(len(x), -1).astype(np.float64), self.kind

    def traced(self, x):
        """Return the :class:`~refcnn.program.Program` of the network on a batch.

        Raises
        ------
        DataError
            If refcnn does not have all operators of the file.
        """
        from ..onnx.proof.tracing import traced
        from ..onnx.reading import foreign

        return traced(foreign.read(self.path, rebatch=False), [np.asarray(x, self.dtype)])


def _output_of_scores(path, found, wanted, names):
    """Return the name of the output that holds scores of classes: several numbers along one axis for an image."""
    if wanted is not None and wanted not in found:
        raise ArgumentError(f"--output is {wanted!r}, but {path} has {', '.join(map(repr, found))}.")
    fit = rows_of_scores(found, names if wanted is None else None)
    said = ", ".join(f"{name!r} ({array.dtype}, {'x'.join(map(str, array.shape))})" for name, array in found.items())
    if wanted is not None:
        fit = [name for name in fit if name == wanted]
    if not fit:
        raise DataError(
            f"{path} gives {said} for one image, but scores of classes are expected, several floats along one axis. "
            "Of other networks 'refcnn show features' shows what they see, and refcnn.onnx.load reads them in Python."
        )
    if len(fit) > 1:
        raise DataError(f"{path} gives {said} for one image. Say which are the scores of the classes: --output NAME.")
    return fit[0]


def rows_of_scores(found, names=None):
    """Return which of a network's outputs for one image may hold the scores of its classes.

    Parameters
    ----------
    found : dict of str to ndarray
        The outputs by their names.
    names : sequence of str, optional
        Of the classes: where several outputs may, these are as many as one has scores.

    Returns
    -------
    list of str
    """
    fit = [
        name
        for name, array in found.items()
        if array.dtype.kind == "f" and array.shape[:1] == (1,) and array.size == max(array.shape) > 1
    ]
    if names is not None and len(fit) > 1:
        return [name for name in fit if found[name].size == len(names)] or fit
    return fit


def read_classes(path):
    """Return the names of classes that stand in a text file, one on each line, a tuple of str.

    Raises
    ------
    DataError
        If it cannot be read, is no text in UTF-8, or a line in it is empty.
    """
    with reading(path, "a list of class names", DataError, _ADVICE):
        names = [line.strip() for line in read_plain(path).decode("utf-8-sig").rstrip().splitlines()]
        if "" in names or not names:
            raise ValueError(f"line {names.index('') + 1} is empty" if names else "it is empty")
    return tuple(names)
