"""What the sum of gradients over several ranks costs: measured here, and by a model of many ranks in a network."""

import dataclasses
import datetime
import math
import statistics
import time

import numpy as np

from .. import backend as backends
from .. import philox
from ..fitting import optimizers
from ..fitting.callbacks import Callback
from ..fitting.loop import Loop
from ..fitting.sources import Batch, Source
from ..parallel.alone import ALONE
from ..tables import table
from . import batches, board, workloads

FORMAT = "refcnn bench ranks 1"
#: Examples of each rank.
BATCH = 64
#: The bytes of the sums to which the latency and the bandwidth are fitted.
SIZES = tuple(4**power for power in range(6, 13))
#: What the model is asked about: numbers of ranks, and Gb/s of the network.
RANKS, NETWORKS = (8, 64, 256), (10, 100)
EFFICIENCY = 0.9
#: The backward pass's part of a step, in which a sum can be hidden: of a layer's three products two are its.
BACKWARD = 2 / 3
_WARM_UP = 3


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a sum over the ranks takes, and a step: the model.

    Attributes
    ----------
    bytes : int
        Of the gradients.
    latency : float
        Seconds of a sum of nothing.
    hidden : float
        The share of a sum's time that the backward pass hides, if that is longer.
    fixed, each : float
        Seconds of a step, and those that each example adds.
    """

    bytes: int
    latency: float
    hidden: float
    fixed: float
    each: float

    def sum(self, ranks, bandwidth):
        """Return the seconds of a sum in a ring, in which each rank sends ``2 (p - 1) / p`` of the bytes."""
        return self.latency + 2 * (ranks - 1) / ranks * self.bytes / bandwidth

    def step(self, batch):
        """Return the seconds of a step without a sum, of so many examples on a rank."""
        return self.fixed + self.each * batch

    def efficiency(self, ranks, bandwidth, batch):
        """Return which part of the time the ranks compute, with so many examples on each."""
        whole, step = self.sum(ranks, bandwidth), self.step(batch)
        return step / (step + whole - min(self.hidden * whole, BACKWARD * step))

    def least_batch(self, ranks, bandwidth, efficiency=EFFICIENCY):
        """Return the least number of examples on a rank with which the efficiency is not lower; None without any."""
        whole, loss = self.sum(ranks, bandwidth), 1 / efficiency - 1
        step = max((1 - self.hidden) * whole / loss, whole / (loss + BACKWARD))
        if self.each <= 0:
            return 1 if self.fixed >= step else None
        return max(1, math.ceil((step - self.fixed) / self.each))


def fit(points):
    """Return a and b of ``seconds = a + b size``, neither negative, with the least sum of squared relative errors.

    Parameters
    ----------
    points : sequence of (size, seconds)
    """
    from scipy.optimize import nnls

    sizes, seconds = np.array(points, np.float64).T
    scale = sizes.max()
    (first, slope), _ = nnls(np.stack([1 / seconds, sizes / scale / seconds], axis=1), np.ones(len(sizes)))
    return float(first), float(slope / scale)


@dataclasses.dataclass
class Found:
    """What was measured, seconds of all ranks' slowest, and what the model says.

    Attributes
    ----------
    model : str
    batch : int
        Examples of each rank.
    ranks : int
    devices : list of str
        Of each rank.
    bytes : int
        Of the gradients that a step sums.
    with_sum, without_sum, sum_alone : list of float
        A step, a step of the same examples without the sum, and a sum of so many bytes alone, for each round.
    hidden : float
        Which share of the sum's time a step does not show: 1 - (with - without) / alone; negative where the sum costs
        a step more than its own time.
    buckets : int
        In which the gradients of a step are summed, and one for what else is.
    in_step, waited : list of float
        What the sums of a step took, and for how much of that it waited when its backward pass was over, each as the
        rank found it that came last, so that none waits for another; medians of the steps of each round.
    overlapped : float
        Which share of that went on while the step computed: 1 - waited / in_step.
    sums : list of (int, float)
        Bytes and seconds of sums.
    latency, bandwidth : float
        By which the sums' time is ``latency + 2 (p - 1) / p bytes / bandwidth``.
    steps : list of (int, float)
        Examples of each rank and seconds of a step without the sum.
    expected : list of dict
        What the model says: ``ranks``, ``gigabits`` of the network, ``sum`` (seconds), ``efficiency`` with ``batch``,
        and ``least_batch`` of each rank with which it is :data:`EFFICIENCY`.
    """

    model: str
    batch: int
    ranks: int
    devices: list
    bytes: int
    with_sum: list
    without_sum: list
    sum_alone: list
    hidden: float
    buckets: int
    in_step: list
    waited: list
    overlapped: float
    sums: list
    latency: float
    bandwidth: float
    steps: list
    expected: list
    date: str = dataclasses.field(
        default_factory=lambda: datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    )

    def save(self, path):
        """Write it as JSON, whole or not at all; FileWriteError if that cannot be."""
        board.save(path, FORMAT, self)


class _SameBatches(Source):
    """A few batches, one after the other, up to a number of steps."""

    def __init__(self, given, steps):
        self._given, self.batches = given, steps

    def epoch(self, shuffle=None, first=0):
        return (self._given[index % len(self._given)] for index in range(first, self.batches))

    def size(self, index):
        return self._given[index % len(self._given)].size


class _Watching(Callback):
    """Reads each loss when its step is done, as the sum over ranks does, and keeps what its sums took."""

    def __init__(self):
        self.timings = []

    def on_batch_end(self, loop):
        loop.read_losses()
        if loop.timing is not None:
            self.timings.append((loop.timing.waited, *loop.timing.sums))


class Bench:
    """Measures on all ranks, which must all do the same with it.

    Parameters
    ----------
    ranks : Ranks or Alone
    model : str
        As of :func:`refcnn.bench.workloads.make`.
    seconds : float
        What one turn should take.

    Attributes
    ----------
    timings : list of (int, float, float)
        For each turn of steps with the sum the number of their sums, what those of a step took, and for how much of
        that it waited: see :class:`Found`.
    """

    def __init__(self, ranks, model="chapter", seconds=0.5):
        self.timings = []
        philox.set_seed(0)
        self._ranks, self._seconds = ranks, seconds
        self.model = workloads.make(model, workloads.CHAPTER_IMAGE)
        make, _ = optimizers.choice("bench", "momentum")
        self._optimizer = make(batches.LEARNING_RATE)
        entries = [entry for _, entry in self.model.parameters()]
        self._elements = sum(math.prod(entry.shape) for entry in entries)
        self.bytes = self._elements * backends.active().dtype.itemsize

    def step(self, batch, is_summed, steps):
        """Return the seconds of a training step with so many examples on each rank, the mean of some."""
        ranks = self._ranks if is_summed else ALONE
        images, labels = batches.images(batch, workloads.CHAPTER_IMAGE), batches.labels(batch)
        given = [Batch((x,), y, ranks.rank * batch, 1 / ranks.size) for x, y in zip(images, labels, strict=True)]
        watching = _Watching()
        loop = Loop(
            self.model, self._optimizer, _SameBatches(given, steps), epochs=1, callbacks=[watching], ranks=ranks
        )
        self._ranks.meet()
        loop.run()
        if is_summed:
            # The last to come to a sum waits for no other.
            rows = np.min(self._ranks.gather(watching.timings), axis=0)
            whole, waited = np.median(rows[:, 1:].sum(axis=1)), np.median(rows[:, 0])
            self.timings.append((rows.shape[1] - 1, float(whole), float(waited)))
        return self._slowest(loop.history[-1]["seconds"] / steps)

    def sum(self, elements, times):
        """Return the seconds of a sum of so many numbers, the mean of some."""
        array = np.zeros(elements, backends.active().dtype)
        self._ranks.meet()
        start = time.perf_counter()
        for _ in range(times):
            self._ranks.sum(array)
        return self._slowest((time.perf_counter() - start) / times)

    def in_turns(self, turns, rounds):
        """Let several take their turns, as often as fills the time of a turn; return the seconds of each's rounds.

        Parameters
        ----------
        turns : sequence of callable
            Each is given how often it shall do what it measures, and returns the seconds of one.
        rounds : int
        """
        counts = []
        for turn in turns:
            turn(_WARM_UP)
            counts.append(max(_WARM_UP, round(self._seconds / turn(_WARM_UP))))
        found = [[turn(count) for turn, count in zip(turns, counts, strict=True)] for _ in range(rounds)]
        return [list(one) for one in zip(*found, strict=True)]

    def sum_of_gradients(self, times):
        """Return the seconds of a sum of as many numbers as a step sums."""
        return self.sum(self._elements, times)

    def _slowest(self, seconds):
        return max(self._ranks.gather(seconds))


def measure(ranks, rounds, seconds=0.5, model="chapter", batch=BATCH, sizes=SIZES):
    """Return what was Found; all ranks must call it, with their devices active.

    Parameters
    ----------
    ranks : Ranks
    rounds : int
    seconds : float
        What one turn should take.
    model : str
    batch : int
        Examples of each rank.
    sizes : sequence of int
        Bytes of the sums to which the latency and the bandwidth are fitted.
    """
    bench = Bench(ranks, model, seconds)
    with_sum, without_sum, sum_alone = bench.in_turns(
        [
            lambda count: bench.step(batch, True, count),
            lambda count: bench.step(batch, False, count),
            bench.sum_of_gradients,
        ],
        rounds,
    )
    (buckets, *_), in_step, waited = zip(*bench.timings[-rounds:], strict=True)
    smaller = (batch // 4, batch // 2)
    taken = bench.in_turns([lambda count, b=b: bench.step(b, False, count) for b in smaller], rounds)
    steps = [*zip(smaller, map(statistics.median, taken), strict=True), (batch, statistics.median(without_sum))]
    itemsize = backends.active().dtype.itemsize
    turns = [lambda count, size=size: bench.sum(size // itemsize, count) for size in sizes]
    sums = list(zip(sizes, map(statistics.median, bench.in_turns(turns, rounds)), strict=True))
    devices = ranks.gather(f"{backends.active().name}: {backends.active().description}")
    alone = statistics.median(sum_alone)
    more = statistics.median(one - other for one, other in zip(with_sum, without_sum, strict=True))
    overlapped = 1 - statistics.median(waited) / statistics.median(in_step)
    found = dict(with_sum=with_sum, without_sum=without_sum, sum_alone=sum_alone, hidden=1 - more / alone)
    found |= dict(buckets=buckets, in_step=list(in_step), waited=list(waited), overlapped=overlapped)
    latency, slope = fit(sums)
    bandwidth = 2 * (ranks.size - 1) / ranks.size / slope if slope else math.inf
    cost = Cost(bench.bytes, latency, min(max(overlapped, 0.0), 1.0), *fit(steps))
    return Found(
        model,
        batch,
        ranks.size,
        devices,
        bench.bytes,
        **found,
        sums=sums,
        latency=latency,
        bandwidth=bandwidth,
        steps=steps,
        expected=expected(cost, batch),
    )


def expected(cost, batch):
    """Return what a Cost says of more ranks, as ``expected`` of :class:`Found`."""
    rows = []
    for gigabits in NETWORKS:
        bandwidth = gigabits * 1e9 / 8
        for ranks in RANKS:
            rows.append(
                {
                    "ranks": ranks,
                    "gigabits": gigabits,
                    "sum": cost.sum(ranks, bandwidth),
                    "efficiency": cost.efficiency(ranks, bandwidth, batch),
                    "least_batch": cost.least_batch(ranks, bandwidth),
                }
            )
    return rows


def lines(found):
    """Return what was found as text."""
    titles = {
        "with_sum": "step with the sum",
        "without_sum": "step without",
        "sum_alone": "the sum alone",
        "in_step": f"its {found.buckets} parts in a step",
        "waited": "for which the step waits",
    }
    spreads = [(name, getattr(found, name)) for name in titles]
    rows = [(f"{found.model}, {found.batch} examples on each of {found.ranks} ranks", "ms", "least", "most")]
    rows += [
        (f"  {titles[name]}", *(f"{1e3 * of(seconds):.2f}" for of in (statistics.median, min, max)))
        for name, seconds in spreads
    ]
    text = table(rows)
    # Beside the sum itself it has what waiting for the slowest rank and copies from and to the device cost.
    efficiency = statistics.median(found.without_sum) / statistics.median(found.with_sum)
    text.append(
        f"  {found.bytes / 2**20:.2f} MiB of gradients; for {found.overlapped:.0%} of the sums no step waits, by the "
        f"steps' times {found.hidden:.0%}; efficiency here {efficiency:.0%}"
    )
    rows = [("sums over the ranks", "ms", "fitted")]
    share = 2 * (found.ranks - 1) / found.ranks
    rows += [
        (f"  {size:,} bytes", f"{1e3 * seconds:.3f}", f"{1e3 * (found.latency + share * size / found.bandwidth):.3f}")
        for size, seconds in found.sums
    ]
    text += table(rows)
    text.append(
        f"  {1e6 * found.latency:.0f} us + 2 (p - 1) / p bytes / {found.bandwidth / 1e9:.2f} GB/s, p = {found.ranks}"
    )
    rows = [("by this model, with the latency of here", "sum, ms", f"efficiency, {found.batch} each", "90 % from")]
    for row in found.expected:
        least = row["least_batch"]
        whole = "never" if least is None else f"{least} each, {least * row['ranks']:,} in all"
        name = f"  {row['ranks']} ranks, {row['gigabits']} Gb/s"
        rows.append((name, f"{1e3 * row['sum']:.2f}", f"{row['efficiency']:.0%}", whole))
    return text + table(rows)
