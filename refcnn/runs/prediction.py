"""Predicting the classes of image files, by an exported model or by a run's best checkpoint."""

import os
from pathlib import Path

import numpy as np

from ..display import quoted
from ..errors import CheckpointError, DataError
from .run_folder import RunFolder


class Predictor:
    """A trained model ready for image files.

    Parameters
    ----------
    path : str or os.PathLike
        A run folder, whose best checkpoint computes on the active backend, or
        an ``.onnx`` file that refcnn exported, which onnxruntime runs. For a
        run of a model of one's own that is not named onnxruntime runs the
        ``model.onnx`` of the run.
    named_model : str, optional
        As in :meth:`RunFolder.open`.
    pixel_range : (float, float), optional
        What a black and a white pixel are in the images that the model was
        trained on, if the model does not know that, or otherwise.

    Attributes
    ----------
    classes : tuple of str
    preprocessing : Preprocessing

    Raises
    ------
    CheckpointError, DataError
        If there is no such model, or the file does not say how images become its input.
    ArgumentError
        If the run's model is code that was not named, or another than that.
    ExportError
        If the file is no model.
    """

    def __init__(self, path, *, named_model=None, pixel_range=None):
        self._open(path, named_model)
        self.preprocessing = self.preprocessing.with_pixel_range(pixel_range)
        self.preprocessing.require_pixel_range()

    def _open(self, path, named_model):
        run = RunFolder.open(path, named_model) if os.path.isdir(path) else None
        if run is not None and run.has_own_model and named_model is None and run.is_exported:
            path, run = run.model_file, None
        self._path = path
        if run is not None:
            model = run.best_model()
            self.classes, self.preprocessing = run.configuration.classes, run.configuration.preprocessing
            self._run, self._is_softmax_done = (lambda x: model(x).as_ndarray()), False
            return
        if not os.path.lexists(path):
            raise CheckpointError(
                f"{path} does not exist. Give the folder of a training run, or an .onnx file that refcnn exported."
            )
        from .. import onnx

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
        if os.path.isdir(image_path):
            raise DataError(
                f"{image_path} is a folder, but an image file is expected. Name the images in it, such as "
                f"{quoted(Path(image_path))}/*.png."
            )
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
