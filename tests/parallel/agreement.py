"""Run by each rank: what several processes find is what one finds, in cases that all ranks draw alike.

It is one program for many cases, since to start several processes takes longer than a case.
"""

import copy
import functools
import hashlib
import sys

import numpy as np
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

import refcnn as rm
from refcnn import backend as backends
from refcnn.conformance.operations import conv2d, dense
from refcnn.conformance.theory.bounds import gamma
from refcnn.data.dataset import from_arrays
from refcnn.fitting.loop import Loop
from refcnn.fitting.metrics import cross_entropy
from refcnn.fitting.sources import ArraySource, source
from refcnn.optimizers.optimizer import Optimizer
from refcnn.parallel.alone import ALONE
from refcnn.parallel.ranks import joined
from refcnn.philox import own_generator


class Keeping(Optimizer):
    """Takes no step, but keeps the gradients."""

    lr = 1.0

    def __init__(self):
        super().__init__()
        self.steps = []

    def update(self, gradients, backend):
        self.steps.append([(entry, backend.to_host(array)) for entry, array in gradients])


def agreed(ranks, problem):
    """Fail on all ranks, or on none, lest they draw other cases from then on."""
    found = {rank: text for rank, text in enumerate(ranks.gather(problem)) if text}
    assert not found, found


def floats(shape, seed):
    """Return numbers of several magnitudes, the same on all ranks, which float32 holds."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=shape) * 2.0 ** rng.integers(-3, 4, shape)).astype(np.float32)


def first_step(model, x, target, batch_size, ranks, synchronise=False):
    """Return the loss and the gradients of a step, where the loss is the mean of the examples' sums of products."""
    optimizer = Keeping()
    loop = Loop(
        model,
        optimizer,
        ArraySource((x,), target, batch_size, ranks=ranks),
        epochs=1,
        loss=lambda output, target: (output * target).sum() / len(target),
        ranks=ranks,
        synchronise=synchronise,
    )
    with own_generator((3, 1)):
        batch = next(loop.train.epoch())
        loop.generator = rm.philox.current()
        loss = loop._step(batch)
    return float(loss), optimizer.steps[0]


@st.composite
def layers(draw):
    """Draw a layer whose gradients of the weights are one operation's, and the shape of an example."""
    if draw(st.booleans()):
        return functools.partial(rm.Dense, draw(st.integers(1, 40))), (draw(st.integers(1, 60)),), dense
    groups = draw(st.sampled_from((1, 1, 2, 3)))
    options = {
        "filter": draw(st.sampled_from((1, 2, 3, 3, 5))),
        "padding": draw(st.integers(0, 2)),
        "stride": draw(st.sampled_from((1, 1, 2))),
        "groups": groups,
    }
    shape = groups * draw(st.integers(1, 4)), draw(st.integers(5, 16)), draw(st.integers(5, 16))
    return functools.partial(rm.Conv2d, groups * draw(st.integers(1, 8)), **options), shape, conv2d


def gradients_within_bounds(ranks, backend, case, sizes, number):
    """The gradient of each rank's part is within its operation's bound, and the sum adds a rounding for each rank.

    The gradient of the output is the target's share, by at most three roundings (1 / n, the rank's share, the product
    with the target), in one process as in several. So each of both gradients has a bound around the exact one.
    """
    make, shape, room = case
    count, batch_size = sizes
    x, names = floats((count, *shape), number), ("w", "b")
    model = rm.Sequential([make()])
    with rm.mode.training():
        output = model(x)
    attributes, outputs = output.node.attributes, output.shape
    for index, (_, entry) in enumerate(model.parameters()):
        entry.set(floats(entry.shape, number + 1 + index))
    target = floats(outputs, number + 9)
    whole = min(batch_size, count)
    _, several = first_step(model, x, target, batch_size, ranks)
    _, one = first_step(model, x, target, batch_size, ALONE)
    parameters = [entry for _, entry in model.parameters()]
    weights = [entry.as_ndarray() for entry in parameters]

    def exact_and_bound(first, end):
        part, dy = x[first:end].astype(np.float64), target[first:end].astype(np.float64) / whole
        inputs = part, weights[0].astype(np.float64), weights[1].astype(np.float64)
        stem = room.__name__.rpartition(".")[2]
        algorithms = backends.algorithms_of(backend, stem, (x[first:end], *weights), attributes)
        needs = False, True, True
        gradients = [exact_backward(room, one, inputs, attributes) for one in (dy, np.abs(dy))]
        magnitudes = exact_backward(room, np.abs(dy), tuple(map(np.abs, inputs)), attributes)
        # The bound grows with dy, which is off by three roundings itself.
        bounds = room.backward_bound(dy * (1 + gamma(3)), inputs, attributes, needs, **algorithms)[1:]
        return gradients[0], [b + gamma(3) * m for b, m in zip(bounds, magnitudes, strict=True)], magnitudes

    def total(cuts):
        parts = [exact_and_bound(first, end) for first, end in cuts if end > first]
        exact, bounds, magnitudes = (list(map(sum, zip(*rows, strict=True))) for rows in zip(*parts, strict=True))
        return exact, [b + gamma(len(cuts) - 1) * (m + b) for b, m in zip(bounds, magnitudes, strict=True)]

    cuts = [(-(-rank * whole // ranks.size), -(-(rank + 1) * whole // ranks.size)) for rank in range(ranks.size)]
    for cut, found in ((cuts, several), ([(0, whole)], one)):
        exact, bounds = total(cut)
        by_entry = dict(found)
        for name, entry, expected, bound in zip(names, parameters, exact, bounds, strict=True):
            error = np.abs(by_entry[entry].astype(np.float64) - expected.reshape(entry.shape))
            if not (error <= bound.reshape(entry.shape)).all():
                return f"{name} is off by {(error / bound.reshape(entry.shape)).max()} of its bound, cut at {cut}"
    return None


def exact_backward(room, dy, inputs, attributes):
    """Return the gradients of weights and bias in float64."""
    reference = backends.find("reference:float64").operation(room.__name__.rpartition(".")[2])
    _, saved = reference.forward(*inputs, **attributes)
    return reference.backward(dy, saved, (False, True, True), **attributes)[1:]


def check_gradients(ranks, backend):
    """Yield a check of float32 gradients on a device."""

    @given(case=layers(), sizes=st.tuples(st.integers(1, 23), st.integers(1, 23)), number=st.integers(0, 2**32))
    def check(case, sizes, number):
        agreed(ranks, gradients_within_bounds(ranks, backend, case, sizes, number))

    return check


class Network(rm.Model):
    """A network with all that depends on the place of an example in its batch, and parameters that nothing uses."""

    def __init__(self, classes, normalises=False, normalises_rows=False):
        super().__init__()
        # Not behind a bias, of which there is no gradient then but rounding, which Adam takes for one.
        normalization = [rm.BatchNormalization()] if normalises else []
        self.unused = rm.Parameter(np.ones(3))
        self.layers_in_use = rm.Sequential(
            [
                *normalization,
                rm.Conv2d(3, filter=3, padding=1),
                rm.Softplus(),
                *copy.deepcopy(normalization),
                rm.SpatialDropout(0.3),
                rm.AveragePool2d(2, stride=2),
                rm.Flatten(),
                rm.Dense(7),
                rm.Tanh(),
                *([rm.BatchNormalization(0.7)] if normalises_rows else []),
                rm.Dropout(0.4),
                rm.Dense(classes),
            ]
        )

    def forward(self, x):
        return self.layers_in_use(x)


OPTIONS = {
    "augment": st.sampled_from((None, "shift=1,flip", "mixup=0.4", "rotate=9,mixup")),
    "weights": st.sampled_from((None, (1.0, 2.5, 0.3), (0.0, 0.0, 2.0))),
    "smoothing": st.sampled_from((0.0, 0.1)),
    "optimizer": st.sampled_from(("sgd", "momentum", "adam")),
    "clip_norm": st.sampled_from((None, 0.5)),
    "accumulation_steps": st.sampled_from((1, 1, 2)),
    "average_decay": st.sampled_from((None, 0.5)),
    "weight_decay": st.sampled_from((0.0, 0.1)),
    "freeze": st.sampled_from(((), ("layers_in_use.0",))),
    "synchronise": st.booleans(),
}


def train(model, data, validation, batch_size, options, ranks):
    """Return the history and the state after two epochs."""
    from refcnn.runs import options as options_of_runs

    given = options_of_runs.checked(
        {
            "optimizer": options["optimizer"],
            "lr": 0.02,
            "clip_norm": options["clip_norm"],
            "accumulation_steps": options["accumulation_steps"],
            "average_decay": options["average_decay"],
            "weight_decay": options["weight_decay"],
            "class_weights": options["weights"],
            "label_smoothing": options["smoothing"],
            "augment": options["augment"],
        }
    )
    weigh = options_of_runs.example_weights(given, data.y, 3)
    with own_generator((11, 4)):
        loop = Loop(
            model,
            options_of_runs.make_optimizer(given),
            source(data, batch_size, "test", given["augment"], ranks, weigh),
            source(validation, batch_size, "test", ranks=ranks),
            epochs=2,
            loss=options_of_runs.make_loss(given, data.y, 3),
            validation_loss=cross_entropy,
            freeze=options["freeze"],
            top_k=2,
            ranks=ranks,
            synchronise=options["synchronise"],
        )
        loop.run()
        stream = loop.generator.stream
    return loop.history, model.state(), stream


def check_training(ranks, backend):
    """Yield a check that training in float64 ends with the parameters and the metrics of one process."""

    @given(
        sizes=st.tuples(st.integers(3, 12), st.integers(1, 8), st.integers(1, 6)),
        number=st.integers(0, 2**32),
        options=st.fixed_dictionaries(OPTIONS),
    )
    def check(sizes, number, options):
        count, batch_size, judged = sizes
        rng = np.random.default_rng(number)
        images = rng.integers(0, 256, (count + judged, 1, 6, 6)).astype(np.uint8)
        labels = np.concatenate([np.arange(3), rng.integers(0, 3, count + judged - 3)])
        whole = from_arrays(images, labels)
        data, validation = whole.subset(slice(count)), whole.subset(slice(count, None))
        rm.set_seed(number)
        # Of a single example's values at one place no variance follows, but of a part's among several.
        sizes_of_batches = {min(batch_size, count), count % batch_size or batch_size}
        model = Network(3, options["synchronise"], options["synchronise"] and min(sizes_of_batches) > 1)
        model(np.zeros((1, 1, 6, 6)))
        twin = copy.deepcopy(model)
        several = train(model, data, validation, batch_size, options, ranks)
        one = train(twin, data, validation, batch_size, options, ALONE)
        agreed(ranks, difference(several, one) or unlike(ranks, several))

    return check


def difference(several, one):
    """Return in what two trainings differ by more than float64 rounds, some hundred operations in a row."""
    (rows, state, stream), (expected_rows, expected, expected_stream) = several, one
    if stream != expected_stream:
        return f"the next stream is {stream}, not {expected_stream}"
    for row, other in zip(rows, expected_rows, strict=True):
        for name in set(other) - {"seconds", "iterations_per_second"}:
            if not np.allclose(row[name], other[name], rtol=1e-9, atol=1e-12):
                return f"{name} is {row[name]}, not {other[name]}"
    for name, array in expected.items():
        if not np.allclose(state[name], array, rtol=1e-7, atol=1e-9):
            return f"{name} is off by {np.abs(state[name] - array).max()}"
    return None


def unlike(ranks, trained):
    """Return that the ranks do not all have the same bits, if they do not."""
    rows, state, stream = trained
    digest = hashlib.sha256(b"".join(state[name].tobytes() for name in sorted(state))).hexdigest()
    metrics = [{name: value for name, value in row.items() if "second" not in name} for row in rows]
    found = ranks.gather((digest, stream, metrics))
    return None if all(one == found[0] for one in found) else f"the ranks differ: {found}"


def check_statistics(ranks, backend):
    """Yield a check of batch normalisation, over each rank's part: what is learned is the mean, and the same on all."""

    @given(sizes=st.tuples(st.integers(1, 13), st.integers(1, 3)), number=st.integers(0, 2**32))
    def check(sizes, number):
        count, channels = sizes
        x = floats((count, channels, 3, 3), number)
        model = rm.Sequential([rm.BatchNormalization(), rm.Flatten(), rm.Dense(2)])
        model(x)
        before = {name: entry.as_ndarray() for name, entry in model.named_buffers()}
        first_step(model, x, floats((count, 2), number + 1), count, ranks)
        problem = None
        # The share of each part times its mean is its share of the whole's mean, wherever it is cut.
        mean = x.astype(np.float64).mean(axis=(0, 2, 3))
        found = {name: entry.as_ndarray() for name, entry in model.named_buffers()}
        expected = 0.9 * before["0.mean"].reshape(-1) + 0.1 * mean
        if not np.allclose(found["0.mean"].reshape(-1), expected, rtol=1e-4, atol=1e-4):
            problem = f"the mean is {found['0.mean']}, not {expected}"
        states = ranks.gather({name: array.tobytes() for name, array in found.items()})
        if any(state != states[0] for state in states):
            problem = "the buffers differ among the ranks"
        agreed(ranks, problem)

    return check


def check_synchronised(ranks, backend):
    """Yield a check that with the statistics of all ranks float32 is as near to float64's one process as it can be."""

    @given(sizes=st.tuples(st.integers(2, 13), st.integers(1, 3), st.integers(1, 9)), number=st.integers(0, 2**32))
    def check(sizes, number):
        count, channels, side = sizes
        x, target = floats((count, channels, side, side), number), floats((count, 2), number + 1)
        rm.set_seed(number)
        model = rm.Sequential(
            [rm.Conv2d(4, filter=1), rm.Softplus(), rm.BatchNormalization(), rm.Flatten(), rm.Dense(2)]
        )
        model(x)
        twin = copy.deepcopy(model)
        loss, gradients = first_step(model, x, target, count, ranks, synchronise=True)
        with rm.use_backend("reference:float64"):
            exact, expected = first_step(twin, x, target, count, ALONE)
        rows = [("the loss", loss, exact)]
        of_model, of_twin = dict(gradients), dict(expected)
        for (name, entry), (_, other) in zip(model.parameters(), twin.parameters(), strict=True):
            rows.append((name, of_model[entry], of_twin[other]))
        for (name, entry), (_, other) in zip(model.named_buffers(), twin.named_buffers(), strict=True):
            rows.append((name, entry.as_ndarray(), other.as_ndarray()))
        most = 1e-4 * (1 + max(np.abs(other).max() for *_, other in rows))
        errors = {name: np.abs(one - other).max() for name, one, other in rows}
        off = {name: error for name, error in errors.items() if error > most}
        agreed(ranks, f"off by more than {most}: {off}" if off else None)

    return check


CHECKS = {
    "gradients": check_gradients,
    "training": check_training,
    "statistics": check_statistics,
    "synchronised": check_synchronised,
}


def main(*arguments):
    """Run checks: of each its name, a backend, how many cases, and the seed by which they are drawn."""
    with joined() as ranks:
        for name, specification, examples, number in zip(*[iter(arguments)] * 4, strict=True):
            configured = settings(
                max_examples=int(examples), deadline=None, database=None, suppress_health_check=list(HealthCheck)
            )
            with rm.use_backend(specification) as backend:
                seed(int(number))(configured(CHECKS[name](ranks, backend)))()
    print(f"rank {ranks.rank} is through\n", end="", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
