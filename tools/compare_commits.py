#!/usr/bin/env python3
"""Compare what two commits compute, to the bit, and how fast they train and infer, on this machine.

    tools/compare_commits.py BEFORE AFTER [--device opencl:0:0 ...] [--rounds 10]

Each commit is checked out into a folder of its own and computes, in processes of its own, the same results on the same
inputs: every operation that both have, each variant of its kernels, with and without what is fused into them, forward
and backward, and the parameters of a short training. Kernels and compilers follow the processor, so hashes of one
machine say nothing about another: both commits run here. With ``--rounds`` the two take turns at the chapter's network,
and the least time of each is told. Exit status: 0 the same bits, 1 other bits, 2 could not run.
"""

import argparse
import contextlib
import hashlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]

_STEPS = 12
_CHAPTER_BATCH = 64


def main():
    """Parse the command line and compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("--device", action="append", help="a backend as refcnn names it; all as a rule")
    parser.add_argument("--rounds", type=int, default=0, help="turns of each commit at the chapter's network [0]")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trees = [_checked_out(commit, Path(folder) / name) for commit, name in _named(arguments)]
        try:
            devices = arguments.device or ["reference", *_opencl_devices()]
            is_same = not sum(_differing(trees, device) for device in devices)
            for device in devices:
                if arguments.rounds and device != "reference":
                    _speed(trees, device, arguments.rounds)
        finally:
            for tree in trees:
                subprocess.run(["git", "worktree", "remove", "--force", tree], cwd=CHECKOUT, check=True)
    sys.exit(0 if is_same else 1)


def _named(arguments):
    return (arguments.before, "before"), (arguments.after, "after")


def _checked_out(commit, folder):
    command = ["git", "worktree", "add", "--quiet", "--detach", folder, commit]
    if subprocess.run(command, cwd=CHECKOUT).returncode:
        sys.exit(2)
    return folder


def _opencl_devices():
    import pyopencl as cl

    return [
        f"opencl:{platform_index}:{device_index}"
        for platform_index, platform in enumerate(cl.get_platforms())
        for device_index, _ in enumerate(platform.get_devices())
    ]


def _child(tree, task, device):
    """Return what a process of a commit answers."""
    code = "import runpy, sys; sys.argv[0] = 'child'; runpy.run_path(sys.argv[1], run_name='child')"
    command = [sys.executable, "-P", "-c", code, __file__, task, device]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    done = subprocess.run(command, env=environment, cwd=tree, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        print(f"{task} of {tree.name} on {device} ended with status {done.returncode}", file=sys.stderr)
        sys.exit(2)
    return json.loads(done.stdout.splitlines()[-1])


def _differing(trees, device):
    before, after = (_child(tree, "hashes", device) for tree in trees)
    differing = sorted(name for name in before if after.get(name) != before[name])
    print(f"{device}: {len(before)} results, {len(differing)} differ", *differing, sep="\n  ", flush=True)
    return len(differing)


def _speed(trees, device, rounds):
    times = {tree.name: [] for tree in trees}
    for number in range(rounds):
        # Each goes first in every other round.
        for tree in trees if number % 2 else reversed(trees):
            times[tree.name].append(_child(tree, "times", device))
    for mode in ("training", "inference", "host"):
        before, after = (min(entry[mode] for entry in times[tree.name]) for tree in trees)
        print(f"{device}: {mode} {before * 1e3:.3f} ms before, {after * 1e3:.3f} ms after: {after / before - 1:+.1%}")


# What follows runs in the process of one commit, whose refcnn it imports.


def _answer(task, device):
    print(json.dumps({"hashes": _hashes, "times": _times}[task](device)))


def _hashes(device):
    import numpy as np

    import refcnn as rm
    from refcnn import backend as backends

    backend = backends.find(device)
    found = {}
    with np.errstate(all="ignore"):
        for operation, number, inputs, attributes in _calls():
            for variant, forced in _variants(backend):
                with forced:
                    found[f"{operation} {number} {variant}"] = _digest(
                        array for array in _results(backend, operation, inputs, attributes)
                    )
    for variant, forced in _variants(backend):
        with forced, rm.use_backend(backend):
            for optimizer in (rm.Sgd(), rm.Adam(lr=0.01)):
                parameters = _trained(rm, optimizer, batch=20, steps=3)
                found[f"training by {type(optimizer).__name__} {variant}"] = _digest(parameters)
    return found


def _variants(backend):
    """Yield each variant of the kernels, and a context in which it runs."""
    yield "own", contextlib.nullcontext()
    if hasattr(backend, "device"):
        from refcnn.opencl import variants

        for name, strips in itertools.product(variants.VARIANTS, (False, True)):
            yield f"{name}{', small strips' * strips}", variants.use_variant(name, strips)


def _calls():
    """Yield (operation, number, arrays, attributes): every operation over sizes that meet every kernel's edges."""
    import numpy as np

    def draw(*shape):
        rng = np.random.default_rng([len(shape), *shape])
        values = rng.standard_normal(shape).astype(np.float32)
        # Ties and exact zeros, which poolings and rectifiers decide on.
        return np.where(rng.random(shape) < 0.2, np.float32(0), values)

    windows = [
        ((3, 3), (1, 1), (1, 1, 1, 1), (1, 1)),
        ((3, 3), (1, 1), (0, 2, 1, 0), (1, 1)),
        ((5, 3), (2, 1), (2, 0, 1, 3), (1, 2)),
        ((1, 1), (1, 1), (0, 0, 0, 0), (1, 1)),
        ((7, 7), (2, 2), (3, 3, 3, 3), (1, 1)),
    ]
    channels = [(1, 5, 1), (3, 32, 1), (16, 33, 1), (40, 24, 4), (6, 6, 6), (64, 64, 1)]
    geometries = itertools.product(windows, channels, [(2, 15, 17), (3, 28, 8)])
    for number, (window, (c, k, groups), (n, height, width)) in enumerate(geometries):
        kernel, stride, padding, dilation = window
        attributes = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        b = draw(1, k, 1, 1) if number % 3 else None
        yield "conv2d", number, (draw(n, c, height, width), draw(k, c // groups, *kernel), b), attributes
    for number, (kernel, stride, padding) in enumerate(
        [((2, 2), (2, 2), (0, 0, 0, 0)), ((3, 2), (2, 1), (1, 0, 2, 1)), ((3, 3), (1, 1), (1, 1, 1, 1))]
    ):
        window = {"kernel": kernel, "stride": stride, "padding": padding}
        for shape in ((2, 3, 9, 11), (1, 17, 16, 16)):
            yield "max_pool2d", (number, shape), (draw(*shape),), window
            for count in (False, True):
                entries = {**window, "count_include_padding": count}
                yield "average_pool2d", (number, shape, count), (draw(*shape),), entries
    for n, inputs, outputs in ((1, 1, 1), (7, 33, 10), (64, 300, 129), (5, 2000, 16)):
        for b in (None, draw(1, outputs)):
            yield "dense", (n, inputs, outputs, b is None), (draw(n, inputs), draw(inputs, outputs), b), {}
    for shape in ((5,), (3, 1031), (2, 3, 4, 5)):
        yield "relu", shape, (draw(*shape),), {}
        yield "add", shape, (draw(*shape), draw(*reversed(shape)).reshape(shape)), {}
        yield "dropout", shape, (draw(*shape),), {"ratio": 0.3, "seed": 2**40 + 5, "stream": 7}
        yield "sgd", shape, (draw(*shape),) * 3, {"lr": 0.1, "momentum": 0.4, "nesterov": True}
        adam = {"lr": 0.001, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "step": 3}
        yield "adam", shape, (draw(*shape), draw(*shape), draw(*shape), np.abs(draw(*shape))), adam
    yield "flatten", 1, (draw(3, 4, 5, 2),), {}
    for shape in ((1, 1), (9, 10), (33, 70)):
        yield "softmax", shape, (draw(*shape),), {}
        target = np.eye(shape[1], dtype=np.float32)[np.arange(shape[0]) % shape[1]]
        for reduce_sum in (False, True):
            yield "softmax_cross_entropy", (shape, reduce_sum), (draw(*shape), target), {"reduce_sum": reduce_sum}


def _results(backend, operation, inputs, attributes):
    """Yield an operation's results and gradients, and those with a rectifier and a pooling behind it."""
    import numpy as np

    module = backend.operation(operation)
    arrays = [None if entry is None else backend.array(entry) for entry in inputs]
    result = module.forward(*arrays, **attributes)
    if not hasattr(module, "backward"):
        yield from map(backend.to_host, result)
        return
    y, saved = result
    host = backend.to_host(y)
    yield host
    needs = tuple(entry is not None for entry in inputs)
    dy = np.random.default_rng(host.size).standard_normal(host.shape).astype(np.float32)
    yield from _gradients(backend, module.backward(backend.array(dy), saved, needs, **attributes))
    if host.ndim != 4 or min(host.shape[2:]) < 2:
        return
    relu, pooling = backend.operation("relu"), backend.operation("max_pool2d")
    window = {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0, 0, 0)}
    first, of_first = relu.forward(arrays[0])
    y, of_operation = module.forward(first, *arrays[1:], **attributes)
    rectified, of_relu = relu.forward(y)
    pooled, of_pooling = pooling.forward(rectified, **window)
    host = backend.to_host(pooled)
    yield host
    dy = backend.array(np.random.default_rng(host.size).standard_normal(host.shape).astype(np.float32))
    (dy,) = pooling.backward(dy, of_pooling, (True,), **window)
    (dy,) = relu.backward(dy, of_relu, (True,))
    dx, *gradients = module.backward(dy, of_operation, needs, **attributes)
    yield from _gradients(backend, [*relu.backward(dx, of_first, (True,)), *gradients])


def _gradients(backend, gradients):
    return (backend.to_host(gradient) for gradient in gradients if gradient is not None)


def _digest(arrays):
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def _trained(rm, optimizer, batch, steps):
    """Return the parameters of a small network after some steps."""
    import numpy as np

    rm.set_seed(5)
    model = rm.Sequential(
        [
            *(
                rm.Conv2d(16, 3, padding=1),
                rm.Relu(),
                rm.Conv2d(24, 3, padding=1),
                rm.Relu(),
                rm.MaxPool2d(2, stride=2),
            ),
            *(rm.AveragePool2d(2), rm.Dropout(0.4), rm.Flatten(), rm.Dense(32), rm.Relu(), rm.Dense(10)),
        ]
    )
    rng = np.random.default_rng(3)
    for _ in range(steps):
        x, t = rng.random((batch, 1, 20, 18)).astype(np.float32), np.eye(10)[rng.integers(0, 10, batch)]
        with model.train():
            loss = rm.softmax_cross_entropy(model(x), t)
        loss.grad().update(optimizer)
    return [parameter.as_ndarray() for _, parameter in model.parameters()]


def _times(device):
    """Return the least seconds of a step of training and of inference, and of what the host does in a step."""
    import numpy as np

    import refcnn as rm
    from refcnn import models

    rng = np.random.default_rng(0)
    x = rng.random((_CHAPTER_BATCH, 1, 28, 28)).astype(np.float32)
    t = np.eye(10, dtype=np.float32)[rng.integers(0, 10, _CHAPTER_BATCH)]
    with rm.use_backend(device):
        model, optimizer = models.build("chapter", (1, 28, 28), 10), rm.Sgd()

        def train():
            with model.train():
                loss = rm.softmax_cross_entropy(model(x), t)
            loss.grad().update(optimizer)
            return loss

        training, inference, host = [], [], []
        for _ in range(_STEPS):
            start = time.perf_counter()
            loss = train()
            host.append(time.perf_counter() - start)
            float(loss)
            loss.backend.device.finish()
            training.append(time.perf_counter() - start)
        for _ in range(_STEPS):
            start = time.perf_counter()
            model(x).as_ndarray()
            inference.append(time.perf_counter() - start)
    return {"training": min(training), "inference": min(inference), "host": min(host)}


if __name__ == "__main__":
    main()
elif __name__ == "child":
    _answer(*sys.argv[2:])
