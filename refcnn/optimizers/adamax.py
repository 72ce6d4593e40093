"""Adamax."""

from .. import attributes as attribute
from .optimizer import Optimizer


class Adamax(Optimizer):
    """Adamax (Kingma and Ba, 2015): Adam with the largest gradient in the place of the root mean square.

    Parameters
    ----------
    lr : float
        Learning rate, more than 0.
    beta1 : float
        Decay of the running mean of the gradient, in [0, 1).
    beta2 : float
        Decay of the largest gradient, in [0, 1).
    epsilon : float
        Added to the gradient's magnitude, more than 0.
    weight_decay, clip_norm, clip_value, accumulation_steps, average_decay
        As of :class:`~refcnn.Optimizer`.

    Raises
    ------
    ArgumentError
        If a value is out of range.
    """

    operation = "adamax"
    slots = ("m", "u")

    def __init__(
        self,
        lr: float = 0.002,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
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
        self.lr = attribute.number("Adamax", "lr", lr, above=0)
        self.beta1 = attribute.number("Adamax", "beta1", beta1, minimum=0, below=1)
        self.beta2 = attribute.number("Adamax", "beta2", beta2, minimum=0, below=1)
        self.epsilon = attribute.number("Adamax", "epsilon", epsilon, above=0)

    def attributes(self, step: int) -> dict:
        """Return the attributes of the ``step``-th update."""
        return {"lr": self.lr, "beta1": self.beta1, "beta2": self.beta2, "epsilon": self.epsilon, "step": step}


CHOICES = {"adamax": (Adamax, 0.002)}
