"""Checkpoints: all that training needs to go on as if it had never stopped."""

import dataclasses

import numpy as np

from .. import npz
from ..errors import CheckpointError
from ..model import check_saved
from ..optimizers.optimizer import COUNTS
from ..reading import COUNT, SEED, check, field, reading, schema_of

FORMAT = "refcnn checkpoint 1"

_POSITIVE = {"type": "integer", "minimum": 1}
_DURATION = {"type": "number", "minimum": 0}
_PART = {"type": "number", "minimum": 0, "maximum": 1}
_COUNTS = {"type": "array", "items": COUNT}


@dataclasses.dataclass
class Metrics:
    """One row of metrics, a dict in checkpoints, as :func:`refcnn.fit` returns them.

    Attributes
    ----------
    epoch : int
        Counted from 1.
    train_loss, validation_loss, validation_accuracy : float
    seconds, iterations_per_second : float
    learning_rate : float
        That of the epoch's first batch.
    validation_top_k_accuracy : float
        Where there are more than k classes.
    validation_precision, validation_recall, validation_f1 : float
        Means over the classes.
    class_examples, class_predicted, class_right : list of int
        Of each class the validation's images, those that were taken for it, and those that are both.
    """

    epoch: int = field(_POSITIVE)
    train_loss: float = field({"type": "number"})
    validation_loss: float = field({"type": "number"})
    validation_accuracy: float = field(_PART)
    seconds: float = field(_DURATION)
    iterations_per_second: float = field(_DURATION)
    # Older checkpoints do not say what follows.
    learning_rate: float = field({"type": "number", "minimum": 0}, default=0.0)
    validation_top_k_accuracy: float = field(_PART, default=0.0)
    validation_precision: float = field(_PART, default=0.0)
    validation_recall: float = field(_PART, default=0.0)
    validation_f1: float = field(_PART, default=0.0)
    class_examples: list = field(_COUNTS, default=())
    class_predicted: list = field(_COUNTS, default=())
    class_right: list = field(_COUNTS, default=())


@dataclasses.dataclass
class Checkpoint:
    """The state of a training run between two batches.

    Attributes
    ----------
    parameters : dict of str to ndarray
        As :meth:`Model.state` gives them.
    optimizer : dict of str to dict of str to ndarray
        For each parameter's name what :meth:`Optimizer.state` gives.
    epoch : int
        Epochs finished, which is the length of ``history``.
    shuffle : int or None
        The random stream of the present epoch's order of images, or None between epochs.
    losses : ndarray of float64
        The losses of the present epoch's batches so far; their number is the position within the epoch.
    seconds : float
        Time spent on these batches.
    seed, stream : int
        The random generator's state.
    history : list of dict
        One row of metrics for each epoch, with the fields of :class:`Metrics`.
    image_shape : tuple of int or None
        (C, H, W) of the images; None if it is not known.
    """

    parameters: dict
    optimizer: dict
    epoch: int
    shuffle: int | None
    losses: np.ndarray
    seconds: float
    seed: int
    stream: int
    history: list
    image_shape: tuple | None = None

    def save(self, path):
        """Write an ``.npz`` file, whole or not at all.

        Raises
        ------
        FileWriteError
            If it cannot be written; a former file is unchanged.
        """
        arrays = {f"parameter/{name}": array for name, array in self.parameters.items()}
        for name, state in self.optimizer.items():
            arrays.update({f"optimizer/{name}/{slot}": array for slot, array in state.items()})
        arrays["losses"] = self.losses
        names = [field.name for field in dataclasses.fields(_Header) if field.name != "format"]
        npz.save(path, arrays, {"format": FORMAT, **{name: getattr(self, name) for name in names}})

    @classmethod
    def load(cls, path):
        """Read a file that :meth:`save` wrote; nothing in it is executed.

        Raises
        ------
        CheckpointError
            If the file is missing, corrupt or no checkpoint, or something in it is of another type, shape or range
            than training leaves there.
        """
        advice = "Start the run anew, or put an earlier copy of the file in its place."
        with reading(path, "a whole checkpoint", CheckpointError, advice):
            arrays, header = npz.load(path, FORMAT)
            check(header, schema_of(_Header))
            del header["format"]
            if header.get("image_shape") is not None:
                header["image_shape"] = tuple(header["image_shape"])
            checkpoint = cls(**_arrays(arrays), **header)
            _check_history(checkpoint)
        return checkpoint

    def restore(self, model, optimizer=None):
        """Give a model, and an optimizer, the state that was saved.

        Parameters
        ----------
        model : Model
            With its parameters made.
        optimizer : Optimizer, optional

        Raises
        ------
        CheckpointError
            If they are not of the form that the checkpoint was made with.
        """
        unknown = sorted(set(self.optimizer) - set(self.parameters))
        if unknown:
            raise CheckpointError(
                f"the checkpoint holds the optimizer's state for {unknown}, but no such parameters. Put an earlier "
                "copy of the file in its place."
            )
        try:
            check_saved(self.parameters, model)
        except ValueError as error:
            raise CheckpointError(
                f"the checkpoint is not of this model: {error}. Put an earlier copy of the file in its place."
            ) from None
        model.set_state(self.parameters)
        if optimizer is not None:
            for name, parameter in model.parameters():
                optimizer.set_state(parameter, self.optimizer.get(name, {}))


@dataclasses.dataclass
class _Header:
    """The fields of a checkpoint that are no arrays, as they stand in the file."""

    format: str = field({"const": FORMAT})
    epoch: int = field(COUNT)
    shuffle: int | None = field({"anyOf": [{"type": "null"}, SEED]})
    seconds: float = field(_DURATION)
    seed: int = field(SEED)
    stream: int = field(SEED)
    history: list = field({"type": "array", "items": schema_of(Metrics)})
    # Older checkpoints do not say it.
    image_shape: list | None = field(
        {"anyOf": [{"type": "null"}, {"type": "array", "items": _POSITIVE, "minItems": 3, "maxItems": 3}]}, default=None
    )


def _arrays(arrays):
    """Return the fields of a checkpoint that are arrays, from those of a file."""
    parameters, optimizer, losses = {}, {}, None
    for key, array in arrays.items():
        kind, _, name = key.partition("/")
        parameter, _, slot = name.rpartition("/")
        if key == "losses":
            losses = array
        elif kind == "parameter" and name:
            parameters[name] = array
        elif kind == "optimizer" and parameter and slot:
            optimizer.setdefault(parameter, {})[slot] = array
        else:
            raise ValueError(f"it holds {key!r}, which no checkpoint does")
    if losses is None or losses.ndim != 1 or losses.dtype != np.float64 or not np.isfinite(losses).all():
        raise ValueError("its losses are no list of finite float64 numbers")
    check_saved(parameters)
    for name, state in optimizer.items():
        if name not in parameters:
            raise ValueError(f"the optimizer has a state for {name!r}, which is no parameter")
        if parameters[name].dtype.kind != "f":
            raise ValueError(f"the parameter {name!r} has dtype {parameters[name].dtype}, but floats are expected")
        _check_optimizer_state(name, state, parameters[name].shape)
    return {"parameters": parameters, "optimizer": optimizer, "losses": losses}


def _check_optimizer_state(name, state, shape):
    for slot, array in state.items():
        if slot in COUNTS:
            is_right = array.shape == () and array.dtype.kind == "i" and array >= 0
        else:
            # The square of a large gradient is infinite in float32 without harm.
            is_right = array.shape == shape and array.dtype in (np.float32, np.float64) and not np.isnan(array).any()
        if not is_right:
            raise ValueError(
                f"the optimizer's {slot} of {name!r}, of shape {array.shape} and dtype {array.dtype}, does not belong "
                f"to a parameter of shape {shape}, or holds NaN"
            )


def _check_history(checkpoint):
    epochs = [row["epoch"] for row in checkpoint.history]
    if epochs != list(range(1, checkpoint.epoch + 1)):
        raise ValueError(f"it stands after {checkpoint.epoch} epochs, but its rows of metrics are of {len(epochs)}")
