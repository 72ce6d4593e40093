"""Adam on an OpenCL device."""

from .elementwise import launch_in_chunks


def forward(w, g, m, r, *, lr, beta1, beta2, epsilon, step):
    """Parameter w, gradient g, first moment m, second moment r, of one shape; step from 1 -> (w, m, r)."""
    w_new, m_new, r_new = (w.device.empty(w.shape) for _ in range(3))
    numbers = (lr, beta1, beta2, 1 - beta1, 1 - beta2, epsilon, 1 - beta1**step, 1 - beta2**step)
    arguments = (w.size, *map(float, numbers))
    launch_in_chunks(w.device, "adam", "adam_forward", w.size, w, g, m, r, w_new, m_new, r_new, *arguments)
    return w_new, m_new, r_new
