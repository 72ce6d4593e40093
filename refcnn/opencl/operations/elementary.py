"""Elementary functions of one number on an OpenCL device: functions of kernels/elementary.cl, or of OpenCL."""

from ..shared.elementwise import launch_in_chunks, options_of_types, width_option


class Unary:
    """An operation of one array: y = formula(x), dx = dy slope(x, y).

    Parameters
    ----------
    formula : str
        The function of kernels/elementary.cl or kernels/activation.cl, or of OpenCL.
    *attributes : str
        The names of the attributes that both functions take behind x and y, in their order; two at most.
    slope : str, optional
        The slope's function; ``<formula>_slope`` as a rule.
    in_vectors : bool
        Whether a CPU's compiler is to be given vectors, since it makes none of a loop that calls such functions.
    """

    KERNELS = {"elementwise": (None,)}

    def __init__(self, formula, *attributes, slope=None, in_vectors=False):
        self.attributes, self._in_vectors, slope = attributes, in_vectors, slope or f"{formula}_slope"
        self._options = f"-DOPERATION={formula}", f"-DSLOPE={slope}", f"-DATTRIBUTES={len(attributes)}"

    def forward(self, x, **attributes):
        """x of any shape -> y of that shape."""
        y = x.device.empty(x.shape, x.dtype)
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
        options = (*options_of_types(x.dtype), *self._options, width_option(x, self._in_vectors))
        launch_in_chunks(x.device, "elementwise", kernel, x.size, options=options, x=x, **arrays, **numbers)


OPERATIONS = {
    "absolute": Unary("absolute"),
    "ceil": Unary("ceil", slope="constant_slope"),
    "erf": Unary("erf", in_vectors=True),
    "exp": Unary("exp", in_vectors=True),
    "floor": Unary("floor", slope="constant_slope"),
    "log": Unary("log", in_vectors=True),
    "negative": Unary("negative"),
    "reciprocal": Unary("reciprocal"),
    "round": Unary("rint", slope="constant_slope"),
    "sign": Unary("sign_of", slope="constant_slope"),
    "sqrt": Unary("sqrt", in_vectors=True),
}
