#!/usr/bin/env python3
"""Write what PyTorch finds for the ready networks, to which tests/test_pytorch_numbers.py holds refcnn.

Run with a Python that has PyTorch beside refcnn's NumPy. Each network gets fixed weights and images
(tests/networks.py); what refcnn records of it is translated operation by operation, and computed in float64 and in
float32. tests/pytorch_numbers/NAME.json holds

- ``draw``: which batch of images these numbers are of: that of six in which PyTorch's float32 gradients are nearest to
  float64 if the images are disturbed by some rounding errors, so that hardly an activation is near its kink;
- ``logits``: the fingerprint of the logits outside training, in float64;
- ``loss``: of a training step, in float64;
- ``gradients``: for each parameter its shape and the fingerprint of its gradient, in float64;
- ``float32``: how far PyTorch's float32 gradients are from its float64 ones, each in parts of its largest magnitude:
  the median and the worst over the gradients, but for those that are 0 but for rounding; by all elements (``whole``)
  and by those of the fingerprints (``fingerprints``). That is the most over the six batches: where one activation of
  millions lies so near to 0 that float32 takes it for negative, all gradients before it are farther off a thousand
  times, in one batch with one library and in another with the next.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT))

from refcnn import models
from refcnn.backend import use_backend
from refcnn.reference import dropout as reference_dropout
from refcnn.tape import tape
from refcnn.variable import Variable
from tests import networks

ALL = (*models.NAMED, *models.OF_PIXELS)

#: How far images are disturbed by which a batch is chosen: some ten times float32's unit roundoff.
DISTURBANCE = 1e-5
#: How many batches PyTorch's float32 is measured on.
DRAWS = 6


class Translated:
    """For each operation, under its name in refcnn, what PyTorch has for it: arrays first, then attributes."""

    @staticmethod
    def conv2d(x, w, b, *, stride, padding, dilation, groups):
        bias = None if b is None else b.reshape(-1)
        return functional.conv2d(x, w, bias, stride, _alike(padding), dilation, groups)

    @staticmethod
    def conv_transpose2d(x, w, b, *, stride, padding, output_padding, dilation, groups):
        bias = None if b is None else b.reshape(-1)
        return functional.conv_transpose2d(x, w, bias, stride, _alike(padding), output_padding, groups, dilation)

    @staticmethod
    def dense(x, w, b):
        return functional.linear(x, w.T, b.reshape(-1))

    @staticmethod
    def max_pool2d(x, *, kernel, stride, padding, dilation, ceil_mode):
        return functional.max_pool2d(x, kernel, stride, _alike(padding), dilation, ceil_mode)

    @staticmethod
    def average_pool2d(x, *, kernel, stride, padding, dilation, ceil_mode, count_include_padding):
        assert set(dilation) == {1}
        return functional.avg_pool2d(x, kernel, stride, _alike(padding), ceil_mode, count_include_padding)

    @staticmethod
    def global_average_pool2d(x):
        return functional.adaptive_avg_pool2d(x, 1)

    @staticmethod
    def batch_normalization(x, scale, bias, mean, variance, *, epsilon, momentum, training):
        running = (None, None) if training else (mean, variance)
        return functional.batch_norm(x, *running, scale, bias, training, eps=epsilon)

    @staticmethod
    def relu(x):
        return functional.relu(x)

    @staticmethod
    def clip(x, *, min, max):
        return torch.clamp(x, min, max)

    @staticmethod
    def add(x, y):
        return x + y

    @staticmethod
    def concat(*xs, axis):
        return torch.cat(xs, axis)

    @staticmethod
    def flatten(x):
        return torch.flatten(x, 1)

    @staticmethod
    def dropout(x, *, ratio, seed, stream):
        kept, _ = reference_dropout.forward(np.ones(x.shape), ratio=ratio, seed=seed, stream=stream)
        return x * torch.from_numpy(kept).to(x.dtype)

    @staticmethod
    def sparse_softmax_cross_entropy(x, t, *, class_weight, label_smoothing, ignore_index, reduce_sum):
        assert (class_weight, label_smoothing, ignore_index, reduce_sum) == (None, 0, None, True)
        return functional.cross_entropy(x, t)


def main():
    """Write a file for each network that is named, or for all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(ALL)}; all by default")
    names = parser.parse_args().names or ALL
    networks.NUMBERS.mkdir(exist_ok=True)
    for name in names:
        with use_backend("reference"):
            found = numbers(name)
        path = networks.NUMBERS / f"{name}.json"
        path.write_text(text(found), encoding="utf-8")
        print(f"{name}: {path.stat().st_size} bytes, float32 {found['float32']}", flush=True)


def numbers(name):
    """Return what the file of a network holds."""
    model = networks.make(name)
    given = [Variable(entry) for entry in networks.examples(name)]
    model(networks.examples(name)[0][:1])
    parameters = dict(model.parameters())
    model.set_state(networks.state({key: entry.shape for key, entry in parameters.items()}))
    outside = networks.logits(model, given[0])
    # Before the training step moves them.
    running = {id(entry): _leaf(entry, torch.float64) for _, entry in model.named_buffers()}
    step = networks.loss(model, *given)
    off, disturbed = [], []
    for draw in range(DRAWS):
        examples = _examples(name, given, draw)
        _, exact = gradients(step, parameters.values(), torch.float64, examples)
        for images, found in ((examples[id(given[0])], off), (_disturbed(examples[id(given[0])]), disturbed)):
            _, rounded = gradients(step, parameters.values(), torch.float32, examples | {id(given[0]): images})
            found.append(distances(rounded, exact))
    draw = min(range(DRAWS), key=lambda number: disturbed[number]["fingerprints"]["median"])
    examples = _examples(name, given, draw)
    loss, exact = gradients(step, parameters.values(), torch.float64, examples)
    logits = evaluate(outside, torch.float64, running | {id(given[0]): examples[id(given[0])].double()})
    return {
        "torch": torch.__version__,
        "draw": draw,
        "logits": networks.fingerprint(logits.detach().numpy(), networks.LOGITS),
        "loss": loss,
        "gradients": {
            key: [list(entry.shape), networks.fingerprint(entry)] for key, entry in zip(parameters, exact, strict=True)
        },
        "float32": {
            what: {kind: max(entry[what][kind] for entry in off) for kind in ("median", "worst")} for what in off[0]
        },
    }


def _examples(name, given, draw):
    """Return the images and labels of a batch, by the ids of the Variables that were recorded."""
    return dict(zip(map(id, given), map(torch.from_numpy, networks.examples(name, draw)), strict=True))


def _disturbed(images):
    noise = torch.rand(images.shape, generator=torch.Generator().manual_seed(0)) - 0.5
    return images + DISTURBANCE * noise


def distances(rounded, exact):
    """Return how far gradients are from the exact ones, the median and the worst, by all elements and fingerprints."""
    fingerprints = [networks.fingerprint(entry) for entry in exact]
    off = {
        "whole": networks.distances(rounded, exact, networks.vanishes(fingerprints)),
        "fingerprints": networks.fingerprint_distances(map(networks.fingerprint, rounded), fingerprints),
    }
    return {what: {"median": statistics.median(entry), "worst": max(entry)} for what, entry in off.items()}


def gradients(loss, parameters, dtype, given):
    """Return the loss and the gradients of parameters as PyTorch computes them of other images and labels."""
    leaves = {key: entry.to(dtype) if entry.is_floating_point() else entry for key, entry in given.items()}
    computed = evaluate(loss, dtype, leaves)
    found = torch.autograd.grad(computed, [leaves[id(entry)] for entry in parameters])
    return computed.item(), [entry.numpy() for entry in found]


def evaluate(variable, dtype, leaves=None):
    """Return a recorded Variable as PyTorch computes it; enter what was not computed into ``leaves`` by its id."""
    known = {} if leaves is None else leaves
    for node in tape(variable):
        for entry in node.inputs:
            if entry is not None and id(entry) not in known:
                known[id(entry)] = _leaf(entry, dtype)
        inputs = [None if entry is None else known[id(entry)] for entry in node.inputs]
        # Of batch normalisation that is the normalised images, and its running statistics are left out.
        known[id(node.results()[0])] = getattr(Translated, node.operation)(*inputs, **node.attributes)
    return known[id(variable)]


def _leaf(variable, dtype):
    tensor = torch.from_numpy(variable.as_ndarray())
    return tensor.to(dtype).requires_grad_(variable.requires_grad) if tensor.is_floating_point() else tensor


def _alike(padding):
    axes = len(padding) // 2
    assert padding[:axes] == padding[axes:], padding
    return padding[:axes]


def text(found):
    """Return the content as JSON, a line for each gradient, its numbers with nine digits."""
    gradients = (f"{json.dumps(name)}: {_compact(entry)}" for name, entry in found["gradients"].items())
    entries = {key: _compact(entry) for key, entry in found.items()}
    entries["gradients"] = "{\n" + ",\n".join(gradients) + "\n}"
    return "{\n" + ",\n".join(f"{json.dumps(key)}: {entry}" for key, entry in entries.items()) + "\n}\n"


def _compact(entry):
    return json.dumps(_rounded(entry), separators=(",", ":"))


def _rounded(entry):
    if isinstance(entry, dict):
        return {key: _rounded(value) for key, value in entry.items()}
    if isinstance(entry, (list, tuple)):
        return [_rounded(value) for value in entry]
    return float(f"{entry:.9g}") if isinstance(entry, float) else entry


if __name__ == "__main__":
    main()
