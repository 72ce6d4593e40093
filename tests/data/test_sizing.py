import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from refcnn.data import load
from refcnn.data.sizing import FITS, fitted, fitted_array
from refcnn.errors import ArgumentError

LENGTHS = st.integers(1, 40)
RNG = np.random.default_rng(0)


@given(LENGTHS, LENGTHS, LENGTHS, LENGTHS, st.sampled_from(FITS), st.sampled_from(["L", "RGB", "F"]))
def test_any_image_gets_the_size_and_one_colour_stays_so(height, width, wanted_height, wanted_width, fit, mode):
    image = Image.new(mode, (width, height), 200 if mode != "RGB" else (200, 200, 200))
    found = fitted(image, wanted_height, wanted_width, fit)
    assert found.size == (wanted_width, wanted_height) and found.mode == mode
    values = np.unique(np.rint(np.asarray(found)))
    assert values[-1] == 200 and (fit == "pad" or len(values) == 1) and set(values) <= {0, 200}


@given(st.integers(8, 40), st.integers(8, 40), st.integers(8, 40), st.integers(8, 40))
def test_cropping_is_that_of_pillow(height, width, wanted_height, wanted_width):
    image = Image.fromarray(RNG.integers(0, 256, (height, width), np.uint8))
    expected = ImageOps.fit(image, (wanted_width, wanted_height), Image.Resampling.LANCZOS)
    found = fitted(image, wanted_height, wanted_width, "crop")
    # The box may differ in its last bit.
    assert np.abs(np.asarray(found).astype(int) - np.asarray(expected)).max() <= 1


def test_where_the_pixels_go():
    image = Image.fromarray(np.array([[10, 20, 20, 30]] * 2, np.uint8))
    assert np.asarray(fitted(image, 2, 2, "crop")).tolist() == [[20, 20], [20, 20]]
    assert np.asarray(fitted(image, 4, 4, "pad", black=7)).tolist() == [[7] * 4, *[[10, 20, 20, 30]] * 2, [7] * 4]
    assert np.asarray(fitted(image, 6, 4, "stretch")).tolist() == [[10, 20, 20, 30]] * 6


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("fit", FITS)
def test_arrays_are_treated_as_images_are(dtype, fit):
    x = RNG.integers(0, 2 if dtype is bool else 256, (2, 3, 6, 9)).astype(dtype)
    found = fitted_array(x, 8, 5, fit)
    assert found.dtype == (np.float32 if dtype is bool else dtype) and found.shape == (2, 3, 8, 5)
    for index in np.ndindex(2, 3):
        image = Image.fromarray(x[index] if dtype == np.uint8 else x[index].astype(np.float32))
        expected = np.asarray(fitted(image, 8, 5, fit))
        rounded = np.rint(expected).clip(0, 65535) if dtype == np.uint16 else expected
        np.testing.assert_array_equal(found[index], rounded)


def test_a_data_set_of_arrays_gets_a_size_and_says_so(tmp_path):
    x = RNG.integers(0, 256, (4, 6, 5), np.uint8)
    np.savez(tmp_path / "data.npz", x=x, y=[0, 1, 0, 1])
    train, _ = load(tmp_path / "data.npz", image_size=(8, 10), image_fit="pad")
    assert train.x.shape == (4, 1, 8, 10) and train.preprocessing.shape == (1, 8, 10)
    assert train.preprocessing.fit == "pad" and len(train.notes) == 1
    np.testing.assert_array_equal(train.x, fitted_array(x[:, None], 8, 10, "pad"))
    same, _ = load(tmp_path / "data.npz", image_size=(6, 5))
    np.testing.assert_array_equal(same.x[:, 0], x)
    assert not same.notes


@pytest.mark.parametrize("fit", FITS)
def test_image_files_and_folders_get_a_size(tmp_path, fit):
    for name, shape in (("a", (10, 20)), ("b", (30, 15))):
        (tmp_path / "set" / name).mkdir(parents=True)
        Image.fromarray(RNG.integers(0, 256, shape, np.uint8)).save(tmp_path / "set" / name / "0.png")
    train, _ = load(tmp_path / "set", image_size=12, image_fit=fit)
    assert train.x.shape == (2, 1, 12, 12)
    # What is predicted later is treated as what was trained on.
    np.testing.assert_array_equal(train.preprocessing.load_image(tmp_path / "set" / "b" / "0.png"), train.x[1])


@pytest.mark.parametrize(
    "options", [dict(image_size=0), dict(image_size=(3, 4, 5)), dict(image_size=2.5), dict(image_fit="squash")]
)
def test_sizes_that_are_none(options):
    with pytest.raises(ArgumentError):
        load("digits", **options)
