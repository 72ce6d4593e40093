import tempfile
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refcnn.data import load
from refcnn.errors import ArgumentError, DataError, LabelError

X = np.arange(4 * 5 * 6, dtype=np.uint8).reshape(4, 5, 6)
Y = np.array([0, 2, 1, 2])


def stored(folder, compressed=False, **arrays):
    path = folder / "set.npz"
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    return path


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("y", [Y, Y[:, None], Y.astype(float), np.eye(3)[Y], np.eye(3, dtype=bool)[Y]])
def test_labels_of_every_form(tmp_path, y, compressed):
    train, test = load(stored(tmp_path, compressed, x=X, y=y))
    np.testing.assert_array_equal(train.x, X[:, None])
    np.testing.assert_array_equal(train.y, Y)
    assert train.classes == ("0", "1", "2") and test is None
    assert train.preprocessing.scale == 1 / 255 and train.preprocessing.white == 255


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floating_point_is_taken_as_it_is(tmp_path, dtype):
    train, _ = load(stored(tmp_path, x=X[:, None].astype(dtype) / 8, y=Y))
    assert train.x.dtype == np.float32 and train.preprocessing.scale == 1
    np.testing.assert_array_equal(train.preprocessing.apply(train.x)[:, 0], X / 8)


def test_a_pixel_range_that_is_named(tmp_path):
    path = stored(tmp_path, x_train=X / 60.0 - 1, y_train=Y, x_test=X / 60.0 - 1, y_test=Y)
    assert load(path)[0].preprocessing.white is None
    for part in load(path, pixel_range=(-1.0, 1.0)):
        assert (part.preprocessing.black, part.preprocessing.white) == (-1, 1)
    with pytest.raises(DataError, match="white is 2"):
        load(path, pixel_range=(2.0, 2.0))
    with pytest.raises(DataError, match="white is nan"):
        load(path, pixel_range=(2.0, float("nan")))
    for wrong in (3, (1,), (0, "white"), (0, 10**400)):
        with pytest.raises(ArgumentError, match="must be two numbers"):
            load(path, pixel_range=wrong)
    with pytest.raises(ArgumentError, match="'digits' is known"):
        load("digits", pixel_range=(0, 1))


def test_training_and_test_parts_and_names(tmp_path):
    path = stored(tmp_path, x_train=X, y_train=Y, x_test=X[:2], y_test=Y[:2], classes=np.array(["a", "b", "c", "d"]))
    train, test = load(path)
    assert (len(train), len(test)) == (4, 2)
    assert train.classes == test.classes == ("a", "b", "c", "d")


def test_classes_are_the_numbers_that_are_there(tmp_path):
    train, _ = load(stored(tmp_path, x=X, y=np.array([0, 10, 5, 10])))
    assert train.classes == ("0", "5", "10") and train.y.tolist() == [0, 2, 1, 2]


def test_both_parts_number_their_classes_alike(tmp_path):
    parts = load(stored(tmp_path, x_train=X, y_train=[7, 7, 3, 3], x_test=X, y_test=[9, 9, 7, 7]))
    assert [part.classes for part in parts] == [("3", "7", "9")] * 2
    assert [part.y.tolist() for part in parts] == [[1, 1, 0, 0], [2, 2, 1, 1]]


def test_colour_images(tmp_path):
    train, _ = load(stored(tmp_path, x=np.zeros((4, 3, 8, 9), np.uint8), y=Y))
    assert train.preprocessing.shape == (3, 8, 9)


@pytest.mark.parametrize(
    "arrays, message",
    [
        (dict(x=X), r"holds 'x' \(uint8, shape \(4, 5, 6\)\), but not y\."),
        (dict(x=X, label=Y), r"but not y\. .* numpy.savez\(PATH, x=x, y=label\)"),
        (dict(X=X, Y=Y), r"but not x, y\. .* numpy.savez\(PATH, x=X, y=Y\)"),
        (dict(images=X, labels=Y), r"'labels' .*, but not x, y\. .* numpy.savez\(PATH, x=images, y=labels\)"),
        (
            dict(train_images=X, train_labels=Y, test_images=X, test_labels=Y, val_images=X, val_labels=Y),
            "savez.PATH, x_train=train_images, y_train=train_labels, x_test=test_images, y_test=test_labels",
        ),
        (dict(x_train=X, y_train=Y), "but not x_test, y_test"),
        (dict(x=X, y=Y[:3]), "x holds 4 images, but y holds 3 labels"),
        (dict(x=X[:0], y=Y[:0]), "no axis of length 0"),
        (dict(x=X[0], y=Y), "must have shape"),
        (dict(x=np.zeros((4, 8, 8, 3), np.uint8), y=Y), r"looks like \(N, height, width, channels\)"),
        (dict(x=X.astype(np.int64), y=Y), "dtype int64"),
        (dict(x=X.astype(complex), y=Y), "dtype complex128"),
        (dict(x=np.where(X == 7, np.nan, X), y=Y), r"nan at \(0, 1, 1\)"),
        (dict(x=np.where(X == 7, 1e300, X), y=Y), r"inf at \(0, 1, 1\)"),
        (dict(x=X, y=Y, classes=np.array([1, 2, 3])), "names are expected"),
        (dict(x=X, y=Y, classes=np.array(["a", "b", "a"])), "not all different"),
        (dict(x=X.astype(object), y=Y), "arrays of objects"),
        (dict(x=X, y=np.array([0, "one", None, 2], object)), "arrays of objects"),
    ],
)
def test_what_is_refused(tmp_path, arrays, message):
    with pytest.raises(DataError, match=message) as caught:
        load(stored(tmp_path, **arrays))
    assert str(tmp_path) in str(caught.value) or "DataSet" in str(caught.value)


@pytest.mark.parametrize(
    "y, message",
    [
        ([0, 1, -1, 2], "label -1 at position 2, .* The labels found are -1, 0, 1, 2. Leave out"),
        ([0, 1, 0.5, 2], "label 0.5 at position 2"),
        ([0, np.nan, 1, 2], "label nan at position 1"),
        ([0, 1, 2, 10**12], "label 1000000000000 at position 3"),
        (["a", "", "b", "b"], "empty name at position 1"),
        ([b"a", b"\xff", b"b", b"b"], "no UTF-8"),
        (np.zeros((4, 2, 2)), "one whole number"),
    ],
)
def test_labels_that_are_refused(tmp_path, y, message):
    with pytest.raises(LabelError, match=message):
        load(stored(tmp_path, x=X, y=np.array(y)))


def test_a_label_beyond_the_names_is_refused(tmp_path):
    with pytest.raises(LabelError, match="label 2 at position 1"):
        load(stored(tmp_path, x=X, y=Y, classes=np.array(["a", "b"])))


@pytest.mark.parametrize("encoded", [False, True])
def test_labels_may_be_names(tmp_path, encoded):
    names = np.array(["dog", "cat", "k\u00e4se", "dog"])
    y = np.char.encode(names, "utf-8") if encoded else names
    train, _ = load(stored(tmp_path, x=X, y=y))
    assert train.classes == ("cat", "dog", "k\u00e4se") and train.y.tolist() == [1, 0, 2, 1]
    train, _ = load(stored(tmp_path, x=X, y=y, classes=np.array(["k\u00e4se", "dog", "cow", "cat"])))
    assert train.classes[2] == "cow" and train.y.tolist() == [1, 3, 0, 1]
    with pytest.raises(LabelError, match="'dog', which is none of the classes"):
        load(stored(tmp_path, x=X, y=y, classes=np.array(["k\u00e4se", "cat"])))
    with pytest.raises(LabelError, match="one part are names"):
        load(stored(tmp_path, x_train=X, y_train=y, x_test=X, y_test=Y))


@pytest.mark.parametrize("dtype, white", [(bool, 1), (np.uint8, 255), (np.uint16, 65535)])
def test_whole_numbers_are_scaled_by_the_value_of_white(tmp_path, dtype, white):
    x = np.array([[[0, 1]], [[1, 0]]]) * white
    train, _ = load(stored(tmp_path, x=x.astype(dtype), y=[0, 1]))
    assert train.x.dtype == dtype and train.preprocessing.white == white
    np.testing.assert_allclose(train.preprocessing.apply(train.x)[:, 0], x / white, rtol=1e-7)


@pytest.mark.parametrize("row", [[0, 0, 0], [1, 1, 0], [0.2, 0.8, 0], [1, 0, -1]])
def test_rows_that_are_not_one_hot(tmp_path, row):
    y = np.eye(3)[Y]
    y[2] = row
    with pytest.raises(DataError, match="row 2 is .* not one-hot"):
        load(stored(tmp_path, x=X, y=y))


def test_files_that_are_no_archive(tmp_path):
    path = tmp_path / "set.npz"
    with open(path, "wb") as file:
        np.save(file, X)
    with pytest.raises(DataError, match="single array"):
        load(path)
    for contents in (b"", b"no archive at all", b"PK\x03\x04 cut off"):
        path.write_bytes(contents)
        with pytest.raises(DataError, match="set.npz is not an .npz file"):
            load(path)


def test_a_data_set_that_does_not_fit_into_memory(tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise MemoryError

    path = stored(tmp_path, x=X.astype(float), y=Y)
    monkeypatch.setattr(np, "isfinite", full)
    with pytest.raises(DataError, match="does not fit into memory"):
        load(path)


def test_a_header_of_absurd_size(tmp_path):
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000, 1000), }"
    with zipfile.ZipFile(tmp_path / "set.npz", "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64))
    with pytest.raises(DataError, match="8,000,000,000,000,000 bytes, but 64 follow"):
        load(tmp_path / "set.npz")


@settings(max_examples=150)
@given(data=st.data(), compressed=st.booleans())
def test_a_damaged_archive_gives_a_data_set_or_a_data_error(data, compressed):
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        (np.savez_compressed if compressed else np.savez)(file, x=X, y=Y)
        file.seek(0)
        contents = bytearray(file.read())
        for _ in range(data.draw(st.integers(0, 4))):
            contents[data.draw(st.integers(0, len(contents) - 1))] ^= data.draw(st.integers(1, 255))
        cut = data.draw(st.integers(0, len(contents)) | st.just(len(contents)))
        file.seek(0)
        file.truncate()
        file.write(contents[:cut])
        file.flush()
        try:
            train, _ = load(file.name)
        except DataError:
            return
        # zip keeps a CRC of every member: what is read is what was stored.
        np.testing.assert_array_equal(train.x, X[:, None])
        np.testing.assert_array_equal(train.y, Y)
