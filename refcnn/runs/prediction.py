"""Predicting the classes of image files, by an ONNX file or by a run's best checkpoint."""

import contextlib
import itertools
import os
from typing import NamedTuple

import numpy as np

from ..data.ahead import ahead, reading_threads
from ..data.image_file import ImageBytes, files_in, size_of
from ..errors import CheckpointError, DataError
from .classifier import open_classifier

#: Images that are computed at once at most, and pixels: what layers make of large images takes much memory.
BATCH, MOST_PIXELS = 32, 2**21
#: How far the sides' proportion may change before it is worth a word.
MOST_DISTORTION = 1.1


class Predictor:
    """A trained model ready for image files.

    Parameters
    ----------
    path : str or os.PathLike
        A run folder, whose best checkpoint computes on the active backend, or
        any ``.onnx`` file that takes images. For a run of a model of one's own
        that is not named its ``model.onnx`` is taken.
    named_model : str, optional
        As in :meth:`RunFolder.open`.
    images : ImageOptions
        How image files become the input of an ``.onnx`` file; of a run the pixel range alone.
    backend : str, optional
        The backend of refcnn that runs an ``.onnx`` file; onnxruntime does if none is given.
    classes : str or os.PathLike, optional
        A text file with the names of an ``.onnx`` file's classes.
    output : str, optional
        Which output of an ``.onnx`` file holds the scores of the classes, if several can.
    scores : str, optional
        What these are, one of :data:`refcnn.onnx.metadata.SCORES`, if the file does not tell, or otherwise.

    Attributes
    ----------
    classes : tuple of str
    preprocessing : Preprocessing
    onnx_file : str, os.PathLike or None
        The network as an ONNX file; None of a run of which none was exported.
    data : str or None
        The data set that it was trained on, as it was named; None of an ONNX file.

    Raises
    ------
    CheckpointError, DataError
        If there is no such model, or it is not known how images become its input.
    ArgumentError
        If the run's model is code that was not named, or another than that.
    """

    def __init__(self, path, **options):
        self._classifier = open_classifier(path, **options)
        self.classes, self.preprocessing = self._classifier.classes, self._classifier.preprocessing
        self.onnx_file, self.data = self._classifier.onnx_file, self._classifier.data

    def predictions(self, paths, count=1):
        """Yield what the images show, in their order; they are read ahead, and computed in batches.

        Parameters
        ----------
        paths : iterable of str or os.PathLike
            Image files, and folders, for which all the image files in them stand.
        count : int
            How many classes to name at most.

        Yields
        ------
        Prediction
            Also of a file that cannot be read.

        Raises
        ------
        CheckpointError
            If what the model computes is not finite.
        """
        pixels = self.preprocessing.height * self.preprocessing.width
        size = max(1, min(BATCH, MOST_PIXELS // pixels))
        with contextlib.closing(ahead(self._read_entry, _files(paths), reading_threads())) as read:
            while batch := list(itertools.islice(read, size)):
                whole = [image for image in batch if image.error is None]
                rows = iter(self.probabilities(whole) if whole else ())
                for image in batch:
                    ranked = self.ranked(next(rows), count) if image.error is None else []
                    yield Prediction(image.path, ranked, image.remarks, image.error)

    def ranked(self, row, count):
        """Return the most probable classes and their probabilities, a list of (str, float), of a row of these."""
        order = np.argsort(-row, kind="stable")[:count]
        return [(self.classes[index], float(row[index])) for index in order]

    def _read_entry(self, entry):
        path, error = entry
        return self.read(path) if error is None else ReadImage(path, None, None, (), error)

    def read(self, path):
        """Return a :class:`ReadImage` of an image file, also of one that cannot be read.

        Parameters
        ----------
        path : str, os.PathLike or refcnn.data.image_file.ImageBytes
        """
        try:
            stored = self.preprocessing.load_image(path)
            remarks = tuple(self._remarks(path, stored))
        except DataError as error:
            return ReadImage(path, None, None, (), str(error))
        return ReadImage(path, stored, self.preprocessing.apply(stored), remarks, None)

    def _remarks(self, path, stored):
        preprocessing = self.preprocessing
        if clauses := preprocessing.strangeness(stored):
            yield f"{path} is far from the images that the model was trained on: {'; '.join(clauses)}."
        if preprocessing.fit != "stretch":
            return
        height, width = size_of(path)
        distortion = (width * preprocessing.height) / (height * preprocessing.width)
        if max(distortion, 1 / distortion) > MOST_DISTORTION:
            yield (
                f"{path} has {height}x{width} pixels (height x width), and is stretched to "
                f"{preprocessing.height}x{preprocessing.width}, with its sides in another proportion."
            )

    def traced(self, image):
        """Return the :class:`~refcnn.program.Program` of the network on one image.

        Parameters
        ----------
        image : ReadImage

        Raises
        ------
        DataError, ExportError
            If refcnn does not have all that the network computes.
        """
        return self._classifier.traced(self.input_of(image))

    @property
    def output_number(self):
        """Which of the outputs of that program holds the scores."""
        return self._classifier.output_number

    @property
    def kind(self):
        """What the scores are, one of :data:`refcnn.onnx.metadata.SCORES`."""
        return self._classifier.kind

    def scores(self, x):
        """Return the scores of the classes for a batch of the network's inputs, float64 (N, K)."""
        return self._classifier.scores(x)[0]

    def input_of(self, image):
        """Return the network's input of one image that was read, an ndarray (1, ...)."""
        return image.x[None].astype(self._classifier.dtype)

    def probabilities(self, images):
        """Return the probabilities of the classes, float64 (N, K).

        Parameters
        ----------
        images : sequence of ReadImage
            None of them with an error.

        Raises
        ------
        CheckpointError
            If what the model computes is not finite.
        """
        scores, kind = self._classifier.scores(np.stack([image.x for image in images]))
        with np.errstate(invalid="ignore", over="ignore"):
            powers = np.exp(scores - scores.max(axis=1, keepdims=True)) if kind == "logits" else scores
            probabilities = scores if kind == "independent" else powers / powers.sum(axis=1, keepdims=True)
        is_finite = np.isfinite(probabilities).all(axis=1)
        if not is_finite.all():
            wrong = int(np.argmin(is_finite))
            raise CheckpointError(
                f"{self._classifier.path} computes {scores[wrong]} for {images[wrong].path}, of which no probabilities "
                "can be made. Give another model, or an earlier copy of this one."
            )
        return probabilities


class Prediction(NamedTuple):
    """What an image file shows.

    Attributes
    ----------
    path : str or os.PathLike
    classes : list of (str, float)
        The most probable classes and their probabilities, the most probable first; none where there is an error.
    remarks : tuple of str
        What speaks against trusting them.
    error : str or None
        Why the file could not be read.
    """

    path: str | os.PathLike
    classes: list
    remarks: tuple
    error: str | None


class ReadImage(NamedTuple):
    """An image file that was read.

    Attributes
    ----------
    path : str, os.PathLike or ImageBytes
    stored : ndarray, (C, H, W), or None
        In the form that the data set stores.
    x : ndarray or None
        The network's input.
    remarks : tuple of str
        What speaks against trusting what is computed of it.
    error : str or None
        Why it could not be read.
    """

    path: str | os.PathLike | ImageBytes
    stored: np.ndarray | None
    x: np.ndarray | None
    remarks: tuple
    error: str | None


def _files(paths):
    """Yield (path, None) of each image file, and (path, message) of a folder that holds none."""
    for path in paths:
        if not os.path.isdir(path):
            yield path, None
            continue
        try:
            files = files_in(path)
        except DataError as error:
            yield path, str(error)
            continue
        yield from ((file, None) for file in files)
