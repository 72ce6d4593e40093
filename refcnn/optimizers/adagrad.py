"""Adagrad."""

from .. import attributes as attribute
from .optimizer import Optimizer


class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan and Singer, 2011).

    Parameters
    ----------
    lr : float
        Learning rate, more than 0.
    epsilon : float
        Added to the root, more than 0.
    weight_decay, clip_norm, clip_value, accumulation_steps, average_decay
        As of :class:`~refcnn.Optimizer`.

    Raises
    ------
    ArgumentError
        If a value is out of range.
    """

    operation = "adagrad"
    slots = ("r",)

    def __init__(
        self,
        lr: float = 0.01,
        *,
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
        self.lr = attribute.number("Adagrad", "lr", lr, above=0)
        self.epsilon = attribute.number("Adagrad", "epsilon", epsilon, above=0)

    def attributes(self, step: int) -> dict:
        """Return the attributes of the update; they do not depend on the step."""
        return {"lr": self.lr, "epsilon": self.epsilon}


CHOICES = {"adagrad": (Adagrad, 0.01)}
