"""Pictures: what is drawn, that no text lies on another, and that nothing global is touched."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import confusion_matrix

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


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("epochs", [1, 2, 15, 300])
def test_curves(epochs, scale):
    history = [
        {"epoch": i + 1, "train_loss": scale / (i + 1), "validation_loss": scale / (i + 2), "validation_accuracy": 0.5}
        for i in range(epochs)
    ]
    figure = plotting.curves(history, of="lenet5: lenet5 on mnist", best_epoch=1)
    loss, accuracy = figure.axes
    assert figure.get_suptitle() == "lenet5: lenet5 on mnist"
    assert [line.get_label() for line in loss.lines] == ["training", "validation", "best epoch"]
    assert [list(axes.lines[-1].get_xdata()) for axes in figure.axes] == [[1, 1]] * 2
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
    assert not axes.images[0].get_array().mask.any()
    right = np.trace(counts)
    assert f"{right:,} of {counts.sum():,} right" in axes.get_title()
    assert texts_overlap(figure) == []


def test_the_row_of_a_class_without_images_is_grey():
    axes = plotting.confusion(np.array([[3, 1], [0, 0]]), ["left", "right"]).axes[0]
    shares = axes.images[0].get_array()
    np.testing.assert_array_equal(shares.mask, [[False] * 2, [True] * 2])
    np.testing.assert_allclose(shares[0], [0.75, 0.25])
    red, green, blue, _ = axes.images[0].to_rgba(shares)[1, 0]
    assert red == green == blue < 0.9


@given(st.text("ab$\\ ", max_size=300), st.floats(4.5, 12))
@settings(max_examples=20, deadline=None)
def test_titles_are_broken_where_they_do_not_fit(of, width):
    figure = plotting.empty_figure(None, width, 3)
    plotting.entitle(figure, "What it shows", of)
    assert "".join(figure.get_suptitle().split()) == "Whatitshows" + "".join(of.split())
    if max(map(len, of.split()), default=0) < 40:
        assert texts_overlap(figure) == []


@given(arrays(np.float32, (2, 3), elements=st.floats(width=32, allow_nan=True, allow_infinity=True)))
def test_scaled(values):
    scaled = plotting.scaled(values)
    finite = values[np.isfinite(values)].astype(np.float64)
    assert np.all((scaled >= 0) & (scaled <= 1)) and not scaled[~np.isfinite(values)].any()
    if finite.size and np.ptp(finite):
        np.testing.assert_allclose(scaled[np.isfinite(values)], (finite - finite.min()) / np.ptp(finite), atol=1e-6)
    else:
        assert not scaled.any()


def test_files(tmp_path):
    figure = plotting.confusion(np.eye(2, dtype=int), ["a", "b"])
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
        "import sys, numpy as np; from refcnn.runs import plotting; plotting.confusion(np.eye(2), ['a', 'b']);"
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
    figure = metric_plots.most_wrong(pictures, true, taken, np.linspace(0, 0.4, count), NAMES, of="of a run, epoch 3")
    drawn = images(figure)
    assert len(drawn) == count
    for axes, label, other in zip(figure.axes, true, taken, strict=True):
        lines = axes.get_title().splitlines()
        assert (lines[0][:3], lines[1], lines[2][:3]) == (NAMES[label][:3], "taken for", NAMES[other][:3])
    assert texts_overlap(figure) == []
    assert "of a run, epoch 3" in figure.get_suptitle()
    # Where there is none there is no empty page either.
    assert count or ("No image" in figure.get_suptitle() and figure.get_size_inches()[1] < 2)
