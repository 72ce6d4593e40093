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

from . import models
from .checkpoint import Checkpoint
from .data import Preprocessing
from .errors import ArgumentError, CheckpointError, DataError, FileWriteError
from .files import atomic_write, is_unfinished
from .locking import FOLDER_LOCK, locked_folder

#: What the user types to call refcnn; the script of a checkout names itself.
COMMAND = os.environ.get("REFCNN_COMMAND", "refcnn")
FORMAT = "refcnn run 1"


@dataclasses.dataclass(frozen=True)
class Configuration:
    """What a run is, all that is needed to do it again.

    Attributes
    ----------
    data : str
        As :func:`refcnn.data.load` takes it; a path is absolute.
    data_dir : str or None
    data_digest : str
        SHA-256 of the images, labels and classes.
    classes : tuple of str
    preprocessing : Preprocessing
    model : str
        As :func:`refcnn.models.build` takes it.
    backend : str
        The name of the backend that computed last.
    device : str
        Its description.
    epochs, batch_size : int
    lr : float
    optimizer : str
    validation_split : float or None
        None: the data set's own test part is the validation part.
    seed : int
    completed_epochs : int
        The number of epochs for which the exported model and the pictures were made.
    """

    data: str
    data_dir: str | None
    data_digest: str
    classes: tuple
    preprocessing: Preprocessing
    model: str
    backend: str
    device: str
    epochs: int
    batch_size: int
    lr: float
    optimizer: str
    validation_split: float | None
    seed: int
    completed_epochs: int = 0


class RunFolder:
    """A folder that holds one training run.

    Attributes
    ----------
    path : pathlib.Path
    configuration : Configuration
    """

    def __init__(self, path, configuration):
        self.path, self.configuration = Path(path), configuration

    def create(self):
        """Begin a run in a folder that :func:`claim` gave: write the configuration.

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
            self.update()

    def locked(self, advice="stop it"):
        """Return a context in which no other process writes in the folder; a process may enter it again within.

        Entering raises LockedError if another process is writing there, with the advice what to do beside waiting, and
        FileWriteError if nothing can be written there.
        """
        return locked_folder(self.path, advice)

    @classmethod
    def open(cls, path):
        """Open a folder in which a run was started.

        Raises
        ------
        CheckpointError
            If it holds no run, or the configuration is corrupt.
        """
        file = Path(path) / "config.json"
        try:
            fields = json.loads(file.read_bytes())
            if fields.pop("format") != FORMAT:
                raise KeyError("format")
            fields["classes"] = tuple(fields["classes"])
            fields["preprocessing"] = Preprocessing.from_json(fields["preprocessing"])
            return cls(path, Configuration(**fields))
        except (FileNotFoundError, NotADirectoryError):
            raise CheckpointError(
                f"{path} holds no training run: there is no {file}. Give the folder that 'refcnn train' printed."
            ) from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, DataError) as error:
            raise CheckpointError(
                f"{file} is not the configuration of a run ({type(error).__name__}: {error}). "
                "Give the folder that 'refcnn train' printed, or an earlier copy of the file."
            ) from error

    def update(self, **changes):
        """Change fields of the configuration and write it.

        Raises
        ------
        FileWriteError
            If it cannot be written; the former file is unchanged.
        """
        self.configuration = dataclasses.replace(self.configuration, **changes)
        fields = {field.name: getattr(self.configuration, field.name) for field in dataclasses.fields(Configuration)}
        fields["preprocessing"] = self.configuration.preprocessing.to_json()
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

    def write_metrics(self, history):
        """Write ``metrics.csv``, one row for each epoch.

        Raises
        ------
        FileWriteError
            If it cannot be written; the former file is unchanged.
        """
        with atomic_write(self.path / "metrics.csv") as temporary, open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, list(history[0]))
            writer.writeheader()
            writer.writerows(history)

    def best_model(self):
        """Return the model with the parameters of the best checkpoint, on the active backend.

        Raises
        ------
        CheckpointError
            If there is no such checkpoint yet, or it is corrupt or of another model.
        """
        checkpoint = self._load(self.best)
        configuration = self.configuration
        model = models.build(configuration.model, configuration.preprocessing.shape, len(configuration.classes))
        checkpoint.restore(model)
        return model

    def history(self):
        """Return the rows of metrics of the last checkpoint; CheckpointError as in :meth:`best_model`."""
        return self._load(self.last).history

    def _load(self, path):
        if not self.best.exists():
            raise CheckpointError(
                f"{self.path} holds no trained model yet: no epoch was finished. "
                f"Go on with: {COMMAND} train --resume {self.path}"
            )
        return Checkpoint.load(path)


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
                f"--out {path} holds a training run already. Go on with it by --resume {path}, or name another folder."
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


def digest(*parts):
    """Return the SHA-256 (hex) of data sets' images, labels and classes; None among them counts as absent."""
    total = hashlib.sha256()
    for part in parts:
        description = None if part is None else (part.x.shape, part.x.dtype.str, part.classes)
        total.update(repr(description).encode())
        if part is not None:
            total.update(part.x.tobytes())
            total.update(part.y.tobytes())
    return total.hexdigest()
