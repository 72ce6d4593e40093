"""Adam on an OpenCL device."""

from ..shared.elementwise import update_in_chunks


def forward(w, g, m, r, *, lr, beta1, beta2, epsilon, step):
    """Parameter w, gradient g, first moment m, second moment r, of one shape; step from 1 -> (w, m, r)."""
    return forward_all([(w, g, m, r)], lr=lr, beta1=beta1, beta2=beta2, epsilon=epsilon, step=step)[0]


def forward_all(rows, *, lr, beta1, beta2, epsilon, step):
    """(w, g, m, r) of each parameter -> (w, m, r) of each."""
    return update_in_chunks(
        rows[0][0].device,
        "adam",
        "adam_forward",
        rows,
        read=("w", "g", "m", "r"),
        written=("w_new", "m_new", "r_new"),
        **numbers(lr=lr, beta1=beta1, beta2=beta2, epsilon=epsilon, step=step),
    )


def numbers(*, lr, beta1, beta2, epsilon, step):
    """Return what the kernel is given of the attributes."""
    return {
        "lr": float(lr),
        "beta1": float(beta1),
        "beta2": float(beta2),
        "one_minus_beta1": float(1 - beta1),
        "one_minus_beta2": float(1 - beta2),
        "epsilon": float(epsilon),
        "correction1": float(1 - beta1**step),
        "correction2": float(1 - beta2**step),
    }
