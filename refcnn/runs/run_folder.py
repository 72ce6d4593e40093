"""Run folders: where the files of a training run lie, and its configuration."""

import contextlib
import csv
import dataclasses
import hashlib
import itertools
import json
import os
import re
from pathlib import Path

import numpy as np

from .. import display, models
from ..data.stored import parts as parts_of
from ..errors import ArgumentError, CheckpointError, DataError, FileWriteError
from ..files import atomic_write, is_unfinished
from ..fitting.metrics import OF_CLASSES, ClassCounts
from ..locking import FOLDER_LOCK, locked_folder
from ..reading import parse_json, read_plain, reading
from . import imported
from .checkpoint import Checkpoint
from .configuration import Configuration
from .kept_kernels import KeptKernels

FORMAT = "refcnn run 1"
#: The columns of ``classes.csv`` beside the epoch.
CLASS_COLUMNS = ("class", "images", "precision", "recall", "f1")


class RunFolder:
    """A folder that holds one training run.

    Attributes
    ----------
    path : pathlib.Path
    configuration : Configuration
    named_model : str or None
        The model that the user named: only this may be code to import.
    """

    def __init__(self, path, configuration, named_model=None):
        self.path, self.configuration, self.named_model = Path(path), configuration, named_model

    def create(self, start=None):
        """Begin a run in a folder that :func:`claim` gave: write the configuration.

        Parameters
        ----------
        start : bytes, optional
            Of the ONNX file that the run starts from.

        Raises
        ------
        ArgumentError
            If the folder holds anything already.
        LockedError
            If another process is writing there.
        FileWriteError
            If it cannot be written.
        """
        with self.locked():
            # Another process may have begun a run there since it was looked at.
            check_free(self.path)
            if start is not None:
                with atomic_write(self.path / imported.COPY) as temporary:
                    temporary.write_bytes(start)
            self.update()

    def locked(self, advice="stop it"):
        """Return a context in which no other process writes in the folder; a process may enter it again within.

        Entering raises LockedError if another process is writing there, with the advice what to do beside waiting, and
        FileWriteError if nothing can be written there.
        """
        return locked_folder(self.path, advice)

    @classmethod
    def open(cls, path, named_model=None):
        """Open a folder in which a run was started; nothing that it names is imported.

        Parameters
        ----------
        path : str or os.PathLike
        named_model : str, optional
            The run's model, named by the user: without it a run of a model of one's own cannot build it.

        Raises
        ------
        CheckpointError
            If it holds no run, or the configuration is corrupt, or a field is of another type or range.
        ArgumentError
            If the run is of another model than that.
        """
        run = cls._read(path, named_model)
        if named_model is not None and named_model != run.configuration.model:
            raise ArgumentError(
                f"--model is {named_model}, but the run in {path} was started with {run.configuration.model}. "
                "Name that, or leave the option out."
            )
        return run

    @classmethod
    def _read(cls, path, named_model):
        file = Path(path) / "config.json"
        advice = "Give the folder that 'refcnn train' printed, or an earlier copy of the file."
        with reading(file, "the configuration of a run", CheckpointError, advice):
            if not file.exists():
                raise CheckpointError(
                    f"{path} holds no training run: there is no {file}. Give the folder that 'refcnn train' printed."
                )
            fields = parse_json(read_plain(file))
            if not isinstance(fields, dict) or fields.pop("format", None) != FORMAT:
                raise ValueError(f"its format is not {FORMAT!r}")
            return cls(path, Configuration.from_json(fields), named_model)

    def update(self, **changes):
        """Change fields of the configuration and write it.

        Raises
        ------
        FileWriteError
            If it cannot be written; the former file is unchanged.
        """
        self.configuration = dataclasses.replace(self.configuration, **changes)
        fields = self.configuration.to_json()
        with atomic_write(self.path / "config.json") as temporary:
            temporary.write_text(json.dumps({"format": FORMAT, **fields}, indent=2) + "\n", encoding="utf-8")

    @property
    def last(self):
        """Path of the checkpoint to resume from."""
        return self.path / "last.npz"

    @property
    def best(self):
        """Path of the checkpoint with the best validation accuracy."""
        return self.path / "best.npz"

    @property
    def model_file(self):
        """Path of the exported model."""
        return self.path / "model.onnx"

    @property
    def kernels(self):
        """The first layer's kernels of its epochs, :class:`KeptKernels`; none where the model has no such layer."""
        return KeptKernels(self.path / "kernels")

    def write_metrics(self, history):
        """Write ``metrics.csv``, one row for each epoch, and ``classes.csv``, one for each epoch and class.

        Raises
        ------
        FileWriteError
            If one cannot be written; the former file is unchanged.
        """
        # Epochs that an earlier version trained have fewer metrics.
        names = dict.fromkeys(name for row in history for name in row if not name.startswith(OF_CLASSES))
        self._write_table("metrics.csv", list(names), ({name: row.get(name) for name in names} for row in history))
        rows = (
            {"epoch": row["epoch"], **of_class}
            for row in history
            if f"{OF_CLASSES}right" in row
            for of_class in class_rows(row, self.configuration.classes)
        )
        self._write_table("classes.csv", ["epoch", *CLASS_COLUMNS], rows)

    def _write_table(self, name, columns, rows):
        with atomic_write(self.path / name) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)

    def best_model(self):
        """Return the model with the parameters of the best checkpoint, on the active backend.

        Raises
        ------
        CheckpointError
            If there is no such checkpoint yet, or it is corrupt or of another model.
        ArgumentError
            As :meth:`build_model`.
        """
        checkpoint = self._load(self.best)
        image_shape = self.configuration.preprocessing.shape
        # Before a model is built, which computes one such image.
        if checkpoint.image_shape not in (None, image_shape):
            raise CheckpointError(
                f"{self.best} was trained on images of shape {checkpoint.image_shape}, but {self.path / 'config.json'} "
                f"says {image_shape}. Put an earlier copy of the altered file in its place."
            )
        model = self.build_model()
        checkpoint.restore(model)
        return model

    @property
    def is_complete(self):
        """Whether the exported model and the pictures of all the epochs are there."""
        configuration = self.configuration
        return configuration.completed_epochs >= configuration.epochs or configuration.ended_early

    @property
    def is_exported(self):
        """Whether the exported model is there, and that of the best checkpoint; CheckpointError as in `history`."""
        # A run that was given no more time has fewer epochs than it could have.
        return self.model_file.exists() and len(self.history()) <= self.configuration.completed_epochs

    @property
    def has_own_model(self):
        """Whether the model is code of the user's own, MODULE:FUNCTION, and neither refcnn's nor an ONNX file."""
        return self.configuration.model not in models.NAMED and not self.configuration.is_imported

    def build_model(self):
        """Return the model as new.

        Raises
        ------
        ArgumentError
            If it is code that the user has not named: a run's folder may come from anyone.
        CheckpointError, DataError
            As of :meth:`build_imported`.
        """
        configuration = self.configuration
        if configuration.is_imported:
            return self.build_imported()[0]
        self.require_model()
        return models.build(configuration.model, configuration.preprocessing.shape, len(configuration.classes))

    def build_imported(self):
        """Return the model of the ONNX file that the run started from, and what was taken over of it.

        Raises
        ------
        CheckpointError
            If the file's copy is gone, or another.
        DataError
            If it cannot be read.
        """
        configuration = self.configuration
        file = imported.open_copy(self.path, configuration.weights_digest)
        return imported.build(file, configuration.preprocessing, configuration.classes)

    def require_model(self):
        """Raise as :meth:`build_model` does if the user must name the model first."""
        name = self.configuration.model
        if self.has_own_model and self.named_model != name:
            raise ArgumentError(
                f"the run in {self.path} is of the model {name}, code that refcnn does not import because a file says "
                f"so. If you trust it, name it: --model {display.quoted(name)}"
            )

    def command(self, *arguments):
        """Return the line to type for a command on this run, such as ``("train", "--resume", run.path)``."""
        named = ("--model", self.configuration.model) if self.has_own_model else ()
        return display.command(*arguments, *named)

    def history(self):
        """Return the rows of metrics of the last checkpoint; CheckpointError as in :meth:`best_model`."""
        return self._load(self.last).history

    def best_epoch(self):
        """Return the epoch of the best checkpoint; CheckpointError as in :meth:`best_model`."""
        return self._load(self.best).epoch

    def _load(self, path):
        if not self.best.exists():
            raise CheckpointError(
                f"{self.path} holds no trained model yet: no epoch was finished. "
                f"Go on with: {self.command('train', '--resume', self.path)}"
            )
        return Checkpoint.load(path)


def class_rows(row, classes):
    """Yield for each class a dict of what a row of metrics tells of it, by the names in :data:`CLASS_COLUMNS`.

    Parameters
    ----------
    row : dict
    classes : sequence of str
    """
    counts = ClassCounts(*(np.array(row[f"{OF_CLASSES}{field.name}"]) for field in dataclasses.fields(ClassCounts)))
    columns = (counts.examples, counts.precision, counts.recall, counts.f1)
    for name, *numbers in zip(map(display.shown, classes), *(column.tolist() for column in columns), strict=True):
        yield dict(zip(CLASS_COLUMNS, (name, *numbers), strict=True))


def check_free(path):
    """Raise ArgumentError unless ``path`` is missing or an empty folder, so that a run can start there."""
    path = Path(path)
    if os.path.lexists(path) and not os.path.isdir(path):
        raise ArgumentError(f"--out {path} is a file, but a folder is needed. Name another one.")
    try:
        names = (entry.name for entry in path.iterdir())
        entries = sorted(name for name in names if name != FOLDER_LOCK and not is_unfinished(name))
    except FileNotFoundError:
        entries = []
    except OSError as error:
        raise ArgumentError(f"--out {path} cannot be read: {error.strerror}. Name another folder.") from error
    if "config.json" in entries:
        with contextlib.suppress(CheckpointError):
            RunFolder.open(path)
            raise ArgumentError(
                f"--out {path} holds a training run already. Go on with it by --resume {display.quoted(path)}, or name "
                "another folder."
            )
    if entries:
        shown = ", ".join(entries[:5]) + (f" and {len(entries) - 5} more" if len(entries) > 5 else "")
        raise ArgumentError(
            f"--out {path} is not empty: it holds {shown}. Name a folder that is empty or does not exist yet."
        )


def claim(out, data, model, root="runs"):
    """Make the folder of a new run.

    Parameters
    ----------
    out : str or os.PathLike or None
        The folder, which may be there already.
    data, model : str
        Without ``out`` they name the folder, the first of ``runs/<data>-<model>-1``, ``-2``... that is not there; of
        processes that start at once each gets its own.
    root : str or os.PathLike
        In place of ``runs``.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    FileWriteError
        If it cannot be made.
    """
    stem = "-".join(re.sub(r"[^\w.]+", "_", Path(name).name) for name in (data, model))
    path = Path(root) if out is None else Path(out)
    try:
        path.mkdir(parents=True, exist_ok=True)
        if out is not None:
            return path
        for number in itertools.count(1):
            path = Path(root) / f"{stem}-{number}"
            with contextlib.suppress(FileExistsError):
                path.mkdir()
                return path
    except OSError as error:
        raise FileWriteError(
            f"the run folder {path} could not be made: {error.strerror}. Name another one with --out."
        ) from error


def common_digest(ranks, *parts):
    """Return the :func:`digest` of data sets of which each rank has loaded its own copy.

    Images that are not in memory are gone through by the first alone; the others look at the labels.

    Raises
    ------
    DataError
        If a rank has others than the first.
    """
    given = [part for part in parts if part is not None]
    if all(isinstance(part.x, np.ndarray) for part in given):
        whole = own = digest(*parts)
    else:
        whole = ranks.by_first(digest, *parts)
        own = [(part.x.shape, part.classes, hashlib.sha256(part.y.tobytes()).hexdigest()) for part in given]
    found = ranks.gather(own)
    others = [rank for rank, one in enumerate(found) if one != found[0]]
    if others:
        raise DataError(
            f"the data that rank {others[0]} has loaded are not those of rank 0. Give all machines the same files."
        )
    return whole


def digest(*parts):
    """Return the SHA-256 (hex) of data sets' images, labels and classes; None among them counts as absent."""
    total = hashlib.sha256()
    for part in parts:
        description = None if part is None else (part.x.shape, part.x.dtype.str, part.classes)
        total.update(repr(description).encode())
        if part is not None:
            for images in parts_of(part.x):
                total.update(images.tobytes())
            total.update(part.y.tobytes())
    return total.hexdigest()
