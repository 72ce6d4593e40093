"""Adadelta on an OpenCL device."""

from ..shared.elementwise import update_in_chunks


def forward(w, g, r, s, *, lr, rho, epsilon):
    """Parameter w, gradient g, mean squares r of gradients and s of changes, of one shape -> (w, r, s)."""
    return forward_all([(w, g, r, s)], lr=lr, rho=rho, epsilon=epsilon)[0]


def forward_all(rows, *, lr, rho, epsilon):
    """(w, g, r, s) of each parameter -> (w, r, s) of each."""
    return update_in_chunks(
        rows[0][0].device,
        "adadelta",
        "adadelta_forward",
        rows,
        read=("w", "g", "r", "s"),
        written=("w_new", "r_new", "s_new"),
        **numbers(lr=lr, rho=rho, epsilon=epsilon),
    )


def numbers(*, lr, rho, epsilon):
    """Return what the kernel is given of the attributes."""
    return {"lr": float(lr), "rho": float(rho), "one_minus_rho": float(1 - rho), "epsilon": float(epsilon)}
