"""Charts of lines and images for pages: in their box, in words and numbers too, and the colours that they stand for."""

import base64
import io
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from refcnn.pages import charts, pixels, texts
from refcnn.pages.charts import Line, line_chart

VALUES = st.floats(-1e30, 1e30)


@given(
    st.lists(st.dictionaries(st.integers(0, 10**6), VALUES, min_size=1, max_size=60), min_size=1, max_size=26),
    st.booleans(),
)
def test_all_that_is_drawn_lies_in_the_box(series, logarithmic):
    if logarithmic:
        series = [{x: abs(y) + 1e-30 for x, y in points.items()} for points in series]
    drawn = line_chart("Loss", [Line(f"run {i}", points) for i, points in enumerate(series)], logarithmic=logarithmic)
    box = drawn["box"]
    for line in drawn["lines"]:
        places = np.array(re.findall(r"[ML](\S+) ([^L]+)", line["path"]), float)
        for column, low, high in ((0, "left", "right"), (1, "top", "bottom")):
            assert (places[:, column] >= box[low] - 0.1).all() and (places[:, column] <= box[high] + 0.1).all()
    for ticks, low, high in ((drawn["across"], "left", "right"), (drawn["upward"], "top", "bottom")):
        assert all(box[low] - 0.1 <= place <= box[high] + 0.1 for place, _ in ticks)
        assert len(ticks) <= 12
    assert len({(line["colour"], line["dash"]) for line in drawn["lines"][: charts.MOST_LINES]}) == min(
        len(series), charts.MOST_LINES
    )


@given(st.dictionaries(st.integers(1, 10**6), st.floats(0, 10), min_size=1, max_size=300), st.integers(1, 24))
def test_the_table_behind_a_chart_holds_what_it_draws(points, lines):
    drawn = line_chart("Loss", [Line(str(i), points) for i in range(lines)])
    assert len(drawn["rows"]) * lines <= 2000 + lines
    expected = [(f"{x:.4g}", *[f"{points[x]:.4g}"] * lines) for x in sorted(points)]
    assert drawn["rows"] == expected[:: drawn["step"]]


def test_a_chart_in_words():
    lines = [Line("training", {1: 2.0, 2: 0.5, 3: 1.0}), Line("validation", {2: 0.25})]
    drawn = line_chart("Loss", lines, marks=[(3, "best")], percent=True)
    assert drawn["text"] == (
        "Loss: training from 200 % at epoch 1 to 100 % at epoch 3, between 50 % and 200 %; validation 25 % at epoch 2"
    )
    assert drawn["rows"] == [("1", "200 %", ""), ("2", "50 %", "25 %"), ("3", "100 %", "")]
    assert drawn["marks"] == [(drawn["box"]["right"], "best")]
    assert [text for _, text in drawn["across"]] == ["1", "2", "3"]


@pytest.mark.parametrize("value", [0.001, 0.0, -5.0, 1e12])
def test_a_constant_stands_in_the_middle_of_numbers_like_it(value):
    drawn = line_chart("Rate", [Line("rate", {1: value, 2: value})])
    middle = (drawn["box"]["top"] + drawn["box"]["bottom"]) / 2
    assert drawn["lines"][0]["dots"][0][1] == pytest.approx(middle, abs=0.1)
    ticks = [float(text) for _, text in drawn["upward"]]
    assert min(ticks) <= value <= max(ticks) and max(map(abs, ticks)) <= 2 * abs(value or 1)


def test_a_logarithmic_scale_has_powers_of_ten_at_equal_distances():
    drawn = line_chart("Rate", [Line("rate", {1: 1e-4, 2: 1e-3, 3: 1e-1})], logarithmic=True)
    places = [place for _, place in drawn["lines"][0]["dots"]]
    assert (places[0] - places[1]) * 2 == pytest.approx(places[1] - places[2], abs=0.2)
    assert [text for _, text in drawn["upward"]] == ["0.0001", "0.001", "0.01", "0.1"]


def test_bars_go_up_and_down_from_the_middle():
    found = charts.upright_bars([2.0, -1.0, None, 0.0], 2.0)
    np.testing.assert_allclose(
        found, [(0, 0, 0.2, 0.5), (0.25, 0.5, 0.2, 0.25), (0.5, 0.5, 0.2, 0), (0.75, 0.5, 0.2, 0)]
    )
    assert charts.upright_bars([0.0], 0.0) == [(0.0, 0.5, 0.8, 0.0)]


def opened(url):
    head, _, content = url.partition(",")
    assert head == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(content)))


def test_pictures_are_what_they_are_of():
    grey = np.array([[0, 0.5], [1, 2]])
    np.testing.assert_array_equal(np.asarray(opened(pixels.picture(grey))), [[0, 128], [255, 255]])
    colour = np.arange(12).reshape(3, 2, 2) / 255
    np.testing.assert_array_equal(
        np.asarray(opened(pixels.picture(colour))), np.arange(12).reshape(3, 2, 2).transpose(1, 2, 0)
    )


def test_zero_is_white_and_the_signs_have_two_colours():
    image = opened(pixels.diverging([[-2.0, 0.0, 2.0], [-9, np.nan, 9]], 2.0)).convert("RGB")
    least, most = pixels.DIVERGING[0], pixels.DIVERGING[-1]
    found = [[image.getpixel((x, y)) for x in range(3)] for y in range(2)]
    assert found == [[least, (255, 255, 255), most]] * 2
    # Nothing but zeros has no scale.
    assert opened(pixels.diverging([[0.0]], 0.0)).convert("RGB").getpixel((0, 0)) == (255, 255, 255)


@given(st.integers(1, 100), st.integers(1, 100), st.integers(1, 60))
def test_reduced_images_are_means(height, width, most):
    image = np.random.default_rng(0).random((2, height, width))
    found = pixels.reduced(image, most)
    assert max(found.shape[1:]) <= max(most, 1)
    step = -(-max(height, width) // most)
    rows, columns = min(step, height), min(step, width)
    np.testing.assert_allclose(found[:, 0, 0], image[:, :rows, :columns].mean(axis=(1, 2)))


@given(st.text(max_size=200), st.integers(3, 80))
def test_short_texts(text, most):
    short = texts.short(text, most)
    assert len(short) <= most and "\n" not in short
    if len(text) <= most and text.isalnum():
        assert short == text
