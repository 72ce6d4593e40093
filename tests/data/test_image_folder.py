import numpy as np
import pytest

from refcnn.data import Preprocessing, load, remarks
from refcnn.errors import DataError

from .test_images import grey, save, write_png


def test_a_folder_of_grey_images(tmp_path):
    made = {name: [grey() for _ in range(count)] for name, count in (("b", 2), ("a", 3), ("10", 1))}
    for name, images in made.items():
        for number, pixels in enumerate(images):
            save(tmp_path / name / f"{number}.png", pixels)
    (tmp_path / "a" / ".hidden.png").write_bytes(b"broken")
    (tmp_path / "a" / "notes.txt").write_text("none")
    (tmp_path / ".git").mkdir()
    (tmp_path / "README.md").write_text("none")
    train, test = load(tmp_path)
    assert test is None and train.classes == ("10", "a", "b")
    assert train.y.tolist() == [0, 1, 1, 1, 2, 2]
    np.testing.assert_array_equal(train.x[:, 0], made["10"] + made["a"] + made["b"])
    assert train.preprocessing == Preprocessing(1 / 255, 1, 6, 5, fit="crop") and not train.notes


def test_one_colour_image_makes_the_set_rgb(tmp_path):
    pixels = grey()
    save(tmp_path / "a" / "0.png", pixels)
    save(tmp_path / "b" / "0.png", np.stack([pixels, pixels, pixels // 2], axis=-1))
    save(tmp_path / "b" / "1.png", pixels)
    train, _ = load(tmp_path)
    np.testing.assert_array_equal(train.x, [[pixels] * 3, [pixels, pixels, pixels // 2], [pixels] * 3])


@pytest.mark.parametrize("bits", [8, 16])
def test_grey_with_transparency_is_grey(tmp_path, bits):
    (tmp_path / "a").mkdir()
    top = 2**bits - 1
    write_png(tmp_path / "a" / "0.png", np.array([[[0, top], [0, 0], [top, top]]]), bits)
    train, _ = load(tmp_path)
    np.testing.assert_array_equal(train.x, [[[[0, 255, 255]]]])


def test_images_are_cropped_to_the_commonest_size_and_that_is_said(tmp_path):
    for number, (height, width) in enumerate([(20, 20), (6, 5), (7, 8), (6, 5)]):
        save(tmp_path / "a" / f"{number}.png", np.full((height, width), 10 * number, np.uint8))
    train, _ = load(tmp_path)
    assert train.preprocessing.shape == (1, 6, 5) and train.preprocessing.fit == "crop"
    assert [np.unique(image).tolist() for image in train.x] == [[0], [10], [20], [30]]
    (note,) = train.notes
    assert "3 sizes" in note and "6x5" in note and "20x20" in note and "cropped" in note


def test_training_and_test_folders(tmp_path):
    for part, size in (("train", (6, 5)), ("test", (9, 9))):
        for name in ("cat", "dog"):
            save(tmp_path / part / name / "0.png", grey(*size))
    train, test = load(tmp_path)
    assert train.classes == test.classes == ("cat", "dog")
    assert train.preprocessing == test.preprocessing and test.x.shape == (2, 1, 6, 5)
    save(tmp_path / "test" / "cow" / "0.png", grey())
    with pytest.raises(DataError, match="classes of train"):
        load(tmp_path)


@pytest.mark.parametrize("validation", ["val", "valid", "validation"])
def test_the_validation_folder_goes_before_the_test_folder(tmp_path, validation):
    for part, count in (("train", 3), (validation, 2), ("test", 1)):
        for number in range(count):
            save(tmp_path / part / "cat" / f"{number}.png", grey())
    # A class of which the other part has no folder.
    save(tmp_path / "train" / "dog" / "0.png", grey())
    train, other = load(tmp_path)
    assert (len(train), len(other)) == (4, 2) and train.classes == other.classes == ("cat", "dog")
    assert any("test" in note for note in train.notes)
    (tmp_path / ("val" if validation != "val" else "valid")).mkdir()
    with pytest.raises(DataError, match="both name the validation part"):
        load(tmp_path)


def test_train_and_test_may_be_names_of_classes(tmp_path):
    for part in ("train", "test"):
        save(tmp_path / part / "0.png", grey())
    train, test = load(tmp_path)
    assert train.classes == ("test", "train") and test is None


@pytest.mark.parametrize("damage", ["empty", "truncated", "text"])
def test_one_unreadable_image_among_many_is_named(tmp_path, damage):
    for number in range(200):
        save(tmp_path / "ab"[number % 2] / f"{number:03d}.png", grey(20, 20))
    broken = tmp_path / "b" / "137.png"
    broken.write_bytes({"empty": b"", "truncated": broken.read_bytes()[:200], "text": b"no image"}[damage])
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    assert str(caught.value).startswith(f"{broken} could not be read as an image")


def test_a_folder_without_classes(tmp_path):
    with pytest.raises(DataError, match="no sub-folders"):
        load(tmp_path)
    save(tmp_path / "0.png", grey())
    with pytest.raises(DataError, match="no sub-folders"):
        load(tmp_path)


def test_a_class_without_images_stays_one_and_is_remarked(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match="no sub-folder of .* holds images"):
        load(tmp_path)
    save(tmp_path / "b" / "0.png", grey())
    train, _ = load(tmp_path)
    assert train.classes == ("a", "b") and train.y.tolist() == [1]
    assert any("'a'" in line for line in remarks(train, train))
