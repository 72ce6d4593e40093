"""Runs that start from an ONNX file: what is kept of it, and the model that is made of it."""

import dataclasses
import hashlib
import os

import numpy as np

from ..errors import ArgumentError, CheckpointError
from ..formats import FLOAT32
from ..mode import recording
from ..models.building import require_logits
from ..reading import read_plain, reading

#: The file's copy in the run folder, with all that it keeps beside itself.
COPY = "start.onnx"
_MOST_BYTES = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class Started:
    """What a model took over of an ONNX file; ``str()`` of it is one line.

    Attributes
    ----------
    path : str
    classes : int
        How many the run tells apart.
    changes : refcnn.onnx.reading.classifier.Changes
    tied : dict of str to tuple of str
        As of :class:`refcnn.onnx.reading.imported.ImportedModel`.
    is_normalised : bool
        Whether images are normalised as the file says.
    """

    path: str
    classes: int
    changes: object
    tied: dict
    is_normalised: bool

    def __str__(self):
        changes = self.changes
        clauses = [f"started from {self.path}"]
        if changes.renewed:
            clauses.append(
                f"a new last layer ({', '.join(changes.renewed)}) for {self.classes} classes in place of its "
                f"{changes.classes}"
            )
        if changes.left_out:
            clauses.append(f"{' and '.join(changes.left_out)} at its end left out")
        clauses += ["images normalised as it says"] if self.is_normalised else []
        clauses += [f"{' and '.join((name, *others))} tied, one parameter" for name, others in self.tied.items()]
        return "; ".join(clauses)


def open_file(path):
    """Return the :class:`refcnn.onnx.reading.classifier.File` at a path; errors as of its ``open_file``."""
    from ..onnx.reading import classifier

    return classifier.open_file(path)


def digest(content):
    """Return the SHA-256 (hex) of a file's bytes."""
    return hashlib.sha256(content).hexdigest()


def open_copy(folder, expected):
    """Return the file of which a run folder keeps a copy.

    Parameters
    ----------
    folder : pathlib.Path
    expected : str
        Its SHA-256.

    Raises
    ------
    CheckpointError
        If it is gone, or another.
    """
    path = folder / COPY
    advice = "Put the ONNX file back that the run started from, or start a new run."
    with reading(path, "the ONNX file of a run", CheckpointError, advice):
        found = digest(read_plain(path, _MOST_BYTES))
    if found != expected:
        raise CheckpointError(
            f"{path} is not the ONNX file that the run started from: its SHA-256 is {found}, but {expected} is "
            "expected. Put the former one back, or start a new run."
        )
    return open_file(path)


def build(file, preprocessing, classes):
    """Return a model of a file for classes of these names, checked, and what it took over, :class:`Started`.

    Raises
    ------
    UnsupportedError, ShapeError, ArgumentError
        If the file is no classifier, or takes other images.
    """
    _require_fit(file, preprocessing.shape)
    model, changes = file.model(preprocessing.shape, classes)
    with recording():
        output = model(np.zeros((1, *preprocessing.shape), FLOAT32.dtype))
    advice = "Give a file whose output has a number for each class."
    require_logits(file.name, model, output, preprocessing.shape, len(classes), advice)
    return model, Started(
        file.name, len(classes), changes, model.tied, with_normalisation(preprocessing, file) is not None
    )


def _require_fit(file, shape):
    channels, declared = shape[0], file.sizes[0]
    if declared in (None, channels):
        return
    sizes = ", ".join("any" if size is None else str(size) for size in file.sizes)
    advice = "Give images of as many channels."
    if file.sizes[2] == channels:
        advice = "Its channels come last: export it with channels first, (N, C, H, W)."
    raise ArgumentError(
        f"the images have {channels} channel{'s' * (channels > 1)}, but {file.name} takes {declared} (it declares "
        f"images of shape ({sizes})). {advice}"
    )


def with_size(options, file):
    """Return a run's options with the image size that a file declares, where none is given and it does."""
    size = file.sizes[1:]
    return options if None in size or options["image_size"] is not None else options | {"image_size": size}


def with_normalisation(preprocessing, file):
    """Return a Preprocessing that normalises images as a file says, or None where the file or the images do not tell.

    Black and white become the numbers that they are in the file's own images, whatever they are in these.
    """
    known = file.preprocessing
    if known is None or None in (known.white, preprocessing.white):
        return None
    if (known.colour, known.layout) != (preprocessing.colour, preprocessing.layout):
        return None
    (black, white), (own_black, own_white) = (
        (entry.black * entry.scale, entry.white * entry.scale) for entry in (known, preprocessing)
    )
    ratio = (own_white - own_black) / (white - black)
    if ratio <= 0:
        return None
    mean = np.asarray(known.mean, np.float64)
    return dataclasses.replace(
        preprocessing,
        mean=_plain(own_black + (mean - black) * ratio),
        deviation=_plain(np.asarray(known.deviation, np.float64) * ratio),
    )


def _plain(numbers):
    return tuple(numbers.tolist()) if numbers.ndim else numbers.item()


def normalised(parts, preprocessing):
    """Return data sets with the mean and the deviation of another Preprocessing."""
    of_file = {"mean": preprocessing.mean, "deviation": preprocessing.deviation}
    return [
        dataclasses.replace(part, preprocessing=dataclasses.replace(part.preprocessing, **of_file)) for part in parts
    ]


def is_file(path):
    """Return whether a path to start from is an ONNX file's, by its ending."""
    return path is not None and os.fspath(path).lower().endswith(".onnx")
