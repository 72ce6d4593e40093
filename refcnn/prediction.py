"""Predicting the classes of image files, by an exported model or by a run's best checkpoint."""

import os

import numpy as np

from .errors import CheckpointError, DataError
from .run_folder import RunFolder


class Predictor:
    """A trained model ready for image files.

    Parameters
    ----------
    path : str or os.PathLike
        A run folder, whose best checkpoint computes on the active backend, or
        an ``.onnx`` file that refcnn exported, which onnxruntime runs.

    Attributes
    ----------
    classes : tuple of str
    preprocessing : Preprocessing

    Raises
    ------
    CheckpointError, DataError
        If there is no such model, or the file does not say how images become its input.
    ExportError
        If the file is no model.
    """

    def __init__(self, path):
        self._path = path
        if os.path.isdir(path):
            run = RunFolder.open(path)
            model = run.best_model()
            self.classes, self.preprocessing = run.configuration.classes, run.configuration.preprocessing
            self._run, self._is_softmax_done = (lambda x: model(x).as_ndarray()), False
            return
        if not os.path.lexists(path):
            raise CheckpointError(
                f"{path} does not exist. Give the folder of a training run, or an .onnx file that refcnn exported."
            )
        from . import onnx

        model = onnx.load(path)
        if model.classes is None or model.preprocessing is None:
            raise DataError(
                f"{path} does not hold class names and preprocessing in its metadata, so it is not known how image "
                "files become its input. Give a model that 'refcnn train' or 'refcnn export' wrote."
            )
        self.classes, self.preprocessing = tuple(model.classes), model.preprocessing
        self._run, self._is_softmax_done = model.predict, model.output_name == "probabilities"

    def probabilities(self, image_path):
        """Return the probability of each class for an image file, float64 (K,).

        Raises
        ------
        DataError
            If the file cannot be read as an image; the message names it.
        CheckpointError
            If what the model computes is not finite.
        """
        x = self.preprocessing.apply(self.preprocessing.load_image(image_path))[None]
        output = self._run(x)[0].astype(np.float64)
        with np.errstate(invalid="ignore"):
            powers = output if self._is_softmax_done else np.exp(output - output.max())
            probabilities = powers / powers.sum()
        if not np.isfinite(probabilities).all():
            raise CheckpointError(
                f"{self._path} computes {output} for {image_path}, of which no probabilities can be made. Give another "
                "model, or an earlier copy of this one."
            )
        return probabilities

    def top(self, image_path, count):
        """Return the ``count`` most probable (class, probability) of an image file, the most probable first."""
        probabilities = self.probabilities(image_path)
        order = np.argsort(-probabilities, kind="stable")[:count]
        return [(self.classes[index], float(probabilities[index])) for index in order]
