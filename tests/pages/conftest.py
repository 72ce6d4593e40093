"""Two small runs, and pages in the system's Chromium, from disk, with the network cut."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from refcnn.cli import main

from .. import small_run

#: What names the model of the runs anew, where its code is needed.
NAMED = ["--model", "small_models:small"]


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A folder with the inputs and two whole runs."""
    path = tmp_path_factory.mktemp("report")
    small_run.write_inputs(path)
    with pytest.MonkeyPatch.context() as context:
        context.chdir(path)
        context.syspath_prepend(str(path))
        for name, *options in (("run", "--epochs", "3"), ("other", "--epochs", "2", "--weight-decay", "0.01")):
            result = CliRunner().invoke(main, [*small_run.TRAIN, *options, "--proof-time", "60s", "--out", name])
            assert result.exit_code == 0, result.output
    return path


@pytest.fixture
def call(folder, monkeypatch):
    """Call the command in the folder."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("REFCNN_BACKEND", "reference")

    def run(*arguments):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="refcnn")
        assert "Traceback" not in result.output
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


@pytest.fixture(scope="session")
def browser(chromium):
    """A browser that can reach nothing but files."""
    found = chromium("--host-resolver-rules=MAP * ~NOTFOUND")
    yield found
    found.close()


@pytest.fixture
def open_page(browser):
    """Open a page from disk; at the end it must have asked for nothing, and ``open_page.said`` be empty."""
    pages, asked, said = [], [], []

    def open_file(path, width=1400, dark=False):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", offline=True
        )
        page = context.new_page()
        pages.append(page)
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(Path(path).as_uri())
        return page

    open_file.said = said
    yield open_file
    files = {page.url.partition("#")[0] for page in pages}
    for page in pages:
        page.context.close()
    assert {url for url in asked if not url.startswith("data:")} <= files
    assert said == []


def overflow(page):
    """Return by how many pixels a page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
