"""Adamax on an OpenCL device."""

from ..shared.elementwise import update_in_chunks


def forward(w, g, m, u, *, lr, beta1, beta2, epsilon, step):
    """Parameter w, gradient g, first moment m, largest gradient u, of one shape; step from 1 -> (w, m, u)."""
    return forward_all([(w, g, m, u)], lr=lr, beta1=beta1, beta2=beta2, epsilon=epsilon, step=step)[0]


def forward_all(rows, *, lr, beta1, beta2, epsilon, step):
    """(w, g, m, u) of each parameter -> (w, m, u) of each."""
    return update_in_chunks(
        rows[0][0].device,
        "adamax",
        "adamax_forward",
        rows,
        read=("w", "g", "m", "u"),
        written=("w_new", "m_new", "u_new"),
        **numbers(lr=lr, beta1=beta1, beta2=beta2, epsilon=epsilon, step=step),
    )


def numbers(*, lr, beta1, beta2, epsilon, step):
    """Return what the kernel is given of the attributes."""
    return {
        "lr": float(lr),
        "beta1": float(beta1),
        "beta2": float(beta2),
        "one_minus_beta1": float(1 - beta1),
        "epsilon": float(epsilon),
        "correction": float(1 - beta1**step),
    }
