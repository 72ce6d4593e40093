"""Devices that OpenCL lists and that do not compute: each is tried before it is offered, and passed over by name.

The devices are a stand-in at the edge of pyopencl (``tests/stand_in``), so that there are such on every machine; where
QEMU and PyPI's PoCL are installed, also that PoCL on a CPU which its compiler does not know.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from refcnn.conformance.reports.results import Report

STAND_IN = Path(__file__).parent / "stand_in"
PACKAGE = Path(__file__).parents[1]
UNKNOWN_CPU = "unknown target CPU 'generic'"

SMALL = """
import refcnn as rm

def model(image_shape, classes):
    return rm.Sequential([rm.Conv2d(channel=2, filter=3), rm.Flatten(), rm.Dense(classes)])
"""


@pytest.fixture
def run(tmp_path):
    """Run the command line, or a program, where the stand-ins are the only devices; give its completed process."""

    def run(*arguments, kinds, code="from refcnn.cli import main; main()", limit=30, **environment):
        code = f"from refcnn.opencl.runtime import trial; trial.LIMIT = {limit}; {code}"
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("REFCNN_", "POCL_", "PYOPENCL_"))
        }
        environment = (
            kept
            | {
                "PYTHONPATH": os.pathsep.join((str(STAND_IN), str(PACKAGE))),
                "REFCNN_STAND_IN": ",".join(kinds),
                "REFCNN_STAND_IN_LOG": str(run.log),
                "XDG_CACHE_HOME": str(tmp_path / "cache"),
            }
            | environment
        )
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=300,
            env=environment,
            cwd=tmp_path,
        )

    run.log = tmp_path / "builds.txt"
    return run


def builds(run):
    return run.log.read_text().splitlines() if run.log.exists() else []


def test_devices_tells_what_is_wrong_with_each(run):
    kinds = ("builds-nothing", "computes-wrongly", "crashes", "hangs", "has-no-context", "works")
    done = run("devices", kinds=kinds, limit=10)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    rows = {line.split("that ")[1].split()[0]: line for line in done.stdout.splitlines() if "  stand-in that " in line}
    assert set(rows) == set(kinds)
    assert {kind for kind, row in rows.items() if "unusable" in row} == set(kinds) - {"works"}
    assert [kind for kind, row in rows.items() if row.startswith("*")] == ["works"]
    for place, causes in enumerate(
        (
            ("builds nothing", UNKNOWN_CPU),
            ("computes wrongly", "35", "34"),
            ("ends the process", "SIGABRT"),
            ("hangs", "10 s"),
            ("context", "DEVICE_NOT_AVAILABLE"),
        )
    ):
        (line,) = (line for line in done.stdout.splitlines() if line.startswith(f"opencl:0:{place} is unusable"))
        assert all(cause in line for cause in causes), line
    # What OpenCL does not list is said too.
    assert "Stand-in without devices" in done.stdout and "DEVICE_NOT_FOUND" in done.stdout


def test_a_known_device_is_not_tried_again(run):
    kinds = ("builds-nothing", "works")
    first = run("devices", kinds=kinds)
    assert len(builds(run)) == 2
    second = run("devices", kinds=kinds)
    assert second.stdout == first.stdout and len(builds(run)) == 2
    third = run("devices", "--retry", kinds=kinds)
    assert third.stdout == first.stdout and len(builds(run)) == 4


def test_what_was_in_the_way_of_a_trial_is_not_kept(run, tmp_path):
    elsewhere = "trial.identity = lambda device: {}; from refcnn.cli import main; main()"
    done = run("devices", kinds=("works",), code=elsewhere)
    assert "unusable: cannot be tried" in done.stdout and "another device" in done.stdout
    trials = tmp_path / "cache" / "refcnn" / "trials"
    assert not trials.exists() or not any(trials.iterdir())


def test_another_environment_of_the_runtime_is_another_device(run):
    run("devices", kinds=("works",))
    run("devices", kinds=("works",), POCL_MAX_PTHREAD_COUNT="1")
    assert len(builds(run)) == 2


@pytest.mark.parametrize("obstacle", ["damaged", "another form", "a pipe", "old"])
def test_what_is_kept_is_not_trusted_blindly(run, obstacle, tmp_path):
    run("devices", kinds=("builds-nothing",))
    (kept,) = (tmp_path / "cache" / "refcnn" / "trials").iterdir()
    if obstacle == "damaged":
        kept.write_bytes(kept.read_bytes()[:-20])
    elif obstacle == "another form":
        kept.write_text(json.dumps({"problem": 3, "details": []}))
    elif obstacle == "a pipe":
        # Nobody writes to it.
        kept.unlink()
        os.mkfifo(kept)
    else:
        # What failed may be mended by now.
        os.utime(kept, (0, 0))
    done = run("devices", kinds=("builds-nothing",))
    assert len(builds(run)) == 2 and UNKNOWN_CPU in done.stdout


def test_without_a_cache_a_verdict_holds_for_the_process(run, tmp_path):
    (tmp_path / "file").write_text("")
    code = (
        "from refcnn.opencl.runtime import finding; "
        "print([finding.best().name, *map(len, (finding.usable(), finding.remarks()))])"
    )
    done = run(kinds=("builds-nothing", "works"), code=code, XDG_CACHE_HOME=str(tmp_path / "file"))
    assert done.stdout.strip() == "['opencl:0:1', 1, 1]", done.stderr
    assert len(builds(run)) == 2


def test_auto_passes_a_broken_device_over_with_one_line(run):
    code = "import refcnn as rm; print(rm.relu([-1.0, 2.0]).as_ndarray(), rm.backend.active().name)"
    done = run(kinds=("builds-nothing",), code=code)
    assert done.returncode == 0 and done.stdout.strip() == "[0. 2.] reference"
    (line,) = done.stderr.splitlines()
    assert "stand-in that builds-nothing" in line and UNKNOWN_CPU in line and "pip install" in line
    passed = run(kinds=("works", "builds-nothing"), code="from refcnn import backend; print(backend.find('auto').name)")
    assert passed.stdout.strip() == "opencl:0:0" and passed.stderr == ""
    first = run(kinds=("builds-nothing", "works"), code="from refcnn import backend; print(backend.find('auto').name)")
    assert first.stdout.strip() == "opencl:0:1"
    (line,) = first.stderr.splitlines()
    assert "opencl:0:0" in line and UNKNOWN_CPU in line


@pytest.mark.parametrize("named", ["auto", "reference"])
def test_training_proves_and_exports_where_every_device_is_broken(run, named, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", x=images, y=np.arange(40) % 2)
    (tmp_path / "small.py").write_text(SMALL)
    done = run(
        "train",
        "--model",
        "small:model",
        "--data",
        "data.npz",
        "--epochs",
        1,
        "--out",
        "run",
        "--backend",
        named,
        "--seed",
        1,
        kinds=("builds-nothing",),
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "model.onnx").exists()
    assert "proved on" in done.stdout and UNKNOWN_CPU in done.stdout
    assert done.stderr.count("no OpenCL device is usable") == (named == "auto")


def test_a_broken_device_that_is_named_is_an_error(run, tmp_path):
    done = run("train", "--backend", "opencl:0:0", "--out", "run", kinds=("builds-nothing",))
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "stand-in that builds-nothing" in done.stderr and UNKNOWN_CPU in done.stderr
    assert "refcnn devices" in done.stderr
    assert not (tmp_path / "run").exists()


def test_conform_names_broken_devices_and_judges_the_others(run, tmp_path):
    done = run(
        "conform",
        "--operation",
        "add",
        "--examples",
        3,
        "--seed",
        1,
        "--report",
        "report",
        "--device",
        "all",
        kinds=("builds-nothing", "computes-wrongly"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("unusable:") == 2 and UNKNOWN_CPU in done.stdout
    report = Report.load(tmp_path / "report" / "report.json")
    unusable = {device.specification: device for device in report.devices if device.unusable}
    assert set(unusable) == {"opencl:0:0", "opencl:0:1"}
    assert "builds nothing" in unusable["opencl:0:0"].unusable
    assert "computes wrongly" in unusable["opencl:0:1"].unusable
    assert not any(device.rows for device in unusable.values())
    assert [device.specification for device in report.devices if device.conforms][0] == "reference"
    assert "unusable, not tested" in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert not [path for path in (tmp_path / "report").iterdir() if path.is_dir()]


def test_conform_of_a_broken_device_that_is_named_is_one_finding(run, tmp_path):
    done = run(
        "conform",
        "--examples",
        3,
        "--seed",
        1,
        "--report",
        "report",
        "--device",
        "opencl:0:0",
        kinds=("builds-nothing",),
    )
    assert done.returncode == 1, done.stdout + done.stderr
    (device,) = Report.load(tmp_path / "report" / "report.json").devices
    (row,) = device.rows
    assert row.verdict == "did not build" and UNKNOWN_CPU in row.failure.message
    (bundle,) = [path for path in (tmp_path / "report").iterdir() if path.is_dir()]
    assert bundle.name == row.failure.bundle and (bundle / "case.json").exists()


@pytest.mark.parametrize("command", [("bench", "--quick", "--part", "networks"), ("tune", "--model", "lenet5")])
def test_what_is_measured_is_never_a_broken_device(run, command):
    done = run(*command, kinds=("builds-nothing", "crashes"))
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert UNKNOWN_CPU in done.stderr and "SIGABRT" in done.stderr
    assert "no OpenCL device is usable" in done.stderr


def test_what_is_passed_over_is_named_where_others_are_measured(run):
    code = "from refcnn.cli.bench import device_names; import sys; print(device_names(sys.argv[1:]))"
    done = run(kinds=("builds-nothing", "works"), code=code)
    assert done.stdout.strip() == "['opencl:0:1']"
    (line,) = done.stderr.splitlines()
    assert "opencl:0:0" in line and UNKNOWN_CPU in line
    assert run("opencl:0:1", kinds=("builds-nothing", "works"), code=code).stderr == ""


def test_the_tests_pass_a_broken_device_over(run):
    code = "import pytest, sys; sys.exit(pytest.main(sys.argv[1:]))"
    done = run(
        "-q",
        "-p",
        "no:cacheprovider",
        PACKAGE / "tests" / "operations" / "test_flatten.py",
        "--rootdir",
        PACKAGE,
        kinds=("builds-nothing",),
        code=code,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "no OpenCL device is usable" in done.stdout and " passed" in done.stdout


@pytest.mark.parametrize(("device", "outcome"), [("all", "skipped"), ("opencl:0:0", "failed")])
def test_pytests_plugin_has_one_test_for_a_broken_device(run, device, outcome, tmp_path):
    code = "import pytest, sys; sys.exit(pytest.main(sys.argv[1:]))"
    select = ["-k", "device"] if device == "all" else []
    done = run(
        "-rs",
        "-p",
        "no:cacheprovider",
        *select,
        "--pyargs",
        "refcnn.conformance",
        "--refcnn-device",
        device,
        kinds=("builds-nothing",),
        code=code,
    )
    assert done.returncode == (outcome == "failed"), done.stdout[-2000:]
    assert f"1 {outcome}" in done.stdout and UNKNOWN_CPU in done.stdout and " passed" not in done.stdout


@pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="QEMU's user emulation is not installed (qemu-user)")
@pytest.mark.skipif(importlib.util.find_spec("pocl_binary_distribution") is None, reason="PyPI's PoCL is not installed")
def test_pocl_on_a_cpu_that_its_compiler_does_not_know(tmp_path):
    """A processor of AMD's family 26 for PoCL 3.0, whose compiler is of 2022."""
    vendors = tmp_path / "no vendors"
    vendors.mkdir()
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    real = Path(sys.executable).resolve()
    python.write_text(f'#!/bin/sh\nexec qemu-x86_64 -cpu EPYC-Milan,family=26 -0 "$0" {real} "$@"\n')
    python.chmod(0o755)
    # As in a virtual environment, the processes that it starts are emulated too.
    (tmp_path / "pyvenv.cfg").write_text(f"home = {real.parent}\n")
    paths = [str(PACKAGE), *(entry for entry in sys.path if entry.endswith("site-packages"))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OCL_ICD_VENDORS": str(vendors)}
    environment |= {"XDG_CACHE_HOME": str(tmp_path / "cache"), "POCL_CACHE_DIR": str(tmp_path / "cache")}
    (tmp_path / "cache").mkdir()
    code = "import refcnn as rm; print(rm.relu([-1.0, 2.0]).as_ndarray(), rm.backend.active().name)"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[0. 2.] reference"
    (line,) = (line for line in done.stderr.splitlines() if "no OpenCL device is usable" in line)
    assert "pthread-" in line and f"builds nothing: error: {UNKNOWN_CPU}" in line
