"""The server's page in the system's Chromium: what is drawn, dropped, pasted or chosen is told at once."""

import base64
import json
import re
import time

import pytest

from refcnn.serve import served as serving

from ..pages.conftest import overflow
from .conftest import line_image, png


def draw(page, points):
    """Draw a line through points, which are parts of the sheet's width and height."""
    page.locator("#sheet-canvas").scroll_into_view_if_needed()
    box = page.locator("#sheet-canvas").bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=6)
    page.mouse.up()


def answered(page, name):
    says(page, "#answer", name)


def says(page, where, text):
    """Wait until what stands somewhere is a text, or has it if that is a pattern."""
    # Not as a function that the page calls, whose policy lets nothing be made of strings.
    from playwright.sync_api import expect

    expect(page.locator(where).first).to_have_text(text, timeout=60_000)


def until(page, expression):
    """Wait until an expression is true in the page."""
    end = time.monotonic() + 60
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(50)


def test_what_is_drawn_is_told_while_it_is_drawn(visit):
    page = visit()
    assert page.locator("#answer").text_content() == "Draw something."
    draw(page, [(0.5, 0.1), (0.5, 0.9)])
    answered(page, "upright")
    first = page.locator("#classes tbody tr").first
    assert first.locator("th").text_content() == "upright" and first.locator("td").nth(1).text_content().endswith(" %")
    assert "16×16 pixels; its numbers go from 0 to 0." in page.locator("#given-text").text_content()
    # White on black, as the training images were; what the network was given is that.
    corner = "c => [...document.getElementById(c).getContext('2d').getImageData(1, 1, 1, 1).data]"
    assert page.evaluate(corner, "sheet-canvas") == page.evaluate(corner, "given") == [0, 0, 0, 255]
    page.locator("#clear").click()
    draw(page, [(0.1, 0.5), (0.9, 0.5)])
    answered(page, "level")


def test_before_the_pen_is_lifted(visit):
    page = visit()
    box = page.locator("#sheet-canvas").bounding_box()
    page.mouse.move(box["x"] + 150, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 150, box["y"] + 300, steps=5)
    answered(page, "upright")


def test_what_is_strange_is_said(visit):
    page = visit()
    page.locator("#inverted").check()
    draw(page, [(0.5, 0.1), (0.5, 0.9)])
    page.wait_for_selector("#remarks li")
    assert "The image is far from the images that the model was trained on" in page.locator("#remarks").text_content()
    assert "inverted" in page.locator("#remarks").text_content()


def test_it_is_drawn_by_the_keyboard_alone(visit):
    page = visit()
    page.locator("#sheet-canvas").focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")
    for _ in range(14):
        page.keyboard.press("ArrowDown")
    answered(page, "upright")
    assert page.locator("#sheet-help").text_content().startswith("The pen is down")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "clear"
    page.keyboard.press("Enter")
    says(page, "#classes tbody td:last-child", "50.0 %")


# Of what the network was given: the highest and the lowest row with ink, and those of the columns.
EXTENT = """() => {
    if (lastGiven === null) return [];
    const width = lastGiven.shape[2], bytes = bytesOf(lastGiven);
    const places = [...bytes.keys()].filter(place => bytes[place] > 100);
    const rows = places.map(place => Math.floor(place / width)), columns = places.map(place => place % width);
    return [rows, columns].flatMap(one => [Math.min(...one), Math.max(...one)]);
}"""


def test_a_small_drawing_in_a_corner_is_centred_on_request(visit):
    page = visit()
    form = page.get_by_label("centre and scale the drawing as MNIST's digits are")
    # Not by itself for a network of which it is not known that its images are like that.
    assert not form.is_checked()
    draw(page, [(0.1, 0.05), (0.1, 0.3)])
    answered(page, "upright")
    top, bottom, left, right = page.evaluate(EXTENT)
    assert bottom < 7 and right < 4
    form.focus()
    page.keyboard.press("Space")
    until(page, f"({EXTENT})()[1] >= 12")
    top, bottom, left, right = page.evaluate(EXTENT)
    # Of 16 pixels it takes 11, about the middle, which is the pixel 8.
    assert 10 <= bottom - top + 1 <= 12 and abs((top + bottom) / 2 - 8) <= 0.5
    assert abs((left + right) / 2 - 8) <= 1
    # An image is taken as it is, also with something drawn on it, until the sheet is cleared.
    drop(page, "line.png", png(line_image()))
    until(page, f"({EXTENT})()[0] === 2 && ({EXTENT})()[1] === 13")
    before = page.evaluate(EXTENT)
    draw(page, [(0.9, 0.5), (0.95, 0.5)])
    until(page, f"({EXTENT})()[3] >= 13")
    assert before[0] == page.evaluate(EXTENT)[0] == 2
    page.locator("#clear").click()
    draw(page, [(0.1, 0.05), (0.1, 0.3)])
    until(page, f"({EXTENT})()[1] >= 12 && ({EXTENT})()[1] - ({EXTENT})()[0] <= 12")


def drop(page, name, content, event="drop"):
    page.evaluate(
        """([name, content, kind]) => {
            const bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt(0));
            const data = new DataTransfer();
            data.items.add(new File([bytes], name));
            const given = kind === "paste" ? {clipboardData: data} : {dataTransfer: data};
            const made = kind === "paste" ? new ClipboardEvent(kind, {...given, bubbles: true})
                : new DragEvent(kind, {...given, bubbles: true, cancelable: true});
            document.getElementById("sheet-canvas").dispatchEvent(made);
        }""",
        [name, base64.b64encode(content).decode(), event],
    )


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_an_image_is_dropped_and_pasted(visit, event):
    page = visit()
    drop(page, "level.png", png(line_image(is_upright=False, size=64)), event)
    answered(page, "level")
    # It is shown on the sheet, too.
    middle = "document.getElementById('sheet-canvas').getContext('2d').getImageData(168, 180, 1, 1).data[0]"
    until(page, f"{middle} > 200")


def test_a_file_is_chosen(visit, tmp_path):
    page = visit()
    (tmp_path / "upright.png").write_bytes(png(line_image()))
    page.locator("#file").set_input_files(tmp_path / "upright.png")
    answered(page, "upright")


def test_the_camera_is_told_until_it_is_stopped(visit):
    page = visit()
    assert not page.locator("#negative").is_visible()
    page.locator("#camera").click()
    says(page, "#camera", "Stop the camera")
    says(page, "#answer", re.compile("upright|level"))
    assert page.locator("#negative").is_visible()
    # Pictures go on to come: Chromium's camera that is none shows a clock.
    sheet = page.locator("#sheet-canvas")
    before = sheet.screenshot()
    end = time.monotonic() + 60
    while sheet.screenshot() == before:
        assert time.monotonic() < end
    page.locator("#camera").click()
    says(page, "#camera", "Camera")
    assert page.evaluate("stream === null")


def test_a_broken_file_is_said_and_forgotten(visit):
    page = visit()
    drop(page, "broken.png", png(line_image())[:-40])
    says(page, "#error", re.compile("could not be read as an image"))
    assert "broken" not in page.locator("#answer").text_content()
    draw(page, [(0.5, 0.1), (0.5, 0.9)])
    answered(page, "upright")
    says(page, "#error", "")
    # Chromium's own line of an answer that is no success.
    assert "422" in visit.said.pop() and visit.said == []


def test_a_file_that_is_too_large_is_not_even_sent(visit):
    page = visit()
    drop(page, "large.png", bytes((1 << 24) + 1))
    says(page, "#error", re.compile("16,777,216"))


def open_layers(page):
    draw(page, [(0.5, 0.1), (0.5, 0.9)])
    answered(page, "upright")
    page.locator("#layers > summary").click()
    page.locator(".layer").last.wait_for()


def test_every_layer_follows_the_pen(visit):
    page = visit()
    open_layers(page)
    assert page.locator(".layer").count() == 6
    assert page.locator(".layer").first.locator("canvas").count() == 2
    maps = page.locator(".layer .maps").first
    before = maps.screenshot()
    draw(page, [(0.2, 0.3), (0.8, 0.3)])
    end = time.monotonic() + 60
    while maps.screenshot() == before:
        assert time.monotonic() < end


def test_a_pixel_is_chosen_and_its_window_is_shown(visit):
    page = visit()
    open_layers(page)
    page.locator(".layer").first.locator("canvas").first.click()
    says(page, "#walk-answer strong", re.compile(r"conv2d_1\[0, \d+, \d+\] = "))
    figures = page.locator("#walk-answer figure")
    assert figures.count() == 3 and figures.first.locator("td").count() == 9
    assert "proved bound" in page.locator("#walk-answer dl").text_content()
    # Stepping to the next window by the keyboard.
    column = page.locator("#walk-column input")
    was = int(column.input_value())
    column.focus()
    page.keyboard.press("ArrowUp")
    says(page, "#walk-answer strong", re.compile(rf"conv2d_1\[0, \d+, {was + 1}\] = "))
    page.locator("#walk-layer").select_option(label="max_pool2d_1")
    says(page, "#walk-answer strong", re.compile("max_pool2d_1"))
    assert page.locator("#walk-answer td").count() == 4 and page.locator("#walk-answer td.winner").count() == 1
    page.locator("#walk-layer").select_option(label="logits")
    says(page, "#walk-answer strong", re.compile(r"logits\[\d\] = "))


def test_a_pixel_of_a_gradient_tells_what_it_did_to_the_loss(visit):
    page = visit()
    open_layers(page)
    values = page.locator(".layer .maps").first.screenshot()
    page.locator("#shown-gradient").check()
    says(page, "#layers-time", re.compile(r"the loss \(softmax cross entropy against upright\), which is"))
    # The image comes first, whose gradient is shown too.
    assert page.locator(".layer:visible").count() == 7
    first = page.locator(".layer").nth(1)
    assert first.locator(".maps").screenshot() != values
    first.locator("canvas").first.click()
    says(page, "#walk-answer strong", re.compile(r"The gradient of conv2d_1\[0, \d+, \d+\] = "))
    said = page.locator("#walk-answer").text_content()
    assert re.search(
        r"Raising this number by a little (changes|does not change) the loss \(softmax cross entropy", said
    )
    assert "From relu_1, whose gradient is dy:" in said and "proved bound" in said
    # A pixel of the image is what the kernels read, whose products are told.
    page.locator(".layer").first.locator("canvas").click()
    says(page, "#walk-answer strong", re.compile(r"The gradient of image\[0, \d+, \d+\] = "))
    figures = page.locator("#walk-answer figure")
    assert figures.count() == 6 and figures.first.locator("td").count() == 9
    cells = [[float(text) for text in figures.nth(k).locator("td").all_text_contents()] for k in range(3)]
    for dy, w, product in zip(*cells, strict=True):
        assert product == pytest.approx(dy * w, rel=0.02, abs=1e-6)
    column = page.locator("#walk-column input")
    was = int(column.input_value())
    column.focus()
    page.keyboard.press("ArrowUp")
    says(page, "#walk-answer strong", re.compile(rf"The gradient of image\[0, \d+, {was + 1}\] = "))
    # Of another class it is another.
    before = page.locator("#walk-answer").text_content()
    page.locator("#loss-class").select_option("level")
    says(page, "#layers-time", re.compile("against level"))
    until(page, f"document.getElementById('walk-answer').textContent !== {json.dumps(before)}")
    page.locator("#shown-value").check()
    says(page, "#walk-answer strong", re.compile(r"^conv2d_1\[0, \d+, \d+\] = "))
    assert page.locator(".layer:visible").count() == 6


def test_executors_are_compared(visit):
    page = visit()
    draw(page, [(0.5, 0.1), (0.5, 0.9)])
    answered(page, "upright")
    page.locator("#executors > summary").click()
    page.locator("#compare").click()
    says(page, "#compare-text", "No operator is outside of its bound.")
    rows = page.locator("#executor-rows tr")
    assert rows.count() == 3 and rows.last.locator("th").text_content().startswith("onnxruntime")


def test_of_a_large_network_it_is_said_what_compares_its_executors(visit, monkeypatch):
    monkeypatch.setattr(serving, "MOST_FLOP", 10)
    page = visit()
    # The answer to another question about the image comes after it, and takes nothing of it back.
    late = []
    page.route("**/api/prediction?*", lambda route: late.append(route))
    page.locator("#executors > summary").click()
    page.locator("#compare").click()
    refused = re.compile("'refcnn verify' compares the executors")
    says(page, "#error", refused)
    says(page, "#compare-text", "")
    assert "422" in visit.said.pop()
    late.pop().continue_()
    page.unroute("**/api/prediction?*")
    says(page, "#answer", re.compile("upright|level"))
    says(page, "#error", refused)
    # It is in sight where one asked, far below its place.
    page.locator("#saliency > summary").scroll_into_view_if_needed()
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    assert page.evaluate("window.scrollY") > 100 and page.locator("#error").bounding_box()["y"] >= 0
    # It was said of that image.
    draw(page, [(0.5, 0.1), (0.5, 0.9)])
    says(page, "#error", "")


def test_it_is_shown_on_which_pixels_it_depends(visit):
    page = visit()
    draw(page, [(0.5, 0.1), (0.5, 0.9)])
    answered(page, "upright")
    page.locator("#saliency > summary").click()
    names = {"gradient-times-input": "gradient times input", "grad-cam": "Grad-CAM", "occlusion": "occlusion"}
    for method, name in names.items():
        page.locator("#saliency-method").select_option(method)
        says(page, "#saliency-text", re.compile(f"By {name} for upright, "))
        assert page.locator(f".formula[data-method={method}] math").is_visible()
        assert page.locator(".formula:visible").count() == 1
        assert page.locator("#saliency-layers").is_visible() == (method == "grad-cam")
    page.locator("#saliency-class").select_option("level")
    says(page, "#saliency-text", re.compile("By occlusion for level"))


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [420, 1400])
def test_it_fits_and_is_accessible(visit, accessible, width, dark):
    page = visit(width, dark)
    draw(page, [(0.5, 0.1), (0.5, 0.9)])
    answered(page, "upright")
    assert overflow(page) == 0
    accessible(page)
    page.locator("#layers > summary").click()
    page.locator(".layer").first.locator("canvas").first.click()
    page.locator("#walk-answer strong").wait_for()
    page.locator("#shown-gradient").check()
    says(page, "#walk-answer strong", re.compile("The gradient of conv2d_1"))
    accessible(page)
    page.locator("#executors > summary").click()
    page.locator("#compare").click()
    page.locator("#executor-rows tr").first.wait_for()
    page.locator("#saliency > summary").click()
    says(page, "#saliency-text", re.compile("By occlusion for upright"))
    assert overflow(page) == 0
    accessible(page)
