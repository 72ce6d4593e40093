"""``refcnn conform``: verdicts on implementations that are right, wrong, broken, that crash and that hang."""

import functools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, Phase, given, settings

from refcnn.cli import main
from refcnn.conformance.bundles import case_file
from refcnn.conformance.judging import comparison, judge
from refcnn.conformance.reports import html
from refcnn.conformance.reports.results import BINS, DeviceReport, Failure, Report, Row
from refcnn.conformance.running import coverage, runner, saving, testing
from refcnn.conformance.running.job import Job
from refcnn.conformance.subjects import base, oclgrind
from refcnn.conformance.subjects import finding as subjects
from refcnn.conformance.theory.strategies import Case
from refcnn.errors import BackendError, FileWriteError
from refcnn.opencl.runtime import finding
from refcnn.opencl.runtime.kernels import kernel_folder

FAULTS = '''
import os
import signal
import sys
import time

import numpy as np

from refcnn.conformance.running import faults
from refcnn.reference import conv2d as convolution, dense as fully_connected, max_pool2d as pooling

# One of each row will do.
faults.MOST = 1


class Wrong:
    """Faults that answers show."""

    name = "Wrong 1.0"

    def conv2d(self, x, w, b, *, stride, **attributes):
        # The vertical stride in place of the horizontal one.
        y = convolution.forward(x, w, b, stride=stride, **attributes)[0]
        if x.ndim != 4:
            return y
        other = convolution.forward(x, w, b, stride=(stride[0], stride[0]), **attributes)[0]
        other = other[..., : y.shape[3]]
        y[..., : other.shape[3]] = other
        return y

    def dense(self, x, w, b):
        return fully_connected.forward(x, w, None)[0]

    def relu(self, x):
        return np.maximum(x, 0) * np.float32(1 + 2**-12)

    def relu_backward(self, dy, x):
        return (np.where(x > 0, dy, 0).astype(np.float32),)

    def softmax(self, x, axis):
        e = np.exp(x.astype(np.float64) - x.max(axis=axis, keepdims=True))
        return e / e.sum(axis=axis, keepdims=True)

    def add(self, a, b):
        return (a + b)[..., None]

    def add_backward(self, dy, a, b):
        return dy

    def dropout(self, x, *, ratio, seed, stream, first):
        raise ValueError("dropout was left out")

    def sgd(self, w, g, v, *, lr, momentum, nesterov):
        w += 1  # What it is given is its own.
        return w - 1, v


class Deadly:
    """Faults that end a process, or never end."""

    def relu(self, x):
        if x.size > 1:
            print("about to fall", flush=True)
            os.write(2, b"the driver says: bus error\\n")
            os.kill(os.getpid(), signal.SIGKILL)
        return np.where(x <= 0, np.float32(0), x)

    def relu_backward(self, dy, x):
        time.sleep(1000)

    def add(self, a, b):
        return a + b

    def dense(self, x, w, b):
        sys.exit(7)

    def max_pool2d(self, x, *, stride, **attributes):
        if stride[0] != stride[1]:
            os._exit(3)
        return pooling.forward(x, stride=stride, **attributes)[0]

    def conv2d(self, x, w, b, *, groups, **attributes):
        while groups > 1:
            time.sleep(1)
        return convolution.forward(x, w, b, groups=groups, **attributes)[0]


wrong, deadly = Wrong(), Deadly()
'''


@pytest.fixture
def faults(own_module):
    """A module of faulty implementations; its folder."""
    return own_module("faulty", FAULTS)


def run(*arguments):
    return CliRunner().invoke(main, ["conform", *map(str, arguments)])


def rows_of(folder):
    (device,) = Report.load(folder / "report.json").devices
    return {(row.operation, row.direction): row for row in device.rows}


def failing_case(folder, row):
    return case_file.read_case(folder / row.failure.bundle)[3]


def test_reference_conforms(tmp_path):
    done = run(
        "--device",
        "reference",
        "--operation",
        "relu",
        "--operation",
        "sgd",
        "--seed",
        7,
        "--examples",
        20,
        "--report",
        tmp_path / "report",
    )
    assert done.exit_code == 0, done.output
    assert "seed 7, 20 cases" in done.output
    assert "All conform." in done.output
    report = Report.load(tmp_path / "report" / "report.json")
    assert report.conforms
    assert (report.seed, report.examples, report.profile) == (7, 20, "quick")
    rows = rows_of(tmp_path / "report")
    assert set(rows) == {("relu", "forward"), ("relu", "backward"), ("sgd", "forward")}
    sgd = rows["sgd", "forward"]
    assert sgd.cases == 20
    assert 0 < sgd.worst_ratio <= 1
    assert sum(sgd.histogram) > 20
    assert sgd.histogram[BINS] == 0
    assert sgd.coverage["both signs"] > 0
    assert rows["relu", "forward"].worst_ulp == 0
    assert (tmp_path / "report" / "report.html").is_file()


DEEP = "[" * 100_000


@pytest.mark.parametrize("text", [DEEP, "{}", '{"schema": NaN}', '{"schema": 1, "seed": 1e999}', "[1e400]"])
def test_a_report_that_cannot_be_read_is_no_verdict(tmp_path, text):
    (tmp_path / "report.json").write_text(text)
    done = run("--merge", tmp_path / "report.json", "--report", tmp_path / "page")
    assert done.exit_code == 2 and "report.json" in done.stderr, done.output


@pytest.mark.parametrize("text", [f"fault = {DEEP}", "[[fault]]\nid = nan", "fault = 1979-05-27", "\0"])
def test_known_faults_that_cannot_be_read_are_no_verdict(tmp_path, monkeypatch, text):
    (tmp_path / "faults.toml").write_text(text)
    monkeypatch.setenv("REFCNN_KNOWN_FAULTS", str(tmp_path / "faults.toml"))
    done = run("--device", "reference", "--operation", "relu", "--examples", 1)
    assert done.exit_code == 2 and "faults.toml" in done.stderr, done.output


@pytest.mark.parametrize("name", ["padding", "stride", "dilation", "groups"])
@pytest.mark.parametrize("value", [20_000, 10**6, 10**300, -1, 2.5, None])
def test_a_case_of_absurd_size_is_no_verdict(tmp_path, name, value):
    attributes = {"stride": (1, 1), "padding": (0, 0, 0, 0), "dilation": (1, 1), "groups": 1}
    attributes[name] = value if name == "groups" else (value,) * len(attributes[name])
    case = Case((np.ones((1, 1, 4, 4), np.float32), np.ones((1, 1, 3, 3), np.float32), None), attributes)
    case_file.write_case(tmp_path / "case.npz", "conv2d", "forward", None, case)
    done = run("--device", "reference", "--repro", tmp_path / "case.npz")
    if name == "stride" and value in (20_000, 10**6):
        # One pixel is left.
        assert done.exit_code == 0, done.output
    else:
        assert done.exit_code == 2 and "case.npz" in done.stderr, done.output


@pytest.mark.parametrize("name", ["padding", "stride", "dilation", "output_padding"])
@pytest.mark.parametrize("value", [20_000, 10**300, None])
def test_a_case_that_grows_absurdly_is_no_verdict(tmp_path, name, value):
    attributes = {"stride": (1, 1), "padding": (0,) * 4, "output_padding": (0, 0), "dilation": (1, 1), "groups": 1}
    attributes[name] = (value,) * len(attributes[name])
    case = Case((np.ones((1, 1, 4, 4), np.float32), np.ones((1, 1, 3, 3), np.float32), None), attributes)
    case_file.write_case(tmp_path / "case.npz", "conv_transpose2d", "forward", None, case)
    done = run("--device", "reference", "--repro", tmp_path / "case.npz")
    assert done.exit_code == 2 and "case.npz" in done.stderr, done.output


def test_a_fault_of_refcnn_itself_is_no_verdict(monkeypatch):
    def fails(*_):
        raise RecursionError("too deep")

    monkeypatch.setattr(runner, "run", fails)
    done = run("--device", "reference")
    assert done.exit_code == 2 and "fault of refcnn" in done.stderr and "too deep" in done.stderr, done.output
    assert "Traceback" not in done.output
    monkeypatch.setenv("REFCNN_TRACEBACK", "1")
    done = run("--device", "reference")
    assert done.exit_code == 2 and "Traceback" in done.stderr and "in fails" in done.stderr


def test_a_run_that_is_stopped_is_no_verdict(monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run", stopped)
    assert run("--device", "reference").exit_code == 130


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
@pytest.mark.parametrize(("closed", "status"), [("2>&-", 0), ("<&- >&- 2>&-", 0), (">/dev/full", 2)])
def test_streams_that_cannot_be_written_are_no_verdict(tmp_path, closed, status):
    if "/dev/full" in closed and not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    conform = [sys.executable, "-m", "refcnn", "conform", "--device", "reference", "--operation", "relu"]
    command = ["sh", "-c", f'"$@" --examples 2 --report {tmp_path / "report"} {closed}', "sh", *conform]
    assert subprocess.run(command, timeout=120).returncode == status
    if not status:
        assert Report.load(tmp_path / "report" / "report.json").conforms


def test_same_seed_same_cases(tmp_path):
    for name in ("first", "second"):
        run(
            "--device",
            "reference",
            "--operation",
            "softmax",
            "--seed",
            11,
            "--examples",
            15,
            "--report",
            tmp_path / name,
        )
    first, second = (rows_of(tmp_path / name) for name in ("first", "second"))
    for key, row in first.items():
        assert (row.worst_ratio, row.coverage, row.histogram) == (
            second[key].worst_ratio,
            second[key].coverage,
            second[key].histogram,
        )


def test_wrong_answers_are_found_and_shrunk(faults):
    done = run("--device", "faulty:wrong", "--seed", 1, "--report", "report")
    assert done.exit_code == 1, done.output
    failing = "add.forward, add.backward, conv2d.forward, dense.forward, dropout.forward, relu.forward, sgd.forward"
    assert done.output.splitlines()[-1] == f"Not conforming: faulty:wrong ({failing}, softmax.forward)."
    rows = rows_of(faults / "report")
    verdicts = {f"{operation}.{direction}": row.verdict for (operation, direction), row in rows.items()}
    assert {name: verdict for name, verdict in verdicts.items() if verdict != "not offered"} == {
        "add.forward": "wrong",
        "add.backward": "wrong",
        "conv2d.forward": "wrong",
        "dense.forward": "wrong",
        "dropout.forward": "failed",
        "relu.forward": "wrong",
        "relu.backward": "conforms",
        "sgd.forward": "wrong",
        "softmax.forward": "wrong",
    }
    x, w, _ = failing_case(faults / "report", rows["conv2d", "forward"]).inputs
    assert x.size <= 6
    assert w.size <= 4
    assert rows["conv2d", "forward"].failure.case["attributes"]["stride"] in ([1, 2], [2, 1])
    x, w, b = failing_case(faults / "report", rows["dense", "forward"]).inputs
    assert (x.size, w.size, b.size) == (1, 1, 1)
    assert failing_case(faults / "report", rows["relu", "forward"]).inputs[0].size == 1
    assert rows["relu", "forward"].worst_ulp >= 2**11
    assert "float64 of shape" in rows["softmax", "forward"].failure.message
    assert "(1, 1)" in rows["add", "forward"].failure.message
    assert "a tuple of 2 arrays is needed" in rows["add", "backward"].failure.message
    message = rows["dropout", "forward"].failure.message
    assert "dropout was left out" in message
    assert "faulty.py" in message


def test_crashes_and_hangs_are_results(faults, monkeypatch):
    # The test below is of shrinking, each step of which starts a process.
    monkeypatch.setattr(testing, "_SHRINKING_LIMIT", 1)
    done = run(
        "--device",
        "faulty:deadly",
        "--device",
        "reference",
        "--seed",
        1,
        "--examples",
        20,
        "--case-limit",
        0.5,
        "--operation",
        "relu",
        "--operation",
        "add",
        "--operation",
        "dense",
        "--report",
        "report",
    )
    assert done.exit_code == 1, done.output
    deadly, reference = Report.load(faults / "report" / "report.json").devices
    assert reference.conforms
    rows = {(row.operation, row.direction): row for row in deadly.rows}
    crashed, hung, left = rows["relu", "forward"], rows["relu", "backward"], rows["dense", "forward"]
    assert crashed.verdict == "crashed"
    assert "SIGKILL" in crashed.failure.message
    assert "the driver says: bus error" in crashed.failure.message
    # Both what killed the process and what never came back are on the disk.
    assert failing_case(faults / "report", crashed).inputs[0].size > 1
    assert crashed.cases > 1
    assert hung.verdict == "hung"
    assert failing_case(faults / "report", hung).dy is not None
    # What tries to leave is held back and told on; what comes after a crash runs.
    assert left.verdict in ("failed", "crashed")
    assert rows["add", "forward"].verdict == "conforms"
    assert rows["add", "backward"].verdict == "not offered"


@pytest.mark.parametrize(
    ("operation", "verdict", "ending"), [("max_pool2d", "crashed", "exit status 3"), ("conv2d", "hung", "nothing came")]
)
def test_what_ends_a_process_is_shrunk_and_saved(faults, monkeypatch, operation, verdict, ending):
    if verdict == "hung":
        # Each step costs the patience with it.
        monkeypatch.setattr(testing, "_SHRINKING_LIMIT", 3)
    done = run(
        "--device",
        "faulty:deadly",
        "--operation",
        operation,
        "--seed",
        1,
        "--examples",
        40,
        "--case-limit",
        0.5,
        "--report",
        "report",
    )
    assert done.exit_code == 1, done.output
    row = rows_of(faults / "report")[operation, "forward"]
    assert row.verdict == verdict
    assert ending in row.failure.message
    case = failing_case(faults / "report", row)
    if verdict == "hung":
        assert case.attributes["groups"] > 1
    else:
        assert sorted(case.attributes["stride"]) == [1, 2]
        assert case.inputs[0].size <= 2
    assert row.failure.case["attributes"]["stride"] == list(case.attributes["stride"])
    again = run(
        "--device",
        "faulty:deadly",
        "--device",
        "reference",
        "--repro",
        faults / "report" / row.failure.bundle,
        "--case-limit",
        0.5,
    )
    assert again.exit_code == 1, again.output
    assert f"Not conforming: faulty:deadly ({operation}.forward)." in again.output


def test_saved_case_runs_again(faults):
    run("--device", "faulty:wrong", "--seed", 1, "--operation", "dense", "--report", "report")
    (bundle,) = (faults / "report").glob("*dense-forward*")
    done = run("--device", "faulty:wrong", "--device", "reference", "--repro", bundle)
    assert done.exit_code == 1
    assert "Not conforming: faulty:wrong (dense.forward)." in done.output
    assert run("--device", "reference", "--repro", bundle).exit_code == 0
    (bundle / "arrays.npz").unlink()
    done = run("--device", "reference", "--repro", bundle)
    assert done.exit_code == 2
    assert "arrays.npz" in done.output


def test_what_fails_stands_at_the_end_of_the_output(faults):
    """A log keeps its end, where tables of many devices are cut off."""
    arguments = ("--operation", "relu", "--operation", "dense", "--examples", 5, "--seed", 1)
    done = run("--device", "faulty:wrong", "--device", "reference", *arguments)
    assert done.exit_code == 1, done.output
    table, _, end = done.output.partition("\nrelu.forward on faulty:wrong: wrong\n")
    assert "reference: " in table and "dense.backward" in table
    assert "dense.forward on faulty:wrong: wrong" in end
    assert end.endswith("\nNot conforming: faulty:wrong (relu.forward, dense.forward).\n")


def test_an_interrupted_run_tells_what_it_found(monkeypatch):
    def stopped(specifications, options, progress, ranks):
        row = Row("relu", "forward", verdict="wrong", failure=Failure("off by one"))
        progress.device_begins("reference", [("relu", "forward", None)])
        progress.device_ends(DeviceReport("reference", "NumPy", rows=[row]))
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run", stopped)
    done = run("--device", "reference")
    assert done.exit_code == 130
    assert "relu.forward on reference: wrong\n  off by one" in done.output


ROUGH = """
import numpy as np


def dense(x, w, b):
    return x @ w * np.float32(1 + 2**-23)
"""


@pytest.mark.parametrize(("integers", "status"), [(True, 1), (False, 0)])
def test_a_case_that_was_drawn_of_integers_is_judged_as_such_when_it_runs_again(own_module, integers, status):
    """Scaled ones too, whose answer is off by less than the bound of so many products."""
    own_module("rough", ROUGH)
    x = np.full((1, 64), 2.0**-10, np.float32)
    case = Case((x, np.ones((64, 1), np.float32), None), {}, np.ones((1, 1), np.float32), integers)
    case_file.write_case("case.npz", "dense", "forward", None, case)
    done = run("--device", "rough:", "--repro", "case.npz")
    assert done.exit_code == status, done.output


@pytest.mark.parametrize(
    ("device", "verdict", "words"), [("wrong", "wrong", "elements are wrong"), ("deadly", "crashed", "SIGKILL")]
)
def test_a_bundle_that_cannot_be_saved_changes_no_verdict(faults, monkeypatch, device, verdict, words):
    monkeypatch.setattr(testing, "_SHRINKING_LIMIT", 1)
    (faults / "report").mkdir()
    (faults / "report" / f"faulty-{device}-00-relu-forward").write_text("not a bundle")
    (faults / "report" / f"faulty-{device}-01-relu-backward").write_text("not a bundle")
    done = run(
        "--device",
        f"faulty:{device}",
        "--operation",
        "relu",
        "--seed",
        1,
        "--examples",
        20,
        "--case-limit",
        # One of its directions hangs; the other implementation has time, on machines that are busy too.
        0.5 if device == "deadly" else 60,
        "--report",
        "report",
    )
    assert done.exit_code == 1, done.output
    row = rows_of(faults / "report")["relu", "forward"]
    assert (row.verdict, row.failure.bundle) == (verdict, None)
    assert row.cases > 0 and row.failure.case["inputs"]
    assert verdict == "crashed" or sum(row.histogram) > 0 and row.coverage
    assert words in row.failure.message
    assert "\nthe bundle could not be saved: " in row.failure.message
    assert "something else stands there" in row.failure.message


def test_a_bundle_is_saved_without_launches_that_cannot_be_recorded(tmp_path):
    class Broken(base.Unavailable):
        device = "no device"

    case = Case((np.ones((1, 1), np.float32),), {}, np.ones((1, 1), np.float32))
    job = Job("relu", "forward", None, 1, 1, (), "", bundle=str(tmp_path / "bundle"))
    saving.save_bundle(job, case, Broken("broken"), "off by 3")
    assert case_file.read_case(tmp_path / "bundle")[0] == "relu"
    message = json.loads((tmp_path / "bundle" / "case.json").read_text())["message"]
    assert message.startswith("off by 3\nThe launches could not be recorded: ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--device", "abacus"], ["'abacus'", "reference", "MODULE:OBJECT"]),
        (["--device", "opencl:99:0"], ["opencl:99:0"]),
        (["--device", "onnxruntime:Abacus"], ["'Abacus'", "CPUExecutionProvider"]),
        (["--device", "no_such_module:thing"], ["no_such_module"]),
        (["--device", "refcnn.conformance:thing"], ["thing"]),
        (["--device", "reference", "--operation", "abacus"], ["'abacus'", "conv2d", "softmax"]),
        (["--device", "reference", "--variant", "abacus"], ["'abacus'", "gpu", "cpu+relu", "chosen"]),
        (["--device", "reference", "--repro", "nowhere.npz"], ["nowhere.npz"]),
        (["--device", "reference", "--examples", "0"], ["--examples"]),
    ],
)
def test_could_not_run(arguments, words):
    done = run(*arguments)
    assert done.exit_code == 2, done.output
    assert all(word in done.output for word in words), done.output
    assert "Traceback" not in done.output


def test_report_folder_is_tried_before_the_run(tmp_path):
    (tmp_path / "file").write_text("")
    done = run("--device", "reference", "--report", tmp_path / "file" / "report")
    assert done.exit_code == 2
    assert "cases" not in done.output


def test_implementation_that_cannot_be_imported_in_the_worker(faults, monkeypatch):
    """What the command can import may fail in its process: the device's error, and the run goes on."""
    text = "import os\nif os.environ.get('MOODY'):\n    os._exit(3)\nimplementation = object()\n"
    (faults / "moody.py").write_text(text)
    subjects.find("moody:implementation")
    monkeypatch.setenv("MOODY", "1")
    report = runner.run(["moody:implementation", "reference"], runner.Options("quick", 2, 1, operations=("relu",)))
    assert "exit status 3" in report.devices[0].error
    assert report.devices[1].conforms
    assert not report.conforms


def save(path, operation, *inputs, direction="forward", dy=None, **attributes):
    case = Case(tuple(np.ones(shape, np.float32) for shape in inputs), attributes, dy and np.ones(dy, np.float32))
    case_file.write_case(path, operation, direction, None, case)


def test_where_nothing_is_tested_nothing_conforms(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "misspelt.py").write_text("def conv_2d(x, w, b, **attributes):\n    pass\n")
    done = run("--device", "misspelt:", "--operation", "conv2d", "--report", "report")
    assert done.exit_code == 2, done.output
    assert "Nothing was tested on misspelt:" in done.output and "conv2d, conv2d_backward." in done.output
    assert "onform." not in done.output
    assert not Report.load(tmp_path / "report" / "report.json").conforms
    done = run("--device", "misspelt:", "--device", "reference", "--operation", "relu", "--examples", 1)
    assert done.exit_code == 2, done.output
    assert "All others conform." in done.output


def test_only_a_device_that_is_named_must_offer_what_is_asked(tmp_path, monkeypatch):
    provider = "onnxruntime:CPUExecutionProvider"
    asked = ["--operation", "adam", "--examples", 1]
    done = run("--device", provider, *asked)
    assert done.exit_code == 2, done.output
    assert f"Nothing was tested on {provider}, which does not offer adam.forward." in done.output
    save(tmp_path / "case.npz", "relu", (2, 3), direction="backward", dy=(2, 3))
    done = run("--device", provider, "--repro", tmp_path / "case.npz")
    assert done.exit_code == 2, done.output
    monkeypatch.setattr(subjects, "_everything", lambda: ["reference", provider])
    for arguments in (asked, ["--device", "all", "--repro", tmp_path / "case.npz"]):
        done = run(*arguments)
        assert done.exit_code == 0, done.output
        assert "All others conform." in done.output
    assert run("--device", "all", "--device", "onnxruntime", *asked).exit_code == 2
    monkeypatch.setattr(subjects, "_everything", lambda: [provider])
    assert run(*asked).exit_code == 2


def test_a_fault_weighs_more_than_what_was_not_tested(faults):
    done = run("--device", "faulty:wrong", "--device", "onnxruntime", "--operation", "sgd", "--seed", 1)
    assert done.exit_code == 1, done.output


@pytest.mark.parametrize(
    ("operation", "case", "words"),
    [
        ("frobnicate", {}, ["no such operation", "conv2d", "softmax"]),
        ("sgd", {"direction": "backward", "dy": (2, 3)}, ["sgd backward", "no such direction"]),
        ("dense", {}, ["no case of dense.forward", "TypeError"]),
        ("dense", {"inputs": [(2, 3), (5, 2), (1, 2)]}, ["no case of dense.forward", "ValueError"]),
        ("relu", {"axis": 1}, ["no case of relu.forward", "axis"]),
        ("relu", {"direction": "backward"}, ["no case of relu.backward"]),
        ("relu", {"direction": "backward", "dy": (1, 3)}, ["dy has the shape (1, 3)", "(2, 3)"]),
    ],
)
def test_a_case_that_no_device_could_run_is_none_of_theirs(tmp_path, operation, case, words):
    save(tmp_path / "case.npz", operation, *case.pop("inputs", [(2, 3)]), **case)
    done = run("--device", "reference", "--repro", tmp_path / "case.npz")
    assert done.exit_code == 2, done.output
    assert all(word in done.output for word in words), done.output


@functools.cache
def drawn(operation):
    """Return a few cases of an operation, the same ones to each test that looks at what is drawn."""
    cases = []

    @settings(max_examples=15, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(judge.conformance(operation).cases("tiny"))
    def draw(case):
        cases.append(case)

    draw()
    return cases


@pytest.mark.parametrize("operation", base.operations())
def test_every_case_that_is_drawn_can_be_run_again(tmp_path, operation):
    for case in drawn(operation):
        # What has no floats has no gradient.
        for direction in base.directions(operation) if case.dy is not None else ("forward",):
            case_file.write_case(tmp_path / "case.npz", operation, direction, None, case)
            assert runner.saved_case(tmp_path / "case.npz")[:2] == (operation, direction)


def test_a_report_that_cannot_be_saved_at_the_end(faults, monkeypatch):
    def fail(*arguments):
        raise FileWriteError("the disk is full")

    monkeypatch.setattr(html, "render", fail)
    for device, status, words in (("reference", 2, "All conform."), ("faulty:wrong", 1, "Not conforming: ")):
        done = run("--device", device, "--operation", "relu", "--seed", 1, "--examples", 5, "--report", "report")
        assert done.exit_code == status, done.output
        assert words in done.output and "Error: the disk is full" in done.output


def test_a_device_that_cannot_be_started_again_shows_what_ran(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    text = (
        "import os, pathlib\n\nif pathlib.Path('gone').exists():\n    raise RuntimeError('it is gone')\n\n\n"
        "def add(a, b):\n    return a + b\n\n\n"
        "def relu(x):\n    pathlib.Path('gone').touch()\n    os._exit(3)\n"
    )
    (tmp_path / "leaving.py").write_text(text)
    done = run("--device", "leaving:", "--operation", "add", "--operation", "relu", "--examples", 3)
    assert done.exit_code == 1, done.output
    table, _, rest = done.output.partition("leaving: could not be tested any further: ")
    assert "add.forward" in table and "conforms" in table and "exit status 3" in table
    assert "RuntimeError: it is gone" in rest


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("import ctypes\nctypes.CDLL('/nowhere/lib.so')", "OSError: /nowhere/lib.so"),
        ("def relu(x) return x", "SyntaxError: "),
        ("relu = rleu", "NameError: name 'rleu'"),
        ("import sys\nsys.exit('give --licence')", "SystemExit: give --licence"),
        ("import sys\nsys.exit(0)", "SystemExit: 0"),
    ],
)
def test_a_module_that_fails_on_import_is_said(faults, text, words):
    name = f"module_{abs(hash(text))}"
    (faults / f"{name}.py").write_text(text)
    done = run("--device", f"{name}:", "--operation", "relu")
    assert done.exit_code == 2, done.output
    assert f"the device {name}: cannot be loaded: {words}" in done.output
    assert "Traceback" not in done.output


def test_what_a_module_prints_is_kept_out_of_the_output(faults):
    (faults / "talking.py").write_text("print('welcome')\nfrom faulty import wrong\n")
    done = run("--device", "talking:wrong", "--operation", "relu", "--examples", 2)
    assert "welcome" not in done.stdout and "relu.forward" in done.stdout


def test_any_time_may_be_waited():
    arguments = ["--device", "reference", "--operation", "sgd", "--examples", 1]
    assert run(*arguments, "--case-limit", "inf").exit_code == 0
    done = run(*arguments, "--case-limit", "nan")
    assert done.exit_code == 2 and "nan is no number of seconds" in done.output


@pytest.mark.parametrize(
    ("file", "right", "wrong", "operation", "largest"),
    [
        ("conv2d.cl", "row = i * s_h", "row = i * s_w", "conv2d", 2),
        ("dense.cl", "(has_bias ? b[o] : 0.0f)", "0.0f", "dense", 1),
        ("dense.cl", "* OUT + o] = sum;", "* OUT + o] = sum * 1.00024414f;", "dense", 1),
    ],
)
def test_fault_in_a_kernel_is_found_and_shrunk(tmp_path, monkeypatch, file, right, wrong, operation, largest):
    devices = [device for device in finding.usable() if not device.is_simulator]
    if not devices:
        pytest.skip("no OpenCL device was found")
    shutil.copytree(kernel_folder(), tmp_path / "kernels")
    text = (tmp_path / "kernels" / file).read_text()
    assert right in text
    (tmp_path / "kernels" / file).write_text(text.replace(right, wrong, 1))
    monkeypatch.setenv("REFCNN_KERNELS", str(tmp_path / "kernels"))
    done = run(
        "--device",
        devices[0].name,
        "--operation",
        operation,
        "--variant",
        "plain",
        "--seed",
        5,
        "--examples",
        40,
        "--report",
        tmp_path / "report",
    )
    assert done.exit_code == 1, done.output
    rows = rows_of(tmp_path / "report")
    row = rows[operation, "forward"]
    assert (row.verdict, row.variant) == ("wrong", "plain")
    assert rows[operation, "backward"].verdict == "conforms"
    assert failing_case(tmp_path / "report", row).inputs[0].size <= largest
    saved = tmp_path / "report" / row.failure.bundle / "kernels" / file
    assert saved.read_text() == (tmp_path / "kernels" / file).read_text()


@pytest.mark.parametrize(
    ("file", "right", "wrong", "operation", "direction"),
    [
        (
            "activation.cl",
            "return (x >= 0.0f ? 1.0f : e) / (1.0f + e);",
            "return 0.5f + 0.5f * tanh(0.5f * x);",
            "sigmoid",
            "forward",
        )
    ],
)
def test_fault_in_a_kernel_of_a_page_is_found_and_shrunk(
    tmp_path, monkeypatch, file, right, wrong, operation, direction
):
    devices = [device for device in finding.usable() if not device.is_simulator]
    if not devices:
        pytest.skip("no OpenCL device was found")
    shutil.copytree(kernel_folder(), tmp_path / "kernels")
    text = (tmp_path / "kernels" / file).read_text()
    assert right in text
    (tmp_path / "kernels" / file).write_text(text.replace(right, wrong, 1))
    monkeypatch.setenv("REFCNN_KERNELS", str(tmp_path / "kernels"))
    folder = tmp_path / "report"
    options = ("--device", devices[0].name, "--operation", operation, "--seed", 5, "--examples", 40)
    assert run(*options, "--report", folder).exit_code == 1
    row = rows_of(folder)[operation, direction]
    assert row.verdict == "wrong"
    # Of the numbers that a seed gives not the first need show it.
    assert all(entry.size <= 8 for entry in failing_case(folder, row).inputs)


def test_kernel_that_does_not_build(tmp_path, monkeypatch):
    devices = [device for device in finding.usable() if not device.is_simulator]
    if not devices:
        pytest.skip("no OpenCL device was found")
    shutil.copytree(kernel_folder(), tmp_path / "kernels")
    (tmp_path / "kernels" / "relu.cl").write_text("__kernel void relu_forward(nonsense)\n")
    monkeypatch.setenv("REFCNN_KERNELS", str(tmp_path / "kernels"))
    options = runner.Options("quick", 3, 1, operations=("relu", "add"), folder=tmp_path)
    rows = {row.name: row for row in runner.run([devices[0].name], options).devices[0].rows}
    assert rows["relu.forward"].verdict == "did not build"
    assert rows["add.forward (chosen)"].verdict == "conforms"
    bundle = tmp_path / rows["relu.forward"].failure.bundle
    alone = subprocess.run([sys.executable, "repro.py"], cwd=bundle, capture_output=True, text=True, timeout=300)
    assert alone.returncode == 1, alone.stdout
    assert "relu_forward of kernels/relu.cl" in alone.stdout


def test_variants(tmp_path):
    devices = [device for device in finding.usable() if not device.is_simulator]
    if not devices:
        pytest.skip("no OpenCL device was found")
    subject = subjects.find(devices[0].name)
    options = runner.Options("quick", 2, 1, operations=("conv2d", "relu"))
    rows = [("conv2d", "forward", "chosen"), ("conv2d", "forward", "chosen+relu"), ("relu", "forward", None)]
    assert set(rows) < set(runner.plan(subject, options))
    assert all(row[2] is None or row[2].startswith("chosen") for row in runner.plan(subject, options))
    planned = {row[2] for row in runner.plan(subject, runner.Options("standard", 2, 1, operations=("conv2d", "relu")))}
    assert planned >= {"chosen", "cpu", "gpu", "plain", "gpu+relu"}
    with pytest.raises(ValueError, match="reference"):
        subjects.find("reference", "gpu")


def test_a_fused_variant_runs_alone(tmp_path):
    devices = [device for device in finding.usable() if not device.is_simulator]
    if not devices:
        pytest.skip("no OpenCL device was found")
    done = run(
        "--device",
        devices[0].name,
        "--operation",
        "dense",
        "--variant",
        "cpu+relu",
        "--seed",
        1,
        "--examples",
        3,
        "--report",
        tmp_path,
    )
    assert done.exit_code == 0, done.output
    assert {row.variant for row in rows_of(tmp_path).values()} == {"cpu+relu"}


def test_a_variant_that_there_is_not():
    done = run("--device", "reference", "--variant", "direct+rel")
    assert done.exit_code == 2
    assert "no variant 'direct+rel'" in done.output and "direct+relu, " in done.output


def test_every_device_once():
    names = subjects.expand(["reference", "all", "onnxruntime"])
    assert names[0] == "reference"
    assert len(names) == len(set(names))
    assert "onnxruntime:CPUExecutionProvider" in names
    with pytest.raises(BackendError, match="CPUExecutionProvider"):
        subjects.expand(["onnxruntime:abacus"])


def test_onnxruntime_conforms_where_onnx_can_say_it():
    options = runner.Options("quick", 15, 3, operations=("average_pool2d", "conv2d", "dense", "dropout"))
    (device,) = runner.run(["onnxruntime:CPUExecutionProvider"], options).devices
    verdicts = {row.name: row.verdict for row in device.rows}
    assert verdicts == {
        name: "conforms" if name in ("average_pool2d.forward", "conv2d.forward", "dense.forward") else "not offered"
        for name in verdicts
    }


def test_onnxruntime_has_known_faults():
    options = runner.Options("quick", 30, 3, operations=("sigmoid",))
    (device,) = runner.run(["onnxruntime:CPUExecutionProvider"], options).devices
    (row,) = (row for row in device.rows if row.direction == "forward")
    assert (row.verdict, row.failure.known) == ("known fault", "onnxruntime-sigmoid-cancels")


def reached(operation, case):
    return {edge for edge, is_reached in coverage.edges(operation, case).items() if is_reached}


@pytest.mark.parametrize("operation", base.operations())
def test_every_case_of_an_operation_could_reach_the_same_edges(operation):
    assert len({frozenset(coverage.edges(operation, case)) for case in drawn(operation)}) == 1


def test_edges_of_a_case():
    x, w = np.zeros((1, 4, 3, 5), np.float32), np.ones((4, 1, 3, 1), np.float32)
    attributes = {"stride": (1, 2), "padding": (0, 0, 0, 0), "dilation": (1, 1), "groups": 4}
    found = reached("conv2d", Case((x, w, None), attributes, np.ones((1, 4, 1, 3), np.float32)))
    expected = {
        "depthwise",
        "batch 1",
        "asymmetric stride",
        "stride larger than kernel",
        "no padding",
        "no bias",
        "plane one less than a vector",
    }
    assert expected <= found
    assert not {"every extent 1", "one group", "asymmetric padding", "NaN"} & found
    one = np.ones((1, 1, 1, 1), np.float32)
    attributes = {"stride": (1, 1), "padding": (0, 0, 0, 0), "dilation": (1, 1), "groups": 1}
    found = reached("conv2d", Case((one, one, None), attributes, one))
    assert {"every extent 1", "kernel as large as the padded image", "kernel 1 x 1", "one group"} <= found


def test_units_in_the_last_place():
    statistics = comparison.Statistics()
    exact = np.array([1.0, 3.0, 0.0, np.inf])
    computed = np.array([1 + 2**-23, 3 - 2**-22, 0, np.inf], np.float32)
    comparison.compare("", computed, exact, np.full(4, 2.0**-20), statistics=statistics)
    assert statistics.worst_ulp == 1
    assert statistics.worst_ratio == 0.25
    assert sum(statistics.histogram) == 4
    # 2^-23 of 2^-20 is an eighth, 2^-22 a quarter.
    assert statistics.histogram[0] == 2
    assert statistics.histogram[BINS // 8] == 1
    assert statistics.histogram[BINS // 4] == 1
    # What terms that cancelled leave has no digits to count.
    comparison.compare("", np.array([3e-8], np.float32), np.array([1e-8]), np.array([2.0**-20]), statistics=statistics)
    assert statistics.worst_ulp == 1


def test_report_is_of_its_schema(tmp_path):
    jsonschema = pytest.importorskip("jsonschema")
    options = runner.Options("quick", 3, 1, operations=("relu", "sgd"))
    report = runner.run(["reference", "onnxruntime:CPUExecutionProvider"], options)
    report.devices.append(DeviceReport("mine:functions", "mine", error="it did not start"))
    report.save(tmp_path / "report.json")
    schema = json.loads((Path(judge.__file__).parents[1] / "report.schema.json").read_text())
    jsonschema.validate(json.loads((tmp_path / "report.json").read_text()), schema)
    assert Report.load(tmp_path / "report.json") == report


def test_merge(tmp_path):
    for name in ("first", "second"):
        run("--device", "reference", "--operation", "relu", "--examples", 2, "--report", tmp_path / name)
    files = [tmp_path / name / "report.json" for name in ("first", "second")]
    done = run("--merge", *files, "--report", tmp_path / "all")
    assert done.exit_code == 0, done.output
    assert "relu" in (tmp_path / "all" / "merged.html").read_text()
    assert run("--merge", "--report", tmp_path / "all").exit_code == 2
    assert run("--merge", tmp_path / "nowhere.json", "--report", tmp_path / "all").exit_code == 2
    assert run(files[0]).exit_code == 2


@pytest.fixture
def relu_kernel(tmp_path, monkeypatch):
    """Put another relu.cl among the kernels: write(old, new)."""
    shutil.copytree(kernel_folder(), tmp_path / "kernels")
    path = tmp_path / "kernels" / "relu.cl"
    monkeypatch.setenv("REFCNN_KERNELS", str(path.parent))

    def write(old, new):
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return write


needs_oclgrind = pytest.mark.skipif(oclgrind.library() is None, reason="Oclgrind is not installed")


@needs_oclgrind
def test_what_oclgrind_reports_fails_though_the_answer_is_right(tmp_path, relu_kernel):
    relu_kernel("y[i] = ", "y[i] = x[i + 1] == 0.1f ? 7.0f : ")
    done = run(
        "--device",
        "oclgrind",
        "--operation",
        "relu",
        "--operation",
        "subtract",
        "--seed",
        1,
        "--examples",
        4,
        "--report",
        tmp_path / "report",
    )
    assert done.exit_code == 1, done.output
    (device,) = Report.load(tmp_path / "report" / "report.json").devices
    assert (device.specification, device.platform) == ("oclgrind", "Oclgrind")
    rows = {row.name: row for row in device.rows}
    assert {name: row.verdict for name, row in rows.items()} == {
        "relu.forward": "wrong",
        "relu.backward": "wrong",
        "subtract.forward": "conforms",
        "subtract.backward": "conforms",
    }
    row = rows["relu.forward"]
    assert "Invalid read of size 4" in row.failure.message
    assert "Kernel: relu_forward" in row.failure.message
    assert row.worst_ratio <= 1
    assert failing_case(tmp_path / "report", row).inputs[0].size == 1
    saved = tmp_path / "report" / row.failure.bundle
    assert "x[i + 1]" in (saved / "kernels" / "relu.cl").read_text()
    again = run("--device", "oclgrind", "--repro", saved)
    assert again.exit_code == 1, again.output
    assert "Invalid read of size 4" in again.output


@needs_oclgrind
def test_oclgrind_tries_every_variant_in_the_quick_profile():
    rows = runner.plan(subjects.find("oclgrind"), runner.Options("quick", 2, 1, operations=("conv2d", "relu")))
    assert {variant for _, _, variant in rows} >= {None, "chosen", "cpu", "gpu", "plain", "gpu+relu", "winograd_4x4"}


def test_oclgrind_that_is_not_installed_is_said(monkeypatch):
    monkeypatch.setattr(oclgrind, "library", lambda: None)
    done = run("--device", "oclgrind")
    assert done.exit_code == 2
    assert "Debian's and Ubuntu's package is oclgrind" in done.output
