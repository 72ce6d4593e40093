"""The data of a run: where they lie, that they still are those that it was started with, and its two parts."""

import dataclasses
import os

from .. import data
from ..errors import ArgumentError, CheckpointError, DataError
from ..parallel.alone import ALONE
from ..philox import generator, own_generator
from . import imported, run_folder


def validation_set(configuration):
    """Return the images that a run was validated on.

    Raises
    ------
    DataError
        If the data set is gone, or has changed.
    """
    with own_generator((configuration.seed, 0)):
        return load(configuration)[1]


class _OtherDataError(DataError):
    """Data of another digest than the run was started with."""

    def __init__(self, configuration, found):
        self.digests = f"Its SHA-256 is {found}, but {configuration.data_digest} is expected."
        super().__init__(
            f"the data set {configuration.data} is not what it was when the run was started: its SHA-256 is {found}, "
            f"but was {configuration.data_digest}. If its files are the same, this version of refcnn reads them "
            "otherwise, as it does labels that skip numbers. Put the former data back, or start a new run."
        )


def refuse_another_name(run, options):
    """Raise ArgumentError for the name of a data set that is known to be another than the run's, before it is read."""
    former = run.configuration.data
    if {former, options.get("data", former)} <= set(data.NAMES) and options.get("data", former) != former:
        raise ArgumentError(_another_data_set(run, "data", options, run.configuration))


def load_again(run, configuration, options, ranks=ALONE):
    """Return what :func:`load` does, where the user may have named another place of the data.

    Parameters
    ----------
    run : RunFolder
    configuration : Configuration
        As the run is to go on.
    options : dict
        What the user gave.
    ranks : Ranks or Alone
        As of :func:`load`.

    Raises
    ------
    DataError, CheckpointError
        As :func:`load`; data that the user named are said to be others, and not to have changed.
    """
    former = run.configuration
    try:
        return load(configuration, ranks)
    except _OtherDataError as error:
        named = [option for option in ("data", "data_dir") if getattr(configuration, option) != getattr(former, option)]
        if not named:
            raise
        raise DataError(_another_data_set(run, named[0], options, former) + f" {error.digests}") from None


def _another_data_set(run, option, options, former):
    return (
        f"--{option.replace('_', '-')} {options[option]} is not the data set that the run in {run.path} was started "
        f"with, {former.data}{f' in {former.data_dir}' if former.data_dir else ''}. Leave the option out, name a copy "
        "of the run's own data, or start a new run."
    )


def places(options):
    """Return where the data lie, as absolute paths, which hold in whatever folder the run goes on."""
    found = {name: os.path.abspath(options[name]) for name in ("data", "data_dir") if options.get(name) is not None}
    return found | {"data": options["data"]} if options.get("data") in data.NAMES else found


def load(configuration, ranks=ALONE):
    """Return the training and the validation set of a run, as they were when it was started.

    Of several ranks the first alone goes through all the images.

    Raises
    ------
    DataError
        If the data set is gone, or has changed.
    CheckpointError
        If the configuration says other images or classes than there are.
    """
    written = configuration.preprocessing
    train, test = data.load(
        configuration.data,
        configuration.data_dir,
        None if written.white is None else (written.black, written.white),
        image_size=configuration.image_size,
        image_fit=configuration.image_fit,
        in_memory=configuration.in_memory,
    )
    found = run_folder.common_digest(ranks, train, test)
    if found != configuration.data_digest:
        raise _OtherDataError(configuration, found)
    # Before a model is built, which computes one image of the configuration's size.
    image = train.preprocessing
    if (written.shape, configuration.classes) != (image.shape, train.classes):
        raise CheckpointError(
            f"the configuration of the run says images of shape {written.shape} and {len(configuration.classes)} "
            f"classes, but the images of {configuration.data} have shape {image.shape} and {len(train.classes)} "
            "classes. Put an earlier copy of config.json in its place, or start a new run."
        )
    parts = divide(configuration.validation_split, train, test, configuration.stratified, ranks)
    if configuration.is_imported:
        parts = imported.normalised(parts, written)
    return single_batch(parts[0], configuration.batch_size) if configuration.overfit_batch else parts


def divide(validation_split, train, test, stratify, ranks=ALONE):
    """Return the training and the validation set, both standardised by the former."""
    # Drawn first of all after the seed is set, so that any process finds the same parts again.
    parts = (train, test)
    if validation_split is not None:
        parts = data.split(train, validation_split, generator.permutation(len(train)), stratify)
    preprocessing = ranks.by_first(parts[0].preprocessing.standardised, parts[0].x)
    return [dataclasses.replace(part, preprocessing=preprocessing) for part in parts]


def single_batch(train, batch_size):
    """Return one random batch of a data set twice: as the training and as the validation set."""
    batch = train.subset(generator.permutation(len(train))[:batch_size])
    return [batch, batch]
