"""Cases come back from the disk as they were, to the bit; damaged files are errors."""

import json
import math
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as np_strategies

from refcnn.backend import results_of
from refcnn.conformance.bundles.case_file import read_case, write_case
from refcnn.conformance.operations import conv2d, dropout
from refcnn.conformance.theory.strategies import Case
from refcnn.errors import ArgumentError, DataError, FileWriteError

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text())
SHAPES = np_strategies.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3)
WORDS = st.integers(0, 2**32 - 1).map(lambda word: np.uint32(word).view(np.float32))
ARRAYS = st.one_of(
    np_strategies.arrays(np.float32, SHAPES, elements=WORDS),
    *(np_strategies.arrays(dtype, SHAPES) for dtype in (np.int64, np.int32, np.bool_)),
)


def same_value(first, second):
    """Whether two attributes are one value of one type; NaN is NaN, and -0.0 is not 0.0."""
    if type(first) is not type(second):
        return False
    if isinstance(first, tuple):
        return len(first) == len(second) and all(map(same_value, first, second))
    if isinstance(first, float):
        return (math.isnan(first) and math.isnan(second)) or (
            first == second and math.copysign(1, first) == math.copysign(1, second)
        )
    return first == second


def same_array(first, second):
    if first is None or second is None:
        return first is second
    return (first.dtype, first.shape) == (second.dtype, second.shape) and first.tobytes() == second.tobytes()


def assert_same(found, written):
    of_found, of_written = results_of(found.dy), results_of(written.dy)
    assert len(of_found) == len(of_written) and all(map(same_array, of_found, of_written))
    assert len(found.inputs) == len(written.inputs) and all(map(same_array, found.inputs, written.inputs))
    assert found.attributes.keys() == written.attributes.keys()
    for name, value in written.attributes.items():
        assert same_value(found.attributes[name], value), name


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("case") / "case.npz"


@given(
    inputs=st.lists(st.none() | ARRAYS, max_size=4).map(tuple),
    attributes=st.dictionaries(
        st.text(),
        st.one_of(
            SCALARS,
            st.recursive(
                st.lists(SCALARS, max_size=3).map(tuple),
                lambda inner: st.lists(inner, max_size=3).map(tuple),
                max_leaves=4,
            ),
        ),
        max_size=4,
    ),
    dy=st.none() | ARRAYS,
    direction=st.sampled_from(["forward", "backward"]),
    variant=st.none() | st.sampled_from(["cpu", "gpu"]),
)
def test_everything_comes_back_to_the_bit(path, inputs, attributes, dy, direction, variant):
    case = Case(inputs, attributes, dy)
    write_case(path, "some_operation", direction, variant, case)
    *called, found = read_case(path)
    assert called == ["some_operation", direction, variant]
    assert_same(found, case)


@given(
    drawn=st.one_of(
        st.tuples(st.just("conv2d"), conv2d.cases("tiny")), st.tuples(st.just("dropout"), dropout.cases("tiny"))
    )
)
def test_cases_of_operations_come_back(path, drawn):
    operation, case = drawn
    write_case(path, operation, "backward", None, case)
    assert_same(read_case(path)[3], case)


def test_a_case_replaces_another_and_leaves_nothing_beside(tmp_path):
    for value in (1, 2):
        case = Case((np.full(3, value, np.float32),), {})
        write_case(tmp_path / "case.npz", "relu", "forward", None, case)
    np.testing.assert_array_equal(read_case(tmp_path / "case.npz")[3].inputs[0], [2, 2, 2])
    assert [entry.name for entry in tmp_path.iterdir()] == ["case.npz"]


@pytest.mark.parametrize("dtype", [np.float64, np.uint8, np.complex64])
def test_arrays_of_other_dtypes_are_not_read(path, dtype):
    write_case(path, "relu", "forward", None, Case((np.ones(2, dtype),), {}))
    with pytest.raises(DataError):
        read_case(path)


@pytest.mark.parametrize("value", [np.float32(1), np.int64(1), [1], {"a": 1}, object(), (1, [2])])
def test_other_attributes_are_refused(path, value):
    with pytest.raises(ArgumentError, match="attribute strange"):
        write_case(path, "relu", "forward", None, Case((), {"strange": value}))


def test_another_direction_is_refused(path):
    with pytest.raises(ArgumentError, match="sideways"):
        write_case(path, "relu", "sideways", None, Case((), {}))


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileWriteError, match="no_folder"):
        write_case(tmp_path / "no_folder" / "case.npz", "relu", "forward", None, Case((), {}))
    with pytest.raises(DataError, match="no_folder"):
        read_case(tmp_path / "no_folder" / "case.npz")


@pytest.fixture
def written(tmp_path):
    case = Case((np.arange(6, dtype=np.float32).reshape(2, 3), None), {"stride": (1, 2)}, np.ones(2, np.float32))
    write_case(tmp_path / "case.npz", "dense", "backward", "cpu", case)
    return tmp_path / "case.npz"


@given(place=st.floats(0, 1, exclude_max=True), word=st.integers(1, 255), cut=st.booleans())
def test_a_damaged_file_is_read_right_or_is_an_error(path, place, word, cut):
    case = Case((np.arange(6, dtype=np.float32).reshape(2, 3), None), {"stride": (1, 2)}, np.ones(2, np.float32))
    write_case(path, "dense", "backward", "cpu", case)
    content = bytearray(path.read_bytes())
    index = int(place * len(content))
    if cut:
        del content[index:]
    else:
        content[index] ^= word
    path.write_bytes(content)
    try:
        operation, direction, variant, found = read_case(path)
    except DataError as error:
        assert str(path) in str(error)
    else:
        assert (operation, direction, variant) == ("dense", "backward", "cpu")
        assert_same(found, case)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "refcnn case 9"},
        {"direction": "sideways"},
        {"variant": 3},
        {"operation": None},
        {"inputs": [{"dtype": "float32", "shape": [3, 2]}, None]},
        {"inputs": [{"dtype": "float64", "shape": [2, 3]}, None]},
        {"inputs": [{"dtype": "int32", "shape": [2, 3]}, None]},
        {"inputs": [None, {"dtype": "float32", "shape": [2, 3]}]},
        {"attributes": {"stride": [1, 2]}},
        {"attributes": {"stride": {"set": [1, 2]}}},
        {"attributes": {"stride": {}}},
        {"attributes": [1]},
    ],
)
def test_a_header_that_does_not_fit_is_an_error(written, change):
    with np.load(written) as file:
        arrays = dict(file)
    header = json.loads(arrays.pop("header").tobytes()) | change
    np.savez(written, header=np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays)
    with pytest.raises(DataError, match="case.npz"):
        read_case(written)


def test_other_files_are_no_cases(tmp_path):
    np.savez(tmp_path / "arrays.npz", x=np.ones(3))
    np.save(tmp_path / "array.npy", np.ones(3))
    (tmp_path / "text.npz").write_text("x")
    with zipfile.ZipFile(tmp_path / "zip.npz", "w") as archive:
        archive.writestr("header.npy", "not an array")
    np.savez(tmp_path / "objects.npz", header=np.array([{}], dtype=object))
    for name in ("arrays.npz", "array.npy", "text.npz", "zip.npz", "objects.npz"):
        with pytest.raises(DataError, match=name):
            read_case(tmp_path / name)


def test_a_folder_that_is_no_bundle_is_an_error(tmp_path):
    with pytest.raises(DataError, match="SHA256SUMS"):
        read_case(tmp_path)
