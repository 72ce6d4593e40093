"""Checkpoints: all that training needs to go on as if it had never stopped."""

import dataclasses

import numpy as np

from .errors import CheckpointError
from .model import load_arrays, save_arrays

FORMAT = "refcnn checkpoint 1"


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
        One row of metrics for each epoch.
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
        fields = ("epoch", "shuffle", "seconds", "seed", "stream", "history")
        save_arrays(path, arrays, {"format": FORMAT, **{name: getattr(self, name) for name in fields}})

    @classmethod
    def load(cls, path):
        """Read a file that :meth:`save` wrote; nothing in it is executed.

        Raises
        ------
        CheckpointError
            If the file is missing, corrupt or no checkpoint.
        """
        arrays, metadata = load_arrays(path, FORMAT)
        del metadata["format"]
        parameters, optimizer = {}, {}
        try:
            losses = arrays.pop("losses")
            for key, array in arrays.items():
                kind, name, *slot = key.split("/")
                if kind == "parameter" and not slot:
                    parameters[name] = array
                elif kind == "optimizer" and len(slot) == 1:
                    optimizer.setdefault(name, {})[slot[0]] = array
                else:
                    raise KeyError(key)
            return cls(parameters=parameters, optimizer=optimizer, losses=losses, **metadata)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{path} is no whole checkpoint ({type(error).__name__}: {error}). Start the run anew, or put an "
                "earlier copy of the file in its place."
            ) from error

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
        model.set_state(self.parameters)
        if optimizer is not None:
            for name, parameter in model.parameters():
                optimizer.set_state(parameter, self.optimizer.get(name, {}))


def best_epoch(history):
    """Return the row with the highest validation accuracy; of equal ones that with the lower loss, then the first."""
    return min(history, key=lambda row: (-row["validation_accuracy"], row["validation_loss"]))
