"""What all tests share: Hypothesis profiles, and the devices that operations are tested on.

They are the reference and the OpenCL device that refcnn takes by itself. On
other implementations conformance meets every operation, but not what the tests
alone look at, such as variants of kernels that are forced: .ci/run adds
``REFCNN_TEST_DEVICES=others``, which runs the tests of devices on the first of
each other kind and platform's name. Two versions of a driver are one of these.
The variable also takes a comma-separated list of ``reference``,
PLATFORM:DEVICE numbers or parts of names; ``REFCNN_TEST_SIZE``
(tiny, small or large) sets the extents of the cases, tiny being for
simulators; ``--hypothesis-profile`` is quick (the default), simulator, ci or long.
"""

import functools
import itertools
import os
import secrets
import shutil
import signal
import tempfile
import time
import types
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from refcnn import backend as backends
from refcnn.opencl.operations import relu
from refcnn.opencl.runtime import finding

_COMMON = {"deadline": None, "print_blob": True, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("quick", max_examples=25, **_COMMON)
settings.register_profile("ci", max_examples=60, **_COMMON)
settings.register_profile("simulator", max_examples=8, **_COMMON)
settings.register_profile("long", max_examples=10_000, **_COMMON)
settings.load_profile("quick")

#: What ``REFCNN_TEST_DEVICES`` is for the devices that are not tested as a rule, and what the tests of these take.
_OTHERS, _DEVICE_FIXTURES = "others", {"backend", "opencl_backend"}

# Where the tests run in the background of a shell, or under nohup, signals that they send would be ignored.
for _number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)

# A file that does not exist: what the user has tuned must not decide what is tested.
os.environ["REFCNN_TUNING"] = os.path.join(tempfile.gettempdir(), "refcnn-tests-are-not-tuned.json")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """Choose the seed of this run, so that the report's header can name it."""
    if config.getoption("hypothesis_seed", None) is None:
        config.option.hypothesis_seed = str(secrets.randbits(32))


def pytest_report_header(config):
    """Say how to repeat this run, and on which devices it runs."""
    named = [entry.id if hasattr(entry, "id") else entry for entry in _devices()]
    return [
        f"hypothesis: repeat with --hypothesis-seed={config.option.hypothesis_seed}",
        f"refcnn devices: {', '.join(named)}",
        *finding.remarks(),
    ]


def pytest_generate_tests(metafunc):
    """Run tests that take ``backend`` on the reference and the OpenCL devices, ``opencl_backend`` on the latter.

    Those that take ``page_backend`` do as those that take ``backend``, but on one OpenCL device at most: the many
    operations of a page have one kernel, which conformance meets on every device.
    """
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", _devices(), indirect=True, scope="session")
    if "page_backend" in metafunc.fixturenames:
        metafunc.parametrize("page_backend", _devices()[:2], indirect=True, scope="session")
    if "opencl_backend" in metafunc.fixturenames:
        devices = [device for device in _devices() if device != "reference"]
        metafunc.parametrize("opencl_backend", devices, indirect=True, scope="session")


def pytest_collection_modifyitems(config, items):
    """Leave out, where the other devices are tested, what does not take one; begin with what takes longest.

    A worker that came to the simulator's tests last would keep all others waiting.
    """
    items.sort(key=lambda item: "oclgrind" not in item.nodeid)
    if os.environ.get("REFCNN_TEST_DEVICES") == _OTHERS:
        takes = [bool(_DEVICE_FIXTURES & set(getattr(item, "fixturenames", ()))) for item in items]
        config.hook.pytest_deselected(items=[item for item, taken in zip(items, takes, strict=True) if not taken])
        items[:] = [item for item, taken in zip(items, takes, strict=True) if taken]


@pytest.fixture(scope="session")
def backend(request):
    """A backend to test: float32 on the reference, or an OpenCL device."""
    return backends.find(request.param)


@pytest.fixture(scope="session")
def page_backend(request):
    """As ``backend``, but for the reference and one OpenCL device."""
    return backends.find(request.param)


@pytest.fixture(scope="session")
def opencl_backend(request):
    """An OpenCL device to test."""
    return backends.find(request.param)


@pytest.fixture
def a_second_each_look(monkeypatch):
    """Let a second pass each time that a module looks at the clock; what runs beside it has the true one."""

    def of(module):
        seconds = itertools.count()
        stands = {**vars(time), "monotonic": lambda: next(seconds)}
        monkeypatch.setattr(module, "time", types.SimpleNamespace(**stands))

    return of


@pytest.fixture
def wrong_relu(monkeypatch):
    """Let OpenCL devices rectify wrongly, by more than float32 rounds; whichever is active while a file is traced."""
    right = relu.forward

    def forward(x):
        y, saved = right(x)
        device = backends.find(x.device.name)
        return device.array(device.to_host(y) * np.float32(1 + 2**-20)), saved

    monkeypatch.setattr(relu, "forward", forward)


@pytest.fixture
def inside(folder, monkeypatch):
    """What a module's ``folder`` gives, as the current folder and with the reference active."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    with backends.use_backend("reference"):
        yield folder


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    """Write a module to the folder where a command runs, as a user's own implementation lies there; give the folder."""

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        return tmp_path

    return write


@functools.cache
def _devices():
    devices = finding.usable()
    # Where there is a simulator alone it is none that is taken.
    taken = finding.best().name if any(not device.is_simulator for device in devices) else None
    present, kinds = {"reference": "reference"}, {"reference": "reference"}
    for device in sorted(devices, key=lambda device: device.name != taken):
        kinds.setdefault((device.platform_name, device.kind), device.name)
        present[device.name] = f"{device.name} {device.device_name} {device.platform_name} {device.platform_version}"
    chosen = _chosen(os.environ.get("REFCNN_TEST_DEVICES", ""), present, list(kinds.values()))
    if len(present) == 1 and chosen == ["reference"]:
        absent = pytest.mark.skip(reason="no OpenCL device is usable")
        chosen.append(pytest.param("opencl", marks=absent, id="opencl"))
    return chosen


def _chosen(named, present, kinds):
    """Return the names of the devices to test, of all and of the first of each kind, the one that is taken before."""
    if named == _OTHERS:
        return kinds[2:]
    wanted = [entry.strip() for entry in named.split(",") if entry.strip()]
    for entry in wanted:
        if not any(_fits(entry, name, text) for name, text in present.items()):
            raise pytest.UsageError(f"REFCNN_TEST_DEVICES names {entry!r}, but there are: {list(present.values())}.")
    return [name for name, text in present.items() if any(_fits(entry, name, text) for entry in wanted)] or kinds[:2]


def _fits(wanted, name, text):
    return name.endswith(f":{wanted}") if wanted.replace(":", "").isdecimal() else wanted.lower() in text.lower()


@pytest.fixture(scope="session")
def chromium():
    """Launch the system's Chromium, with arguments; all share one driver, of which a process can have no other."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no chromium, chromium-browser or google-chrome on the path: install one to test the pages in it")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'refcnn[browser]'")
    with playwright.sync_playwright() as driver:
        usual = ["--no-sandbox", "--disable-dev-shm-usage"]
        yield lambda *arguments: driver.chromium.launch(executable_path=path, args=[*usual, *arguments])


@pytest.fixture
def accessible():
    """Assert that axe-core finds nothing in a page that WCAG 2, levels A and AA, forbids."""
    folder = os.environ.get("REFCNN_TEST_NODE_MODULES")
    script = Path(folder or "node_modules") / "axe-core" / "axe.min.js"
    if not script.is_file():
        pytest.skip("no axe-core: 'npm install axe-core', and name its node_modules in REFCNN_TEST_NODE_MODULES")
    source = script.read_text(encoding="utf-8")

    def check(page):
        # Not as an element of the page, whose policy lets none but its own scripts run.
        page.evaluate(source)
        tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
        found = page.evaluate("tags => axe.run(document, {runOnly: {type: 'tag', values: tags}})", tags)
        assert found["passes"]
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]] == []

    return check
