"""Cross entropy of the softmax of logits on an OpenCL device."""

from ..shared.elementwise import launch_over

_STEM = "softmax_cross_entropy"


def forward(x, t, *, reduce_sum):
    """Logits x (N, K), targets t (N, K) -> the loss, of shape () if reduce_sum, else (N, K)."""
    device, (rows, columns) = x.device, x.shape
    log_p, loss, row_sum = device.empty(x.shape), device.empty(x.shape), device.empty((rows,))
    results = {"log_p": log_p, "loss": loss, "row_sum": row_sum}
    launch_over(device, _STEM, "softmax_cross_entropy_forward", rows, x=x, t=t, **results, rows=rows, columns=columns)
    if reduce_sum:
        loss = device.empty(())
        device.launch(_STEM, "softmax_cross_entropy_mean", (1,), (1,), row_sum=row_sum, mean=loss, rows=rows)
        device.start_to_host(loss)
    return loss, (log_p, t)


def backward(dy, saved, needs, *, reduce_sum):
    """dx[n, i] = p[n, i] sum over j of g[n, j] t[n, j] - g[n, i] t[n, i]; dt[n, i] = -g[n, i] log p[n, i].

    A target of 0 takes no part, as in the reference.
    """
    log_p, t = saved
    device, (rows, columns) = dy.device, t.shape
    arguments = {"dy": dy, "log_p": log_p, "t": t, "rows": rows, "columns": columns, "reduce_sum": int(reduce_sum)}
    dx = dt = None
    if needs[0]:
        dx = device.empty(t.shape)
        launch_over(device, _STEM, "softmax_cross_entropy_backward_x", rows, dx=dx, **arguments)
    if needs[1]:
        dt = device.empty(t.shape)
        launch_over(device, _STEM, "softmax_cross_entropy_backward_t", t.size, dt=dt, **arguments)
    return dx, dt
