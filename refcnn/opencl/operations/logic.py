"""Comparisons and logic on an OpenCL device: functions of kernels/logic.cl."""

from ... import formats
from ...shapes import broadcast_shape
from ..shared.broadcasting import launch_binary
from ..shared.elementwise import launch_in_chunks, options_of_types, width_option

_RESULT = formats.BOOL.dtype


class Predicate:
    """An operation of one array or of two that are broadcast: y = formula(*operands), of truth values.

    Parameters
    ----------
    formula : str
        The function of kernels/logic.cl.
    """

    KERNELS = {"elementwise": (None,)}

    def __init__(self, formula):
        self._option = f"-DOPERATION={formula}"

    def forward(self, *operands):
        """Operands of shapes that broadcast -> y of the shape that they broadcast to."""
        options = (*options_of_types(operands[0].dtype, _RESULT), self._option, width_option(operands[0], False))
        if len(operands) == 1:
            (x,) = operands
            y = x.device.empty(x.shape, _RESULT)
            arguments = {"x": x, "y": y, "count": x.size, "attribute1": 0.0, "attribute2": 0.0}
            options = (*options, "-DSLOPE=", "-DATTRIBUTES=0")
            launch_in_chunks(x.device, "elementwise", "unary_forward", x.size, options=options, **arguments)
            return y, 1
        a, b = operands
        y = a.device.empty(broadcast_shape(a.shape, b.shape), _RESULT)
        launch_binary("forward", a=a, b=b, y=y, options=options)
        return y, 2

    def backward(self, dy, saved, needs):
        """There is none."""
        return (None,) * saved


OPERATIONS = {
    name: Predicate(name)
    for name in (
        *("equal", "greater", "greater_or_equal", "less", "less_or_equal", "logical_and", "logical_not", "logical_or"),
        *("logical_xor", "not_equal"),
    )
}
