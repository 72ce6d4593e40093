"""What is never drawn is never found: faults beyond some size or magnitude, and the cases that show each of them."""

import statistics

import numpy as np
import pytest

from refcnn.backend import results_of
from refcnn.conformance.judging import judge
from refcnn.conformance.judging.comparison import ConformanceFailure
from refcnn.conformance.running.job import Job
from refcnn.conformance.running.searching import searches
from refcnn.conformance.subjects import finding
from refcnn.conformance.theory import hypothesis_folder
from refcnn.conformance.theory.sizes import LONG

#: As many cases as the quick profile runs, and how many such profiles may pass: what is drawn with a seed depends on
#: the modules of the process, so that none hangs on one of them. Arrays past twenty bits are the long profile's.
EXAMPLES, MOST_SEEDS = 100, 10
SIZES = ("small", "vast", *LONG, "huge")


def past(count):
    """Results whose elements from one on are zero."""

    def spoiled(y, case):
        y.reshape(-1)[count:] = 0
        return y

    return spoiled


def where(is_hit):
    """Results that are off by a part where a function of the first input says so."""
    return lambda y, case: np.where(is_hit(case.inputs[0]), y * y.dtype.type(1.25) + y.dtype.type(0.25), y)


def beyond(number, most):
    """Results that are off by a part where a number of a case is more than it may be."""

    def spoiled(y, case):
        is_wrong = number(case) > most
        return y * y.dtype.type(1.5) + y.dtype.type(0.5) if is_wrong else y

    return spoiled


def largest(name):
    return lambda case: max(case.attributes[name])


def extent(axis, of=0):
    return lambda case: case.inputs[of].shape[axis]


PLANTED = {
    "relu": {
        "elements past sixteen bits": past(2**16 - 1),
        "elements past twenty bits": past(2**20),
        "overflow above 1e38": where(lambda x: x > 1e38),
    },
    "exp": {
        "infinite before it overflows": where(lambda x: (x > 88.1) & (x < 88.7)),
        "six axes": beyond(lambda case: case.inputs[0].ndim, 5),
    },
    "log": {"a series near 1 that ends too soon": where(lambda x: (np.abs(x - 1) < 1e-3) & (x != 1))},
    "tanh": {"beyond 1 past 20": where(lambda x: np.abs(x) > 20)},
    "cast": {"int64 past 32 bits": where(lambda x: (x.dtype == np.int64) & (np.abs(x.astype(np.float64)) > 2**32))},
    "softmax": {"classes past 4,096": beyond(lambda case: case.inputs[0].shape[case.attributes["axis"]], 4096)},
    "conv2d": {
        "images past 1,024": beyond(extent(0), 1024),
        "channels of a group past 256": beyond(extent(1, of=1), 256),
        "kernels past 1,024": beyond(extent(0, of=1), 1024),
        "groups past 16": beyond(lambda case: case.attributes["groups"], 16),
        "a row past 1,024": beyond(lambda case: case.inputs[0].shape[-1], 1024),
        "taps past 11": beyond(lambda case: max(case.inputs[1].shape[2:]), 11),
        "dilation past 4": beyond(largest("dilation"), 4),
    },
    "max_pool2d": {"stride past 8": beyond(largest("stride"), 8), "channels past 1,024": beyond(extent(1), 1024)},
    "average_pool2d": {"padding past 8": beyond(largest("padding"), 8)},
    "batch_normalization": {"channels past 1,024": beyond(extent(1), 1024)},
}


class Stop(BaseException):
    """All were found."""


class Planted:
    """The reference with a fault."""

    #: No case is asked for it.
    backward = None

    def __init__(self, operation, spoil):
        self._module, self._spoil = finding.find("reference").operation(operation), spoil

    def of(self, case):
        """Return what computes a case, and whether it is wrong there at all."""
        y, saved = self._module.forward(*case.inputs, **case.attributes)
        right, *others = results_of(y)
        with np.errstate(all="ignore"):
            wrong = self._spoil(np.array(right), case).astype(right.dtype)
        self.result = (wrong, *others) if isinstance(y, tuple) else wrong
        self.saved = saved
        return not np.array_equal(wrong, right, equal_nan=right.dtype.kind == "f")

    def forward(self, *inputs, **attributes):
        return self.result, self.saved


def cases_until_found(operation, faults, tmp_path):
    """Return after how many cases each fault is found, in quick profiles one after the other."""
    subject = finding.find("reference")
    found, count = {}, 0

    def check(case):
        nonlocal count
        count += 1
        for name in faults.keys() - found.keys():
            planted = Planted(operation, faults[name])
            with np.errstate(all="ignore"):
                if planted.of(case):
                    exactly = judge.is_exact(operation, case)
                    try:
                        judge.check_forward(operation, case, subject, implementation=planted, to_the_bit=exactly)
                    except ConformanceFailure:
                        found[name] = count
        if len(found) == len(faults):
            raise Stop

    with hypothesis_folder.in_the_cache():
        for seed in range(1, MOST_SEEDS + 1):
            job = Job(operation, "forward", None, EXAMPLES, seed, SIZES, str(tmp_path / "case.npz"))
            for search in searches(job):
                try:
                    search.run(check)
                except Stop:
                    return found
    return found


@pytest.fixture(scope="module")
def counts():
    return []


@pytest.mark.parametrize("operation", PLANTED)
def test_what_is_wrong_past_some_size_or_magnitude_is_found(operation, counts, tmp_path):
    faults = PLANTED[operation]
    found = cases_until_found(operation, faults, tmp_path)
    assert found.keys() == faults.keys()
    counts += found.values()


def test_most_are_found_by_the_quick_profile(counts):
    assert statistics.median(counts or [0]) <= EXAMPLES
