"""What every page has from the base: nothing foreign runs or is fetched, texts stay texts, two schemes of colours."""

import json
import math
from html.parser import HTMLParser

import jinja2
import pytest

from refcnn.conformance.reports import html
from refcnn.conformance.reports.merge import merge, render_merged
from refcnn.errors import FileWriteError
from refcnn.pages import page

from ..test_conform_report import full_report
from .conftest import overflow

HOSTILE = "</script><script>alert(1)</script><!-- & \u2028 \ud800 '\" {{ 7 * 7 }}"

BODY = """{% extends "page.html.jinja" %}{% block title %}{{ text }}{% endblock %}
{% block styles %}.own { color: var(--good); }{% endblock %}
{% block body %}<h1>{{ text }}</h1><p class="own">of its own</p><p><a href="#there">there</a></p>
<div class="wide" tabindex="0" role="region" aria-label="wide"><table><tr><td>{{ "word" * 400 }}</td></tr></table></div>
<h2 id="there">there</h2>{% endblock %}"""

SCRIPT = 'document.title = JSON.parse(document.getElementById("data").textContent).text.slice(0, 9);\n'


@pytest.fixture
def environment():
    made = page.environment("refcnn.pages")
    made.loader.loaders.append(jinja2.DictLoader({"body.jinja": BODY, "script.js": SCRIPT}))
    return made


class Scripts(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found, self.policy = [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "script":
            self.found.append((dict(attributes), ""))
        if tag == "meta" and dict(attributes).get("http-equiv") == "Content-Security-Policy":
            self.policy = dict(attributes)["content"]

    def handle_data(self, data):
        if self.cdata_elem == "script":
            self.found[-1] = self.found[-1][0], self.found[-1][1] + data


def test_texts_and_data_stay_what_they_are(environment):
    scripts = Scripts(
        page.render(environment, "body.jinja", text=HOSTILE, scripts=["script.js"], data={"text": HOSTILE})
    )
    (data, script) = scripts.found
    assert data[0] == {"type": "application/json", "id": "data"}
    assert json.loads(data[1]) == {"text": HOSTILE}
    assert script == ({}, SCRIPT)


def test_data_are_json():
    with pytest.raises(ValueError, match="JSON"):
        page.script_json({"loss": math.nan})


def test_a_page_allows_only_what_it_has(environment):
    bare = Scripts(page.render(environment, "body.jinja", text=""))
    assert bare.found == []
    assert bare.policy == "default-src 'none'; style-src 'unsafe-inline'"
    policy = Scripts(page.render(environment, "body.jinja", text="", images=True, scripts=["script.js"])).policy
    assert "img-src data:" in policy.split("; ")
    assert "script-src 'sha256-" in policy and "unsafe" not in policy.partition("script-src")[2]


def test_a_page_that_cannot_be_written_is_said(environment, tmp_path):
    with pytest.raises(FileWriteError, match=r"missing/page\.html"):
        page.write(environment, "body.jinja", tmp_path / "missing" / "page.html", text="")


@pytest.fixture
def written(environment, tmp_path):
    path = tmp_path / "page.html"
    page.write(environment, "body.jinja", path, text=HOSTILE, scripts=["script.js"], data={"text": HOSTILE})
    return path


def test_its_own_script_runs_and_no_other(open_page, written):
    shown = open_page(written)
    assert shown.title() == "</script>"
    assert shown.locator("h1").text_content() == HOSTILE.replace("\ud800", "?")
    # Foreign code that came into the page all the same would not run.
    code = "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'}))"
    shown.evaluate(code)
    assert shown.evaluate("window.ran") is None
    assert "violates the following Content Security Policy" in open_page.said.pop()


def test_colours_follow_the_device_or_the_switch(open_page, written):
    def background(shown):
        return shown.evaluate("getComputedStyle(document.body).backgroundColor")

    light, dark = (open_page(written, dark=is_dark) for is_dark in (False, True))
    white, black = background(light), background(dark)
    assert white == "rgb(255, 255, 255)" != black
    for shown in (light, dark):
        # Skip link, then the switch, by the keyboard alone.
        shown.keyboard.press("Tab")
        assert shown.evaluate("document.activeElement.className") == "skip"
        shown.keyboard.press("Tab")
        shown.keyboard.press("ArrowRight")
        assert background(shown) == white
        shown.keyboard.press("ArrowRight")
        assert background(shown) == black


def test_a_narrow_window_and_paper(open_page, written):
    shown = open_page(written, 420, dark=True)
    assert overflow(shown) == 0
    shown.emulate_media(media="print")
    assert shown.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not shown.locator(".bar").is_visible()


@pytest.mark.parametrize("dark", [False, True])
def test_it_is_accessible(open_page, written, accessible, dark):
    accessible(open_page(written, dark=dark))


@pytest.mark.parametrize("dark", [False, True])
def test_conformance_reports_are_accessible(open_page, tmp_path, accessible, dark):
    html.render(full_report(), tmp_path / "report.html")
    render_merged(merge([full_report()]), tmp_path / "merged.html")
    for name in ("report", "merged"):
        shown = open_page(tmp_path / f"{name}.html", 420, dark)
        assert overflow(shown) == 0
        accessible(shown)
