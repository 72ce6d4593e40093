"""What a file may hold otherwise than the model: normalisations folded into kernels, and weights in half the bytes.

A program is changed to another, whose constants are what the file holds, and for each constant that is another number
than before it is told how far that may be off from what is meant: the product with the exact factor, or the weight as
it was.
"""

import collections
import dataclasses

import numpy as np

from ... import backend as backends
from ... import rooms
from ...formats import FLOAT16, FLOAT32, FLOAT64
from ...program import Program
from ...variable import Variable

#: Of fewer numbers the operator that makes float32 of them takes as many bytes as are saved.
_FEWEST_HALVES = 64
#: Roundings to float64 that a folded constant passes at most, of terms whose magnitudes are summed.
_ROUNDINGS = 16


@dataclasses.dataclass(frozen=True)
class Changed:
    """A program that was changed for a file.

    Attributes
    ----------
    program : Program
        As the file computes it.
    off : dict of str to ndarray of float64
        By the name of a constant how far it may be off from what it stands for; those that are not in it are exact.
    folded : dict of str to str
        By the name of a result that another operation was folded into the name of that one's.
    halves : frozenset of str
        Constants that are stored as float16.
    kept : tuple of str
        Those that stay in float32, since float16 would lose more of them than its roundings.
    """

    program: Program
    off: dict
    folded: dict = dataclasses.field(default_factory=dict)
    halves: frozenset = frozenset()
    kept: tuple = ()

    def __str__(self):
        texts = []
        if self.folded:
            texts.append(f"{len(self.folded)} normalisation{'s' * (len(self.folded) > 1)} folded")
        if self.halves:
            texts.append(f"{len(self.halves)} weight{'s' * (len(self.halves) > 1)} rounded to {FLOAT16.name}")
        return " and ".join(texts)


def changed(program, fold, half):
    """Return a program as a file is to hold it.

    Parameters
    ----------
    program : Program
    fold : bool
        Whether what multiplies and moves channels is folded into the kernels and the bias that made them.
    half : bool
        Whether constants are stored as float16, where that holds them.

    Returns
    -------
    Changed
    """
    meant, off, folded = {}, {}, {}
    if fold:
        found = _Folding(program)
        program, meant, off, folded = found.folded(), found.meant, found.off, found.results
    values, halves, kept = {}, set(), []
    for name, array in program.constants.items():
        if array.dtype.kind != "f":
            continue
        exact = meant.get(name, array)
        value = exact.astype(FLOAT32.dtype)
        if half and array.size >= _FEWEST_HALVES:
            (halves.add if _fits_half(exact) else kept.append)(name)
        if name in halves:
            value = exact.astype(FLOAT16.dtype).astype(FLOAT32.dtype)
        error = np.abs(value.astype(FLOAT64.dtype) - exact)
        if name in meant or error.any():
            values[name], off[name] = value, error + off.get(name, 0)
    return Changed(_with_constants(program, values), off, folded, frozenset(halves), tuple(kept))


def _with_constants(program, values):
    """Return a program some of whose constants have other values, each as a Variable of its own."""
    reference = backends.find("reference")
    variables = {name: Variable.of(reference, value) for name, value in values.items()}
    return dataclasses.replace(program, constants=program.constants | values, variables=program.variables | variables)


def _fits_half(exact):
    """Return whether float16 rounds an array, by rows of its first axis, as if it reached as far as float32."""
    exact = exact.astype(FLOAT64.dtype, copy=False)
    if np.abs(exact).max() > FLOAT16.largest:
        return False
    rows = exact.reshape(len(exact), -1)
    error = rows.astype(FLOAT16.dtype) - rows
    return bool((np.square(error).sum(axis=1) <= FLOAT16.roundoff**2 * np.square(rows).sum(axis=1)).all())


class _Folding:
    """A program in which operations are folded into those before them.

    Attributes
    ----------
    meant : dict of str to ndarray of float64
        Constants that were computed.
    off : dict of str to ndarray of float64
        How far these may be off.
    results : dict of str to str
        As :attr:`Changed.folded`.
    """

    def __init__(self, program):
        self._program, self._constants = program, dict(program.constants)
        self.meant, self.off, self.results = {}, {}, {}
        self._uses = collections.Counter(name for step in program.steps for name in step.inputs)
        self._uses.update(program.outputs)

    def folded(self):
        """Return the program; of constants that were computed it holds the float64 numbers."""
        steps, places, renamed = [], {}, {}
        for step in self._program.steps:
            step = dataclasses.replace(step, inputs=tuple(renamed.get(name, name) for name in step.inputs))
            place = places.get(step.inputs[0]) if step.inputs else None
            found = None if place is None else self._fold(steps[place], step)
            if found is None:
                places |= dict.fromkeys(filter(None, step.results), len(steps))
                steps.append(step)
                continue
            (result,), (former,) = found.results, step.results
            steps[place], self.results[result] = found, former
            renamed[former], self._uses[result] = result, self._uses[former]
        outputs = tuple(renamed.get(name, name) for name in self._program.outputs)
        read = {name for step in steps for name in step.inputs}.union(outputs)
        constants = {name: array for name, array in self._constants.items() if name in read}
        return dataclasses.replace(self._program, steps=tuple(steps), constants=constants, outputs=outputs)

    def _fold(self, step, follower):
        """Return a step that does what its follower does too, or None if there is none."""
        found = self._scaling(step, follower)
        if found is None:
            return None
        factor, shift, magnitude = found
        _, w, *b = step.inputs
        b = next(iter(b), None)
        scale = rooms.trait(rooms.LAYERS, step.operation, "scaled_channels")
        kernels = scale(self._exactly(w), factor, **step.attributes)
        bias = np.zeros(factor.size) if b is None else self._exactly(b).reshape(-1) * factor
        axes = len(self._program.variables[step.results[0]].shape) - 2
        computed = [
            (w, kernels, np.abs(kernels)),
            (b, (bias + shift).reshape(1, -1, *(1,) * axes), (np.abs(bias) + magnitude).reshape(1, -1, *(1,) * axes)),
        ]
        with np.errstate(over="ignore"):
            if not all(np.isfinite(array.astype(FLOAT32.dtype)).all() for _, array, _ in computed):
                return None
        names = [self._enter(name or f"{w}.bias", array, terms) for name, array, terms in computed]
        return dataclasses.replace(step, inputs=(step.inputs[0], *names))

    def _scaling(self, step, follower):
        """Return what a follower does to each channel that a step makes for it alone; None if it is anything else."""
        (_, *kernels), (result, *others) = step.inputs, follower.inputs
        names = [name for name in (*kernels, *others) if name is not None]
        if self._uses[result] != 1 or not all(name in self._constants and name not in self.meant for name in names):
            return None
        find = rooms.trait(rooms.LAYERS, follower.operation, "per_channel")
        with np.errstate(all="ignore"):
            found = find(*(None if name is None else self._exactly(name) for name in others), **follower.attributes)
        scale = rooms.trait(rooms.LAYERS, step.operation, "scaled_channels")
        if found is None or not kernels or scale(self._exactly(kernels[0]), found[0], **step.attributes) is None:
            return None
        return found if all(np.isfinite(entry).all() for entry in found) else None

    def _exactly(self, name):
        return self._constants[name].astype(FLOAT64.dtype)

    def _enter(self, name, array, terms):
        """Enter a computed constant in the place of one that nothing else reads, or under another name."""
        if self._uses[name] != 1 or self._constants.get(name) is None:
            stem, number = name, 0
            while name in self._constants or name in self._program.variables:
                number += 1
                name = f"{stem}.folded{number if number > 1 else ''}"
        self._uses[name] = 1
        self._constants[name] = self.meant[name] = array
        self.off[name] = _ROUNDINGS * FLOAT64.roundoff * terms
        return name
