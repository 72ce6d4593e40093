"""A part of a batch: what is drawn for its examples is what is drawn for them in the whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refcnn as rm
from refcnn import mode
from refcnn.data.augment import Augmenter
from refcnn.data.stored import StoredImages
from refcnn.fitting.sources import ArraySource
from refcnn.parallel.alone import Alone

KINDS = {"dropout": rm.dropout, "spatial_dropout": rm.spatial_dropout}


@st.composite
def cut_batches(draw):
    """Draw the shape of a batch and where it is cut."""
    shape = tuple(draw(st.lists(st.integers(1, 9), min_size=2, max_size=4)))
    inner = draw(st.lists(st.integers(0, shape[0]), max_size=4))
    return shape, [0, *sorted(inner), shape[0]]


@pytest.mark.parametrize("name", KINDS)
@given(case=cut_batches(), seed=st.integers(0, 2**64 - 1))
def test_dropout_of_parts_is_that_of_the_whole(backend, name, case, seed):
    shape, ends = case
    x = np.arange(1, np.prod(shape) + 1, dtype=np.float32).reshape(shape)
    with rm.use_backend(backend), mode.training():
        rm.set_seed(seed)
        whole = KINDS[name](x, 0.5).as_ndarray()
        parts = []
        for first, end in zip(ends, ends[1:], strict=False):
            rm.set_seed(seed)
            if end > first:
                with mode.part_of_batch(first, end - first):
                    parts.append(KINDS[name](x[first:end], 0.5).as_ndarray())
    assert np.array_equal(np.concatenate(parts), whole)


@given(
    first=st.integers(0, 40),
    examples=st.integers(1, 9),
    others=st.lists(st.integers(1, 5), max_size=3),
    merged=st.integers(1, 4),
)
def test_place_of_an_array_in_that_of_the_whole_batch(first, examples, others, merged):
    with mode.part_of_batch(first, examples):
        # Examples may be merged with another axis, as of words in sentences.
        assert mode.place_in_batch((examples * merged, *others)) == first * merged * np.prod(others, dtype=int)
        assert mode.place_in_batch(()) == 0
    assert mode.place_in_batch((7, *others)) == 0


class Host(Alone):
    """Stands for one of several ranks, of which each has its part."""

    def __init__(self, rank, size):
        self.rank, self.size = rank, size


class Recorded(StoredImages):
    """Stored images that tell which of them were read."""

    def __init__(self, images, positions=None):
        positions = np.arange(len(images)) if positions is None else positions
        super().__init__(positions, np.full((3, len(images)), np.nan), images.shape[1:], images.dtype)
        self._images, self.read = images, []

    def _read(self, positions):
        self.read.extend(positions.tolist())
        return self._images[positions]


@given(
    count=st.integers(1, 20),
    batch_size=st.integers(1, 9),
    size=st.integers(1, 5),
    augment=st.sampled_from((None, "shift=1,flip", "rotate=20,mixup=0.5")),
    seed=st.integers(0, 2**32),
)
def test_each_rank_reads_its_part_of_what_one_process_reads(count, batch_size, size, augment, seed):
    images = np.random.default_rng(seed).integers(0, 256, (count, 1, 5, 5)).astype(np.uint8)
    targets = np.arange(count) % 3

    def epoch(rank, ranks):
        augmenter = None if augment is None else Augmenter(augment, images.shape[1:], 3)
        stored = Recorded(images)
        one = ArraySource((stored,), targets, batch_size, augmenter=augmenter, ranks=Host(rank, ranks))
        return list(one.epoch((seed, 7))), stored.read

    whole, _ = epoch(0, 1)
    parts = [epoch(rank, size) for rank in range(size)]
    for index, batch in enumerate(whole):
        cut = [batches[index] for batches, _ in parts]
        assert np.array_equal(np.concatenate([part.inputs[0] for part in cut if part.size]), batch.inputs[0])
        assert np.array_equal(np.concatenate([part.target for part in cut if part.size]), batch.target)
        assert [part.first for part in cut] == np.cumsum([0, *(part.size for part in cut)])[:-1].tolist()
        sizes = [part.size for part in cut]
        assert max(sizes) - min(sizes) <= 1 and sizes[0] >= 1
        assert sum(part.share for part in cut) == pytest.approx(1)
    read = [position for _, of_rank in parts for position in of_rank]
    mates = 0 if augment is None or "mixup" not in augment else len(whole) * size
    assert set(read) == set(range(count)) and count <= len(read) <= count + mates
