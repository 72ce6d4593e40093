import gzip
import os
import struct
import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refcnn.data import idx, load
from refcnn.errors import DataError, LabelError

arrays = hnp.arrays(
    st.sampled_from(["u1", "i1", "i2", "i4", "f4", "f8"]).map(np.dtype),
    hnp.array_shapes(min_dims=1, max_dims=5, min_side=0, max_side=4),
)


def read(contents):
    handle, name = tempfile.mkstemp()
    with os.fdopen(handle, "wb") as file:
        file.write(contents)
    try:
        return idx.read(name)
    finally:
        os.unlink(name)


@pytest.mark.parametrize(
    "contents, expected",
    [
        ("00 00 08 01 00 00 00 03 01 80 ff", np.array([1, 128, 255], np.uint8)),
        ("00 00 09 01 00 00 00 03 01 80 ff", np.array([1, -128, -1], np.int8)),
        ("00 00 0b 02 00 00 00 01 00 00 00 02 01 02 ff fe", np.array([[258, -2]], np.int16)),
        ("00 00 0c 02 00 00 00 02 00 00 00 01 00 01 02 03 ff ff ff fe", np.array([[66051], [-2]], np.int32)),
        ("00 00 0d 01 00 00 00 02 3f 80 00 00 c0 40 00 00", np.array([1, -3], np.float32)),
        ("00 00 0e 01 00 00 00 01 bf e0 00 00 00 00 00 00", np.array([-0.5], np.float64)),
    ],
)
def test_files_written_out(contents, expected):
    found = read(bytes.fromhex(contents))
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@given(array=arrays, zipped=st.booleans())
def test_what_is_written_is_read(array, zipped, idx_bytes):
    found = read(idx_bytes(array, zipped))
    assert found.dtype == array.dtype and found.dtype.isnative and found.flags.writeable
    np.testing.assert_array_equal(found, array)


@given(array=arrays, zipped=st.booleans(), data=st.data())
def test_a_file_cut_at_any_place_is_refused(array, zipped, data, idx_bytes):
    contents = idx_bytes(array, zipped)
    cut = data.draw(st.integers(0, len(contents) - 1))
    with pytest.raises(DataError):
        read(contents[:cut])


@given(array=arrays, zipped=st.booleans(), more=st.binary(min_size=1, max_size=40))
def test_trailing_bytes_are_refused(array, zipped, more, idx_bytes):
    contents = idx_bytes(array) + more
    with pytest.raises(DataError, match="more than that"):
        read(gzip.compress(contents) if zipped else contents)


@given(array=arrays, data=st.data())
def test_a_changed_byte_in_a_gzipped_file_never_changes_the_values(array, data, idx_bytes):
    contents = bytearray(idx_bytes(array, zipped=True))
    place = data.draw(st.integers(0, len(contents) - 1))
    contents[place] ^= data.draw(st.integers(1, 255))
    try:
        found = read(contents)
    except DataError:
        return
    np.testing.assert_array_equal(found, array)


@given(
    st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=60).map(lambda tail: b"\0\0\x08" + tail),
        st.binary(max_size=60).map(lambda tail: b"\x1f\x8b\x08" + tail),
    )
)
def test_any_bytes_give_an_array_or_a_data_error(contents):
    try:
        found = read(contents)
    except DataError as error:
        assert "could not be read" in str(error) or "starts with" in str(error) or "header" in str(error)
    else:
        assert 4 + 4 * found.ndim + found.nbytes == len(contents)


@pytest.mark.parametrize("zipped", [False, True])
def test_a_header_of_absurd_size_allocates_nothing(tmp_path, zipped):
    contents = bytes([0, 0, 0x0E, 3]) + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 2**32 - 1) + bytes(100)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(gzip.compress(contents) if zipped else contents)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="more than the file can hold") as caught:
            idx.read(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value) and "(4294967295, 4294967295, 4294967295)" in str(caught.value)


@pytest.mark.parametrize("shape", [(0, 2**32 - 1, 2**32 - 1, 2**32 - 1), (2**32 - 1, 0, 2**32 - 1, 2)])
def test_an_empty_array_of_absurd_shape_is_refused(shape):
    with pytest.raises(DataError, match="could not be read"):
        read(bytes([0, 0, 0x0E, len(shape)]) + struct.pack(f">{len(shape)}I", *shape))


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on memory is set as Linux counts it")
def test_what_does_not_fit_into_memory_is_said(tmp_path):
    for part, shape in (("images-idx3", (400 * 2**20, 1, 1)), ("labels-idx1", (400 * 2**20,))):
        with open(tmp_path / f"train-{part}-ubyte", "wb") as file:
            file.write(bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape))
            # The values are a hole in the file, zeros that take no place on the disk.
            file.truncate(4 + 4 * len(shape) + 400 * 2**20)
    program = """
import resource, sys
from refcnn.data import idx, load
from refcnn.errors import DataError
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**27, used + 2**27))
for read, path in ((idx.read, sys.argv[1] + "/train-images-idx3-ubyte"), (load, sys.argv[1])):
    try:
        read(path)
    except DataError as error:
        assert "does not fit into memory" in str(error), error
    else:
        raise AssertionError("it was read")
"""
    subprocess.run([sys.executable, "-c", program, tmp_path], check=True)


@pytest.mark.parametrize("magic", ["01000803", "00010803", "00000a03", "00000f03", "00000800", "00000821"])
def test_a_wrong_magic_is_refused(tmp_path, magic):
    path = tmp_path / "file"
    path.write_bytes(bytes.fromhex(magic) + bytes(200))
    with pytest.raises(DataError) as caught:
        idx.read(path)
    assert str(path) in str(caught.value) and bytes.fromhex(magic).hex(" ") in str(caught.value)


@pytest.mark.parametrize("name", ["absent", ".", "a\0b"])
def test_a_path_that_is_no_file_is_refused(tmp_path, name):
    with pytest.raises(DataError, match="could not be read"):
        idx.read(tmp_path / name)
    with pytest.raises(DataError, match="could not be read"):
        idx.find(tmp_path / name / "folder")


def write_folder(folder, idx_bytes, zipped=False, dot=False, train=5, test=3, labels=None, test_name="t10k"):
    folder.mkdir(exist_ok=True)
    suffix = ("." if dot else "-") + "idx{}-ubyte" + (".gz" if zipped else "")
    made = {}
    for part, count in (("train", train), (test_name, test)):
        if count:
            x = np.arange(count * 12, dtype=np.uint8).reshape(count, 4, 3)
            y = np.arange(count, dtype=np.uint8) if labels is None else np.asarray(labels)
            (folder / f"{part}-images{suffix.format(3)}").write_bytes(idx_bytes(x, zipped))
            (folder / f"{part}-labels{suffix.format(1)}").write_bytes(idx_bytes(y, zipped))
            made[part] = x, y
    return made


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("dot", [False, True])
@pytest.mark.parametrize("test_name", ["t10k", "test"])
def test_a_folder_gives_both_parts(tmp_path, idx_bytes, zipped, dot, test_name):
    made = write_folder(tmp_path, idx_bytes, zipped, dot, test_name=test_name)
    train, test = load(tmp_path)
    for found, part in ((train, "train"), (test, test_name)):
        np.testing.assert_array_equal(found.x[:, 0], made[part][0])
        np.testing.assert_array_equal(found.y, made[part][1])
        assert found.classes == ("0", "1", "2", "3", "4")
        assert found.preprocessing.shape == (1, 4, 3) and found.preprocessing.scale == 1 / 255


@pytest.mark.parametrize("dtype, top, white", [("f4", 1, 1), ("f8", 255, 255), ("f4", 16, None)])
def test_floating_point_says_what_white_is_where_its_values_tell(tmp_path, idx_bytes, dtype, top, white):
    write_folder(tmp_path, idx_bytes, test=0)
    x = (np.arange(5 * 4 * 3).reshape(5, 4, 3) % 2 * top).astype(dtype)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx_bytes(x))
    train, _ = load(tmp_path)
    assert train.preprocessing.white == white and train.preprocessing.scale == 1
    assert load(tmp_path, pixel_range=(0, 16))[0].preprocessing.white == 16


def test_a_folder_without_a_test_part(tmp_path, idx_bytes):
    write_folder(tmp_path, idx_bytes, test=0)
    train, test = load(tmp_path)
    assert len(train) == 5 and test is None


def test_a_gzipped_twin_does_no_harm(tmp_path, idx_bytes):
    write_folder(tmp_path, idx_bytes)
    for path in list(tmp_path.iterdir()):
        Path(f"{path}.gz").write_bytes(b"broken, but not needed")
    assert len(load(tmp_path)[0]) == 5


def test_two_files_for_one_part_are_refused(tmp_path, idx_bytes):
    write_folder(tmp_path, idx_bytes)
    write_folder(tmp_path, idx_bytes, dot=True, train=4)
    with pytest.raises(DataError, match="both"):
        load(tmp_path)


def test_a_missing_file_is_named(tmp_path, idx_bytes):
    write_folder(tmp_path, idx_bytes)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="test labels is missing"):
        load(tmp_path)


def test_images_and_labels_of_different_number(tmp_path, idx_bytes):
    write_folder(tmp_path, idx_bytes, test=0, labels=np.zeros(4, np.uint8))
    with pytest.raises(DataError, match=r"holds 5 images, but .*train-labels-idx1-ubyte holds 4 labels"):
        load(tmp_path)


def test_labels_swapped_with_images(tmp_path, idx_bytes):
    write_folder(tmp_path, idx_bytes, test=0)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes((tmp_path / "train-images-idx3-ubyte").read_bytes())
    with pytest.raises(LabelError, match=r"train-labels-idx1-ubyte has shape \(5, 4, 3\)"):
        load(tmp_path)


@pytest.mark.parametrize("label", [-1, 65536, 2**31 - 1])
def test_absurd_labels_are_refused(tmp_path, idx_bytes, label):
    write_folder(tmp_path, idx_bytes, test=0, labels=np.array([0, 1, label, 0, 0], np.int32))
    with pytest.raises(LabelError, match=f"label {label} at position 2"):
        load(tmp_path)
