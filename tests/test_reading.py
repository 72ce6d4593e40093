"""Reading what may hold anything: plain files alone, strict JSON, whole numbers that are some, archives of arrays."""

import io
import json
import os
import random
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as np_strategies

from refcnn import npz
from refcnn.errors import ArgumentError, DataError
from refcnn.reading import check, open_plain, parse_json, read_plain, reading

from . import mutants

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs pipes, links and devices of a POSIX system")


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**70), 2**70)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
)
def test_json_is_read_as_python_reads_it(value):
    text = json.dumps(value)
    assert parse_json(text) == parse_json(text.encode()) == parse_json(b"\xef\xbb\xbf" + text.encode()) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "NaN",
        "[Infinity]",
        "-Infinity",
        "1e999",
        "-1e400",
        "1" + "0" * 400,
        "9" * 5000,
        '{"a": 1, "a": 1}',
        '{"b": {"a": 1, "c": 2, "a": 3}}',
        "[" * 100_000,
        "[" * 60 + "]" * 60,
        '{"a":' * 60 + "1" + "}" * 60,
        "'a'",
        "[1,]",
        b"\xff",
        b"\xff\xfe1\x00",
    ],
)
def test_what_json_has_not_is_refused(text):
    with (
        pytest.raises(DataError, match="it.json is not a document"),
        reading("it.json", "a document", DataError, "Go."),
    ):
        parse_json(text)


@pytest.mark.parametrize("value", [True, False, 3.0, 2.5, "3", None, [3], -1, 0, 11])
def test_no_other_type_passes_for_a_whole_number(value):
    schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1, "maximum": 10}}}
    check({"a": 3}, schema)
    with pytest.raises(ValueError, match=r"\$\.a"):
        check({"a": value}, schema)


@pytest.mark.parametrize(
    "raised",
    [RecursionError, MemoryError, OverflowError, SystemError, KeyError, AssertionError, ValueError, zipfile.BadZipFile],
)
def test_whatever_a_parser_raises_is_one_error_that_names_the_file(raised):
    with pytest.raises(DataError, match=r"(?s)some.bin.*Go\.$"), reading("some.bin", "a document", DataError, "Go."):
        raise raised("\x1b[31m what\nhappened")


def test_a_reason_is_one_line_that_does_nothing_to_a_terminal():
    with pytest.raises(DataError) as caught, reading("some.bin", "a document", DataError, "Go."):
        raise ValueError("\x1b[31m what\nhappened \ud800" + "a" * 100_000)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 1000


def test_stopping_is_not_a_fault_of_the_file():
    with pytest.raises(KeyboardInterrupt), reading("some.bin", "a document", DataError, "Go."):
        raise KeyboardInterrupt


@posix
@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "missing", "link"])
def test_only_plain_files_are_opened(tmp_path, kind):
    path = tmp_path / "entry"
    (tmp_path / "target").write_bytes(b"content")
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "link":
        path.symlink_to(tmp_path / "target")
        assert read_plain(path) == b"content"
    with pytest.raises(OSError):
        open_plain(path, follow=False)


def test_no_more_is_read_or_allocated_than_allowed(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_plain(path, 5) == b"12345"
    with pytest.raises(ValueError, match="more than 4 bytes"):
        read_plain(path, 4)
    tracemalloc.start()
    try:
        assert read_plain(path, 2**40) == b"12345"
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs Linux's /proc")
def test_files_that_are_said_to_be_empty_are_read_to_their_end():
    assert b"Name:" in read_plain("/proc/self/status")
    with pytest.raises(ValueError, match="more than 4 bytes"):
        read_plain("/proc/self/status", 4)


# Archives of arrays

DTYPES = st.sampled_from(["?", "u1", "i1", ">i2", "<i8", "f2", ">f4", "f8", "c8", "U3", "S2", "M8[D]"])
ARRAYS = DTYPES.flatmap(
    lambda dtype: np_strategies.arrays(dtype, np_strategies.array_shapes(min_dims=0, min_side=0, max_side=3))
)


@given(
    arrays=st.dictionaries(
        st.from_regex(r"[a-z./]{1,9}", fullmatch=True), st.tuples(ARRAYS, st.booleans()), max_size=3
    ),
    compressed=st.booleans(),
)
def test_arrays_are_read_as_numpy_reads_them(tmp_path_factory, arrays, compressed):
    path = tmp_path_factory.mktemp("archive") / "arrays.npz"
    arrays = {name: np.asfortranarray(array) if turned else array for name, (array, turned) in arrays.items()}
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    found = npz.read(path)
    with np.load(path) as expected:
        assert set(found) == set(expected.files)
        for name, array in found.items():
            assert array.shape == expected[name].shape and array.dtype == expected[name].dtype.newbyteorder("=")
            assert array.flags.writeable and array.dtype.isnative
            np.testing.assert_array_equal(array, expected[name])


@given(
    arrays=st.dictionaries(
        st.sampled_from(["file", "allow_pickle", "args", "kwds", "self"])
        | st.from_regex(r"[a-z./]{1,9}", fullmatch=True),
        st.tuples(ARRAYS, st.booleans()),
        max_size=3,
    )
)
def test_arrays_of_all_names_are_written_as_numpy_reads_them(tmp_path_factory, arrays):
    path = tmp_path_factory.mktemp("archive") / "arrays.npz"
    arrays = {name: np.asfortranarray(array) if turned else array for name, (array, turned) in arrays.items()}
    npz.write(path, arrays)
    found = npz.read(path)
    with np.load(path) as expected:
        assert set(found) == set(expected.files) == set(arrays)
        for name, array in arrays.items():
            assert expected[name].dtype == array.dtype and found[name].shape == array.shape
            np.testing.assert_array_equal(expected[name], array)
            np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("array", [np.array([{}], object), np.zeros(2, [("a", "f4")]), np.zeros(2, "V4"), [None]])
def test_arrays_that_would_need_pickle_are_not_written(tmp_path, array):
    with pytest.raises(ArgumentError, match="'odd' holds"):
        npz.write(tmp_path / "odd.npz", {"x": np.ones(2), "odd": array})
    assert not list(tmp_path.iterdir())


def archive_of(path, members, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, compress_type=method)
    return path


def stored(array=(1.0, 2.0)):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array))
    return file.getvalue()


def refused(path, words):
    """Assert that an archive is refused, with some words, and that next to nothing is allocated for it."""
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=f"(?s){path.name}.*{words}"), reading(path, "an archive", DataError, "Go."):
            npz.read(path)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([("x.npy", stored()), ("note.txt", b"text")], "note.txt"),
        ([("x", stored())], "'x' is no array"),
        ([("x.npy", b"text")], "magic string"),
        ([("x.npy", b"")], ""),
        ([("x.npy", stored()), ("x.npy", stored())], "twice"),
        ([("x.npy", stored()[:-1])], "15 follow"),
        ([("x.npy", stored() + b"a")], "17 follow"),
        *[([("x.npy", mutants.npy(text) + bytes(64))], "") for text in mutants.HEADERS],
    ],
)
def test_members_that_are_no_arrays_are_refused(tmp_path, members, words):
    refused(archive_of(tmp_path / "odd.npz", members), words)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(tmp_path, method):
    refused(archive_of(tmp_path / "odd.npz", [("x.npy", stored())], method), "stored nor deflated")


def test_encrypted_members_are_refused(tmp_path):
    path = archive_of(tmp_path / "odd.npz", [("x.npy", stored())])
    content = bytearray(path.read_bytes())
    # The flags of the directory's entry.
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    refused(path, "encrypted")


def test_small_files_do_not_fill_the_memory(tmp_path, monkeypatch):
    zeros = stored(np.zeros(2**23))
    path = archive_of(tmp_path / "bomb.npz", [("x.npy", zeros)], zipfile.ZIP_DEFLATED)
    assert npz.read(path)["x"].size == 2**23
    monkeypatch.setattr(npz, "MOST_INFLATED", 2**20)
    refused(path, "would grow to 67,108,992")
    # What is stored as it is has that size itself.
    assert npz.read(archive_of(tmp_path / "large.npz", [("x.npy", zeros)]))["x"].size == 2**23


def test_sizes_in_the_directory_are_held_against_the_file(tmp_path):
    path = archive_of(tmp_path / "odd.npz", [("x.npy", stored())])
    content = bytearray(path.read_bytes())
    place = content.index(b"PK\x01\x02")
    content[place + 20 : place + 28] = (2**31).to_bytes(4, "little") * 2
    path.write_bytes(content)
    refused(path, "larger than the file")


def test_other_files_are_said_to_be_such(tmp_path):
    (tmp_path / "array.npz").write_bytes(stored())
    refused(tmp_path / "array.npz", "a single array")
    (tmp_path / "text.npz").write_text("text")
    refused(tmp_path / "text.npz", "not a zip file")
    refused(tmp_path / "absent.npz", "does not exist")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_mutants_follow_from_their_seed():
    content = io.BytesIO()
    np.savez(content, x=np.arange(5.0), y=np.arange(3))
    one, other = ([mutants.of_npz(content.getvalue(), random.Random(seed)) for seed in range(30)] for _ in range(2))
    assert one == other and len(set(one)) > 20
