"""What adapters of libraries have in common that differentiate: only forward is written, by the library's functions."""

import functools

from ..subjects.base import NotExpressible


class Differentiating:
    """An implementation whose gradients its library derives of the forward functions.

    Attributes
    ----------
    operations : object
        Has the forward function of each operation under its name in refcnn, of the library's tensors and attributes.
    """

    operations: object = None

    def __getattr__(self, name):
        operation = name.removesuffix("_backward")
        forward = None if operation.startswith("_") else getattr(self.operations, operation, None)
        if forward is None:
            raise AttributeError(name)
        return functools.partial(self._backward if name != operation else self._forward, forward)

    def tensor(self, array):
        """Return an ndarray as the library's."""
        raise NotImplementedError

    def array(self, tensor):
        """Return a tensor as an ndarray."""
        raise NotImplementedError

    def gradients(self, function, inputs, dys):
        """Return the gradients of inputs.

        Parameters
        ----------
        function : callable
            Given the inputs, it returns a list of results.
        inputs : list
            Tensors of floats.
        dys : list
            The gradient of each result.
        """
        raise NotImplementedError

    def _forward(self, operation, *inputs, **attributes):
        y = operation(*map(self._tensor, inputs), **attributes)
        return tuple(map(self.array, y)) if isinstance(y, tuple | list) else self.array(y)

    def _backward(self, operation, dy, *inputs, **attributes):
        tensors = list(map(self._tensor, inputs))
        places = [place for place, entry in enumerate(inputs) if entry is not None and entry.dtype.kind == "f"]
        # Results of integers have no gradient.
        given = {place: entry for place, entry in enumerate(_all(dy)) if entry is not None}

        def function(*floats):
            arguments = list(tensors)
            for place, entry in zip(places, floats, strict=True):
                arguments[place] = entry
            results = _all(operation(*arguments, **attributes))
            return [results[place] for place in given]

        found = self.gradients(function, [tensors[place] for place in places], [*map(self.tensor, given.values())])
        gradients = [None] * len(inputs)
        for place, entry in zip(places, found, strict=True):
            gradients[place] = self.array(entry)
        return tuple(gradients)

    def _tensor(self, array):
        return None if array is None else self.tensor(array)


def only(library, function, **fixed):
    """Return a function of a library's that has these attributes alone, as constants."""

    def operation(x, **attributes):
        if attributes != fixed:
            raise NotExpressible(f"{library}'s constants are {fixed}")
        return function(x)

    return operation


def _all(results):
    return results if isinstance(results, tuple | list) else (results,)
