"""Comparisons and logic, element by element; the results are truth values, which have no gradient."""

import numpy as np


class Predicate:
    """An operation of one array or of two that are broadcast: y = formula(*operands), of truth values.

    Attributes
    ----------
    formula : callable
    """

    def __init__(self, formula):
        self.formula = formula

    def forward(self, *operands):
        """Operands of shapes that broadcast -> y of the shape that they broadcast to."""
        return self.formula(*operands), len(operands)

    def backward(self, dy, saved, needs):
        """There is none."""
        return (None,) * saved


#: By the names that they have in NumPy; y = a = b, a > b and so on, with NaN never, but for not_equal always.
OPERATIONS = {
    "equal": Predicate(np.equal),
    "greater": Predicate(np.greater),
    "greater_or_equal": Predicate(np.greater_equal),
    "less": Predicate(np.less),
    "less_or_equal": Predicate(np.less_equal),
    "logical_and": Predicate(np.logical_and),
    "logical_not": Predicate(np.logical_not),
    "logical_or": Predicate(np.logical_or),
    "logical_xor": Predicate(np.logical_xor),
    "not_equal": Predicate(np.not_equal),
}
