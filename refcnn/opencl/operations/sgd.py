"""Gradient descent with momentum on an OpenCL device."""

from ..shared.elementwise import update_in_chunks


def forward(w, g, v, *, lr, momentum, nesterov):
    """Parameter w, its gradient g, its velocity v, all of one shape -> (w, v)."""
    return forward_all([(w, g, v)], lr=lr, momentum=momentum, nesterov=nesterov)[0]


def forward_all(rows, *, lr, momentum, nesterov):
    """(w, g, v) of each parameter -> (w, v) of each."""
    return update_in_chunks(
        rows[0][0].device,
        "sgd",
        "sgd_forward",
        rows,
        read=("w", "g", "v"),
        written=("w_new", "v_new"),
        **numbers(lr=lr, momentum=momentum, nesterov=nesterov),
    )


def numbers(*, lr, momentum, nesterov):
    """Return what the kernel is given of the attributes."""
    return {"lr": float(lr), "momentum": float(momentum), "nesterov": int(nesterov)}
