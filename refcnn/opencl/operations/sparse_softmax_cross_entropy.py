"""Cross entropy of the softmax of logits and the numbers of classes on an OpenCL device."""

import math

import numpy as np

from ..shared.elementwise import launch_over
from ..shared.reduction import sum_over

_STEM = "sparse_softmax_cross_entropy"


def forward(x, t, *, class_weight, label_smoothing, ignore_index, reduce_sum):
    """Logits x (N, K, ...), classes t (N, ...) -> the loss, of shape () if reduce_sum, else (N, ...)."""
    device, axes = x.device, range(len(t.shape))
    weights = None if class_weight is None else device.array(np.array(class_weight, np.float32))
    log_p, loss, weight = device.empty(x.shape), device.empty(t.shape), device.empty(t.shape)
    arguments = {"t": t, "class_weight": weights, **_numbers(x.shape, label_smoothing, ignore_index, weights)}
    results = {"log_p": log_p, "loss": loss, "weight": weight}
    launch_over(device, _STEM, "sparse_softmax_cross_entropy_forward", t.size, x=x, **results, **arguments)
    total = sum_over(weight, axes)
    if reduce_sum:
        mean = device.empty(())
        sums = {"sum": sum_over(loss, axes), "total": total}
        device.launch(_STEM, "sparse_softmax_cross_entropy_mean", (1,), (1,), **sums, mean=mean)
        device.start_to_host(mean)
        loss = mean
    return loss, (log_p, total, arguments)


def backward(dy, saved, needs, *, class_weight, label_smoothing, ignore_index, reduce_sum):
    """dx[n, i, d] = p[n, i, d] sum over j of g[n, d] q[n, j, d] - g[n, d] q[n, i, d]."""
    log_p, total, arguments = saved
    dx = dy.device.empty(log_p.shape)
    arrays = {"dy": dy, "log_p": log_p, "total": total, "dx": dx}
    places = arguments["places"]
    kernel = "sparse_softmax_cross_entropy_backward"
    launch_over(dy.device, _STEM, kernel, places, **arrays, **arguments, reduce_sum=int(reduce_sum))
    return dx, None


def _numbers(shape, label_smoothing, ignore_index, weights):
    """Return the kernels' arguments that are no arrays."""
    batch, classes, *further = shape
    inner = math.prod(further)
    return {
        "places": batch * inner,
        "classes": classes,
        "inner": inner,
        "are_weighted": int(weights is not None),
        "hit": float(1 - label_smoothing),
        "share": float(label_smoothing / classes),
        "ignores": int(ignore_index is not None),
        "ignored": 0 if ignore_index is None else ignore_index,
    }
