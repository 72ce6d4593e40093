"""The pages of conformance reports in a browser: narrow and wide, light and dark, and with axe-core."""

import pytest

from refcnn.conformance.reports import html
from refcnn.conformance.reports.merge import merge, render_merged
from refcnn.conformance.world import entries, outcomes, summary

from ..test_conform_report import device, full_report, report, row, unbuilt
from .conftest import overflow


@pytest.fixture(params=["report", "merged"])
def path(request, tmp_path):
    found = full_report()
    found.devices.append(device(*[unbuilt(name) for name in "abcdef"], name="A device with a long name " * 3))
    found.devices.append(device(row(variant="cpu"), row(variant="gpu"), name="Both", specification="opencl:3:0"))
    path = tmp_path / "page.html"
    if request.param == "report":
        html.render(found, path)
    else:
        render_merged(merge([found, report(device(row(), driver="536"), date="2026-04-01T10:00:00+00:00")]), path)
    return path


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [420, 1400])
def test_the_page_fits_and_can_be_read(open_page, accessible, path, width, dark):
    page = open_page(path, width, dark)
    assert overflow(page) <= 0
    accessible(page)


@pytest.mark.parametrize(("width", "dark"), [(420, True), (1400, False)])
def test_the_list_of_faults_fits_and_can_be_read(open_page, accessible, tmp_path, width, dark):
    listed, last = entries.load_all(), outcomes.load()
    # Some entries of each kind: changed, gone, and with what a report says.
    first = next(iter(last.outcomes.values()))
    now = outcomes.World(dict(list(last.outcomes.items())[1:]), last.runs).with_report(full_report())
    overview = summary.Overview.of(listed[:3], now, outcomes.compare(last, now))
    assert [change.id for change in overview.changes] == [first.id]
    summary.render(overview, tmp_path / "world.html")
    page = open_page(tmp_path / "world.html", width, dark)
    assert overflow(page) <= 0
    accessible(page)


def test_a_verdict_leads_to_what_failed(open_page, path):
    page = open_page(path, 420)
    verdict = page.locator("#verdicts a.verdict", has_text="did not build").first
    verdict.click()
    card = page.locator(f"[id='{verdict.get_attribute('href')[1:]}']")
    assert card.locator("h3").inner_text() == "✗ did not build 6 alike"
    assert card.evaluate("element => element.getBoundingClientRect().top < window.innerHeight")
    card.locator("summary", has_text="Each of them").focus()
    page.keyboard.press("Enter")
    assert card.locator("h4").count() == 6 and card.locator("h4").first.is_visible()
