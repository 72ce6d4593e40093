"""How far an output may be off by what each step rounds, carried along the gradient of the output by each result.

Let g be the gradient of an output by the result of a step, and own that step's bound of its own roundings. Then

    sum over all results of |g| own

bounds the error of the output as long as the program is linear between what is computed and what is exact. It is where
all steps are linear by pieces and none can pass from one piece to another, as a rectifier of a number smaller than
its error could: :func:`carried` counts those that can. Signs of different paths cancel in g, which the bound that goes
forward from step to step cannot know.

The errors of roundings of which none knows of the others add up as their squares: if each is 0 in the mean and s^2 at
most bounds the square of one of them, the sum of all is, with probability 1 - 2 exp(-lambda^2 / 2), off by less than

    lambda sqrt(sum of s^2)

by Hoeffding's inequality, as :mod:`~refcnn.conformance.theory.probable` says, where s^2 of sums comes from. Of other
operations s is the bound of their own roundings, over the square root of how many have a part in it. All this is a
model: it holds of numbers with random mantissas and not, say, of equal ones.
"""

import dataclasses
import functools
import math
import os

import numpy as np

from ... import backend as backends
from ... import rooms
from ...conformance.theory.bounds import underflow
from ...conformance.theory.probable import LAMBDA, over_all_orders
from ...formats import FLOAT32
from .together import together


@dataclasses.dataclass(frozen=True)
class Carried:
    """Bounds of elements of one output.

    Attributes
    ----------
    proved, probable : ndarray of float64
        Of the output's shape; infinite of elements that were not looked at, and where nothing is proved or probable.
    """

    proved: np.ndarray
    probable: np.ndarray


def may_flip(exact, chain):
    """Return how many elements may pass from one linear piece to another, or None if a step is not linear by pieces.

    Parameters
    ----------
    exact : Exact
    chain : Chain
    """
    count, computed = 0, set(exact.program.inputs)
    for step in exact.program.steps:
        inputs = [None if name is None else chain.arrays[name] for name in step.inputs]
        errors = [chain.bounds.get(name) if name in computed else None for name in step.inputs]
        are_known = all(name not in computed or name in chain.bounds for name in step.inputs)
        find = rooms.trait(rooms.CONFORMANCE, step.operation, "may_flip")
        found = find(inputs, errors, step.attributes) if are_known else None
        if found is None:
            return None
        count += found
        computed.update(name for name in step.results if name is not None)
    return count


def carried(exact, chain, chosen, judged=()):
    """Return by name of an output the :class:`Carried` of some of its elements; None if no gradient leads back.

    Parameters
    ----------
    exact : Exact
    chain : Chain
        Of that Exact.
    chosen : dict of str to sequence of int
        By name of an output the places of elements, in an example of the batch, where the program goes over it example
        by example, or else in the whole output.
    judged : sequence of backends
        As the chain was made for.
    """
    of_steps = {name: of for step in exact.program.steps for name, of in variances(step, chain, not judged).items()}
    own = exact.widened(chain, judged) if may_flip(exact, chain) == 0 else None
    batch = batch_of(exact.program, chain)
    found = {}
    for name, places in chosen.items():
        shape = chain.arrays[name].shape
        rows = (1, math.prod(shape)) if batch is None else (batch, math.prod(shape[1:]))
        proved, probable = np.full(rows, np.inf), np.full(rows, np.inf)

        def sums_of(place, name=name, shape=shape, rows=rows):
            seed = np.zeros(rows)
            seed[:, place] = 1
            return _sums(exact, chain, (of_steps, own), name, seed.reshape(shape), rows[0])

        # As many as there are cores, since each holds gradients of all that is computed.
        sums = together([functools.partial(sums_of, place) for place in places], os.cpu_count())
        if any(entry is None for entry in sums):
            return None
        for place, (variance, sum_of_magnitudes) in zip(places, sums, strict=True):
            probable[:, place] = LAMBDA * np.sqrt(variance)
            if own is not None:
                proved[:, place] = sum_of_magnitudes
        found[name] = Carried(proved.reshape(shape), probable.reshape(shape))
    return found


def variances(step, chain, is_direct=True):
    """Return by name of a step's result s^2 of its roundings together.

    Parameters
    ----------
    step : Step
    chain : Chain
    is_direct : bool
        Whether sums are those of the definition; otherwise all that is known of them is their bound.
    """
    inputs = [None if name is None else chain.arrays[name] for name in step.inputs]
    of_sums = rooms.trait(rooms.CONFORMANCE, step.operation, "squares")
    if of_sums is not None and is_direct:
        (name,) = step.results
        count, squares = of_sums(inputs, step.attributes)
        of_roundings = over_all_orders(chain.arrays[name], squares, count)
        return {name: np.square(FLOAT32.roundoff) * of_roundings + np.square(2 * count * underflow())}
    terms = rooms.trait(rooms.CONFORMANCE, step.operation, "terms")(inputs, step.attributes)
    return {name: np.square(chain.own[name]) / max(1, terms) for name in step.results if name is not None}


def batch_of(program, chain):
    """Return the number of examples, if all that is computed has that many rows; None if it is not so."""
    names = [*program.inputs, *(name for step in program.steps for name in step.results if name is not None)]
    sizes = {chain.arrays[name].shape[:1] for name in names}
    return sizes.pop()[0] if len(sizes) == 1 and () not in sizes else None


def _sums(exact, chain, weights, output, seed, rows):
    """Return the sums of (g own)^2 / n, and of |g| own, of one output element a row; None if no gradient leads back."""
    of_steps, own = weights
    program = exact.program
    computed = set(program.inputs).union(name for step in program.steps for name in step.results)
    gradients, proved, variance = {output: seed}, np.zeros(rows), np.zeros(rows)

    def total(of_result, g):
        # A gradient of 0 carries nothing of what may be infinite.
        with np.errstate(invalid="ignore"):
            products = np.where(g == 0, 0, of_result * g)
        return products.reshape(rows, -1).sum(axis=1)

    for step, saved in zip(reversed(program.steps), reversed(chain.saved), strict=True):
        dys = [None if name is None else gradients.pop(name, None) for name in step.results]
        if all(dy is None for dy in dys):
            continue
        for name, dy in zip(step.results, dys, strict=True):
            if dy is not None:
                variance += total(of_steps[name], np.square(dy))
                if own is not None:
                    proved += total(own[name], np.abs(dy))
        needs = tuple(name in computed and name not in program.inputs for name in step.inputs)
        if not any(needs):
            continue
        if not rooms.trait(rooms.CONFORMANCE, step.operation, "HAS_GRADIENT"):
            return None
        for name, need, dx in zip(step.inputs, needs, _backward(step, saved, dys, needs), strict=True):
            if need and dx is not None:
                gradients[name] = gradients[name] + dx if name in gradients else dx
    return (variance, proved) if np.isfinite(variance).all() else None


def _backward(step, saved, dys, needs):
    quick = rooms.trait(rooms.CONFORMANCE, step.operation, "exact_backward")
    backward = backends.find("reference:float64").operation(step.operation).backward if quick is None else quick
    saved, forms = saved
    if forms is None:
        (dys,) = dys
    else:
        pairs = zip(dys, forms, strict=True)
        dys = tuple(np.zeros(shape) if dy is None and dtype.kind == "f" else dy for dy, (shape, dtype) in pairs)
    with np.errstate(all="ignore"):
        return backward(dys, saved, needs, **step.attributes)
