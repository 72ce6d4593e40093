"""How many multiplications and additions an operation takes: by its formula, and by a device's algorithm."""

import dataclasses

from .. import rooms


@dataclasses.dataclass(frozen=True)
class Arithmetic:
    """The multiplications and additions of each direction of one operation, two for each product in a sum.

    Attributes
    ----------
    forward, backward_x, backward_w : int
        The gradients are those of the two factors of the products, which are the first two inputs.
    """

    forward: int
    backward_x: int
    backward_w: int

    def backward(self, needs):
        """Return those of the gradients that are needed.

        Parameters
        ----------
        needs : sequence of bool
            Whose gradients are needed, by the inputs.
        """
        return sum(count for count, needed in zip((self.backward_x, self.backward_w), needs, strict=False) if needed)


def by_formula(operation, inputs, attributes):
    """Return the :class:`Arithmetic` of the direct algorithm, which is the operation's formula.

    Parameters
    ----------
    operation : str
    inputs : sequence
        What has a ``shape``, or None.
    attributes : dict
    """
    forward = rooms.trait(rooms.LAYERS, operation, "flop")(*shapes_of(inputs), **attributes)
    # Each gradient has as many products: those with the other factor.
    return Arithmetic(forward, forward, forward)


def by_algorithm(device, operation, inputs, attributes):
    """Return the :class:`Arithmetic` that a device of refcnn's really does.

    Where an algorithm transforms its factors, that is not counted. Parameters as of :func:`by_formula`.
    """
    find = rooms.trait(rooms.OPENCL, operation, "algorithmic_flop")
    return dataclasses.replace(
        by_formula(operation, inputs, attributes), **find(device, *shapes_of(inputs), **attributes)
    )


def shapes_of(inputs):
    """Return the shapes of an operation's inputs, None for those that are left out."""
    return [None if entry is None else entry.shape for entry in inputs]


@dataclasses.dataclass(frozen=True)
class Shape:
    """What stands for an input of which only the shape matters."""

    shape: tuple


@dataclasses.dataclass(frozen=True)
class Passes:
    """The passes of one operation in a workload.

    Attributes
    ----------
    operation : str
    inputs : tuple of (Shape or None)
    attributes : dict
    needs : tuple of bool
        Whose gradients are computed, by the inputs; empty where none is.
    """

    operation: str
    inputs: tuple
    attributes: dict
    needs: tuple

    @property
    def formula_flop(self):
        """The multiplications and additions of the formula, whatever the algorithm."""
        return self._sum(by_formula(self.operation, self.inputs, self.attributes))

    def algorithm_flop(self, device):
        """Return those that a device really does."""
        return self._sum(by_algorithm(device, self.operation, self.inputs, self.attributes))

    def _sum(self, arithmetic):
        return arithmetic.forward + arithmetic.backward(self.needs)
