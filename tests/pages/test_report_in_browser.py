"""The pages of runs and files in a browser, from disk with the network cut: narrow, dark, and by keyboard alone."""

import dataclasses
import json

import numpy as np
import pytest

from refcnn.runs.judgement import Judgement
from refcnn.runs.pages import writing

from .conftest import NAMED, overflow
from .test_report import made_up

PAGES = {"run": ["run", *NAMED], "comparison": ["run", "other"], "file": ["run/model.onnx"]}


@pytest.fixture
def paths(call, tmp_path):
    """The path of each kind of page, and of one of a hundred classes."""
    found = {name: tmp_path / f"{name}.html" for name in PAGES}
    for name, arguments in PAGES.items():
        assert call("report", *arguments, "--out", found[name]).exit_code == 0
    return found


@pytest.fixture
def hundred(tmp_path):
    """The page of a run with a hundred classes of long names, of which one has no image."""
    names = tuple(f"a class of a long name, {index}" for index in range(100))
    run, found = made_up(tmp_path, names, 60, images=500, shape=(3, 8, 8))
    labels = np.where(found.validation.y == 50, 51, found.validation.y)
    logits = np.random.default_rng(1).normal(0, 1, (500, 100)) + 4 * np.eye(100)[labels]
    path = tmp_path / "hundred.html"
    writing.write_run(run, path, found._replace(judgement=Judgement(logits, labels)))
    return path


@pytest.fixture
def levels(tmp_path):
    """The page of a run of whose classes each part from none to all is recognised, so that there are all colours."""
    run, found = made_up(tmp_path, tuple("abcdefghijk"), 60, images=220, shape=(1, 8, 8))
    labels, place = np.divmod(np.arange(220), 20)
    logits = np.eye(11)[np.where(place < 2 * labels, labels, (labels + 1 + place % 3) % 11)]
    path = tmp_path / "levels.html"
    validation = dataclasses.replace(found.validation, y=labels)
    writing.write_run(run, path, found._replace(validation=validation, judgement=Judgement(logits, labels)))
    return path


@pytest.mark.parametrize("dark", [False, True])
def test_accessibility(open_page, paths, levels, accessible, dark):
    for path in (*paths.values(), levels):
        page = open_page(path, 420, dark)
        unfold(page)
        accessible(page)
    found = page.evaluate("[...matrix.querySelectorAll('td')].map((one) => one.className)")
    assert {f"r{level}" for level in range(1, 11)} < set(found) and "w5" in found


@pytest.mark.parametrize("width", [420, 1400])
def test_nothing_is_wider_than_the_window(open_page, paths, hundred, width):
    for path in (*paths.values(), hundred):
        page = open_page(path, width)
        assert overflow(page) == 0
        unfold(page)
        assert overflow(page) == 0


def unfold(page):
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")


def columns(page):
    """The names of the matrix's columns and rows, and the numbers between."""
    head, *rows = page.evaluate("[...matrix.rows].map((row) => [...row.cells].map((one) => one.innerText.trim()))")
    return head[2:], [row[0] for row in rows], [[int(cell or 0) for cell in row[2:]] for row in rows]


def press(page, selector):
    """Go to an element by the keyboard alone, and press it."""
    page.evaluate("document.activeElement.blur()")
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            page.keyboard.press("Enter")
            return
    raise AssertionError(f"{selector} cannot be reached")


def test_the_matrix_is_sorted_by_confusion_on_request(open_page, hundred):
    page = open_page(hundred)
    data = json.loads(page.locator("#data").text_content())["confusion"]
    across, down, counts = columns(page)
    assert across == down == data["names"] and counts == data["counts"]
    press(page, "#sort-matrix")
    assert page.locator("#sort-matrix").get_attribute("aria-pressed") == "true"
    across, down, counts = columns(page)
    order = data["order"]
    assert across == down == [data["names"][index] for index in order] != data["names"]
    assert counts == np.array(data["counts"])[order][:, order].tolist()
    totals = np.array(data["counts"])[order[0]]
    page.locator("#matrix tbody tr:first-child td:nth-child(3)").hover()
    told = page.locator("#matrix-cell").text_content()
    assert told.startswith(f"{data['names'][order[0]]} recognised: {totals[order[0]]} of {totals.sum()}")
    press(page, "#sort-matrix")
    assert columns(page)[0] == data["names"]


def test_the_scores_are_sorted_by_a_column(open_page, levels):
    page = open_page(levels)
    heading = page.locator("#scores-table th").nth(4)
    for direction in ("ascending", "descending"):
        press(page, "#scores-table th:nth-child(5) button")
        assert heading.get_attribute("aria-sort") == direction
        values = [float(text.split()[0]) for text in page.locator("#scores-table td:nth-child(5)").all_text_contents()]
        assert values == sorted(values, reverse=direction == "descending") and len(set(values)) > 3


def test_pictures_are_there(open_page, paths):
    page = open_page(paths["run"])
    assert page.evaluate("[...document.images].every((one) => one.complete && one.naturalWidth > 0)")
    for element in page.locator("[role=img]").all():
        assert element.get_attribute("aria-label")
        assert element.bounding_box()["height"] > 10
    assert page.locator(".chart svg[role=img]").count() == 3
    # The tiles show the kernels: more than one colour.
    shot = page.locator("#kernels ~ .tiles").first.screenshot()
    assert len(shot) > 500


def test_paper_has_no_scroll_bars(open_page, hundred):
    page = open_page(hundred, 740)
    page.emulate_media(media="print")
    assert overflow(page) == 0
    assert page.evaluate("document.getElementById('matrix').getBoundingClientRect().width") <= 740
    assert not page.locator("#sort-matrix").is_visible()


def test_without_scripts_all_is_there_but_the_buttons(browser, paths):
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto(paths["run"].as_uri())
    assert [one.is_visible() for one in page.locator("button").all()] == [False, False]
    assert page.locator("#scores-table").is_visible()
    context.close()
