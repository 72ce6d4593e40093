"""Run by each rank: what a step sums beside its backward pass is what is summed plainly after it, to the bit.

Arguments: a backend, how many networks, the seed by which all ranks draw the same.
"""

import copy
import sys

import numpy as np
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

import refcnn as rm
from refcnn.fitting import buckets
from refcnn.fitting.loop import Loop
from refcnn.fitting.sources import ArraySource
from refcnn.optimizers.optimizer import Optimizer
from refcnn.parallel.channel import Channel
from refcnn.parallel.ranks import joined
from refcnn.philox import own_generator

WIDTH, FEATURES = 5, 7


class Keeping(Optimizer):
    """Takes no step, but keeps the gradients."""

    lr = 1.0

    def update(self, gradients, backend):
        self.found = {entry: backend.to_host(array) for entry, array in gradients}


class Network(rm.Model):
    """Layers in an order of each rank's own, some used again, or on some ranks alone, or where no gradient comes."""

    def __init__(self, uses, place, normalises):
        super().__init__()
        self._uses, self._place = uses, place
        self.unused_first = rm.Parameter(np.ones((3, 2)))
        self.first = rm.Dense(WIDTH)
        self.normalization = rm.BatchNormalization() if normalises else rm.Tanh()
        self.several = [rm.Dense(WIDTH) for _ in range(4)]
        self.wide = rm.Dense(40)
        self.last = rm.Dense(2)
        self.unused_last = rm.Parameter(np.ones(30))

    def make(self):
        """Make all parameters, whichever will be used."""
        hidden = self.normalization(self.first(np.ones((2, FEATURES))))
        for layer in (*self.several, self.wide):
            y = layer(hidden)
        self.last(y)

    def forward(self, x):
        hidden = self.normalization(self.first(x))
        uses = self._uses[self._place % len(self._uses)]
        branches = [hidden]
        for index in uses:
            # Of what is cast to integers there is no gradient, though it is on the tape.
            layer = self.several[index % 4]
            y = rm.tanh(layer(branches[index % len(branches)]))
            branches.append(y if index < 4 else rm.cast(rm.cast(y, "int32"), "float32") + hidden)
        return self.last(rm.tanh(self.wide(branches[-1])))


CASES = st.fixed_dictionaries(
    {
        # By rank; 4 and more are without a gradient.
        "uses": st.lists(st.lists(st.integers(0, 7), max_size=6), min_size=1, max_size=4),
        "normalises": st.booleans(),
        "batch": st.integers(1, 9),
        "frozen": st.sets(st.sampled_from(("first", "several.1", "wide", "last.b")), max_size=3),
        "most": st.sampled_from((1, 60, 200, 10**6)),
        "clip_norm": st.sampled_from((None, 0.1)),
        "number": st.integers(0, 2**32),
    }
)


def loop_of(model, x, target, case, ranks):
    return Loop(
        model,
        Keeping(),
        ArraySource((x,), target, case["batch"], ranks=ranks),
        epochs=1,
        loss=lambda output, target: (output * target).sum(),
        ranks=ranks,
    )


def frozen(model, names):
    for name, entry in model.parameters():
        entry.requires_grad = not any(name == one or name.startswith(f"{one}.") for one in names)


def problem_of(ranks, backend, case, sizes):
    """Return in what the sum of a step differs from the ranks' own gradients, added in their order."""
    rng = np.random.default_rng(case["number"])
    x, target = (rng.normal(size=(case["batch"], size)).astype(np.float32) for size in (FEATURES, 2))
    rm.set_seed(case["number"])
    # Of a single row no statistics follow.
    model = Network(case["uses"], ranks.rank, case["normalises"] and case["batch"] >= 2 * ranks.size)
    model.make()
    frozen(model, case["frozen"])
    twin = copy.deepcopy(model)
    sizes.clear()
    with own_generator((3, 1)):
        loop = loop_of(model, x, target, case, ranks)
        batch = next(loop.train.epoch())
        loss = loop._step(batch)
    found = {name: loop.optimizer.found.get(entry) for name, entry in model.parameters()}
    order = tuple(sizes)
    with own_generator((3, 1)):
        own_loss, gradients = loop_of(twin, x, target, case, ranks)._computed(batch) if batch.size else (0.0, ())
    gradients = dict(gradients)
    own = {name: backend.to_host(gradients[entry]) if entry in gradients else None for name, entry in twin.parameters()}
    rows = ranks.gather((order, float(own_loss), own))
    if any(row[0] != order for row in rows):
        return f"the sums have the sizes {[row[0] for row in rows]}"
    if loss != sum(row[1] for row in rows):
        return f"the loss is {loss}"
    for name, entry in model.parameters():
        terms = [row[2][name] for row in rows]
        if all(term is None for term in terms):
            if found[name] is not None:
                return f"{name} has a gradient, but no rank has found one"
            continue
        total = np.zeros(entry.shape, np.float32) if terms[0] is None else terms[0]
        for term in terms[1:]:
            total = total + (np.zeros(entry.shape, np.float32) if term is None else term)
        if found[name] is None or not np.array_equal(found[name], total):
            return f"{name} is {found[name]}, not {total}"
    return None


def main(specification, examples, number):
    """Draw networks and look at each."""
    sizes, former = [], Channel.sum

    def noting(self, array, wait):
        sizes.append(array.size)
        return former(self, array, wait)

    Channel.sum = noting
    with joined() as ranks, rm.use_backend(specification) as backend:

        @seed(int(number))
        @settings(max_examples=int(examples), deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=CASES)
        def check(case):
            buckets.MOST = buckets.ALWAYS = case["most"]
            try:
                found = ranks.gather(problem_of(ranks, backend, case, sizes))
            except Exception as error:
                # Lest Hypothesis draws another case here than elsewhere.
                ranks.leave(error)
            assert not any(found), found

        check()
    print(f"rank {ranks.rank} is through\n", end="", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
