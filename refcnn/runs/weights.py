"""Weights to start from: those of another run, or of a file."""

import dataclasses
import hashlib
import os

import numpy as np

from .. import display, npz
from ..errors import ArgumentError, CheckpointError
from ..model import check_saved
from ..reading import reading
from . import imported
from .checkpoint import Checkpoint
from .run_folder import RunFolder

#: So many names are shown at most.
_SHOWN = 6


@dataclasses.dataclass(frozen=True)
class Taken:
    """What a model took over.

    Attributes
    ----------
    path : str
    names, others : list of str
        The model's parameters and buffers that were taken over, and those that were not.
    digest : str
        SHA-256 of what was taken over.
    """

    path: str
    names: list
    others: list
    digest: str

    def __str__(self):
        text = f"started from {len(self.names)} of {len(self.names) + len(self.others)} arrays of {self.path}"
        if not self.others:
            return text
        shown = ", ".join(self.others[:_SHOWN]) + ", ..." * (len(self.others) > _SHOWN)
        return f"{text}; new, since not there in their shape: {shown}"


def with_model(options):
    """Return the options of a new run with the model that belongs to what it starts from, where none is named.

    Raises
    ------
    ArgumentError
        If a model is named beside an ONNX file, which is one, or that of a run is none of refcnn's.
    CheckpointError
        If the run's folder holds none.
    """
    path, model = options.get("weights"), options.get("model")
    if imported.is_file(path):
        if model is not None:
            raise ArgumentError(
                f"--model is {model}, but --from {path} is a whole model already. Leave --model out, or give the "
                "weights of a run."
            )
        return options | {"model": os.path.basename(path)}
    if path is None or model is not None or not os.path.isdir(path):
        return options
    run = RunFolder.open(path)
    if run.configuration.is_imported:
        raise ArgumentError(
            f"--from {path} is a run that started from an ONNX file itself. Give its model: "
            f"--from {display.quoted(run.model_file)}"
        )
    if run.has_own_model:
        raise ArgumentError(
            f"--from {path} is a run of the model {run.configuration.model}, code that refcnn does not import because "
            f"a file says so. If you trust it, name it: --model {display.quoted(run.configuration.model)}"
        )
    return options | {"model": run.configuration.model}


def take_over(model, path):
    """Give a model the weights of another, as far as names and shapes agree.

    Parameters
    ----------
    model : Model
        With its parameters made.
    path : str or os.PathLike
        A run's folder, of which the best checkpoint is taken, a checkpoint, or a file that ``Model.save`` wrote.

    Returns
    -------
    Taken

    Raises
    ------
    CheckpointError
        If there is no such file, or it holds no weights.
    ArgumentError
        If nothing of it fits the model.
    """
    arrays, own = _read(path), model.state()
    names = [name for name, array in own.items() if name in arrays and arrays[name].shape == array.shape]
    if not names:
        raise ArgumentError(
            f"--from {path} holds nothing that fits the model: {_described(arrays)} there, {_described(own)} here. "
            "Give the weights of a network with the same layers, at least at its beginning."
        )
    taken = {name: arrays[name] for name in names}
    model.set_state(own | taken)
    total = hashlib.sha256()
    for name in names:
        total.update(repr((name, taken[name].shape, taken[name].dtype.str)).encode())
        total.update(np.ascontiguousarray(taken[name]).tobytes())
    return Taken(os.fspath(path), names, [name for name in own if name not in taken], total.hexdigest())


def _read(path):
    if os.path.isdir(path):
        return Checkpoint.load(RunFolder.open(path).best).parameters
    advice = "Give a run's folder, a checkpoint, a file that Model.save wrote, or an .onnx file."
    with reading(path, "a file of weights", CheckpointError, advice):
        try:
            return Checkpoint.load(path).parameters
        except CheckpointError:
            arrays, _ = npz.load(path, "refcnn parameters")
            check_saved(arrays)
            return arrays


def _described(arrays):
    shown = ", ".join(f"{name} {array.shape}" for name, array in list(arrays.items())[:_SHOWN])
    return shown + ", ..." * (len(arrays) > _SHOWN) if arrays else "nothing"
