import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import refcnn.data
from refcnn.data import DataSet, Preprocessing, digits, load, one_hot, remarks, require_classes, split
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
        scale=st.floats(min_value=0, exclude_min=True, allow_infinity=False, width=32),
        channels=st.sampled_from([1, 3]),
        height=st.integers(1, 10**6),
        width=st.integers(1, 10**6),
        resize=st.booleans(),
        white=st.none() | st.floats(min_value=1, max_value=1e6),
        black=st.floats(min_value=-1e6, max_value=0.5),
        mean=st.floats(-1e6, 1e6),
        deviation=st.floats(min_value=1e-6, max_value=1e6),
        fit=st.sampled_from(["crop", "pad", "stretch"]),
        filter=st.sampled_from(["lanczos", "bilinear", "nearest"]),
        layout=st.sampled_from(["NCHW", "NHWC"]),
    )
)
def test_preprocessing_survives_json(preprocessing):
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
        (dict(deviation=1e-60), "deviation is 1e-60"),
        (dict(mean=10**400), "mean is a number of 1329 bits"),
        (dict(scale=10**400), "scale is a number of 1329 bits"),
        (dict(scale="1" * 10**6), "scale is '1+[.]{3},"),
        (dict(black=255), "white is 255.0, which black is too"),
        (dict(fit="squash"), "fit is 'squash'"),
        (dict(filter="sharp"), "filter is 'sharp'"),
        (dict(layout="CHWN"), "layout is 'CHWN'"),
        (dict(colour="RGB"), "colour is 'RGB', but must be grey"),
        (dict(channels=3, colour="grey"), "colour is 'grey', but must be one of RGB, BGR"),
        (dict(channels=2, colour="RGB"), "colour is 'RGB', but must be None"),
        (dict(mean=[1, 2]), r"mean is \[1, 2\], but must be one number, or one for each of 1 channels"),
        (dict(mean=[[1]]), r"mean is \[1\]"),
        (dict(channels=2, colour=None, deviation=[1, 0]), "deviation is 0"),
        (dict(transparency="black"), "transparency is 'black', but must be 'white'"),
        (dict(formula="pixel"), "formula is 'pixel', but must be"),
        (dict(usual=3), "usual is 3"),
        (dict(usual=[[[1, 2, 3, 4], [1, 2, 3]]]), "four numbers each"),
        (dict(usual=[[[1, 2, 3, 4], [1, 2, 3, "4"]]]), "finite numbers"),
        (dict(usual=[[[1, 2, 3, 4], [1, 2, 3, 1e400]]]), "finite numbers"),
        (dict(usual=[[[1, 2, 3, 4]] * 2] * 3), "usual has 3 channels"),
        (dict(offset=3), r"unknown fields \['offset'\]"),
    ],
)
def test_preprocessing_refuses(change, message):
    with pytest.raises(DataError, match=message):
        Preprocessing.from_json(GREY.to_json() | change)


@given(
    hnp.arrays(np.uint8, (2, 3, 4, 5)),
    st.lists(st.floats(-2, 2), min_size=3, max_size=3),
    st.lists(st.floats(0.25, 4), min_size=3, max_size=3),
)
def test_each_channel_may_have_its_mean_and_deviation_and_the_axes_another_order(x, mean, deviation):
    expected = (x / 255 - np.reshape(mean, (3, 1, 1))) / np.reshape(deviation, (3, 1, 1))
    preprocessing = Preprocessing(1 / 255, 3, 4, 5, mean=tuple(mean), deviation=tuple(deviation))
    assert Preprocessing.from_json(json.loads(json.dumps(preprocessing.to_json()))) == preprocessing
    np.testing.assert_allclose(preprocessing.apply(x), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(preprocessing.apply(x)[1], preprocessing.apply(x[1]))
    last = dataclasses.replace(preprocessing, layout="NHWC")
    assert (preprocessing.shape, last.shape) == ((3, 4, 5), (4, 5, 3))
    np.testing.assert_array_equal(last.apply(x), preprocessing.apply(x).transpose(0, 2, 3, 1))
    ends = (np.float64([[0], [255]]) / 255 - mean) / deviation
    assert preprocessing.largest_input == pytest.approx(np.abs(ends).max(), rel=1e-5)


@given(hnp.arrays(np.uint8, (5, 1, 3, 2), elements=st.integers(0, 255)))
def test_standardised_images_have_mean_zero_and_deviation_one(x):
    scaled = Preprocessing(1 / 255, 1, 3, 2).standardised(x).apply(x).astype(np.float64)
    assert abs(scaled.mean()) < 1e-4
    assert abs(scaled.std() - (1 if x.std() else 0)) < 1e-4


def test_standardised_does_not_depend_on_how_the_set_is_cut():
    x = np.random.default_rng(0).integers(0, 256, (2500, 1, 3, 2)).astype(np.uint8)
    found = Preprocessing(1 / 255, 1, 3, 2).standardised(x)
    assert found.mean == pytest.approx((x / 255).mean()) and found.deviation == pytest.approx((x / 255).std())


@given(
    hnp.arrays(np.float32, (5, 2, 3, 2), elements=st.floats(-100, 100, width=32)) | hnp.arrays(np.uint8, (5, 2, 3, 2)),
    st.sampled_from([1.0, 1 / 255]),
)
def test_brightness_and_contrast_of_training_images_are_kept(x, scale):
    import json

    found = Preprocessing(scale, 2, 3, 2).standardised(x)
    values = x.astype(np.float64) * scale
    assert Preprocessing.from_json(json.loads(json.dumps(found.to_json()))) == found
    for channel, usual in enumerate(found.usual):
        for kind, numbers in ((usual.brightness, values.mean(axis=(2, 3))), (usual.contrast, values.std(axis=(2, 3)))):
            numbers = numbers[:, channel]
            expected = numbers.mean(), numbers.std(), numbers.min(), numbers.max()
            np.testing.assert_allclose(kind, expected, atol=1e-5 * max(1, np.abs(values).max()))


def test_only_images_far_from_the_others_are_strange():
    rng = np.random.default_rng(0)
    # Bright strokes on black, as digits have them.
    x = (rng.random((200, 1, 12, 12)) < 0.2).astype(np.uint8) * rng.integers(180, 256, (200, 1, 12, 12), np.uint8)
    preprocessing = Preprocessing(1 / 255, 1, 12, 12).standardised(x)
    assert not any(map(preprocessing.strangeness, x))
    of_inverted = preprocessing.strangeness(255 - x[0])
    assert any("brightness" in clause for clause in of_inverted) and any("inverted" in clause for clause in of_inverted)
    of_brighter = preprocessing.strangeness(x[0] // 2 + 128)
    assert any("brightness" in clause for clause in of_brighter) and not any("inverted" in c for c in of_brighter)
    assert any("contrast" in clause for clause in preprocessing.strangeness(x[0] // 8))
    assert not dataclasses.replace(preprocessing, usual=()).strangeness(255 - x[0])
    # What was trained on is not strange, however rare it is.
    x[7] = 255
    assert not preprocessing.standardised(x).strangeness(x[7])


def images(*values):
    """Images of 2x2 pixels of the values, float32 (N, 1, 2, 2), which repeat as need be."""
    return np.resize(np.array(values, np.float32), (-(-len(values) // 4), 1, 2, 2))


@pytest.mark.parametrize(
    "parts, white",
    [
        ([images(0, 0.25, 1)], 1),
        ([images(0.2, 0.6)], 1),
        ([images(0, 1)], 1),
        ([images(0, 128, 255)], 255),
        ([images(3, 4, 128)], 255),
        ([images(0, 1, 16)], None),  # which may be the brightest of 17 levels, or dark
        ([images(0, 0.001)], None),
        ([images(0, 128.5, 255)], None),
        ([images(0, 255, 256)], None),
        ([images(-1, 0, 1)], None),
        ([images(-1, 128, 255)], None),
        ([images(0, 0)], None),
        ([images(0, 1), images(0, 0.1)], 1),
        ([images(0, 0.1), images(0, 1)], 1),
        ([images(0, 1), images(0, 1.1)], None),
        ([images(0, 255), images(-3, 4)], None),
    ],
)
def test_white_is_inferred_where_the_values_tell(parts, white):
    labels = [np.arange(len(x) * 4)[: len(x)] for x in parts]
    made = refcnn.data.dataset.data_sets(*zip(parts, labels, strict=True), classes=("a", "b", "c"))
    for x, part in zip(parts, made, strict=False):
        assert part.preprocessing.white == white and part.preprocessing.black == 0
        # Whatever white is, the values are taken as they are.
        np.testing.assert_array_equal(part.preprocessing.apply(part.x), x)


@pytest.mark.parametrize(
    "test", [images(0, 200, 255), images(0, 1).astype(np.uint8)], ids=["another white", "another dtype"]
)
def test_parts_that_are_scaled_otherwise_are_refused(test):
    with pytest.raises(DataError, match="not scaled alike.* from 0 to 1 and "):
        refcnn.data.dataset.data_sets((images(0, 1), np.array([0])), (test, np.array([0])))


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
def test_split_without_strata_deals_every_image_out_once(data, count, fraction):
    permutation = data.draw(st.permutations(range(count)))
    if not 0 < round(fraction * count) < count:
        with pytest.raises(ArgumentError, match="without images"):
            split(data_set(count), fraction, permutation, stratify=False)
        return
    training, validation = split(data_set(count), fraction, permutation, stratify=False)
    assert [int(image[0, 0, 0]) for part in (training, validation) for image in part.x] == permutation
    assert [int(label) for part in (training, validation) for label in part.y] == [i % 4 for i in permutation]
    assert abs(len(validation) - fraction * count) <= 0.5
    assert training.classes == validation.classes and training.preprocessing == GREY


@given(data=st.data(), labels=st.lists(st.integers(0, 6), min_size=2, max_size=60), fraction=st.floats(0.05, 0.95))
def test_split_splits_each_class(data, labels, fraction):
    count, sizes = len(labels), np.bincount(labels, minlength=8)
    whole = dataclasses.replace(data_set(count, classes=8), y=np.array(labels))
    permutation = data.draw(st.permutations(range(count)))
    if not 0 < round(fraction * count) < count or sizes.max() < 2:
        with pytest.raises(ArgumentError, match="leaves a part without images|none of the . classes has two images"):
            split(whole, fraction, permutation)
        return
    parts = split(whole, fraction, permutation)
    indices = [part.x[:, 0, 0, 0].tolist() for part in parts]
    # Both parts in the order of the permutation, and of each class the last of it are for validation.
    assert sorted(sum(indices, [])) == list(range(count))
    for part, found in zip(parts, indices, strict=True):
        assert found == [i for i in permutation if i in found] and part.y.tolist() == [labels[i] for i in found]
    for label, size in enumerate(sizes):
        of_class = [i for i in permutation if labels[i] == label]
        share = sum(i in indices[1] for i in of_class)
        assert [i for i in indices[1] if labels[i] == label] == of_class[size - share :]
        assert (1 <= share <= size - 1) if size >= 2 else share == 0
        assert abs(share - fraction * size) < 1 or share in (0, 1, size - 1)
    if (np.floor(fraction * sizes[sizes > 0]) >= 1).all() and (np.ceil(fraction * sizes) < sizes)[sizes > 0].all():
        assert len(parts[1]) == round(fraction * count)


def test_a_rare_class_is_in_both_parts():
    whole = dataclasses.replace(data_set(100, classes=3), y=np.array([0] * 58 + [1] * 40 + [2] * 2))
    training, validation = split(whole, 0.1, np.arange(100))
    assert np.bincount(training.y).tolist() == [52, 36, 1] and np.bincount(validation.y).tolist() == [6, 4, 1]


@pytest.mark.parametrize("fraction", [0, 1, -0.5, 1.5, float("nan")])
def test_split_refuses_a_fraction(fraction):
    with pytest.raises(ArgumentError, match="fraction"):
        split(data_set(10), fraction, np.arange(10))


@pytest.mark.parametrize("permutation", [range(9), [0] * 10, range(1, 11), np.arange(10.0), np.arange(10) - 1])
def test_split_refuses_what_is_no_permutation(permutation):
    with pytest.raises(ArgumentError, match="does not hold every"):
        split(data_set(10), 0.5, permutation)


def test_what_is_unusual_about_classes_is_said():
    names = ("cat", "dog", "new\nline", "cow")
    whole = dataclasses.replace(data_set(9), y=np.array([0] * 4 + [1] * 3 + [2] * 2), classes=names)
    assert remarks(whole, whole.subset([0, 4, 8])) == [
        "No training image is of the class 'cow': nothing can be learned of them.",
        "The images' values, from 0 to 8, are dark where white is 255; of .npz, .npy and IDX files --pixel-range BLACK "
        "WHITE says another.",
    ]
    usual = dataclasses.replace(whole, x=whole.x * 25, classes=names[:3])
    assert remarks(usual, usual) == []
    (line,) = remarks(usual, usual.subset([4, 5]))
    assert "No validation image is of the classes 'cat', 'new\\nline':" in line


def test_many_classes_are_not_all_named():
    few = DataSet(np.full((2, 1, 3, 2), 255, np.uint8), np.array([0, 1]), tuple(f"c{k}" for k in range(50)), GREY)
    (line,) = remarks(few, few)
    assert "'c2', " in line and "'c11' and 38 more:" in line and "c12" not in line


def test_a_single_class_is_refused_for_training():
    whole = data_set(8)
    with pytest.raises(DataError, match="all 2 training images are of one class, 'b'"):
        require_classes(whole.subset([1, 5]))
    require_classes(whole)


@pytest.mark.parametrize("spec", ["fashion", "a\0b", "long" * 2000])
def test_an_unknown_name_lists_what_is_accepted(spec):
    with pytest.raises(DataError, match="does not exist. Expected digits, mnist, a folder of IDX files, an .npz file"):
        load(spec)


@pytest.mark.parametrize(
    "spec, meant", [("mnits", "mnist"), ("Digits", "digits"), ("sets/faces.npy", "Faces.npz"), ("flower", "flowers")]
)
def test_a_name_that_is_close_is_named(tmp_path, monkeypatch, spec, meant):
    (tmp_path / "sets").mkdir()
    (tmp_path / "flowers").mkdir()
    (tmp_path / "sets" / "Faces.npz").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=f"Did you mean '{meant}'.$"):
        load(spec)


def test_what_resembles_nothing_gets_no_suggestion(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for spec in ("cifar100", "absent/cifar100", "a" * 1000):
        with pytest.raises(DataError) as caught:
            load(spec)
        assert "Did you mean" not in str(caught.value)


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
