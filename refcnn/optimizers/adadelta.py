"""Adadelta."""

from .. import attributes as attribute
from .optimizer import Optimizer


class Adadelta(Optimizer):
    """Adadelta (Zeiler, 2012).

    Parameters
    ----------
    lr : float
        Learning rate, more than 0.
    rho : float
        Decay of the running means of the squared gradient and of the squared change, in [0, 1).
    epsilon : float
        Added to the means below the roots, more than 0.
    weight_decay, clip_norm, clip_value, accumulation_steps, average_decay
        As of :class:`~refcnn.Optimizer`.

    Raises
    ------
    ArgumentError
        If a value is out of range.
    """

    operation = "adadelta"
    slots = ("r", "s")

    def __init__(
        self,
        lr: float = 1.0,
        *,
        rho: float = 0.95,
        epsilon: float = 1e-6,
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
        self.lr = attribute.number("Adadelta", "lr", lr, above=0)
        self.rho = attribute.number("Adadelta", "rho", rho, minimum=0, below=1)
        self.epsilon = attribute.number("Adadelta", "epsilon", epsilon, above=0)

    def attributes(self, step: int) -> dict:
        """Return the attributes of the update; they do not depend on the step."""
        return {"lr": self.lr, "rho": self.rho, "epsilon": self.epsilon}


CHOICES = {"adadelta": (Adadelta, 1.0)}
