"""The kernels over a run's epochs: true to what was kept, in bounds, and played by pointer and by keyboard alone."""

import base64
import io
import shutil

import numpy as np
import pytest
from PIL import Image

from refcnn.pages import pixels
from refcnn.runs.kept_kernels import KeptKernels
from refcnn.runs.pages import film, writing

from ..small_run import kernels_of
from .conftest import NAMED, overflow
from .test_report import Page, copied, made_up, written


def sprite(path, index=0):
    """Return the picture of a channel on a page, as colours."""
    content = path.read_text(encoding="utf-8").partition('id="film"')[2].split("--sprite:url(data:image/png;base64,")
    with Image.open(io.BytesIO(base64.b64decode(content[1 + index].partition(")")[0]))) as image:
        return np.asarray(image.convert("RGB"))


def colours(values, limit):
    """Return the colours of numbers, (H, W), as a page shows them."""
    with Image.open(io.BytesIO(base64.b64decode(pixels.diverging(values, limit).partition(",")[2]))) as image:
        return np.asarray(image.convert("RGB"))


def page_of(tmp_path, weights, shape=(1, 8, 8)):
    """Write the page of a run that has kept kernels of its epochs, (epochs, K, C, h, w)."""
    run, found = made_up(tmp_path, ("a", "b"), len(weights) - 1, shape=shape)
    for epoch, one in enumerate(np.asarray(weights, np.float32)):
        run.kernels.save(epoch, one)
    writing.write_run(run, tmp_path / "page.html", found._replace(seen=None))
    return tmp_path / "page.html"


def test_a_run_tells_the_kernels_of_its_epochs(folder, call, tmp_path):
    page = written(call, tmp_path, "run", *NAMED)
    told = page.data["kernel_epochs"]
    kept = kernels_of(folder / "run")
    assert told["epochs"] == [0, 1, 2, 3] == sorted(kept)
    assert (told["count"], told["channels"], told["height"], told["width"]) == (4, 1, 3, 3)
    assert (told["tile_height"], told["tile_width"]) == (3, 3)
    # One scale over all.
    assert told["limit"] == max(np.abs(weights).max() for weights in kept.values())
    rows = [np.concatenate(list(weights[:, 0]), axis=1) for weights in kept.values()]
    np.testing.assert_array_equal(
        sprite(tmp_path / "page.html"), colours(np.concatenate(rows).astype(np.float64), told["limit"])
    )
    # Neither the model's code nor its file is needed.
    run = copied(folder, tmp_path)
    (run / "model.onnx").unlink()
    assert written(call, tmp_path, run).data["kernel_epochs"] == told


def test_channels_have_their_own_pictures_in_the_order_of_rgb(tmp_path):
    weights = np.random.default_rng(0).normal(size=(3, 5, 3, 4, 2)).astype(np.float32)
    weights[1] *= 2
    path = page_of(tmp_path, weights, shape=(3, 8, 8))
    told = Page(path).data["kernel_epochs"]
    assert [row["channel"] for row in told["rows"]] == ["red", "green", "blue"]
    assert told["limit"] == np.abs(weights).max() > np.abs(weights[[0, 2]]).max()
    for channel in range(3):
        found = sprite(path, channel)
        for epoch in range(3):
            for kernel in range(5):
                tile = found[4 * epoch : 4 * epoch + 4, 2 * kernel : 2 * kernel + 2]
                np.testing.assert_array_equal(tile, colours(weights[epoch, kernel, channel], told["limit"]))


@pytest.mark.parametrize(
    ("shape", "epochs"), [((64, 3, 11, 11), 129), ((400, 3, 24, 24), 40), ((1, 1, 1, 1), 129), ((9, 512, 40, 7), 30)]
)
def test_what_is_shown_has_bounds_and_what_is_not_is_told(tmp_path, shape, epochs):
    rng = np.random.default_rng(0)
    weights = rng.uniform(-1, 1, shape)
    run, found = made_up(tmp_path, ("a", "b"), epochs, shape=(3, 8, 8))
    for epoch in range(epochs + 1):
        run.kernels.save(epoch, np.roll(weights, epoch).astype(np.float32))
    left_out = []
    told, shown = film.kernel_epochs(run, left_out)
    assert sum(map(len, shown.values())) < 400_000
    assert told["epochs"][0] == 0 and told["epochs"][-1] == epochs and len(told["epochs"]) >= min(20, epochs)
    assert np.ptp(np.diff(told["epochs"])) <= 1
    rows, count = len(told["rows"]), told["rows"][0]["count"]
    is_whole = (len(told["epochs"]), count, rows) == (epochs + 1, *shape[:2])
    assert bool(left_out) != is_whole
    if len(told["epochs"]) <= epochs:
        assert f"of {epochs + 1} that the run keeps all but {len(told['epochs'])}." in left_out[0]
    if (count, rows) != shape[:2]:
        assert f"of {shape[0]} kernels with {shape[1]} channels each all but {count} with {rows}." in left_out[-1]


def test_pages_are_small_with_all_that_there_can_be(tmp_path):
    """Of noise, in which nothing can be packed."""
    classes = tuple(f"a class with a name that goes on and on {'and on ' * 40} {index}" for index in range(3000))
    run, found = made_up(tmp_path, classes, 3000)
    rng = np.random.default_rng(0)
    for epoch in range(0, 3001, 100):
        run.kernels.save(epoch, rng.uniform(-1, 1, (64, 3, 24, 24)).astype(np.float32))
    writing.write_run(run, tmp_path / "page.html", found)
    page = Page(tmp_path / "page.html")
    assert page.data["kernel_epochs"]["epochs"][-1] == 3000
    assert page.size < 3_000_000


@pytest.mark.parametrize("broken", ["last", "first", "all but one", "another shape", "none", "file"])
def test_broken_and_absent_files_are_left_out(folder, call, tmp_path, broken):
    run = copied(folder, tmp_path)
    file = "epoch-{:06d}.npz".format
    kernels = run / "kernels"
    told = {"last": [0, 1, 2], "first": [1, 2, 3], "another shape": [0, 2, 3]}.get(broken)
    if broken == "last":
        (kernels / file(3)).write_bytes(b"PK\x03\x04 half")
    if broken == "first":
        (kernels / file(0)).write_bytes((kernels / file(1)).read_bytes())
    if broken == "all but one":
        for epoch in range(3):
            (kernels / file(epoch)).write_bytes(b"")
    if broken == "another shape":
        KeptKernels(kernels).save(1, np.ones((2, 1, 3, 3), np.float32))
    if broken in ("none", "file"):
        shutil.rmtree(kernels)
    if broken == "file":
        kernels.write_text("no folder")
    page = written(call, tmp_path, run, *NAMED)
    found = page.data["kernel_epochs"]
    assert (found and found["epochs"]) == told
    assert (page.data["left_out"] == []) == (broken in ("none", "file"))
    number = {"all but one": "3"}.get(broken, "1")
    assert all(f"{number} cannot be shown" in text for text in page.data["left_out"])
    assert ("Kernels over the epochs" in page.text.partition("What is not shown")[0]) == (told is not None)
    assert page.data["kernels"]["count"] == 4


EPOCHS, KERNELS = 41, 17


@pytest.fixture
def even(tmp_path):
    """The page of a run of whose kernels each has one value all over, other than its neighbours' and former ones."""
    values = np.random.default_rng(0).permutation(np.linspace(-1, 1, EPOCHS * KERNELS)).reshape(EPOCHS, KERNELS)
    weights = np.broadcast_to(values[:, :, None, None, None], (EPOCHS, KERNELS, 1, 5, 5))
    return page_of(tmp_path, weights), values


def seen(page, kernel):
    """Return the colours within a tile."""
    tile = page.locator("#film .tile").nth(kernel)
    with Image.open(io.BytesIO(tile.screenshot())) as image:
        shot = np.asarray(image.convert("RGB"))
    # Without the frame, and the number below.
    side = shot.shape[1]
    return shot[3 : side - 3, 3 : side - 3].reshape(-1, 3)


def go(page, place):
    page.locator("#film-epoch").evaluate(
        "(slider, place) => { slider.value = place; slider.dispatchEvent(new Event('input', {bubbles: true})); }", place
    )


def text(page):
    return page.locator("#film-told").text_content()


@pytest.mark.parametrize("width", [420, 1400])
def test_each_tile_shows_its_kernel_of_the_epoch_and_nothing_of_its_neighbours(open_page, even, width):
    path, values = even
    page = open_page(path, width)
    limit = np.abs(values).max()
    for epoch in (0, 1, 7, 20, 33, 40):
        go(page, epoch)
        for kernel in (0, 1, 9, 16):
            expected = colours(values[epoch, kernel].reshape(1, 1), limit)[0, 0]
            found = seen(page, kernel)
            np.testing.assert_array_equal(found, np.broadcast_to(expected, found.shape), err_msg=f"{epoch} {kernel}")
    assert overflow(page) == 0


def test_the_last_epoch_is_shown_first_and_the_best_is_named(open_page, even):
    path, _ = even
    page = open_page(path)
    best = Page(path).data["best"]["epoch"]
    assert text(page).startswith("40 of 40")
    go(page, best)
    assert text(page) == f"{best} of 40, the best"
    go(page, 0)
    assert text(page) == "before the first" == page.locator("#film-epoch").get_attribute("aria-valuetext")


def tab_to(page, selector):
    page.evaluate("document.activeElement.blur()")
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"{selector} cannot be reached")


def test_by_the_keyboard_alone(open_page, even):
    path, values = even
    page = open_page(path)
    page.clock.install()
    tab_to(page, "#film-epoch")
    page.keyboard.press("Home")
    assert text(page) == "before the first"
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert text(page).startswith("3 of 40")
    tab_to(page, "#film-play")
    page.keyboard.press("Enter")
    assert page.locator("#film-play").text_content() == "Pause"
    page.clock.run_for(1000)
    place = int(page.locator("#film-epoch").input_value())
    assert 3 < place < 40
    page.keyboard.press("Space")
    assert page.locator("#film-play").text_content() == "Play"
    page.clock.run_for(1000)
    assert int(page.locator("#film-epoch").input_value()) == place
    expected = colours(values[place, 0].reshape(1, 1), np.abs(values).max())[0, 0]
    np.testing.assert_array_equal(seen(page, 0)[0], expected)


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_it_plays_to_the_end_and_anew_from_the_beginning(open_page, even, motion):
    page = open_page(even[0])
    page.emulate_media(reduced_motion=motion)
    page.clock.install()
    page.locator("#film-play").click()
    places = [int(page.locator("#film-epoch").input_value())]
    for _ in range(40):
        page.clock.run_for(1000)
        places.append(int(page.locator("#film-epoch").input_value()))
    assert places[0] == 0
    # One picture after the other, slowly, for those who want less motion.
    assert max(np.diff(places)) == 1 if motion == "reduce" else max(np.diff(places)) > 3
    page.clock.run_for(60_000)
    assert text(page).startswith("40 of 40") and page.locator("#film-play").text_content() == "Play"
    page.locator("#film-play").click()
    page.clock.run_for(300)
    # Whoever takes the slider stops it.
    go(page, 12)
    page.clock.run_for(60_000)
    assert text(page).startswith("12 of 40") and page.locator("#film-play").text_content() == "Play"


@pytest.mark.parametrize("dark", [False, True])
def test_accessibility(open_page, even, accessible, dark):
    page = open_page(even[0], 420, dark)
    accessible(page)
    assert page.get_by_label("Epoch", exact=True).count() == 1
    assert page.get_by_role("slider", name="Epoch").get_attribute("aria-valuetext").startswith("40 of 40")
    assert page.get_by_role("button", name="Play").count() == 1
    assert page.locator("#film [role=img]").get_attribute("aria-label").startswith("Kernels 0 to 16")


def test_without_scripts_and_on_paper_the_last_epoch_is_there(browser, open_page, even):
    path, values = even
    expected = colours(values[40, 0].reshape(1, 1), np.abs(values).max())[0, 0]
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto(path.as_uri())
    assert not page.locator("#film-controls").is_visible() and page.get_by_text("After epoch 40:").is_visible()
    np.testing.assert_array_equal(seen(page, 0)[0], expected)
    context.close()
    page = open_page(path)
    assert page.locator("#film-controls").is_visible() and not page.get_by_text("After epoch 40:").is_visible()
    go(page, 3)
    page.emulate_media(media="print")
    assert not page.locator("#film-controls").is_visible() and page.get_by_text("After epoch 40:").is_visible()
    np.testing.assert_array_equal(seen(page, 0)[0], expected)
    page.emulate_media(media="screen")
    assert text(page).startswith("3 of 40") and not np.array_equal(seen(page, 0)[0], expected)


def test_a_long_run_says_of_how_many_epochs_it_has_pictures(tmp_path, open_page):
    run, found = made_up(tmp_path, ("a", "b"), 3000, shape=(1, 8, 8))
    for epoch in [*range(0, 3000, 32), 3000]:
        run.kernels.save(epoch, np.full((2, 1, 3, 3), epoch, np.float32))
    writing.write_run(run, tmp_path / "page.html", found._replace(seen=None))
    page = open_page(tmp_path / "page.html")
    assert page.get_by_text("before the first epoch and after 94 of 3,000 epochs").count() == 1
    go(page, 1)
    assert text(page).startswith("32 of 3000")
