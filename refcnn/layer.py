"""What every layer is: parameters, and a call."""

from .errors import ShapeError
from .variable import Parameter, as_variable


class Parameters(dict):
    """A layer's parameters by name, also as attributes: ``layer.params.w``."""

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(
                f"there is no parameter {name!r}; there are {sorted(self) or 'none yet'} (layers without an "
                "input_size make their parameters at the first call)"
            ) from None


class Layer:
    """Base class of layers and models.

    Attributes
    ----------
    params : Parameters
        The layer's own parameters, name to :class:`~refcnn.variable.Parameter`.
    """

    def __init__(self):
        self.params = Parameters()

    def __call__(self, x):
        return self.forward(as_variable(x))

    def forward(self, x):
        """Compute the layer's output from a Variable; each layer defines its own."""
        raise TypeError(f"{type(self).__name__} must define forward(self, x)")

    def children(self):
        """Yield (name, layer) of the layers inside this one."""
        return iter(())

    def set_parameters(self, arrays):
        """Make or replace the layer's own parameters by host arrays, a dict of name to ndarray.

        Raises
        ------
        ShapeError
            If a parameter exists already with another shape.
        """
        for name, array in arrays.items():
            if name in self.params and self.params[name].shape != array.shape:
                raise ShapeError(
                    f"{type(self).__name__}: the parameter {name} has shape {self.params[name].shape}, but the values "
                    f"given have shape {array.shape}. Give values made by a model of the same shape."
                )
        for name, array in arrays.items():
            fresh = Parameter(array)
            # A parameter that was there stays the same object, for an optimizer keeps its state by it.
            self.params.setdefault(name, fresh).set(fresh.backend, fresh.on(fresh.backend))
