"""Losses of numbers on an OpenCL device: formulas and gradients are functions of kernels/loss.cl."""

from ..shared.elementwise import launch_in_chunks
from ..shared.reduction import sum_over


class Loss:
    """An operation of output and target, element by element, whose terms may be summed and divided by their rows.

    Parameters
    ----------
    formula : str
        The function of kernels/loss.cl; beside it stand ``<formula>_of_x`` and ``<formula>_of_t``, its gradients.
    """

    KERNELS = {"loss": (None,)}

    def __init__(self, formula):
        self._options = f"-DLOSS={formula}", f"-DOF_X={formula}_of_x", f"-DOF_T={formula}_of_t"

    def forward(self, x, t, *, reduce_sum, **attributes):
        """x, t of one shape -> the loss, of shape () if reduce_sum, else of theirs."""
        loss = x.device.empty(x.shape)
        self._launch("loss_forward", x, t, attributes, loss=loss)
        if reduce_sum:
            mean = x.device.empty(())
            total, divisor = sum_over(loss, range(len(x.shape))), float(x.shape[0])
            options = ("-DCHUNK=1", *self._options)
            x.device.launch("loss", "loss_mean", (1,), (1,), options=options, sum=total, mean=mean, divisor=divisor)
            x.device.start_to_host(mean)
            loss = mean
        return loss, (x, t)

    def backward(self, dy, saved, needs, *, reduce_sum, **attributes):
        """dx and dt, where g is the share of each term: dy, or dy / N."""
        x, t = saved
        divisor, gradients = float(x.shape[0]) if reduce_sum else 0.0, []
        for name, need in zip("xt", needs, strict=True):
            gradients.append(x.device.empty(x.shape) if need else None)
            if need:
                arrays = {"dy": dy, f"d{name}": gradients[-1]}
                self._launch(f"loss_backward_{name}", x, t, attributes, divisor=divisor, **arrays)
        return tuple(gradients)

    def _launch(self, kernel, x, t, attributes, **arguments):
        numbers = {"count": x.size, "delta": float(attributes.get("delta", 0))}
        launch_in_chunks(x.device, "loss", kernel, x.size, options=self._options, x=x, t=t, **numbers, **arguments)


OPERATIONS = {
    "mean_squared_error": Loss("mean_squared_error"),
    "sigmoid_cross_entropy": Loss("sigmoid_cross_entropy"),
    "smoothed_l1": Loss("smoothed_l1"),
}
