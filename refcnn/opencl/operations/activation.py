"""Functions of one number on an OpenCL device: their formulas and slopes are functions of kernels/activation.cl."""

from ..shared.elementwise import launch_in_chunks


class Activation:
    """An operation of this page: y = formula(x), dx = dy slope(x, y).

    Parameters
    ----------
    formula : str
        The function of kernels/activation.cl, or of OpenCL; beside it stands ``<formula>_slope``.
    *attributes : str
        The names of the attributes that both functions take behind x and y, in their order; two at most.
    """

    KERNELS = {"elementwise": (None,)}

    def __init__(self, formula, *attributes):
        self.attributes = attributes
        self._options = f"-DOPERATION={formula}", f"-DSLOPE={formula}_slope", f"-DATTRIBUTES={len(attributes)}"

    def forward(self, x, **attributes):
        """x of any shape -> y of that shape."""
        y = x.device.empty(x.shape)
        self._launch("unary_forward", attributes, x=x, y=y)
        return y, (x, y)

    def backward(self, dy, saved, needs, **attributes):
        """dx = dy dy/dx."""
        dx = dy.device.empty(dy.shape)
        x, y = saved
        self._launch("unary_backward", attributes, dy=dy, x=x, y=y, dx=dx)
        return (dx,)

    def _launch(self, kernel, attributes, *, x, **arrays):
        values = [float(attributes[name]) for name in self.attributes]
        first, second = values + [0.0] * (2 - len(values))
        numbers = {"count": x.size, "attribute1": first, "attribute2": second}
        launch_in_chunks(x.device, "elementwise", kernel, x.size, options=self._options, x=x, **arrays, **numbers)


OPERATIONS = {
    "absolute": Activation("absolute"),
    "leaky_relu": Activation("leaky_relu", "alpha"),
    "negative": Activation("negative"),
    "sigmoid": Activation("sigmoid"),
    "softplus": Activation("softplus"),
    "tanh": Activation("tanh"),
}
