"""RMSprop."""

from .. import attributes as attribute
from .optimizer import Optimizer


class RmsProp(Optimizer):
    """RMSprop (Tieleman and Hinton, 2012), with momentum.

    Parameters
    ----------
    lr : float
        Learning rate, more than 0.
    rho : float
        Decay of the running mean of the squared gradient, in [0, 1).
    momentum : float
        0 <= momentum < 1.
    epsilon : float
        Added to the root, more than 0.
    weight_decay, clip_norm, clip_value, accumulation_steps, average_decay
        As of :class:`~refcnn.Optimizer`.

    Raises
    ------
    ArgumentError
        If a value is out of range.
    """

    operation = "rmsprop"
    slots = ("r", "v")

    def __init__(
        self,
        lr: float = 0.001,
        *,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        accumulation_steps: int = 1,
        average_decay: float | None = None,
    ) -> None:
        super().__init__(
            weight_decay=weight_decay,
            clip_norm=clip_norm,
            clip_value=clip_value,
            accumulation_steps=accumulation_steps,
            average_decay=average_decay,
        )
        self.lr = attribute.number("RmsProp", "lr", lr, above=0)
        self.rho = attribute.number("RmsProp", "rho", rho, minimum=0, below=1)
        self.momentum = attribute.number("RmsProp", "momentum", momentum, minimum=0, below=1)
        self.epsilon = attribute.number("RmsProp", "epsilon", epsilon, above=0)

    def attributes(self, step: int) -> dict:
        """Return the attributes of the update; they do not depend on the step."""
        return {"lr": self.lr, "rho": self.rho, "momentum": self.momentum, "epsilon": self.epsilon}


CHOICES = {"rmsprop": (RmsProp, 0.001)}
