"""A training that is watched: what its page tells, and that its button ends it as Ctrl-C does."""

import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
from click.testing import CliRunner

import refcnn as rm
from refcnn.cli import main
from refcnn.serve import training
from refcnn.serve.training import Live

from .. import small_run
from .test_answers import schema, values
from .test_in_the_browser import says

_LIMIT = {"timeout": 60}


def fitted(monkeypatch, epochs=3):
    """Return what a small training left in a Live, and its first kernels at the end."""
    monkeypatch.setattr(training, "LOSS_INTERVAL", 0)
    monkeypatch.setattr(training, "KERNEL_INTERVAL", 0)
    rng = np.random.default_rng(0)
    data = rng.random((24, 1, 6, 6), np.float32), rng.integers(0, 3, 24)
    with rm.use_backend("reference"):
        model = rm.Sequential([rm.Conv2d(4, 3), rm.Relu(), rm.Flatten(), rm.Dense(3)])
        # As those that 'refcnn train' builds, it has its parameters before the first step.
        model(data[0])
        live = Live("small", model[0].params["w"])
        rm.fit(model, data, validation=data, epochs=epochs, batch_size=8, callbacks=[live])
        return live, model.state()["0.w"]


def test_what_is_known_of_a_training(monkeypatch):
    live, kernels = fitted(monkeypatch)
    found = live.state()
    schema("training").validate(json.loads(json.dumps(found, allow_nan=False)))
    assert [step for step, _ in found["losses"]] == list(range(1, 10))
    assert [row["epoch"] for row in found["history"]] == [1, 2, 3]
    assert found["is_over"] and found["epoch"] == found["epochs"] == 3 and found["step"] == 9
    first, *_, last = found["kernels"]
    assert first["step"] == 0 and last["step"] == 9 and first["values"] != last["values"]
    np.testing.assert_allclose(values(last), kernels[:, 0], atol=(last["high"] - last["low"]) / 509)
    assert [picture["step"] for picture in live.state(after=7)["kernels"]] == [8, 9, 9]
    assert [chart["title"] for chart in live.charts()] == ["Loss of batches", "Loss of epochs", "Accuracy"]


def test_much_is_thinned(monkeypatch):
    monkeypatch.setattr(training, "MOST_POINTS", 6)
    monkeypatch.setattr(training, "MOST_PICTURES", 4)
    live, _ = fitted(monkeypatch, epochs=9)
    found = live.state()
    assert len(found["losses"]) <= 6 and len(found["kernels"]) <= 4
    assert found["losses"][0][0] == 1 and found["losses"][-1][0] == 27
    assert found["kernels"][0]["step"] == 0 and found["kernels"][-1]["step"] == 27


@pytest.fixture
def watched(tmp_path):
    """A training that takes long, and the address of its page."""
    small_run.write_inputs(tmp_path)
    command = [sys.executable, "-m", "refcnn", *small_run.TRAIN, "--epochs", "100000", "--no-proof", "--serve"]
    environment = small_run.environment() | {"PYTHONUNBUFFERED": "1"}
    environment["PYTHONPATH"] += f":{tmp_path}"
    process = subprocess.Popen(
        [*command, "--out", "run"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    (address,) = re.findall(r"http://127\.0\.0\.1:\d+/[\w-]{40,}/$", process.stdout.readline().strip())
    yield process, address
    process.kill()
    process.communicate()


def told(address):
    with urllib.request.urlopen(address + "api/training", **_LIMIT) as answer:
        return json.loads(answer.read())


def stopped(process):
    """Assert that a training ends as by Ctrl-C."""
    out, err = process.communicate(**_LIMIT)
    assert process.returncode == 130, err
    assert "Traceback" not in err and "train --resume run" in out


def test_it_is_stopped_as_by_ctrl_c(watched):
    process, address = watched
    end = time.monotonic() + 60
    while not told(address)["losses"]:
        assert time.monotonic() < end
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(address[:-2] + "/api/stop", b"", **_LIMIT)
    with pytest.raises(urllib.error.HTTPError, match="405"):
        urllib.request.urlopen(address + "api/stop", **_LIMIT)
    assert process.poll() is None
    urllib.request.urlopen(address + "api/stop", b"", **_LIMIT)
    stopped(process)


def test_its_page(watched, serve_browser, accessible):
    process, address = watched
    context = serve_browser.new_context(viewport={"width": 420, "height": 900})
    try:
        page = context.new_page()
        said = []
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(address)
        says(page, "#place", re.compile(r"Step \d+; \d+ of 100000 epochs are done"))
        page.locator("#charts svg[role=img]").first.wait_for()
        assert page.locator("#kernels canvas").count() == 4
        accessible(page)
        page.locator("#stop").click()
        stopped(process)
        says(page, "#error", re.compile("is over, or was stopped"))
        assert said == []
    finally:
        context.close()


def test_it_is_for_a_training_alone():
    result = CliRunner().invoke(main, ["train", "--serve", "--dry-run"])
    assert result.exit_code == 2 and "--serve shows a training" in result.output
