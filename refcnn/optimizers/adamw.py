"""Adam with decoupled weight decay."""

from .. import attributes as attribute
from .optimizer import Optimizer


class AdamW(Optimizer):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019).

    Parameters
    ----------
    lr : float
        Learning rate, more than 0.
    beta1 : float
        Decay of the running mean of the gradient, in [0, 1).
    beta2 : float
        Decay of the running mean of its square, in [0, 1).
    epsilon : float
        Added to the root, more than 0.
    weight_decay : float
        In each step the weights lose ``lr * weight_decay`` of themselves, whatever their gradient is; 0 at least.
    clip_norm, clip_value, accumulation_steps, average_decay
        As of :class:`~refcnn.Optimizer`.

    Raises
    ------
    ArgumentError
        If a value is out of range.
    """

    #: The operation itself lets the weights decay.
    decays_weights = True
    operation = "adamw"
    slots = ("m", "r")

    def __init__(
        self,
        lr: float = 0.001,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
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
        self.lr = attribute.number("AdamW", "lr", lr, above=0)
        self.beta1 = attribute.number("AdamW", "beta1", beta1, minimum=0, below=1)
        self.beta2 = attribute.number("AdamW", "beta2", beta2, minimum=0, below=1)
        self.epsilon = attribute.number("AdamW", "epsilon", epsilon, above=0)

    def attributes(self, step: int) -> dict:
        """Return the attributes of the ``step``-th update."""
        return {
            "lr": self.lr,
            "beta1": self.beta1,
            "beta2": self.beta2,
            "epsilon": self.epsilon,
            "weight_decay": self.weight_decay,
            "step": step,
        }


CHOICES = {"adamw": (AdamW, 0.001)}
