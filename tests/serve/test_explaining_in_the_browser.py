"""Pages of operations in the system's Chromium: what is chosen is computed, played, or refused beside the form."""

import pytest

from ..pages.conftest import overflow
from ..pages.test_explain import lit, press

OLD = "Still shown is what was chosen before:"


@pytest.fixture
def choose(visit):
    """Open the page of convolution, and give it with a function that fills a field."""
    page = visit(path="explain/conv2d")

    def fill(name, value, of="arguments"):
        page.locator(f'[data-of="{of}"][name="{name}"]').fill(value)

    page.choose = fill
    return page


def expect(where):
    # Not with the module, which is found where no browser's library is.
    from playwright.sync_api import expect

    return expect(where)


def says(page, text):
    expect(page.locator("#result")).to_contain_text(text, timeout=60_000)


def test_a_stride_is_chosen_and_played(choose):
    page, player = choose, choose.locator(".player")
    says(page, "rm.Conv2d(channel=1)(x) gives y of 1×1×3×3")
    page.choose("stride", "2, 1")
    says(page, "rm.Conv2d(channel=1, stride=(2, 1))(x) gives y of 1×1×2×3")
    assert "1×1×2×3" in player.locator('[data-array="y"] figcaption').inner_text()
    assert "strides = [2, 1]" in page.locator(".onnx").inner_text()
    first = lit(player)
    press(player, "step")
    assert lit(player) != first
    press(player, "next number", 3)
    assert player.locator('[data-array="y"] rect.written').count() == 1
    player.locator('[data-choice="direction"]').select_option("1")
    page.choose("padding", "1, 0, 2, 0")
    says(page, "padding=(1, 0, 2, 0)")
    # The gradients are still what is computed, of the other call.
    assert player.locator('[data-array="dw"]').count() == 1
    assert "1×1×3×3" in player.locator('[data-array="dy"] figcaption').inner_text()


def test_what_the_library_refuses_is_said_beside_the_form(choose, visit):
    page = choose
    page.choose("filter", "9")
    expect(page.get_by_role("alert")).to_contain_text("the image is smaller than the kernel", timeout=60_000)
    says(page, OLD)
    page.choose("x", "1, 1, 9, 9", "shapes")
    says(page, "gives y of 1×1×1×1")
    assert OLD not in page.locator("#result").inner_text()
    assert page.get_by_role("alert").inner_text() == ""
    # Chromium tells each answer that is none.
    (said,) = visit.said
    assert "422" in said
    visit.said.clear()


def test_numbers_of_one_s_own(choose):
    page, player = choose, choose.locator(".player")
    page.get_by_text("Numbers of your own").click()
    page.get_by_role("button", name="Begin with those that are shown").click()
    shown = page.locator('textarea[name="x"]').input_value().split(", ")
    assert len(shown) == 25
    page.choose("x", ", ".join(["7", *shown[1:]]), "values")
    expect(player.locator('[data-array="x"] text').first).to_have_text("7", timeout=60_000)
    page.get_by_role("button", name="As at first").click()
    expect(player.locator('[data-array="x"] text').first).to_have_text(f"{float(shown[0]):g}", timeout=60_000)


def test_who_looks_at_the_whole_result_goes_on_to_do_so(visit):
    page = visit(path="explain/elu")
    player, curve = page.locator(".player"), page.locator("svg.curve path").first
    player.get_by_role("button", name="step", exact=True).focus()
    page.keyboard.press("End")
    before, drawn = player.locator('[data-array="y"] text').all_text_contents(), curve.get_attribute("d")
    assert "" not in before
    page.locator('[name="alpha"]').fill("0.25")
    says(page, "rm.elu(x, alpha=0.25)")
    after = player.locator('[data-array="y"] text').all_text_contents()
    assert "" not in after and after != before
    assert curve.get_attribute("d") != drawn


def test_a_server_that_is_gone_is_told(choose, visit):
    page = choose
    page.context.set_offline(True)
    page.choose("stride", "2")
    expect(page.get_by_role("alert")).to_contain_text("does not answer", timeout=60_000)
    visit.said.clear()


@pytest.mark.parametrize(("width", "dark"), [(420, True), (1400, False)])
@pytest.mark.parametrize("name", ["", "conv2d", "resize", "adam"])
def test_pages_fit_and_can_be_used_by_all(visit, accessible, name, width, dark):
    page = visit(width, dark, f"explain/{name}")
    assert overflow(page) == 0
    if name:
        page.locator("[data-of]").first.fill("x")
        expect(page.get_by_role("alert")).not_to_be_empty(timeout=60_000)
        for folded in page.locator("details").all():
            folded.evaluate("one => { one.open = true; }")
        assert overflow(page) == 0
    accessible(page)
    visit.said.clear()


def test_the_page_of_a_network_leads_here(visit):
    page = visit()
    page.get_by_role("link", name="What each operation computes").click()
    page.get_by_role("link", name="max_pool2d", exact=True).click()
    says(page, "rm.max_pool2d(x) gives y of 1×1×3×3")
