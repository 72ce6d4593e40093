"""Pictures of what a network sees, that of a run or any ONNX file: its first kernels, and an image's feature maps."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import backend as backends
from ..errors import ArgumentError
from . import plotting
from .image_options import ImageOptions
from .run_data import validation_set

#: What can be shown.
KINDS = ("kernels", "features", "curves")


class Seen(NamedTuple):
    """What a network's convolutions made of an image.

    Attributes
    ----------
    image : ndarray, (C, H, W)
        As stored, in grey or RGB.
    convolutions : list of (ndarray, ndarray)
        As :func:`refcnn.runs.plotting.convolutions` gives them; of the first the weights of three channels are in RGB.
    """

    image: np.ndarray
    convolutions: list


def look(model, preprocessing, stored=None, dtype="float32"):
    """Run a model, and return what its convolutions make of an image.

    Parameters
    ----------
    model : Model
    preprocessing : Preprocessing
    stored : ndarray, (C, H, W), optional
        The image as stored; one of zeros if none is given.
    dtype : str
        Of the model's input.

    Returns
    -------
    Seen

    Raises
    ------
    ArgumentError
        If the model has no convolution of images.
    """
    if stored is None:
        stored = np.zeros((preprocessing.channels, preprocessing.height, preprocessing.width), np.float32)
    found = plotting.convolutions(model, preprocessing.apply(stored)[None].astype(dtype))
    if preprocessing.colour != "BGR":
        return Seen(stored, found)
    (weights, maps), *others = found
    weights = weights[:, ::-1] if weights.shape[1] == preprocessing.channels else weights
    return Seen(stored[::-1], [(weights, maps), *others])


def kernels(seen, figure=None):
    """Draw the kernels of the first convolution, in a figure that is given or a new one."""
    return plotting.kernels(seen.convolutions[0][0], figure)


def features(seen, figure=lambda: None):
    """Yield a figure of the feature maps after each convolution, each drawn in one that ``figure()`` gives."""
    for index, (_, maps) in enumerate(seen.convolutions, 1):
        _, count, height, width = maps.shape
        title = f"After convolution {index}: {count} feature maps of {height}x{width}, each scaled to its own range"
        yield plotting.feature_maps(seen.image, maps[0], title, figure())


def of_run(run, kind, image_path=None, figure=lambda: None, pixel_range=None):
    """Yield figures of the kernels, the features or the curves of a run.

    Parameters
    ----------
    run : RunFolder
    kind : str
        One of :data:`KINDS`.
    image_path : str, optional
        The image whose features are shown; by default the first that the run was validated on.
    figure : callable, optional
        Gives an empty figure for each picture.
    pixel_range : (float, float), optional
        The values of a black and a white pixel, as of :class:`refcnn.runs.image_options.ImageOptions`.

    Raises
    ------
    CheckpointError, DataError, ArgumentError
        If the run has no checkpoint yet, the image cannot be read, or the model has no convolution.
    """
    preprocessing = run.configuration.preprocessing
    if kind == "curves":
        yield plotting.curves(run.history(), figure())
        return
    model, stored = run.best_model(), None
    if kind == "features" and image_path:
        stored = preprocessing.with_pixel_range(pixel_range).load_image(image_path)
    elif kind == "features":
        stored = validation_set(run.configuration).x[0]
    yield from _figures(look(model, preprocessing, stored), kind, figure)


def of_file(path, kind, image_path=None, figure=lambda: None, images=None):
    """Yield figures of the kernels or the features of an ONNX file, whoever wrote it.

    Parameters
    ----------
    path : str or os.PathLike
    kind, image_path, figure
        As of :func:`of_run`; features need an image.
    images : ImageOptions, optional
        How the image becomes the input of the file.

    Raises
    ------
    DataError
        If the file or the image cannot be read, or it is not known how the image becomes the input.
    ArgumentError
        If the model has no convolution, or what is wanted a file does not hold.
    """
    from ..onnx.reading.image_model import open_image_model

    if kind == "curves":
        raise ArgumentError(f"curves are of a run's epochs, which {path} does not hold. Give the folder of a run.")
    if kind == "features" and not image_path:
        raise ArgumentError(f"{path} holds no image whose features could be shown. Name one: --image IMAGE.")
    file = open_image_model(path, backends.active())
    preprocessing = (images or ImageOptions()).preprocessing(file, needs_values=kind == "features")
    stored = preprocessing.load_image(image_path) if image_path else None
    yield from _figures(look(file.network, preprocessing, stored, file.input.dtype), kind, figure)


def _figures(seen, kind, figure):
    if kind == "kernels":
        yield kernels(seen, figure())
        return
    yield from features(seen, figure)


def default_path(path, kind, image_path=None):
    """Return where pictures are saved if nothing else is said: in a run's folder, or beside an ONNX file.

    Of an image that was given the name tells it, so that a run's own example stays.
    """
    stem = kind if image_path is None else f"{kind}_{Path(image_path).stem}"
    path = Path(path)
    return path / f"{stem}.png" if path.is_dir() else path.with_name(f"{path.stem}_{stem}.png")


def save(figures, path, is_numbered):
    """Save figures in a file, or if they are numbered in one for each, and return the paths.

    Raises
    ------
    FileWriteError, ArgumentError
        If a file cannot be written, or has an ending that is no picture's.
    """
    paths = []
    for index, figure in enumerate(figures, 1):
        paths.append(path.with_stem(f"{path.stem}_{index}") if is_numbered else path)
        plotting.save(figure, paths[-1])
    return paths
