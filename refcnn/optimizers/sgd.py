"""Stochastic gradient descent with momentum."""

from .. import attributes as attribute
from .optimizer import Optimizer


class Sgd(Optimizer):
    """Stochastic gradient descent with momentum, with the defaults of ReNom 2.7.

    Parameters
    ----------
    lr : float
        Learning rate, more than 0.
    momentum : float
        0 <= momentum < 1.
    nesterov : bool
        Look ahead by the momentum (Nesterov).
    weight_decay, clip_norm, clip_value, accumulation_steps, average_decay
        As of :class:`~refcnn.Optimizer`.

    Raises
    ------
    ArgumentError
        If a value is out of range.
    """

    operation = "sgd"
    slots = ("v",)

    def __init__(
        self,
        lr: float = 0.1,
        momentum: float = 0.4,
        nesterov: bool = True,
        *,
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
        self.lr = attribute.number("Sgd", "lr", lr, above=0)
        self.momentum = attribute.number("Sgd", "momentum", momentum, minimum=0, below=1)
        self.nesterov = attribute.flag("Sgd", "nesterov", nesterov)

    def attributes(self, step: int) -> dict:
        """Return the attributes of the update; they do not depend on the step."""
        return {"lr": self.lr, "momentum": self.momentum, "nesterov": self.nesterov}


CHOICES = {
    "sgd": (lambda lr, **options: Sgd(lr, momentum=0, nesterov=False, **options), 0.1),
    "momentum": (lambda lr, **options: Sgd(lr, momentum=0.9, nesterov=True, **options), 0.02),
}
