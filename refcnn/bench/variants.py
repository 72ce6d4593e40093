"""Timing the variants of the kernels for single convolutions, and choosing the fastest."""

import math
import time

from ..errors import BackendError
from ..opencl import variants
from ..opencl.convolution import choice, tuning
from ..opencl.convolution.choice import DIRECTIONS
from . import batches, workloads

_NEEDS = {"backward_x": (True, False, False), "backward_w": (False, True, True)}
_ROUNDS = 5
# A variant so many times slower at its first turn than the best one so far gets no other.
_HOPELESS = 3
_TURN_SECONDS = 0.01
# The plain variant is not tried on more operations than this: it would take minutes.
_PLAIN_FLOP = {"cpu": 2e8, "gpu": 2e10}


def model_geometries(model, image_shape, batch):
    """Return the geometries of a model's convolutions, each once."""
    from .. import models
    from ..backend import use_backend

    with use_backend("reference"):
        nodes = workloads.record(models.build(model, image_shape, batches.CLASSES), image_shape)
    found = [workloads.geometry_of(node, batch) for node in nodes]
    return list(dict.fromkeys(geometry for geometry in found if geometry is not None))


def standard_geometries():
    """Return the geometries of the bench's grid."""
    return [layer.geometry for layer in workloads.GRID]


def measure_directions(backend, geometry):
    """Time the variants for all directions of a convolution, the backward ones after the fastest forward one.

    Returns
    -------
    dict of str to dict of str to float
        For each direction as :func:`measure` returns it.
    """
    found = {"forward": measure(backend, geometry, "forward")}
    forward = min(found["forward"], key=found["forward"].get, default="plain")
    for direction in DIRECTIONS[1:]:
        found[direction] = measure(backend, geometry, direction, forward)
    return found


def describe(geometry):
    """Return a convolution's sizes and attributes in a few words."""
    shape, (outputs, _, *window) = "x".join(map(str, geometry.x_shape)), geometry.w_shape
    words = [f"{shape} -> {outputs}, {window[0]}x{window[1]}"]
    if geometry.stride != (1, 1):
        words.append(f"stride {geometry.stride[0]}x{geometry.stride[1]}")
    if geometry.groups > 1:
        words.append(f"{geometry.groups} groups")
    return ", ".join(words)


def describe_all(measured):
    """Return lines that tell each convolution, and for each direction the variants' milliseconds, the fastest first.

    Parameters
    ----------
    measured : dict of (str, Convolution) to dict of str to float
        Seconds of each variant, by direction and geometry.
    """
    lines = []
    for geometry in dict.fromkeys(geometry for _, geometry in measured):
        lines.append(describe(geometry))
        for direction in DIRECTIONS:
            times = sorted(measured[direction, geometry].items(), key=lambda one: one[1])
            told = "  ".join(f"{name} {seconds * 1e3:.3g}" for name, seconds in times)
            lines.append(f"  {direction:<10}  {told}")
    return lines


def measure(backend, geometry, direction, forward=None):
    """Time every variant that can compute one direction of a convolution, in turns.

    Parameters
    ----------
    backend : refcnn.backend.OpenCL
    geometry : Convolution
    direction : str
    forward : str, optional
        The variant that runs forward before a backward direction is timed.

    Returns
    -------
    dict of str to float
        Seconds, the least of several, by the variant's name. Variants that fail, or are much slower at first, are
        left out.
    """
    # A device has one of the two ways to make matrix products.
    others = {"plain", "cpu", "gpu"} - {variants.variant(backend.device)}
    names = [name for name in choice.candidates(direction, geometry) if name not in others]
    if workloads.layer_flop(geometry) <= _PLAIN_FLOP["cpu" if backend.device.kind == "cpu" else "gpu"]:
        names.append("plain")
    action = _action(backend, geometry, direction, forward)
    best, counts = {}, {}
    for name in names:
        try:
            with variants.use_variant(name):
                _seconds(backend, action, 1)
                once = _seconds(backend, action, 1)
        except BackendError:
            continue
        best[name], counts[name] = once, max(1, math.ceil(_TURN_SECONDS / once))
    limit = _HOPELESS * min(best.values(), default=0)
    best = {name: seconds for name, seconds in best.items() if seconds <= limit}
    for _ in range(_ROUNDS):
        for name in best:
            with variants.use_variant(name):
                best[name] = min(best[name], _seconds(backend, action, counts[name]))
    return best


def _action(backend, geometry, direction, forward):
    operation = backend.operation(geometry.operation)
    attributes = workloads.attributes(geometry)
    x, w = (backend.array(batches.random(shape)) for shape in (geometry.x_shape, geometry.w_shape))
    b = backend.array(batches.random((1, geometry.w_shape[0], 1, 1)))
    if direction == "forward":
        return lambda: operation.forward(x, w, b, **attributes)[0].computed()
    with variants.use_variant(forward):
        y, saved = operation.forward(x, w, b, **attributes)
        y.computed()
    dy = backend.array(batches.random(y.shape))
    return lambda: operation.backward(dy, saved, _NEEDS[direction], **attributes)


def _seconds(backend, action, count):
    backend.device.finish()
    start = time.perf_counter()
    for _ in range(count):
        action()
    backend.device.finish()
    return (time.perf_counter() - start) / count


def choices(measured):
    """Return what a database shall hold.

    Parameters
    ----------
    measured : dict of (str, Convolution) to dict of str to float
        Seconds of each variant, by direction and geometry.

    Returns
    -------
    dict of str to str
        For each shape class the variant with the least geometric mean over its shapes, of those that can compute all
        of them; and the same for wider classes, for shapes that were not measured. What is chosen for those is never
        ``plain`` if there is another: it is the fastest at small sizes only.
    """
    grouped = {}
    for (direction, geometry), times in measured.items():
        if not times:
            continue
        own, *wider = tuning.keys(direction, geometry)
        grouped.setdefault(own, []).append(times)
        others = {name: seconds for name, seconds in times.items() if name != "plain"}
        for key in wider:
            grouped.setdefault(key, []).append(others or times)
    return {key: _fastest(group) for key, group in grouped.items()}


def _fastest(group):
    able = set.intersection(*(set(times) for times in group)) or set(group[0])
    group = [times for times in group if able <= set(times)]
    return min(sorted(able), key=lambda name: math.fsum(math.log(times[name]) for times in group))
