"""Adam with decoupled weight decay on an OpenCL device."""

from ..shared.elementwise import update_in_chunks
from . import adam


def forward(w, g, m, r, *, lr, beta1, beta2, epsilon, weight_decay, step):
    """Parameter w, gradient g, first moment m, second moment r, of one shape; step from 1 -> (w, m, r)."""
    return forward_all(
        [(w, g, m, r)], lr=lr, beta1=beta1, beta2=beta2, epsilon=epsilon, weight_decay=weight_decay, step=step
    )[0]


def forward_all(rows, *, lr, beta1, beta2, epsilon, weight_decay, step):
    """(w, g, m, r) of each parameter -> (w, m, r) of each."""
    return update_in_chunks(
        rows[0][0].device,
        "adamw",
        "adamw_forward",
        rows,
        read=("w", "g", "m", "r"),
        written=("w_new", "m_new", "r_new"),
        **numbers(lr=lr, beta1=beta1, beta2=beta2, epsilon=epsilon, weight_decay=weight_decay, step=step),
    )


def numbers(*, lr, beta1, beta2, epsilon, weight_decay, step):
    """Return what the kernel is given of the attributes."""
    of_adam = adam.numbers(lr=lr, beta1=beta1, beta2=beta2, epsilon=epsilon, step=step)
    return {**of_adam, "shrinkage": float(lr * weight_decay)}
