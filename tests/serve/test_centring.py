"""Drawings that are scaled and moved as digits of a data set are: wherever and however large they were drawn."""

import io

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

import refcnn as rm
from refcnn.cli import main
from refcnn.data import Preprocessing
from refcnn.serve.centring import FORMS, centred
from refcnn.serve.served import Served

from .conftest import SIZE, line_image, png
from .test_answers import schema, values

MNIST, DIGITS = FORMS["mnist"], FORMS["digits"]
GREY = Preprocessing(1 / 255, 1, 28, 28)


def formed(pixels, form=MNIST, preprocessing=GREY):
    return np.asarray(Image.open(io.BytesIO(centred(png(pixels), form, preprocessing))))


def drawing(points, size=224, scale=1.0, part=(0, 0), width=14):
    """Return an image of a line through points of the unit square, drawn smaller anywhere, with grey at its edges."""
    image = Image.new("L", (2 * size, 2 * size))
    ImageDraw.Draw(image).line([(2 * size * x, 2 * size * y) for x, y in points], 255, 2 * width, "curve")
    side = round(size * scale)
    sheet = Image.new("L", (size, size))
    sheet.paste(image.resize((side, side), Image.Resampling.BOX), [round((size - side) * one) for one in part])
    return np.asarray(sheet)


def mass(image):
    """Return where the centre of mass of an image is, down and across, of pixels counted from 0."""
    weights = image.astype(np.float64)
    return [np.average(np.arange(28), weights=weights.sum(axis=axis)) for axis in (1, 0)]


def sides(image):
    """Return how many rows and columns have more than a trace."""
    return [int(np.count_nonzero((image > 40).any(axis=axis))) for axis in (1, 0)]


places = st.floats(0.1, 0.9)
strokes = st.lists(st.tuples(places, places), min_size=2, max_size=6)


@given(strokes)
def test_the_centre_of_mass_is_in_the_middle(points):
    assume(max(np.ptp(points, axis=0)) > 0.15)
    found = formed(drawing(points))
    assert mass(found) == pytest.approx([14, 14], abs=0.5)
    assert max(sides(found)) <= 22
    # It fits into the box as nearly as it can without losing a part.
    assert max(sides(found)) >= 13


@given(strokes, st.floats(0.3, 1), st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_where_and_how_large_it_is_drawn_does_not_matter(points, scale, part):
    """But for what a smaller drawing's coarser pixels make of it."""
    assume(max(np.ptp(points, axis=0)) > 0.3)
    moved = drawing(points, scale=scale, part=part)
    found, expected = formed(moved).astype(float), formed(drawing(points)).astype(float)
    assert mass(found) == pytest.approx(mass(expected), abs=0.5)
    assert np.abs(found - expected).mean() < 6
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.95


@given(strokes)
def test_ink_may_be_dark_or_light(points):
    """But for how Pillow rounds, once across and once down."""
    light = drawing(points)
    np.testing.assert_allclose(formed(light), 255 - formed(255 - light).astype(float), atol=2)


@pytest.mark.parametrize("value", [0, 90, 255])
def test_an_empty_sheet_stays_as_it_is(value):
    content = png(np.full((40, 30), value, np.uint8))
    assert centred(content, MNIST, GREY) == content
    # As is what a compressed file's noise may have made of it.
    noise = np.full((40, 30), 100, np.uint8) + np.random.default_rng(0).integers(0, 9, (40, 30)).astype(np.uint8)
    assert centred(png(noise), MNIST, GREY) == png(noise)


@pytest.mark.parametrize("place", [(0, 0), (335, 335), (0, 200), (168, 168)])
@pytest.mark.parametrize("form", FORMS.values())
def test_a_single_pixel(place, form):
    pixels = np.zeros((336, 336), np.uint8)
    pixels[place] = 255
    assert mass(formed(pixels, form)) == pytest.approx([14, 14], abs=0.6)


@pytest.mark.parametrize("form", FORMS.values())
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40), st.integers(1, 40), strokes)
def test_sizes_of_all_kinds(form, height, width, rows, columns, points):
    pixels = np.array(Image.fromarray(drawing(points)).resize((width, height)))
    preprocessing = Preprocessing(1 / 255, 3, rows, columns)
    found = centred(png(pixels), form, preprocessing)
    assert preprocessing.load_image(_image(found)).shape == (3, rows, columns)


def _image(content):
    from refcnn.data.image_file import ImageBytes

    return ImageBytes("it", content)


def test_digits_of_scikit_learn_have_its_form():
    """Enlarged and put anywhere they come out as they were, but for blurred edges."""
    random, preprocessing, looked_at = np.random.default_rng(0), Preprocessing(1 / 16, 1, 8, 8, white=16), 0
    for digit in rm.data.digits().x[::20, 0].astype(np.float64):
        columns = np.flatnonzero((digit > 1).any(axis=0))
        if columns[0] + columns[-1] != 7:
            # One that is not in the middle of its columns: it would be moved there.
            continue
        looked_at += 1
        large = np.kron(np.uint8(digit * 255 / 16), np.ones((18, 18), np.uint8))
        sheet = np.zeros((336, 336), np.uint8)
        top, left = random.integers(0, 336 - 144, 2)
        sheet[top : top + 144, left : left + 144] = large
        found = formed(sheet, DIGITS, preprocessing) * (16 / 255)
        assert np.abs(found - digit).mean() < 1
    assert looked_at > 50


def test_it_is_asked_for_by_a_parameter(running):
    content = png(line_image(size=64)[:, ::2])
    plain, found = (running.json(f"api/prediction{query}", content) for query in ("?form=", "?form=mnist"))
    schema("prediction").validate(found)
    expected = formed(line_image(size=64)[:, ::2], MNIST, Preprocessing(1 / 255, 1, SIZE, SIZE))
    np.testing.assert_array_equal(values(found["given"])[0], expected)
    assert plain["given"] != found["given"]
    # Everything else is of the same image.
    for path in ("api/layers?", "api/walk?layer=0&index=0,8,8&", "api/executors?", "api/saliency?"):
        ones = [running.json(f"{path}{query}", content) for query in ("form=mnist", "form=digits", "")]
        assert ones[0] != ones[2], path
    for status, query, body in ((422, "form=other", content), (422, "form=mnist", b"no image")):
        error = running.json(f"api/prediction?{query}", body, status)
        schema("error").validate(error)
    assert "mnist, digits" in running.json("api/prediction?form=other", content, 422)["error"]


def test_a_run_on_digits_has_their_form(running, tmp_path):
    assert (running.json("api/model")["form"], running.json("api/model")["has_form"]) == ("mnist", False)
    train = ["train", "--data", "digits", "--model", "lenet5", "--backend", "reference", "--overfit-batch"]
    result = CliRunner().invoke(main, [*train, "--epochs", "1", "--no-proof", "--out", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    with rm.use_backend("reference"):
        described = Served(tmp_path / "run").description()
    assert (described["form"], described["has_form"]) == ("digits", True)
