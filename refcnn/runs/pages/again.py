"""The command that does a training again."""

import dataclasses

from ... import data
from .. import options
from ..configuration import Configuration

#: Options that are always told, however they are by default.
_TOLD = ("epochs", "batch_size", "optimizer", "lr", "seed", "backend")
#: What a configuration holds that is no option, or is told otherwise.
_OTHERS = (
    *("data", "data_dir", "data_digest", "classes", "preprocessing", "model", "weights", "weights_digest"),
    *("device", "versions", "completed_epochs", "stratified", "ended_early"),
)


def arguments(configuration):
    """Return the arguments of refcnn that train as a run was trained, in the folder that is current now.

    How many processes trained is not known, nor after which ``--time``.

    Parameters
    ----------
    configuration : Configuration

    Returns
    -------
    list of str
    """
    found = ["train", "--data", configuration.data]
    if configuration.data_dir is not None:
        found += ["--data-dir", configuration.data_dir]
    if not configuration.is_imported:
        found += ["--model", configuration.model]
    if configuration.weights is not None:
        found += ["--from", configuration.weights]
    found += _of_images(configuration)
    for field in dataclasses.fields(Configuration):
        value = getattr(configuration, field.name)
        is_other = field.name not in _OTHERS and value not in (None, _default(configuration, field))
        if field.name in _TOLD or is_other:
            found += _written(field.name, value)
    return found


def _of_images(configuration):
    """Return how a data set that lies at a path becomes images: what arrays do not tell of themselves."""
    preprocessing = configuration.preprocessing
    if configuration.data in data.NAMES:
        return []
    found = ["--image-fit", preprocessing.fit]
    black, white = preprocessing.black, preprocessing.white
    if white is not None and (black, white) != (0, 255):
        found += ["--pixel-range", repr(black), repr(white)]
    return found


def _default(configuration, field):
    # A single batch is not proved, if nothing else is said.
    return not configuration.overfit_batch if field.name == "proof" else field.default


def _written(name, value):
    flag = options.flag(name)
    if value is True:
        return [flag]
    if value is False:
        return [f"--no-{flag.removeprefix('--')}"]
    if name == "freeze":
        return [word for layer in value for word in (flag, layer)]
    if name == "image_size":
        return [flag, "x".join(map(str, value))]
    if isinstance(value, tuple):
        return [flag, ",".join(map(repr, value))]
    return [flag, str(value)]
