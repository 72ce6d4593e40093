"""Adagrad on an OpenCL device."""

from ..shared.elementwise import update_in_chunks


def forward(w, g, r, *, lr, epsilon):
    """Parameter w, gradient g, sum of squares r, of one shape -> (w, r)."""
    return forward_all([(w, g, r)], lr=lr, epsilon=epsilon)[0]


def forward_all(rows, *, lr, epsilon):
    """(w, g, r) of each parameter -> (w, r) of each."""
    return update_in_chunks(
        rows[0][0].device,
        "adagrad",
        "adagrad_forward",
        rows,
        read=("w", "g", "r"),
        written=("w_new", "r_new"),
        **numbers(lr=lr, epsilon=epsilon),
    )


def numbers(*, lr, epsilon):
    """Return what the kernel is given of the attributes."""
    return {"lr": float(lr), "epsilon": float(epsilon)}
