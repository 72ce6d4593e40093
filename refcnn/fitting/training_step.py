"""One training step in one call."""

from collections.abc import Callable
from typing import Any

from ..model import Model
from ..optimizers.optimizer import Optimizer
from ..variable import Input, Variable
from . import metrics
from .functions import check_model, check_training
from .repeated import Repeated


class TrainingStep:
    """Trains a model by a batch in each call, for a loop of one's own.

    It does what ``loss.grad().update(optimizer)`` does, to the same bits. But on an OpenCL device the steps of a shape
    are recorded, and from the fourth on made anew for other batches, without what Python does for each operation.
    Whatever is changed in between counts: the learning rate, values that are set or loaded, parameters that are frozen,
    attributes of the layers. Where a step may depend on something that is not seen, such as code of one's own in the
    model or the loss, it is made as it is without this; :attr:`obstacle` tells.

    Parameters
    ----------
    model : Model
    optimizer : Optimizer
    loss : callable, optional
        Called as ``loss(output, target)``, as of :func:`refcnn.fit`.

    Raises
    ------
    ArgumentError
        If one of them is none.

    Examples
    --------
    >>> import refcnn as rm
    >>> digits = rm.data.digits()
    >>> step = rm.TrainingStep(rm.Sequential([rm.Flatten(), rm.Dense(10)]), rm.Sgd(lr=0.01))
    >>> x, y = digits.x[:320].reshape(10, 32, *digits.x.shape[1:]), digits.y[:320].reshape(10, 32)
    >>> losses = [float(step(*batch)) for batch in zip(x, y)]
    >>> losses[-1] < losses[0]
    True
    """

    def __init__(
        self, model: Model, optimizer: Optimizer, loss: Callable[[Variable, Any], Variable] = metrics.cross_entropy
    ) -> None:
        check_model("TrainingStep", model)
        check_training("TrainingStep", optimizer, loss)
        self.model, self.optimizer, self.loss = model, optimizer, loss
        self._repeated = Repeated(model, optimizer, loss)

    def __call__(self, x: "Input | tuple[Input, ...]", target: Any) -> Variable:
        """Take a step, and return the loss before it, a Variable of shape (); to read it waits for the device.

        Parameters
        ----------
        x : array_like, or tuple of several inputs
        target : array_like
            What the loss compares the model's output with.
        """
        return self._repeated(self._compute, x if isinstance(x, tuple) else (x,), target)

    @property
    def obstacle(self) -> str | None:
        """Why steps of the latest shapes are not replayed; None if they are, or it is not known yet."""
        return self._repeated.obstacle

    def _compute(self, inputs, target):
        with self.model.train():
            loss = self.loss(self.model(*inputs), target)
        loss.grad().update(self.optimizer)
        return loss
