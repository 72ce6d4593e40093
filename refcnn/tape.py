"""The tape: which operations computed a variable, and its gradients that follow from them."""

import weakref

import numpy as np

from . import rooms
from .errors import GradientError


class Node:
    """One recorded operation of the tape.

    Attributes
    ----------
    operation : str
        The operation's stem, such as ``"conv2d"``.
    implementation : module
        What ran forward, and so runs backward, whatever backend is active by then.
    inputs : tuple of Variable or None
    attributes : dict
    saved : object
        What forward kept for backward.
    """

    __slots__ = ("operation", "implementation", "inputs", "attributes", "saved", "_results", "_forms")

    def __init__(self, operation, implementation, inputs, attributes, saved):
        self.operation, self.implementation = operation, implementation
        self.inputs, self.attributes, self.saved = inputs, attributes, saved
        self._results, self._forms = (), None

    def record(self, variable_of, backend, y):
        """Return what forward gave, an array or a tuple of arrays, as Variables that know this node.

        Parameters
        ----------
        variable_of : callable
            ``Variable.of``.
        backend : Backend
        y : array of the backend, or tuple of arrays
        """
        needed = False
        for entry in self.inputs:
            needed = needed or (entry is not None and entry.requires_grad)
        # Results hold their node, and not the other way round, so that one which nobody holds is freed at once.
        if not isinstance(y, tuple):
            result = variable_of(backend, y, self, needed)
            self._results = (weakref.ref(result),)
            return result
        results = tuple(variable_of(backend, array, self, needed, position) for position, array in enumerate(y))
        self._results = tuple(map(weakref.ref, results))
        self._forms = tuple((result.shape, np.dtype(result.dtype)) for result in results)
        return results

    @property
    def has_several_results(self):
        """Whether forward gives a tuple of results, even if it has one entry."""
        return self._forms is not None

    def results(self):
        """Return the variables that it computed, a tuple; None in the place of one that nobody holds any more."""
        return tuple([result() for result in self._results])

    def flop(self):
        """Return the multiplications and additions of its forward pass, by its formula."""
        shapes = [None if entry is None else entry.shape for entry in self.inputs]
        return rooms.trait(rooms.LAYERS, self.operation, "flop")(*shapes, **self.attributes)

    def let_go(self):
        """Let the results forget how they were computed: what was saved is freed with the node."""
        for reference in self._results:
            result = reference()
            if result is not None:
                result.node, result._is_walked = None, True

    def take_gradient(self, backend, gradients):
        """Take what ``backward`` is given out of a dict of gradients by place on the tape; None if nothing is there."""
        if self._forms is None:
            return gradients.pop((id(self), 0), None)
        found = [gradients.pop((id(self), position), None) for position in range(len(self._forms))]
        if all(gradient is None for gradient in found):
            return None
        rows = zip(found, self._forms, strict=True)
        return tuple(_zeros(backend, *form) if gradient is None else gradient for gradient, form in rows)


def _zeros(backend, shape, dtype):
    """Return the gradient of a result from which nothing was computed; None if it is not of floating point."""
    return backend.array(np.zeros(shape, dtype)) if dtype.kind == "f" else None


def tape(*variables):
    """Return the nodes of all that variables were computed from, each after those of its inputs, that of one last."""
    order, seen, stack = [], set(), [(variable.node, False) for variable in reversed(variables)]
    while stack:
        node, visited = stack.pop()
        if visited:
            order.append(node)
        elif node is not None and id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend([(entry.node, False) for entry in node.inputs if entry is not None and entry.node is not None])
    return order


def _place_on_tape(variable):
    """Return a key for a variable's gradient: a result is known by its node, since it may be freed before that is."""
    return id(variable) if variable.node is None else (id(variable.node), variable.position)


def leaves(variable):
    """Return all from which a variable was computed that requires a gradient and was not computed itself."""
    return [leaf for found in _last_uses(tape(variable)).values() for leaf in found]


def _last_uses(nodes):
    """Return by a node's id the leaves that no node uses to which a walk backwards comes after it."""
    seen, found = set(), {}
    for node in nodes:
        for entry in node.inputs:
            if entry is not None and entry.node is None and entry.requires_grad and id(entry) not in seen:
                seen.add(id(entry))
                found.setdefault(id(node), []).append(entry)
    return found


def leaf_gradients(variable, on_ready=None):
    """Walk the tape of a single number backwards and let it go.

    Parameters
    ----------
    variable : Variable
    on_ready : callable, optional
        As of :meth:`refcnn.Variable.grad`.

    Yields
    ------
    (Variable, array of its backend)
        Each variable that requires a gradient and was not computed itself, with its gradient; again where that grows.
    """
    backend = variable.backend
    gradients = {_place_on_tape(variable): backend.array(np.ones(()))}
    add = backend.operation("add").forward
    nodes = tape(variable)
    last_uses = {} if on_ready is None else _last_uses(nodes)
    while nodes:
        # Popped, so that a result that nobody else holds is freed as soon as its turn is over.
        node = nodes.pop()
        node.let_go()
        dy = node.take_gradient(backend, gradients)
        if dy is not None:
            needs = tuple([entry is not None and entry.requires_grad for entry in node.inputs])
            derivatives = node.implementation.backward(dy, node.saved, needs, **node.attributes)
            for entry, needed, derivative in zip(node.inputs, needs, derivatives, strict=True):
                if needed:
                    # An input that is used twice gets the sum of both derivatives.
                    place = _place_on_tape(entry)
                    former = gradients.get(place)
                    gradients[place] = derivative if former is None else add(former, derivative)[0]
                    if entry._is_walked:
                        raise GradientError(
                            f"an intermediate result of shape {entry.shape} belongs to another loss too, whose grad() "
                            "has let go how it was computed. Add the losses and call grad() on the sum, or compute "
                            "it anew for each."
                        )
                    if entry.node is None:
                        yield entry, gradients[place]
        for leaf in last_uses.get(id(node), ()):
            on_ready(leaf, gradients.get(_place_on_tape(leaf)))
