"""Pictures of kernels and feature maps: one scale for all, white at zero, and numbers by which to find a kernel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refcnn.runs import mosaics, plotting

from .test_plotting import texts_overlap

RNG = np.random.default_rng(0)
WHITE, GREY = (255, 255, 255), (128, 128, 128)


def tiles(axes, height, width):
    """Return the colours (height, width, 3) of the images that are drawn as one, and their corners, left and top."""
    whole, (frames,) = axes.images[0].get_array(), axes.collections
    drawn, corners = [], []
    for path in frames.get_paths():
        (left, top), (right, bottom) = np.rint(path.get_extents().get_points() + 0.5).astype(int)
        tile = np.asarray(whole[top:bottom, left:right, :3])
        down, along = len(tile) // height, tile.shape[1] // width
        assert tile.shape[:2] == (down * height, along * width)
        np.testing.assert_array_equal(tile, tile[::down, ::along].repeat(down, 0).repeat(along, 1))
        drawn.append(tile[::down, ::along])
        corners.append((left, top))
    assert len(set(corners)) == len(corners)
    return drawn, corners


def limit(figure):
    """Return the largest number of the colour bar, after a look at it: from its negative, over zero and white."""
    (bar,) = [axes for axes in figure.axes if axes.get_label() == "<colorbar>"]
    numbers = [float(text.get_text().replace("\N{MINUS SIGN}", "-")) for text in bar.get_yticklabels()]
    np.testing.assert_allclose(numbers, -np.array(numbers)[::-1])
    assert len(numbers) == 5 and numbers[2] == 0 and numbers == sorted(numbers)
    assert bar.get_ylabel()
    return numbers[-1]


def assert_on_the_scale(figure, drawn, values):
    """Assert that the colours of tiles are those of their values: red above zero, blue below, and darker further."""
    most = np.abs(values).max()
    assert limit(figure) == pytest.approx(most, rel=5e-3)
    for tile, one in zip(drawn, values, strict=True):
        red, green, blue = (tile[..., index].astype(int) for index in range(3))
        assert np.all(red[one > 0.01 * most] > blue[one > 0.01 * most])
        assert np.all(blue[one < -0.01 * most] > red[one < -0.01 * most])
        assert np.all(tile[np.abs(one) < 0.003 * most] == 255)
        assert np.all(green[np.abs(one) > 0.5 * most] < 150)
    # Alike in all tiles: the larger a number is, the less of green, or below zero of red.
    order = np.argsort(values, axis=None)
    shades = np.concatenate([tile.reshape(-1, 3) for tile in drawn])[order].astype(int)
    above = values.ravel()[order] > 0
    assert np.all(np.diff(shades[above, 1]) <= 0) and np.all(np.diff(shades[~above, 0]) >= 0)


def numbers(axes):
    return [text.get_text() for text in axes.texts]


def test_kernels_are_a_numbered_grid_of_4_by_8_on_one_scale():
    weights = RNG.normal(size=(32, 1, 3, 3)) * np.arange(1, 33)[:, None, None, None]
    weights[3, 0, 1, 1] = 0
    figure = mosaics.kernels(weights, of="lenet5: lenet5 on mnist, epoch 3")
    axes = figure.axes[0]
    drawn, corners = tiles(axes, 3, 3)
    assert [len({corner[axis] for corner in corners}) for axis in (0, 1)] == [8, 4]
    assert corners == sorted(corners, key=lambda corner: corner[::-1])
    assert_on_the_scale(figure, drawn, weights[:, 0])
    assert tuple(drawn[3][1, 1]) == WHITE
    assert numbers(axes) == [str(number) for number in range(1, 33)]
    assert figure.get_suptitle() == "32 kernels of 3x3\nlenet5: lenet5 on mnist, epoch 3"
    assert not axes.get_xticks().size
    assert texts_overlap(figure) == []


@pytest.mark.parametrize(
    ("count", "channels", "height", "width"),
    [(32, 3, 3, 3), (1, 3, 7, 7), (256, 3, 1, 1), (7, 2, 4, 2), (6, 4, 1, 9), (5, 9, 3, 3), (300, 3, 3, 3)],
)
def test_kernels_of_several_channels_have_a_row_for_each(count, channels, height, width):
    weights = RNG.normal(size=(count, channels, height, width))
    figure = mosaics.kernels(weights, channels=("R", "G", "B") if channels == 3 else None)
    axes, shown = figure.axes[0], min(channels, 4)
    drawn, corners = tiles(axes, height, width)
    assert_on_the_scale(figure, drawn, weights[:, :shown].reshape(-1, height, width))
    for index in range(0, len(corners), shown):
        lefts, tops = zip(*corners[index : index + shown], strict=True)
        assert len(set(lefts)) == 1 and list(tops) == sorted(tops)
    letters = ["R", "G", "B"] if channels == 3 else ["1", "2", "3", "4"][:shown]
    beside = [text.get_text().split()[-1] for text in axes.texts if text.get_ha() == "right"]
    assert beside == letters * (len(beside) // shown)
    note = "a row for each channel" if channels <= 4 else "channels 1 to 4 of 9"
    assert note in figure.get_suptitle()
    assert texts_overlap(figure) == [] and max(figure.get_size_inches()) < 25


@given(
    count=st.sampled_from([1, 6, 32, 64, 120, 256, 700]),
    height=st.sampled_from([1, 5, 30]),
    width=st.sampled_from([2, 7, 300]),
)
@settings(max_examples=12, deadline=None)
def test_feature_maps_stand_beside_their_image(count, height, width):
    image, maps = RNG.random((1, 8, 8)), RNG.normal(size=(count, height, width))
    caption = "true class: 7\npredicted:\n" + "W" * 20
    figure = mosaics.feature_maps(image, maps, f"After convolution 1: {count} feature maps", caption=caption)
    first, grid = figure.axes[:2]
    np.testing.assert_allclose(first.images[0].get_array(), (image[0] - image.min()) / np.ptp(image))
    assert numbers(first) == [caption]
    drawn, corners = tiles(grid, height, width)
    assert len(drawn) == count and corners == sorted(corners, key=lambda corner: corner[::-1])
    assert_on_the_scale(figure, drawn, maps)
    # Of many the first of each row is numbered.
    columns = sum(top == corners[0][1] for _, top in corners)
    assert numbers(grid) in ([str(one + 1) for one in range(0, count, step)] for step in (1, columns))
    assert texts_overlap(figure) == [] and max(figure.get_size_inches()) < 25


def test_numbers_stand_at_their_tiles():
    figure = mosaics.feature_maps(RNG.random((1, 8, 8)), RNG.normal(size=(20, 6, 6)), "")
    axes = figure.axes[1]
    _, corners = tiles(axes, 6, 6)
    size = corners[1][0] - corners[0][0]
    for text, (left, top) in zip(axes.texts, corners, strict=True):
        x, y = text.get_position()
        assert left < x < left + size and top - size / 4 < y <= top


def test_large_feature_maps_are_thinned_out():
    maps = RNG.normal(size=(2, 900, 450))
    figure = mosaics.feature_maps(RNG.random((3, 9, 9)), maps, "After convolution 1: 2 feature maps")
    (drawn, _) = tiles(figure.axes[1], 300, 150)
    thinned = maps[:, ::3, ::3]
    most = np.abs(maps).max()
    assert np.all((drawn[1][..., 0] > drawn[1][..., 2])[thinned[1] > 0.01 * most])
    assert limit(figure) == pytest.approx(most, rel=5e-3)


@pytest.mark.parametrize("count", [1, 2, 10, 120, 2048])
def test_maps_of_a_single_pixel_are_bars(count):
    maps = RNG.normal(size=(count, 1, 1))
    figure = mosaics.feature_maps(RNG.random((1, 8, 8)), maps, f"After convolution 3: {count} feature maps of 1x1")
    _, axes = figure.axes
    assert not axes.images
    bars = np.array(axes.collections[0].get_segments())
    np.testing.assert_array_equal(bars[:, :, 0], np.arange(1, count + 1)[:, None].repeat(2, 1))
    np.testing.assert_allclose(bars[:, :, 1], np.stack([np.zeros(count), maps.ravel()], axis=1))
    for (red, _, blue, _), value in zip(axes.collections[0].get_colors(), maps.ravel(), strict=True):
        assert (red > blue) == (value > 0)
    low, high = axes.get_ylim()
    assert low <= min(0, maps.min()) and high >= max(0, maps.max())
    assert axes.get_xlabel() == "kernel" and all(float(tick).is_integer() for tick in axes.get_xticks())
    assert texts_overlap(figure) == []


def test_what_is_not_finite_is_grey_and_said():
    weights = RNG.normal(size=(6, 1, 3, 3))
    weights[0, 0, 0, 0], weights[1], weights[2, 0, 2, 2] = np.nan, np.inf, -np.inf
    figure = mosaics.kernels(weights)
    drawn, _ = tiles(figure.axes[0], 3, 3)
    for tile, values in zip(drawn, weights[:, 0], strict=True):
        np.testing.assert_array_equal(np.all(tile == GREY, axis=2), ~np.isfinite(values))
    assert "11 of 54 numbers are not finite (grey)" in figure.get_suptitle()
    assert limit(figure) == pytest.approx(np.abs(weights[np.isfinite(weights)]).max(), rel=5e-3)
    maps = RNG.normal(size=(9, 1, 1))
    maps[4] = np.nan
    figure = mosaics.feature_maps(np.full((1, 4, 4), np.nan), maps, "After")
    assert "1 of 9 numbers is not finite (left out)" in figure.get_suptitle()
    assert len(figure.axes[1].collections[0].get_segments()) == 8
    plotting.empty_figure(figure, 3, 3)
    figure.canvas.draw()


@pytest.mark.parametrize("value", [0.0, 7.0, -3e38, 1e-41, np.nan, np.inf])
@pytest.mark.parametrize("size", [1, 3])
def test_where_all_numbers_are_alike(value, size):
    values = np.full((4, 1, size, size), value, np.float32)
    maps = mosaics.feature_maps(np.zeros((1, 4, 4)), values[:, 0], "After")
    for figure in (mosaics.kernels(values), maps):
        figure.canvas.draw()
        assert ("all numbers are zero" in figure.get_suptitle()) == (value == 0)
        assert ("not finite" in figure.get_suptitle()) == (not np.isfinite(value))
    figure = mosaics.kernels(values)
    drawn, _ = tiles(figure.axes[0], size, size)
    red, _, blue = map(int, drawn[0][0, 0])
    if value == 0 or not np.isfinite(value):
        assert tuple(drawn[0][0, 0]) == (GREY if value else WHITE)
        assert limit(figure) == 1
    else:
        assert (red > blue) == (value > 0)
        assert limit(figure) == pytest.approx(abs(float(values[0, 0, 0, 0])), rel=5e-3)
