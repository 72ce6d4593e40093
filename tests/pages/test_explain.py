"""Pages of refcnn explain in a browser, from disk, with the network cut: they play, by mouse and by keyboard."""

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

from refcnn.cli import main
from refcnn.explain import of_run
from refcnn.runs.checkpoint import Checkpoint

from ..explain.schema import VALIDATOR
from .conftest import NAMED, overflow


@pytest.fixture(scope="module")
def explained(tmp_path_factory):
    return tmp_path_factory.mktemp("explained")


def page_of(explained, *name):
    """Return the path of a page, which is written once."""
    path = explained / f"{''.join(name) or 'chapter'}.html"
    if not path.exists():
        result = CliRunner().invoke(main, ["explain", *name, "--out", str(path)])
        assert result.exit_code == 0, result.output
    return path


@pytest.fixture
def player(open_page, explained):
    """The first player of the page of average pooling."""
    return open_page(page_of(explained, "average_pool2d")).locator(".player").first


def lit(player):
    return player.locator(".code .lit").inner_text().strip()


def marked(player, array, mark):
    """Return (column, row) of the marked cells of an array's first plane, in cells."""
    boxes = player.locator(f'[data-array="{array}"] svg rect.{mark}')
    return {
        (
            round(float(box.get_attribute("x")) // float(box.get_attribute("width"))),
            round(float(box.get_attribute("y")) // 26),
        )
        for box in boxes.all()
    }


def press(player, name, times=1):
    for _ in range(times):
        player.get_by_role("button", name=name, exact=True).click()


def test_a_step_moves_the_line_and_the_window(player):
    press(player, "next number")
    while not lit(player).startswith("y[:, :, *place]"):
        press(player, "next number")
    before = marked(player, "x", "read")
    assert before == {(0, 0), (1, 0), (0, 1), (1, 1)}
    press(player, "step")
    assert lit(player).startswith("for place in")
    press(player, "next number")
    assert lit(player).startswith("y[:, :, *place]")
    assert marked(player, "x", "read") == {(1, 0), (2, 0), (1, 1), (2, 1)}
    assert marked(player, "y", "written") == {(1, 0)}
    press(player, "back", 3)
    assert marked(player, "x", "read") == before


def test_what_is_played_is_what_was_recorded(player):
    data = json.loads(player.page.locator("#data").text_content())
    run = data["operations"][0]["cases"][0]["runs"][0]
    press(player, "next number", 3)
    number = int(player.get_by_role("slider").input_value())
    (_, _, (value,)) = run["steps"][number]["writes"][0]
    said = player.locator(".said").inner_text()
    assert f"Step {number + 1} of {len(run['steps'])}, line {run['steps'][number]['line']}." in said
    assert f"= {value:.3g}".rstrip("0") in said


def test_it_goes_by_keyboard_alone(player):
    page = player.page
    player.get_by_role("button", name="step", exact=True).focus()
    first = lit(player)
    page.keyboard.press("Enter")
    assert lit(player) != first
    page.keyboard.press("ArrowLeft")
    assert lit(player) == first
    page.keyboard.press("End")
    assert lit(player).startswith("return")
    page.keyboard.press("Home")
    assert lit(player) == first
    player.get_by_role("slider").focus()
    page.keyboard.press("ArrowRight")
    assert lit(player) != first


def test_it_plays_and_pauses(player):
    player.get_by_label("speed").select_option("fast")
    press(player, "play")
    slider = player.get_by_role("slider")
    slider.page.wait_for_function("input => Number(input.value) >= 3", arg=slider.element_handle())
    press(player, "pause")
    stopped = slider.input_value()
    slider.page.wait_for_timeout(400)
    assert slider.input_value() == stopped


def test_a_number_tells_where_it_comes_from(player):
    player.locator('[data-array="y"] rect.pick').nth(5).click()
    assert player.get_by_role("heading", name="Where y[0, 0, 1, 1] comes from").is_visible()
    assert marked(player, "y", "written") == {(1, 1)}
    assert marked(player, "x", "seen") == {(1, 1), (2, 1), (1, 2), (2, 2)}
    assert "proved bound" in player.locator(".walk dl").inner_text()
    player.get_by_label("where this number comes from").select_option(label="y[0, 0, 0, 0]")
    assert marked(player, "x", "seen") == {(0, 0), (1, 0), (0, 1), (1, 1)}


def test_choices_are_taken(open_page, explained):
    player = open_page(page_of(explained, "conv2d")).locator(".player").first
    player.locator('[data-choice="padding"]').select_option("1")
    player.locator('[data-choice="stride"]').select_option("2")
    assert "1×1×3×3" in player.locator('[data-array="y"] figcaption').inner_text()
    # The padding is drawn around the image: 7 by 7 cells, of which 25 are its own.
    assert player.locator('[data-array="x"] rect.around').count() == 24
    player.locator('[data-choice="direction"]').select_option("1")
    assert player.locator('[data-array="dw"]').count() == 1
    # An image of six pixels has no examples with groups: the nearest that there is is shown.
    player.locator('[data-choice="groups"]').select_option("2")
    player.locator('[data-choice="pixels"]').select_option("6")
    assert player.locator('[data-choice="groups"]').input_value() == "1"


def test_taps_that_are_apart_are_marked_apart(player):
    player.locator('[data-choice="dilation"]').select_option("2")
    while not lit(player).startswith("y[:, :, *place]"):
        press(player, "next number")
    assert marked(player, "x", "read") == {(0, 0), (2, 0), (0, 2), (2, 2)}


def test_products_are_shown_as_they_lie(open_page, explained):
    player = open_page(page_of(explained, "conv2d")).locator(".player").first
    player.get_by_label("where this number comes from").select_option(label="y[0, 0, 0, 0]")
    assert player.locator(".walk svg.grid").count() == 3
    assert "9 products and b[0, 0, 0, 0] are added" in player.locator(".walk").inner_text()


@pytest.mark.parametrize(("width", "dark"), [(420, False), (1400, True)])
@pytest.mark.parametrize("name", [(), ("average_pool2d",), ("elu",)])
def test_pages_fit_and_can_be_used_by_all(open_page, explained, accessible, name, width, dark):
    page = open_page(page_of(explained, *name), width=width, dark=dark)
    assert overflow(page) == 0
    for player in page.locator(".player").all():
        press(player, "next number", 2)
    accessible(page)


def test_a_run_is_explained_with_its_own_numbers(open_page, folder, call, accessible, tmp_path):
    result = call("explain", folder / "run", *NAMED, "--out", tmp_path / "run.html")
    assert result.exit_code == 0, result.output
    page = open_page(tmp_path / "run.html", width=420)
    assert overflow(page) == 0
    layers = [heading.inner_text().split(". ")[1] for heading in page.get_by_role("heading", level=2).all()]
    assert layers == ["conv2d_1", "relu_1", "max_pool2d_1", "flatten_1", "dense_1", "loss"]
    weights = Checkpoint.load(folder / "run" / "best.npz").parameters["0.w"]
    data = json.loads(page.locator("#data").text_content())
    given = {one["name"]: one["values"] for one in data["operations"][0]["cases"][0]["runs"][0]["arrays"]}
    kernels = weights.reshape(len(weights), -1)
    assert any(np.allclose(given["w"], kernel, rtol=1e-6) for kernel in kernels)
    for player in page.locator(".player").all():
        press(player, "next number")
        player.locator("select[data-choice=direction]").select_option(label="the gradients")
        press(player, "next number")
    accessible(page)
    cases = {one["name"]: one["cases"][0]["runs"] for one in data["operations"]}
    assert all([run["direction"] for run in runs] == ["forward", "backward"] for runs in cases.values())
    arrays = {name: [{one["name"]: one for one in run["arrays"]} for run in runs] for name, runs in cases.items()}
    # Of the loss the gradient is what the softmax is off; the layers' are numbers of their results' own gradients.
    (forward, backward) = cases["loss"]
    logits, target = (np.array(arrays["loss"][0][name]["values"]) for name in ("x", "t"))
    probabilities = np.exp(logits) / np.exp(logits).sum()
    place = str([one["name"] for one in backward["arrays"]].index("dx"))
    dx = [walk["exact"] for walk in backward["walks"][place]]
    np.testing.assert_allclose(dx, probabilities - target, rtol=1e-4, atol=1e-6)
    (dy,) = arrays["dense_1"][1]["dy"]["values"]
    assert min(abs(dy - one) for one in dx) < 1e-6
    assert "what these numbers alone hand back" in page.locator("main").text_content()


def test_where_there_is_no_room_for_gradients_the_results_are_shown(folder, call, tmp_path, monkeypatch):
    sizes = {}
    for room in (2_000_000, 100_000, 40_000):
        monkeypatch.setattr(of_run, "MOST_CHARACTERS", room)
        assert call("explain", folder / "run", *NAMED, "--out", tmp_path / "run.html").exit_code == 0
        text = (tmp_path / "run.html").read_text(encoding="utf-8")
        data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])
        VALIDATOR.validate(data)
        sizes[room] = [len(one["cases"][0]["runs"]) for one in data["operations"]]
        assert len(json.dumps(data["operations"])) <= room + 1000
    whole, some, none = sizes.values()
    assert set(whole) == {2} and len(some) == len(whole) > len(none) and 1 in some


def test_code_that_a_run_names_is_not_imported(folder, call, tmp_path):
    result = call("explain", folder / "run", "--out", tmp_path / "run.html")
    assert result.exit_code == 1
    assert "--model small_models:small" in result.output
    assert not (tmp_path / "run.html").exists()
