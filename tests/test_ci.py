"""What CI runs, with programs of ours in place of all that it calls: which failures it tells, and what it leaves."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "run"

pytestmark = pytest.mark.skipif(
    shutil.which("bash") is None or not SCRIPT.exists(), reason="needs bash, and the script of a checkout"
)

#: Conformance in the simulator and on devices; each ends as a file of its name says, or waits to be ended.
REFCNN = """#!/usr/bin/env bash
case "$*" in
*"--device oclgrind"*) name=simulator;;
*"--device all"*) name=devices;;
*) exit 0;;
esac
echo $$ > "{folder}/$name.pid"
echo "the table of the $name"
[ -e "{folder}/$name.status" ] || exec sleep 60
exit "$(cat "{folder}/$name.status")"
"""


@pytest.fixture
def checkout(tmp_path):
    """A checkout whose commands are stand-ins; the tests are one that says that it ran."""
    for name in ("apt-get", "npm", "python", "ruff", "mypy", "oclgrind"):
        write(tmp_path / "bin" / name, "#!/bin/sh\n")
    write(tmp_path / "bin" / "refcnn", REFCNN.format(folder=tmp_path))
    write(tmp_path / "tools" / "environment.sh", "")
    write(tmp_path / "tools" / "test_versions", "#!/bin/sh\n")
    write(tmp_path / "tools" / "test", "#!/bin/sh\necho the tests ran\n")
    write(tmp_path / ".ci" / "run", SCRIPT.read_text())
    return tmp_path


def write(path, text):
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def started(checkout, **statuses):
    for name, status in statuses.items():
        (checkout / f"{name}.status").write_text(str(status))
    environment = {**os.environ, "PATH": f"{checkout / 'bin'}:{os.environ['PATH']}", "TMPDIR": str(checkout)}
    return subprocess.Popen(
        [checkout / ".ci" / "run"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def pid(checkout, name):
    file, end = checkout / f"{name}.pid", time.monotonic() + 30
    while not (file.exists() and file.read_text()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return int(file.read_text())


@pytest.mark.parametrize("simulator", [0, 1])
@pytest.mark.parametrize("devices", [0, 1])
def test_no_failure_hides_another(checkout, simulator, devices):
    process = started(checkout, simulator=simulator, devices=devices)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == (simulator or devices)
    failures = ["refcnn conform --device all --seed 1 --examples 25 --processes 2"] * devices + [
        "refcnn conform --device oclgrind"
    ] * simulator
    end = "".join(f"Failed: {name}\n" for name in failures) or "the tests ran\n"
    assert output.endswith(end), output
    assert "the table of the simulator" in output and "the table of the devices" in output


@pytest.mark.parametrize("ends", [signal.SIGTERM, signal.SIGHUP])
def test_nothing_goes_on_behind_it(checkout, ends):
    process = started(checkout)
    simulator, devices = pid(checkout, "simulator"), pid(checkout, "devices")
    process.send_signal(ends)
    # The shell ends when the command in hand does.
    os.kill(devices, signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 128 + ends
    with pytest.raises(ProcessLookupError):
        os.kill(simulator, 0)
    assert not list(checkout.glob("tmp.*"))


def test_a_step_that_fails_before_ends_what_runs_beside(checkout):
    write(
        checkout / "bin" / "python",
        f"#!/bin/sh\nuntil [ -s {checkout}/simulator.pid ]; do sleep 0.01; done\nkill $PPID\n",
    )
    process = started(checkout, devices=0)
    process.communicate(timeout=60)
    assert process.returncode == 143
    with pytest.raises(ProcessLookupError):
        os.kill(pid(checkout, "simulator"), 0)
