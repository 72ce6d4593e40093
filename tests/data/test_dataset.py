import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import refcnn.data
from refcnn.data import DataSet, Preprocessing, digits, load, one_hot, split
from refcnn.errors import ArgumentError, DataError, LabelError

GREY = Preprocessing(0.5, channels=1, height=3, width=2)


def data_set(count, classes=4):
    x = np.arange(count, dtype=np.uint8)[:, None, None, None] + np.zeros((1, 1, 3, 2), np.uint8)
    return DataSet(x, np.arange(count) % classes, tuple("abcdefgh"[:classes]), GREY)


def test_digits():
    data, test = load("digits")
    assert test is None
    assert data.x.shape == (1797, 1, 8, 8) and data.x.dtype == np.uint8 and data.x.min() == 0 and data.x.max() == 16
    # The first row of the first image, and the classes' counts, as the UCI repository's optdigits.tes holds them.
    assert data.x[0, 0, 0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]
    assert np.bincount(data.y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert data.classes == tuple("0123456789")
    scaled = data.preprocessing.apply(data.x)
    assert scaled.dtype == np.float32 and scaled.max() == 1


@given(
    st.builds(
        Preprocessing,
        scale=st.floats(min_value=0, exclude_min=True, allow_infinity=False),
        channels=st.sampled_from([1, 3]),
        height=st.integers(1, 10**6),
        width=st.integers(1, 10**6),
        resize=st.booleans(),
        white=st.floats(min_value=1, max_value=1e6),
        mean=st.floats(-1e6, 1e6),
        deviation=st.floats(min_value=1e-6, max_value=1e6),
    )
)
def test_preprocessing_survives_json(preprocessing):
    import json

    assert Preprocessing.from_json(json.loads(json.dumps(preprocessing.to_json()))) == preprocessing


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(scale="1"), "scale is '1'"),
        (dict(scale=float("nan")), "scale is nan"),
        (dict(white=0), "white is 0"),
        (dict(height=0), "height is 0"),
        (dict(width=2.5), "width is 2.5"),
        (dict(channels=True), "channels is True"),
        (dict(resize=1), "resize is 1"),
        (dict(mean="3"), "mean is '3'"),
        (dict(deviation=0), "deviation is 0"),
        (dict(offset=3), r"unknown fields \['offset'\]"),
    ],
)
def test_preprocessing_refuses(change, message):
    with pytest.raises(DataError, match=message):
        Preprocessing.from_json(GREY.to_json() | change)


@given(hnp.arrays(np.uint8, (5, 1, 3, 2), elements=st.integers(0, 255)))
def test_standardised_images_have_mean_zero_and_deviation_one(x):
    scaled = Preprocessing(1 / 255, 1, 3, 2).standardised(x).apply(x).astype(np.float64)
    assert abs(scaled.mean()) < 1e-4
    assert abs(scaled.std() - (1 if x.std() else 0)) < 1e-4


def test_standardised_does_not_depend_on_how_the_set_is_cut():
    x = np.random.default_rng(0).integers(0, 256, (2500, 1, 3, 2)).astype(np.uint8)
    found = Preprocessing(1 / 255, 1, 3, 2).standardised(x)
    assert found.mean == pytest.approx((x / 255).mean()) and found.deviation == pytest.approx((x / 255).std())


@pytest.mark.parametrize("fields", [None, [], {}, {"scale": 1.0}])
def test_preprocessing_needs_its_fields(fields):
    with pytest.raises(DataError, match="missing fields|named fields"):
        Preprocessing.from_json(fields)


@given(hnp.arrays(np.uint8, (4, 1, 3, 2)))
def test_apply_scales_to_float32(x):
    found = GREY.apply(x)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, x / 2)


@pytest.mark.parametrize(
    "change, error, message",
    [
        (dict(y=np.array([0, 1, 4])), LabelError, "label 4 at position 2"),
        (dict(y=np.array([0, -1, 0])), LabelError, "label -1 at position 1"),
        (dict(y=np.array([0, 1])), DataError, "3 images, but 2 labels"),
        (dict(y=np.array([0.0, 1, 2])), DataError, "dtype float64"),
        (dict(y=np.zeros((3, 1), np.int64)), DataError, r"y has shape \(3, 1\)"),
        (dict(x=np.zeros((3, 3, 2), np.uint8)), DataError, r"x has shape \(3, 3, 2\)"),
        (dict(x=np.zeros((3, 1, 3, 2))), DataError, "dtype float64"),
        (dict(x=np.zeros((3, 1, 2, 3), np.uint8)), DataError, r"\(1, 2, 3\), but .* \(1, 3, 2\)"),
        (dict(x=np.zeros((0, 1, 3, 2), np.uint8), y=np.zeros(0, np.int64)), DataError, "no images"),
        (dict(classes=("a", "b", "b", "c")), DataError, "not all different"),
        (dict(classes=(0, 1, 2, 3)), DataError, "tuple of names"),
        (dict(classes=()), DataError, "tuple of names"),
    ],
)
def test_data_set_refuses(change, error, message):
    whole = data_set(3)
    fields = dict(x=whole.x, y=whole.y, classes=whole.classes, preprocessing=whole.preprocessing)
    with pytest.raises(error, match=message):
        DataSet(**fields | change)


@given(labels=st.lists(st.integers(0, 6), max_size=20), dtype=st.sampled_from(["u1", "i4", "i8", "f4", "f8"]))
def test_one_hot(labels, dtype):
    rows = one_hot(np.array(labels, dtype), 7)
    assert rows.dtype == np.float32 and rows.shape == (len(labels), 7)
    assert rows.tolist() == [[float(k == label) for k in range(7)] for label in labels]


@given(labels=st.lists(st.integers(0, 6), max_size=9), wrong=st.sampled_from([-1, 7, 2**62, 0.5, np.nan, np.inf]))
def test_one_hot_names_the_wrong_label_and_its_place(labels, wrong):
    with pytest.raises(LabelError, match=f"at position {len(labels)}, .* from 0 to 6"):
        one_hot([*labels, wrong, 0], 7)


@pytest.mark.parametrize("labels", [["a"], [[0, 1]], 3, [None], [1j]])
def test_one_hot_refuses_what_are_no_labels(labels):
    with pytest.raises(LabelError):
        one_hot(labels, 7)


@pytest.mark.parametrize("classes", [0, -1, 2.0, True, "3"])
def test_one_hot_refuses_a_wrong_number_of_classes(classes):
    with pytest.raises(ArgumentError, match="classes is"):
        one_hot([0], classes)


@given(data=st.data(), count=st.integers(2, 60), fraction=st.floats(0.01, 0.99))
def test_split_deals_every_image_out_once(data, count, fraction):
    permutation = data.draw(st.permutations(range(count)))
    if not 0 < round(fraction * count) < count:
        with pytest.raises(ArgumentError, match="without images"):
            split(data_set(count), fraction, permutation)
        return
    training, validation = split(data_set(count), fraction, permutation)
    assert [int(image[0, 0, 0]) for part in (training, validation) for image in part.x] == permutation
    assert [int(label) for part in (training, validation) for label in part.y] == [i % 4 for i in permutation]
    assert abs(len(validation) - fraction * count) <= 0.5
    assert training.classes == validation.classes and training.preprocessing == GREY


@pytest.mark.parametrize("fraction", [0, 1, -0.5, 1.5, float("nan")])
def test_split_refuses_a_fraction(fraction):
    with pytest.raises(ArgumentError, match="fraction"):
        split(data_set(10), fraction, np.arange(10))


@pytest.mark.parametrize("permutation", [range(9), [0] * 10, range(1, 11), np.arange(10.0), np.arange(10) - 1])
def test_split_refuses_what_is_no_permutation(permutation):
    with pytest.raises(ArgumentError, match="does not hold every"):
        split(data_set(10), 0.5, permutation)


@pytest.mark.parametrize("spec", ["fashion", "a\0b", "long" * 2000])
def test_an_unknown_name_lists_what_is_accepted(spec):
    with pytest.raises(DataError, match="does not exist. Expected digits, mnist, a folder of IDX files, an .npz file"):
        load(spec)


def test_a_file_of_another_kind(tmp_path):
    (tmp_path / "set.csv").write_text("1,2\n")
    with pytest.raises(DataError, match="set.csv' .* is a file of another kind"):
        load(tmp_path / "set.csv")


def test_the_import_is_light():
    heavy = "{'sklearn', 'PIL', 'pooch', 'platformdirs', 'requests'}"
    program = f"import refcnn.data, sys; found = {heavy} & set(sys.modules); sys.exit(repr(found) if found else 0)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_public_names():
    assert all(hasattr(refcnn.data, name) for name in refcnn.data.__all__)
    assert digits().preprocessing.shape == (1, 8, 8)
