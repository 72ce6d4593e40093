"""Images that stay in their files until they are needed, and threads that read them ahead of the step."""

import dataclasses
import os
import signal
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import refcnn as rm
from refcnn.data import load, split, stored
from refcnn.data.ahead import ahead
from refcnn.data.stored import StoredImages, extremes
from refcnn.errors import DataError, LabelError
from refcnn.fitting.sources import source
from refcnn.runs.run_folder import digest

RNG = np.random.default_rng(0)


@pytest.fixture
def folder(tmp_path):
    """A folder of images in two classes, of two sizes."""
    for number in range(30):
        path = tmp_path / "set" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = RNG.integers(0, 128, (6 + number % 3 // 2, 5, 3), np.uint8) + np.uint8(127 * (number % 2))
        Image.fromarray(pixels).save(path)
    return tmp_path / "set"


@pytest.fixture
def arrays(tmp_path):
    """A folder of x.npy and y.npy, and the same in an .npz file."""
    x, y = RNG.integers(0, 256, (30, 6, 5), np.uint8), RNG.integers(0, 3, 30)
    (tmp_path / "npy").mkdir()
    np.save(tmp_path / "npy" / "x.npy", x)
    np.save(tmp_path / "npy" / "y.npy", y)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    return tmp_path / "npy", tmp_path / "data.npz"


def assert_alike(stored, held):
    """Assert that two data sets, one of them not in memory, are the same to the bit in all that a training takes."""
    assert isinstance(stored.x, StoredImages) and isinstance(held.x, np.ndarray)
    assert len(stored) == len(held) and stored.classes == held.classes
    np.testing.assert_array_equal(stored.x[:], held.x)
    np.testing.assert_array_equal(stored.y, held.y)
    assert digest(stored) == digest(held)
    order = np.random.default_rng(1).permutation(len(held))
    (stored, _), (held, _) = split(stored, 0.2, order), split(held, 0.2, order)
    assert isinstance(stored.x, StoredImages)
    assert stored.preprocessing.standardised(stored.x) == held.preprocessing.standardised(held.x)
    for augment in (None, "shift=1,rotate=10,mixup"):
        batches, expected = (source(part, 4, "test", augment) for part in (stored, held))
        for shuffle, first in ((None, 0), ((3, 4), 0), ((3, 4), 2)):
            pairs = zip(batches.epoch(shuffle, first), expected.epoch(shuffle, first), strict=True)
            for one, other in pairs:
                np.testing.assert_array_equal(one.inputs[0], other.inputs[0])
                np.testing.assert_array_equal(one.target, other.target)


def test_images_that_are_decoded_as_needed_are_those_in_memory(folder):
    assert_alike(load(folder, in_memory=False)[0], load(folder)[0])
    stored, _ = load(folder, in_memory=False)
    np.testing.assert_array_equal(stored.x[3], stored.x[[3]][0])
    np.testing.assert_array_equal(stored.subset([7, 3]).subset([1]).x[0], stored.x[3])


def test_images_are_not_read_again_for_what_is_known(folder, monkeypatch):
    train, _ = load(folder, in_memory=False)
    read = []
    monkeypatch.setattr(
        "refcnn.data.stored.read_image", lambda path, *size, **_: read.append(path) or np.full(size, 7, np.uint8)
    )
    digest(train)
    assert len(read) == len(train)
    part = train.subset(np.arange(0, 30, 3))
    assert extremes(part.x) == (7, 7) and len(read) == len(train)
    # The deviation needs the mean first, and so a second pass.
    assert part.preprocessing.standardised(part.x).mean == pytest.approx(7 / 255)
    assert len(read) == len(train) + len(part)


def test_mapped_arrays_are_those_of_an_archive(arrays):
    assert_alike(load(arrays[0])[0], load(arrays[1])[0])


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("dtype", [bool, np.uint16, np.float32])
def test_mapped_arrays_of_other_dtypes(tmp_path, dtype, order):
    x = np.asarray(RNG.integers(0, 2, (4, 3, 6, 5)).astype(dtype), order=order)
    for name, array in (("x_train", x), ("y_train", ["b", "a", "b", "b"]), ("x_test", x[:2]), ("y_test", ["a", "b"])):
        np.save(tmp_path / f"{name}.npy", array)
    train, test = load(tmp_path)
    np.testing.assert_array_equal(train.x[:], x)
    np.testing.assert_array_equal(train.x[[3, 0, 3]], x[[3, 0, 3]])
    np.testing.assert_array_equal(test.x[1], x[1])
    assert train.x.dtype == dtype and train.classes == ("a", "b") and test.y.tolist() == [0, 1]


@pytest.mark.parametrize(
    "change",
    [
        dict(x=np.zeros((4, 6, 5), np.float64)),
        dict(x=np.zeros((4, 6, 5), ">f4")),
        dict(x=np.full((4, 6, 5), np.nan, np.float32)),
        dict(x=np.zeros((4, 6, 5, 3), np.uint8)),
        dict(x=np.zeros((3, 6, 5), np.uint8)),
        dict(x=np.zeros((0, 6, 5), np.uint8)),
        dict(x=np.array([{}] * 4)),
        dict(y=np.array([{}] * 4)),
        dict(y=np.array([0, 1, -1, 0])),
        dict(y=None),
    ],
)
def test_arrays_that_are_refused(tmp_path, change):
    arrays = dict(x=np.zeros((4, 6, 5), np.uint8), y=np.arange(4)) | change
    for name, array in arrays.items():
        if array is not None:
            np.save(tmp_path / f"{name}.npy", array)
    with pytest.raises((DataError, LabelError)):
        load(tmp_path)


@given(content=st.binary(max_size=200))
def test_any_bytes_are_refused(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("npy")
    np.save(folder / "y.npy", np.arange(4))
    (folder / "x.npy").write_bytes(content)
    with pytest.raises(DataError):
        load(folder)


def test_the_place_of_a_value_that_is_not_finite_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("refcnn.data.stored.PART", 2)
    monkeypatch.setattr("refcnn.data.npy.PART", 2)
    x = np.zeros((5, 1, 2, 2), np.float32)
    x[4, 0, 1, 0] = np.inf
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", np.arange(5))
    with pytest.raises(DataError, match=r"inf at \(4, 0, 1, 0\)"):
        load(tmp_path)


def test_a_size_is_no_option_for_a_mapped_array(arrays):
    assert load(arrays[0], image_size=(6, 5))[0].x.shape == (30, 1, 6, 5)
    with pytest.raises(DataError, match="stay so in a mapped array"):
        load(arrays[0], image_size=8)


def changed(path, how):
    if how == "removed":
        path.unlink()
        return
    content = path.read_bytes()
    if how == "cut":
        # In place, so that what is mapped becomes shorter too.
        os.truncate(path, len(content) - 100)
        return
    later = os.stat(path).st_mtime_ns + 10**9
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(later, later))


@pytest.mark.parametrize("order", "CF")
def test_a_mapped_file_that_is_cut_between_a_look_at_it_and_reading_is_an_error(tmp_path, monkeypatch, order):
    """Not the end of the process, which touching memory past the end of a file is."""
    np.save(tmp_path / "x.npy", np.zeros((4, 3, 6, 5), np.uint8, order))
    np.save(tmp_path / "y.npy", np.arange(4))
    train, _ = load(tmp_path)
    seen = iter([stored.state_of(tmp_path / "x.npy")])
    usual = stored.state_of
    monkeypatch.setattr(stored, "state_of", lambda path: next(seen, None) or usual(path))
    os.truncate(tmp_path / "x.npy", 0)
    with pytest.raises(DataError, match=r"x\.npy has changed"):
        train.x[:]


@pytest.mark.parametrize("how", ["removed", "cut", "written"])
@pytest.mark.parametrize("kind", ["images", "mapped"])
def test_files_that_change_while_they_are_read_are_an_error(folder, arrays, how, kind):
    train, _ = load(folder, in_memory=False) if kind == "images" else load(arrays[0])
    target = folder / "a" / "12.png" if kind == "images" else arrays[0] / "x.npy"
    batches = iter(source(train, 4, "test").epoch((1, 2)))
    next(batches)
    changed(target, how)
    with pytest.raises(DataError, match=target.name):
        train.x[:]
    # Only a training that has read all of them by then may go on.
    with pytest.raises(DataError, match=target.name):
        list(source(train, 4, "test").epoch((1, 2)))


@given(st.integers(0, 20), st.integers(1, 4), st.data())
def test_results_come_in_order_whatever_the_threads_do(count, threads, data):
    pauses = [data.draw(st.integers(0, 2)) / 1000 for _ in range(count)]

    def slow(index):
        time.sleep(pauses[index])
        return index

    assert list(ahead(slow, range(count), threads)) == list(range(count))


def test_no_more_than_two_results_a_thread_wait():
    begun = []
    results = ahead(lambda index: begun.append(index), iter(range(100)), 2)
    next(results)
    for _ in range(50):
        time.sleep(0.002)
    assert len(begun) <= 5
    results.close()


def test_an_error_comes_in_the_place_of_its_result_and_ends_the_threads():
    def fails(index):
        if index == 3:
            raise DataError("the third")
        return index

    before = threading.active_count()
    results = ahead(fails, range(1000), 2)
    found = [next(results) for _ in range(3)]
    with pytest.raises(DataError, match="the third"):
        next(results)
    assert found == [0, 1, 2] and threading.active_count() == before


def test_threads_compute_in_the_context_of_who_asks():
    with np.errstate(divide="ignore"), rm.use_backend("reference"):
        assert list(ahead(lambda _: np.geterr()["divide"], [0], 1)) == ["ignore"]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer that signals")
def test_an_interruption_leaves_while_a_thread_is_at_work():
    def alarm(*_):
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGALRM, alarm)
    before = threading.active_count()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            list(ahead(lambda _: time.sleep(0.02), range(10000), 2))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    assert threading.active_count() == before


def test_a_model_learns_from_images_that_are_not_in_memory(folder):
    results = []
    for in_memory in (True, False):
        train, _ = load(folder, in_memory=in_memory)
        train = dataclasses.replace(train, preprocessing=train.preprocessing.standardised(train.x))
        rm.set_seed(1)
        model = rm.Sequential([rm.Flatten(), rm.Dense(2)])
        rows = rm.fit(model, train, validation=train, augment="shift=1", epochs=4, batch_size=8, verbose=False)
        results.append([row["train_loss"] for row in rows])
    assert results[0] == results[1] and rows[-1]["validation_accuracy"] > 0.9
