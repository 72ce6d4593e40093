"""Gradient descent with momentum on an OpenCL device."""

from .elementwise import launch_in_chunks


def forward(w, g, v, *, lr, momentum, nesterov):
    """Parameter w, its gradient g, its velocity v, all of one shape -> (w, v)."""
    w_new, v_new = w.device.empty(w.shape), w.device.empty(w.shape)
    arguments = (w.size, float(lr), float(momentum), int(nesterov))
    launch_in_chunks(w.device, "sgd", "sgd_forward", w.size, w, g, v, w_new, v_new, *arguments)
    return w_new, v_new
