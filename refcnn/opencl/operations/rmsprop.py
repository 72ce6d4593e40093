"""RMSprop on an OpenCL device."""

from ..shared.elementwise import update_in_chunks


def forward(w, g, r, v, *, lr, rho, momentum, epsilon):
    """Parameter w, gradient g, mean square r, velocity v, of one shape -> (w, r, v)."""
    return forward_all([(w, g, r, v)], lr=lr, rho=rho, momentum=momentum, epsilon=epsilon)[0]


def forward_all(rows, *, lr, rho, momentum, epsilon):
    """(w, g, r, v) of each parameter -> (w, r, v) of each."""
    return update_in_chunks(
        rows[0][0].device,
        "rmsprop",
        "rmsprop_forward",
        rows,
        read=("w", "g", "r", "v"),
        written=("w_new", "r_new", "v_new"),
        **numbers(lr=lr, rho=rho, momentum=momentum, epsilon=epsilon),
    )


def numbers(*, lr, rho, momentum, epsilon):
    """Return what the kernel is given of the attributes."""
    return {
        "lr": float(lr),
        "rho": float(rho),
        "one_minus_rho": float(1 - rho),
        "momentum": float(momentum),
        "epsilon": float(epsilon),
    }
