"""Pictures of what a network sees, that of a run or any ONNX file: its first kernels, and an image's feature maps."""

import bisect
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import backend as backends
from .. import rooms
from ..errors import ArgumentError
from ..fitting.metrics import best_row
from ..mode import recording
from ..philox import own_generator
from ..stored import Parameter
from ..tape import tape
from . import mosaics, plotting
from .classifier import rows_of_scores
from .image_options import ImageOptions
from .run_data import validation_set

#: What can be shown.
KINDS = ("kernels", "features", "curves")
#: So many letters of a class's name have room beside others.
_SHORT_NAME = 12
#: Of kernels that can be drawn, (K, C/groups, kh, kw).
_DIMENSIONS = 4


class Seen(NamedTuple):
    """What a network made of an image.

    Attributes
    ----------
    image : ndarray, (C, H, W)
        As stored, in grey or RGB.
    convolutions : list of (ndarray, ndarray)
        As :func:`convolutions` gives them; of the first the weights of three channels are in RGB.
    predicted : str or None
        The class that the network takes the image for; None where its outputs tell none.
    label : str or None
        Its true class, if it is known.
    """

    image: np.ndarray
    convolutions: list
    predicted: str | None = None
    label: str | None = None

    @property
    def caption(self):
        """What is said of the image below it."""
        told = {"true class": self.label, "predicted": self.predicted}
        named = {what: plotting.labels([name])[0] for what, name in told.items() if name is not None}
        # A long name has a line of its own.
        lines = (f"{what}:{' ' if len(name) <= _SHORT_NAME else chr(10)}{name}" for what, name in named.items())
        return "\n".join(lines)


def convolutions(outputs):
    """Return the convolutions of images behind a network's outputs, in order, a list of (weights, feature maps).

    Parameters
    ----------
    outputs : sequence of Variable
        Computed while what is computed from what was recorded.

    Returns
    -------
    list of (ndarray (K, C/groups, kh, kw), ndarray (N, K, out_h, out_w))

    Raises
    ------
    ArgumentError
        If there is no convolution.
    """
    found = [(kernels.as_ndarray(), node.results()[0].as_ndarray()) for node, kernels in _convolving(outputs)]
    if not found:
        raise ArgumentError("the model has no convolution of images, so there are no kernels or feature maps to show.")
    return found


def _convolving(outputs):
    """Return the nodes of the convolutions of images behind a network's outputs, in order, each with its kernels."""
    nodes = {node: None for output in outputs for node in tape(output)}
    kernels_of = [(node, rooms.trait(rooms.LAYERS, node.operation, "KERNELS")) for node in nodes]
    return [
        (node, node.inputs[index])
        for node, index in kernels_of
        if index is not None and len(node.inputs[index].shape) == _DIMENSIONS
    ]


def first_kernels(model, shape):
    """Return the parameter that holds the kernels of a model's first convolution of images.

    One image of zeros tells, of which nothing that is drawn otherwise takes notice.

    Parameters
    ----------
    model : Model
    shape : (int, int, int)
        (C, H, W) of the images.

    Returns
    -------
    Parameter or None
        None where there is no such convolution, or its kernels are computed from others.
    """
    with own_generator((0, 0)), recording():
        y = model(np.zeros((1, *shape), np.float32))
    found = _convolving(y if isinstance(y, tuple) else (y,))
    return found[0][1] if found and isinstance(found[0][1], Parameter) else None


def look(model, preprocessing, stored=None, dtype="float32", classes=None, label=None):
    """Run a model, and return what it makes of an image.

    Parameters
    ----------
    model : Model
    preprocessing : Preprocessing
    stored : ndarray, (C, H, W), optional
        The image as stored; one of zeros if none is given.
    dtype : str
        Of the model's input.
    classes : sequence of str, optional
        Their names; by default their numbers.
    label : str, optional
        The true class.

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
    with recording():
        y = model(preprocessing.apply(stored)[None].astype(dtype))
    outputs = y if isinstance(y, tuple) else (y,)
    found, predicted = convolutions(outputs), _predicted(outputs, classes)
    (weights, maps), *others = found
    shown = stored[::-1] if preprocessing.colour == "BGR" else stored
    return Seen(shown, [(in_rgb(weights, preprocessing), maps), *others], predicted, label)


def in_rgb(weights, preprocessing):
    """Return the first convolution's kernels with their channels as they are shown, those of BGR as RGB."""
    is_reversed = preprocessing.colour == "BGR" and weights.shape[1] == preprocessing.channels
    return weights[:, ::-1] if is_reversed else weights


def look_at_first(model, validation):
    """Run a model, and return what it makes of the first image that it was validated on; the errors are those above.

    Parameters
    ----------
    model : Model
    validation : DataSet
    """
    names = validation.classes
    label = names[validation.y[0]]
    return look(model, validation.preprocessing, validation.x[0], classes=names, label=label)


def _predicted(outputs, names):
    found = {index: output.as_ndarray() for index, output in enumerate(outputs)}
    fit = rows_of_scores(found, names)
    if len(fit) != 1:
        return None
    scores = found[fit[0]].ravel()
    names = range(len(scores)) if names is None else names
    if not np.isfinite(scores).all() or len(names) != len(scores):
        return None
    return str(names[scores.argmax()])


def kernels(seen, figure=None, of=""):
    """Draw the kernels of the first convolution, in a figure that is given or a new one."""
    return _kernels(seen.convolutions[0][0], len(seen.image), figure, of)


def _kernels(weights, image_channels, figure, of):
    channels = ("R", "G", "B") if image_channels == weights.shape[1] == 3 else None
    return mosaics.kernels(weights, figure, of, channels)


def kernels_of_epoch(run, epoch, figure=None):
    """Draw the kernels of the first convolution as a run has kept them of an epoch.

    Parameters
    ----------
    run : RunFolder
    epoch : int
        0 is before the first.
    figure : matplotlib.figure.Figure, optional

    Raises
    ------
    ArgumentError
        If they were not kept.
    CheckpointError
        If their file is broken.
    """
    kept = run.kernels.epochs()
    if not kept:
        raise ArgumentError(
            f"{run.path} keeps no kernels of its epochs: the model has none, or an earlier version trained it. Leave "
            "--epoch out to see those of the best checkpoint."
        )
    if epoch not in kept:
        place = bisect.bisect(kept, epoch)
        nearest = " and ".join(map(str, kept[max(place - 1, 0) : place + 1]))
        raise ArgumentError(f"{run.path} keeps no kernels of epoch {epoch}. The nearest that it has: {nearest}.")
    preprocessing = run.configuration.preprocessing
    weights = in_rgb(run.kernels.load(epoch), preprocessing)
    return _kernels(weights, preprocessing.channels, figure, run_name(run, epoch))


def features(seen, figure=lambda: None, of=""):
    """Yield a figure of the feature maps after each convolution, each drawn in one that ``figure()`` gives."""
    for index, (_, maps) in enumerate(seen.convolutions, 1):
        _, count, height, width = maps.shape
        title = f"After convolution {index}: {count} feature map{'s' if count > 1 else ''} of {height}x{width}"
        yield mosaics.feature_maps(seen.image, maps[0], title, figure(), of, seen.caption)


def curves(run, history, figure=None):
    """Draw the curves of a run, in a figure that is given or a new one."""
    best = best_row(history, run.configuration.monitor)["epoch"]
    return plotting.curves(history, figure, f"{run_name(run)}, best epoch {best} of {len(history)}", best)


def training_name(model, data):
    """Return what pictures say of a training: its model and its data."""
    return " on ".join(_short(Path(name).name) for name in (model, data))


def run_name(run, epoch=None):
    """Return what pictures say of a run: its folder, its model, its data, and the epoch if they are of one."""
    training = training_name(run.configuration.model, run.configuration.data)
    return f"{_short(run.path.resolve().name)}: {training}" + ("" if epoch is None else f", epoch {epoch}")


def _short(name):
    return plotting.labels([name], plotting.LONGEST_NAME)[0]


def of_run(run, kind, image_path=None, figure=lambda: None, pixel_range=None, epoch=None):
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
    epoch : int, optional
        That whose kernels are shown; by default the best.

    Raises
    ------
    CheckpointError, DataError, ArgumentError
        If the run has no checkpoint yet, the image cannot be read, or the model has no convolution; or as of
        :func:`kernels_of_epoch`.
    """
    if kind == "curves":
        yield curves(run, run.history(), figure())
        return
    if epoch is not None:
        yield kernels_of_epoch(run, epoch, figure())
        return
    configuration = run.configuration
    preprocessing, of = configuration.preprocessing, run_name(run, run.best_epoch())
    model, stored = run.best_model(), None
    if kind == "features" and not image_path:
        seen = look_at_first(model, validation_set(configuration))
    else:
        if image_path:
            stored = preprocessing.with_pixel_range(pixel_range).load_image(image_path)
        seen = look(model, preprocessing, stored, classes=configuration.classes)
    yield from _figures(seen, kind, figure, of)


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
    seen = look(file.network, preprocessing, stored, file.input.dtype, file.classes)
    yield from _figures(seen, kind, figure, _short(Path(path).name))


def _figures(seen, kind, figure, of):
    if kind == "kernels":
        yield kernels(seen, figure(), of)
        return
    yield from features(seen, figure, of)


def default_path(path, kind, image_path=None, epoch=None):
    """Return where pictures are saved if nothing else is said: in a run's folder, or beside an ONNX file.

    Of an image or an epoch that was given the name tells it, so that a run's own example stays.
    """
    stem = kind if image_path is None else f"{kind}_{Path(image_path).stem}"
    stem += "" if epoch is None else f"_epoch_{epoch}"
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
