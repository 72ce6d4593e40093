"""The arena: parts never overlap, what is given back is found again, and it holds little more than is needed."""

import itertools
import threading
import weakref

from hypothesis import given, settings
from hypothesis import strategies as st

from refcnn.opencl.runtime.memory import Arena

ALIGNMENT = 64


class Part(list):
    """Where a part lies; it can be referred to weakly."""


class Slab:
    """A buffer whose parts know where they lie."""

    def __init__(self, nbytes, log):
        self.nbytes = nbytes
        log.append(nbytes)

    def get_sub_region(self, start, nbytes):
        assert start % ALIGNMENT == 0 and 0 <= start and start + nbytes <= self.nbytes
        return Part((self, start, nbytes))


def arena(largest=1 << 40):
    made = []
    return Arena(lambda nbytes: Slab(nbytes, made), ALIGNMENT, largest), made


@given(
    steps=st.lists(st.one_of(st.integers(1, 1 << 20), st.tuples(st.integers(0, 50)), st.none()), max_size=60),
    largest=st.sampled_from([1 << 20, 1 << 40]),
)
@settings(deadline=None)
def test_parts_never_overlap(steps, largest):
    one, _ = arena(largest)
    held = []
    for step in steps:
        if step is None:
            one.settle()
        elif isinstance(step, tuple):
            if held:
                held.pop(step[0] % len(held))
        else:
            held.append(one.allocate(step))
            assert held[-1].buffer[2] == step
        places = sorted((id(slab), start, start + nbytes) for slab, start, nbytes in (part.buffer for part in held))
        assert all(a[0] != b[0] or a[2] <= b[1] for a, b in itertools.pairwise(places))
        needed = sum(-(-part.buffer[2] // ALIGNMENT) * ALIGNMENT for part in held)
        assert one.active == needed <= one.held
    held.clear()
    assert one.active == 0
    one.release()
    assert one.held == 0


def test_what_is_given_back_joins_what_is_free():
    one, made = arena()
    parts = [one.allocate(1 << 20) for _ in range(4)]
    parts.clear()
    whole = one.allocate(4 << 20)
    assert made[-1] == one.held == 4 << 20
    del whole
    again = one.allocate(1 << 20)
    assert len(made) == 5 and again.buffer[0].nbytes == 4 << 20


def test_what_is_given_back_is_gone():
    """A driver of NVIDIA's crashes where sub-buffers overlap, even if only one of them is in use."""
    one, _ = arena()
    first = one.allocate(1000)
    buffer, place = weakref.ref(first.buffer), first.buffer[1:]
    del first
    again = one.allocate(1000)
    assert buffer() is None and again.buffer[1:] == place


@given(before=st.integers(1, 2000), sizes=st.lists(st.integers(1, 2000), min_size=1, max_size=9))
def test_what_is_allocated_together_lies_side_by_side(before, sizes):
    one, made = arena()
    other = one.allocate(before)
    parts = one.allocate_together(sizes)
    assert [part.buffer[2] for part in parts] == sizes and len(made) == 1
    ends = [-(-sum(part.buffer[1:]) // ALIGNMENT) * ALIGNMENT for part in parts]
    assert [part.buffer[1] for part in parts[1:]] == ends[:-1] and parts[0].buffer[1] >= before
    assert one.active == ends[-1] - parts[0].buffer[1] + -(-before // ALIGNMENT) * ALIGNMENT
    del parts[1:]
    assert one.allocate(ALIGNMENT).buffer[1] not in (parts[0].buffer[1], other.buffer[1])
    parts.clear()
    del other
    assert one.active == 0


@given(sizes=st.lists(st.integers(1, 1 << 22), min_size=1, max_size=30), window=st.integers(1, 8))
@settings(deadline=None)
def test_steps_that_repeat_settle_near_their_peak(sizes, window):
    """Arrays live for as long as ``window`` others are made."""
    one, made = arena()

    def step():
        living, peak = [], 0
        for size in sizes:
            living = [*living[-window + 1 :], one.allocate(size)] if window > 1 else [one.allocate(size)]
            peak = max(peak, one.active)
        return peak

    for _ in range(30):
        peak = step()
        one.settle()
    count = len(made)
    for _ in range(5):
        step()
        one.settle()
    assert len(made) == count
    assert one.held <= 2 * peak + (1 << 18)


def test_small_arrays_do_not_lie_between_large_ones():
    one, _ = arena()
    large = one.allocate(64 << 20)
    del large
    small, large = one.allocate(1000), one.allocate(32 << 20)
    assert small.buffer[0] is large.buffer[0]
    assert large.buffer[1] == 0 and small.buffer[1] == (64 << 20) - 1024


def test_threads_get_parts_of_their_own():
    one, _ = arena()
    found = []

    def work(number):
        held = []
        for step in range(2000):
            held.append(one.allocate(64 * (1 + (step * number) % 50)))
            if step % 3:
                held.pop(step % len(held))
        places = [(id(part.buffer[0]), part.buffer[1], part.buffer[1] + part.buffer[2]) for part in held]
        found.append((places, held))

    threads = [threading.Thread(target=work, args=(number,)) for number in (3, 5, 7, 11)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    places = sorted(place for of_thread, _ in found for place in of_thread)
    assert len(found) == 4
    assert all(a[0] != b[0] or a[2] <= b[1] for a, b in itertools.pairwise(places))
