"""Pictures: what is drawn, that no text lies on another, and that nothing global is touched."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

import refcnn as rm
from refcnn.errors import ArgumentError, FileWriteError
from refcnn.fitting.metrics import ClassCounts
from refcnn.runs import metric_plots, plotting

from . import small_run

RNG = np.random.default_rng(0)


def texts_overlap(figure):
    """Return pairs of texts of a figure that overlap by more than a pixel, and texts outside of it."""
    from matplotlib.text import Text

    figure.canvas.draw()
    page = figure.bbox
    # Ticks beyond an axis' limits exist, but are not drawn.
    beyond = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            beyond |= {
                label
                for tick in axis.get_major_ticks()
                if not low <= tick.get_loc() <= high
                for label in (tick.label1, tick.label2)
            }
    shown = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    shown = [text for text in shown if text not in beyond]
    boxes = [(text.get_text(), text.get_window_extent()) for text in shown]
    wrong = [(text, "outside") for text, box in boxes if not (box.x0 >= -1 and box.x1 <= page.x1 + 1)]
    for index, (text, box) in enumerate(boxes):
        for other, second in boxes[index + 1 :]:
            width = min(box.x1, second.x1) - max(box.x0, second.x0)
            height = min(box.y1, second.y1) - max(box.y0, second.y0)
            if width > 1 and height > 1:
                wrong.append((text, other))
    return wrong


def images(figure):
    return [axes.images[0].get_array() for axes in figure.axes if axes.images]


def cells(axes, height, width):
    """Return the images of so many pixels that are drawn as one, and the corners of their frames, left and top."""
    whole, (frames,) = axes.images[0].get_array(), axes.collections
    drawn, corners = [], []
    for path in frames.get_paths():
        (left, top), (right, bottom) = np.rint(path.get_extents().get_points() + 0.5).astype(int)
        cell = np.asarray(whole[top:bottom, left:right])
        times = len(cell) // height
        assert cell.shape[:2] == (times * height, times * width)
        np.testing.assert_array_equal(cell, cell[::times, ::times].repeat(times, 0).repeat(times, 1))
        drawn.append(cell[::times, ::times])
        corners.append((left, top))
    assert len(set(corners)) == len(corners)
    return drawn, corners


def test_kernels_are_a_grid_of_4_by_8_each_scaled_to_its_own_range():
    weights = RNG.normal(size=(32, 1, 3, 3)) * np.arange(1, 33)[:, None, None, None]
    figure = plotting.kernels(weights)
    (axes,) = figure.axes
    drawn, corners = cells(axes, 3, 3)
    assert [len({corner[axis] for corner in corners}) for axis in (0, 1)] == [8, 4]
    assert corners == sorted(corners, key=lambda corner: corner[::-1])
    for kernel, image in zip(weights, drawn, strict=True):
        low, high = kernel.min(), kernel.max()
        np.testing.assert_allclose(image, (kernel[0] - low) / (high - low), atol=1e-6)
    assert not axes.get_xticks().size
    assert texts_overlap(figure) == []


def test_kernels_in_colour_of_other_channels_and_constant_ones():
    colour = RNG.normal(size=(5, 3, 4, 2))
    first = cells(plotting.kernels(colour).axes[0], 4, 2)[0][0]
    np.testing.assert_allclose(first, (colour[0].transpose(1, 2, 0) - colour[0].min()) / np.ptp(colour[0]), atol=1e-6)
    other = plotting.kernels(RNG.normal(size=(2, 7, 3, 3)))
    assert "channel 1 of 7" in other.get_suptitle()
    assert not np.any(cells(plotting.kernels(np.full((1, 1, 3, 3), 7.0)).axes[0], 3, 3)[0][0])


@given(
    count=st.sampled_from([1, 6, 32, 64, 120, 700]),
    height=st.sampled_from([1, 5, 30]),
    width=st.sampled_from([1, 7, 300]),
)
@settings(max_examples=12)
def test_feature_maps_stand_beside_their_image(count, height, width):
    image, maps = RNG.random((1, 8, 8)), RNG.normal(size=(count, height, width))
    figure = plotting.feature_maps(image, maps, f"After convolution 1: {count} feature maps")
    first, grid = figure.axes
    np.testing.assert_allclose(first.images[0].get_array(), (image[0] - image.min()) / np.ptp(image))
    drawn, corners = cells(grid, height, width)
    assert len(drawn) == count and corners == sorted(corners, key=lambda corner: corner[::-1])
    for one, shown in zip(maps, drawn, strict=True):
        np.testing.assert_allclose(shown, (one - one.min()) / (np.ptp(one) or 1), atol=1e-6)
    assert texts_overlap(figure) == [] and max(figure.get_size_inches()) < 40


def test_large_feature_maps_are_thinned_out():
    maps = RNG.normal(size=(2, 900, 450))
    figure = plotting.feature_maps(RNG.random((3, 9, 9)), maps, "After convolution 1: 2 feature maps")
    (drawn, _) = cells(figure.axes[1], 300, 150)
    np.testing.assert_allclose(drawn[1], ((maps[1] - maps[1].min()) / np.ptp(maps[1]))[::3, ::3], atol=1e-6)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("epochs", [1, 2, 15, 300])
def test_curves(epochs, scale):
    history = [
        {"epoch": i + 1, "train_loss": scale / (i + 1), "validation_loss": scale / (i + 2), "validation_accuracy": 0.5}
        for i in range(epochs)
    ]
    figure = plotting.curves(history)
    loss, accuracy = figure.axes
    assert [line.get_label() for line in loss.lines] == ["training", "validation"]
    np.testing.assert_array_equal(loss.lines[0].get_xdata(), np.arange(1, epochs + 1))
    np.testing.assert_allclose(loss.lines[1].get_ydata(), [row["validation_loss"] for row in history])
    assert set(accuracy.lines[0].get_ydata()) == {0.5}
    assert all(float(tick).is_integer() for tick in loss.get_xticks()), loss.get_xticks()
    assert texts_overlap(figure) == []


@pytest.mark.filterwarnings("ignore:A single label was found")
@given(data=st.data())
def test_confusion_counts_are_those_of_scikit_learn(data):
    classes, count = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 50))
    labels = data.draw(st.lists(st.integers(0, classes - 1), min_size=count, max_size=count))
    predictions = data.draw(st.lists(st.integers(0, classes - 1), min_size=count, max_size=count))
    counts = plotting.confusion_counts(np.array(labels), np.array(predictions), classes)
    np.testing.assert_array_equal(counts, confusion_matrix(labels, predictions, labels=range(classes)))


@pytest.mark.parametrize(
    "classes",
    [
        [str(number) for number in range(10)],
        ["left", "right"],
        [f"a class with a long name {number}" for number in range(25)],
        [f"class {number}" for number in range(100)],
    ],
    ids=["10", "2", "25", "100"],
)
def test_confusion_matrix(classes):
    number = len(classes)
    labels = RNG.integers(0, number, 40 * number)
    predictions = np.where(RNG.random(len(labels)) < 0.8, labels, RNG.integers(0, number, len(labels)))
    counts = confusion_matrix(labels, predictions, labels=range(number)) * 30
    figure = plotting.confusion(counts, classes)
    axes = figure.axes[0]
    if number <= 25:
        written = {tuple(int(part) for part in text.get_position()[::-1]): int(text.get_text()) for text in axes.texts}
        assert written == {(row, column): counts[row, column] for row, column in np.argwhere(counts)}
    else:
        assert not axes.texts
    np.testing.assert_allclose(axes.images[0].get_array(), counts / counts.sum(axis=1, keepdims=True))
    right = np.trace(counts)
    assert f"{right:,} of {counts.sum():,} right" in axes.get_title()
    assert texts_overlap(figure) == []


def test_convolutions_are_what_the_layers_compute(backend):
    with rm.use_backend(backend):
        rm.set_seed(1)
        model = rm.Sequential([rm.Conv2d(3), rm.Relu(), rm.MaxPool2d(2), rm.Conv2d(2), rm.Flatten(), rm.Dense(2)])
        x = RNG.random((1, 2, 9, 9)).astype(np.float32)
        model(x)
        first = model[0](x)
        expected = first.as_ndarray(), model[3](model[2](model[1](first))).as_ndarray()
        found = plotting.convolutions(model, x)
    assert len(found) == 2
    for (weights, maps), layer, one in zip(found, (model[0], model[3]), expected, strict=True):
        np.testing.assert_array_equal(weights, layer.params["w"].as_ndarray())
        np.testing.assert_array_equal(maps, one)


def test_a_model_without_convolution():
    with rm.use_backend("reference"), pytest.raises(ArgumentError, match="no convolution"):
        plotting.convolutions(rm.Sequential([rm.Flatten(), rm.Dense(2)]), np.zeros((1, 1, 2, 2)))


def test_files(tmp_path):
    figure = plotting.kernels(RNG.normal(size=(4, 1, 3, 3)))
    plotting.save(figure, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG\r\n")
    plotting.save(figure, tmp_path / "a.SVG")
    assert b"<svg" in (tmp_path / "a.SVG").read_bytes()
    for name in ("a.xyz", "a"):
        with pytest.raises(ArgumentError, match="png"):
            plotting.save(figure, tmp_path / name)
    with pytest.raises(FileWriteError, match="could not be written"):
        plotting.save(figure, tmp_path / "missing" / "a.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.SVG", "a.png"]


def test_pyplot_is_left_alone_and_without_a_screen_there_is_no_window():
    program = (
        "import sys, numpy as np; from refcnn.runs import plotting; plotting.kernels(np.zeros((2, 1, 3, 3)));"
        "assert 'matplotlib.pyplot' not in sys.modules; print(plotting.has_screen())"
    )
    environment = {key: value for key, value in small_run.environment().items() if "DISPLAY" not in key}
    environment.pop("MPLBACKEND", None)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr


NAMES = ("cat", "a dog with a very long name", "$x_1$", "bird")


def test_the_scores_of_each_class_the_lowest_f1_first():
    counts = ClassCounts(np.array([4, 6, 0, 2]), np.array([5, 3, 0, 4]), np.array([4, 3, 0, 1]))
    figure = metric_plots.classes(counts, NAMES)
    (axes,) = figure.axes
    shown = [text.get_text() for text in axes.get_yticklabels()]
    # Of the class that neither occurs nor is predicted there is nothing to show.
    assert [text.partition(" (")[2] for text in shown] == ["2)", "6)", "4)"] and shown[0].startswith("bird")
    drawn = [[bar.get_width() for bar in container] for container in axes.containers]
    order = [3, 1, 0]
    np.testing.assert_allclose(drawn, [values[order] for values in (counts.precision, counts.recall, counts.f1)])
    assert "precision 68.33%" in axes.get_title() and texts_overlap(figure) == []


def test_of_many_classes_the_worst_are_drawn():
    right = np.arange(40)
    counts = ClassCounts(np.full(40, 40), np.full(40, 40), right)
    figure = metric_plots.classes(counts, [f"class {index}" for index in range(40)])
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_yticklabels()] == [f"class {index} (40)" for index in range(25)]
    assert "the 25 classes of 40" in axes.get_title() and texts_overlap(figure) == []


@pytest.mark.parametrize(("count", "channels"), [(0, 1), (1, 1), (7, 3), (24, 1)])
def test_the_images_that_it_was_most_wrong_about(count, channels):
    pictures = RNG.random((count, channels, 6, 6))
    true, taken = np.arange(count) % 4, (np.arange(count) + 1) % 4
    figure = metric_plots.most_wrong(pictures, true, taken, np.linspace(0, 0.4, count), NAMES)
    drawn = images(figure)
    assert len(drawn) == count
    for axes, label, other in zip(figure.axes, true, taken, strict=True):
        lines = axes.get_title().splitlines()
        assert (lines[0][:3], lines[1], lines[2][:3]) == (NAMES[label][:3], "taken for", NAMES[other][:3])
    assert texts_overlap(figure) == []
    assert count or "No image" in figure.get_suptitle()
