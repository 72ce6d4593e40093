"""Adam."""

from .. import attributes as attribute
from .optimizer import Optimizer


class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015).

    Parameters
    ----------
    lr : float
        Learning rate, more than 0.
    b, g : float
        Decay of the running mean of the gradient and of its square, in [0, 1).
    epsilon : float
        Added to the root, more than 0.
    beta1, beta2 : float, optional
        The paper's names of ``b`` and ``g``; they win where given.
    weight_decay, clip_norm, clip_value, accumulation_steps, average_decay
        As of :class:`~refcnn.Optimizer`.

    Raises
    ------
    ArgumentError
        If a value is out of range.
    """

    operation = "adam"
    slots = ("m", "r")

    def __init__(
        self,
        lr: float = 0.001,
        b: float = 0.9,
        g: float = 0.999,
        epsilon: float = 1e-8,
        *,
        beta1: float | None = None,
        beta2: float | None = None,
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
        self.lr = attribute.number("Adam", "lr", lr, above=0)
        self.beta1 = attribute.number("Adam", "beta1", b if beta1 is None else beta1, minimum=0, below=1)
        self.beta2 = attribute.number("Adam", "beta2", g if beta2 is None else beta2, minimum=0, below=1)
        self.epsilon = attribute.number("Adam", "epsilon", epsilon, above=0)

    def attributes(self, step: int) -> dict:
        """Return the attributes of the ``step``-th update."""
        return {"lr": self.lr, "beta1": self.beta1, "beta2": self.beta2, "epsilon": self.epsilon, "step": step}


CHOICES = {"adam": (Adam, 0.001)}
