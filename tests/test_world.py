"""The list of faults of others: its form, its replay, what changed since the last one, and its command."""

import dataclasses
import importlib.metadata
import json
import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from refcnn import errors
from refcnn.cli import main
from refcnn.cli import world as world_list
from refcnn.conformance.bundles.case_file import write_case
from refcnn.conformance.reports import results
from refcnn.conformance.running import checking, known_faults
from refcnn.conformance.running.job import Job
from refcnn.conformance.theory.strategies import Case
from refcnn.conformance.world import entries, outcomes, replaying, summary

HEAD = 'name = "some"\ndevice = "autograd"\npackage = "some"\nversion = "1.0"\n'
FAULT = """
[[fault]]
id = "some-relu"
kind = "wrong numbers"
title = "relu is 0"
by = "mathematics"
text = "It is not."
explicit = true
seen = "2026-11-26"
operation = "relu"
direction = "forward"
inputs = [{ float32 = [1, 2] }]
"""
LISTED = entries.load_all()
BY_FILE = {one.file: one for one in LISTED}
LAST = outcomes.load()


@pytest.fixture
def write(tmp_path):
    def written(text, name="some.toml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return written


def test_numbers_are_exact(write):
    arrays = 'inputs = [{ float32 = [0.1, "-0x1.8p-3", "0x1p-149", nan, -inf] }, { int64 = [[-9007199254740993]] }, {}]'
    text = FAULT.replace("inputs = [{ float32 = [1, 2] }]", arrays).replace("wrong numbers", "wrong special values")
    (fault,) = entries.load(write(HEAD + text + "attributes = { axes = [1, 2], roi = {}, alpha = 1.5 }")).faults
    x, indices, nothing = fault.case.inputs
    np.testing.assert_array_equal(x, np.array([0.1, -0.1875, 2.0**-149, np.nan, -np.inf], np.float32))
    assert x.dtype == np.float32 and indices.tolist() == [[-9007199254740993]] and nothing is None
    assert fault.case.attributes == {"axes": (1, 2), "roi": None, "alpha": 1.5} and fault.case.dy is None


@given(st.lists(st.floats(width=32), max_size=5))
def test_each_float32_can_be_written(values):
    texts = [repr(float(np.float32(value))) for value in values]
    found = entries._array({"float32": [float(text) for text in texts]})
    np.testing.assert_array_equal(found, np.array(values, np.float32))


HOSTILE = {
    "no TOML": "fault = [",
    "another field": HEAD + FAULT + "run = 'rm'\n",
    "another field above": HEAD + "code = 'x'\n" + FAULT,
    "no list of faults": HEAD + "fault = 3\n",
    "no table": HEAD + "fault = [3]\n",
    "a module": HEAD.replace("autograd", "os:path") + FAULT,
    "a kind that is none": HEAD + FAULT.replace("wrong numbers", "odd"),
    "a packager that is none": HEAD + 'packager = "npm"\n' + FAULT,
    "a range of no versions": HEAD + FAULT + 'last = "soon"\n',
    "a link that runs": HEAD + FAULT + 'link = "javascript:alert(1)"\n',
    "a kernel elsewhere": HEAD + FAULT + 'kernel = "../other.cl"\n',
    "no known fault": HEAD + FAULT + 'known = "nothing"\n',
    "another operation's": HEAD + FAULT + 'known = "onnxruntime-elu-cancels"\n',
    "not finite": HEAD + FAULT.replace("[1, 2]", "[nan]"),
    "ragged": HEAD + FAULT.replace("[1, 2]", "[[1], 2]"),
    "no number": HEAD + FAULT.replace("[1, 2]", '["__import__"]'),
    "a truth": HEAD + FAULT.replace("[1, 2]", "[true]"),
    "no float32": HEAD + FAULT.replace("[1, 2]", "[0.1000000001]"),
    "beyond float32": HEAD + FAULT.replace("[1, 2]", "[1e39]"),
    "beyond int32": HEAD + FAULT.replace("{ float32 = [1, 2] }", "{ int32 = [2147483648] }"),
    "no type": HEAD + FAULT.replace("float32", "object"),
    "two types": HEAD + FAULT.replace("{ float32 = [1, 2] }", "{ float32 = [1], int32 = [1] }"),
    "too many": HEAD + FAULT.replace("[1, 2]", f"[{'1, ' * 2000}]"),
    "too deep": HEAD + FAULT.replace("[1, 2]", "[" * 40 + "]" * 40),
    "far too deep": HEAD + FAULT.replace("[1, 2]", "[" * 4000 + "]" * 4000),
    "a day as attribute": HEAD + FAULT + "attributes = { alpha = 2026-01-01 }\n",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_no_list_is_refused(write, what):
    with pytest.raises(errors.DataError, match="some.toml"):
        entries.load(write(HOSTILE[what]))


def test_an_identifier_stands_once(write, tmp_path):
    write(HEAD + FAULT)
    write(HEAD + FAULT, "other.toml")
    with pytest.raises(errors.DataError, match="some-relu"):
        entries.load_all(tmp_path)


def test_the_list_is_large_and_what_it_counts_was_reproduced():
    overview = summary.Overview.of(LISTED, LAST, [])
    assert sum(len(one.faults) for one in overview.implementations) >= 25
    assert sum(bool(one.faults) for one in overview.implementations) >= 8
    missing = {entry.fault.id for one in overview.implementations for entry in one.missing}
    # It returns what stood in the memory, which is 0 by chance.
    assert missing <= {"tinygrad-convolution-never-set"}
    assert {one.id for one in LAST.outcomes.values()} == {fault.id for one in LISTED for fault in one.faults}


def known_of_onnxruntime(version):
    device = {"name": "CPUExecutionProvider", "driver": version}
    return {
        one.id
        for one in known_faults.load(known_faults.file())
        if one.concerns(device, one.operation, one.direction, one.variant)
    }


def test_what_is_known_of_the_versions_of_onnxruntime_is_listed():
    newest, oldest = BY_FILE["onnxruntime"], BY_FILE["onnxruntime-1.21"]
    assert {fault.known for fault in newest.faults} == known_of_onnxruntime(newest.version)
    mended = known_of_onnxruntime(oldest.version) - known_of_onnxruntime(newest.version)
    # It shows from opset 19 on, with which no operation is written by itself.
    assert {fault.known for fault in oldest.faults} == mended - {"onnxruntime-average-pool-padding-at-the-end"}


def test_the_versions_in_which_a_fault_shows_are_those_in_which_it_is_known():
    faults = [fault for name in ("onnxruntime", "onnxruntime-1.21") for fault in BY_FILE[name].faults]
    assert all(fault.first for fault in faults)
    for fault in faults:
        minor = int((fault.last or "1.32.0").split(".")[1])
        shows = {number for number in range(21, 33) if fault.known in known_of_onnxruntime(f"1.{number}.0")}
        assert shows == set(range(max(21, int(fault.first.split(".")[1])), minor + 1)), fault.id


def test_onnxruntime_multiplies_by_a_negative_alpha(tmp_path):
    """Of which the list of known faults once said otherwise; the entry of digits that cancel hid that it was not so."""
    case = Case((np.array([-1, -2, 0, 1, -np.inf], np.float32),), {"alpha": -0.5, "gamma": 1.0})
    write_case(tmp_path / "case.npz", "selu", "forward", None, case)
    path = str(tmp_path / "case.npz")
    job = Job("selu", "forward", None, 1, 0, ("small",), path, case=path)
    row = checking.Run("onnxruntime", job, lambda message: None).run()
    assert row.verdict == "conforms", row.failure


def test_the_swish_of_half_a_number_is_as_far_off_as_is_known(tmp_path):
    """The sigmoid of -16.9 is too large by 1.3e-7, 34 times of which is more than of any other factor that is drawn."""
    case = Case((np.array([-33.874755859375], np.float32),), {"alpha": 0.5})
    write_case(tmp_path / "case.npz", "swish", "forward", None, case)
    path = str(tmp_path / "case.npz")
    row = checking.Run("onnxruntime", Job("swish", "forward", None, 1, 0, ("small",), path, case=path), print).run()
    assert (row.verdict, row.failure.known) == ("known fault", "onnxruntime-swish-cancels")


def replayed(device, fault, path):
    """Return the row of a fault that ends no process, in this one."""
    write_case(path, fault.operation, fault.direction, None, fault.case)
    job = Job(fault.operation, fault.direction, None, 1, 0, ("small",), str(path), case=str(path))
    return checking.Run(device, job, lambda message: None).run()


@pytest.mark.parametrize("file", ["onnx.reference", "autograd", "onnxruntime"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_each_entry_comes_to_its_verdict(file, tmp_path):
    listed = BY_FILE[file]
    if importlib.metadata.version(listed.package) != listed.version:
        pytest.skip(f"{listed.package} is not {listed.version}")
    rows = {fault.id: replayed(listed.device, fault, tmp_path / "case.npz") for fault in listed.faults}
    wrong = {fault.id: rows[fault.id].verdict for fault in listed.faults if not replaying.shows(fault, rows[fault.id])}
    assert wrong == {}


def test_what_fails_beside_the_case_is_no_verdict_on_it(tmp_path, monkeypatch):
    fault = next(fault for fault in BY_FILE["onnx.reference"].faults if fault.id.endswith("max-pool-indices"))
    monkeypatch.setattr(checking.coverage, "edges", lambda operation, case: {}[operation])
    with pytest.raises(KeyError):
        replayed("onnx.reference", fault, tmp_path / "case.npz")


def test_of_a_signal_it_is_told_which_it_was():
    message = (
        "the process ended with signal 11 (SIGSEGV). It wrote:\n  Fatal Python error: Aborted\n\n  Extension modules: x"
    )
    row = results.Row("relu", "forward", verdict="crashed", failure=results.Failure(message))
    assert replaying._said(row) == "Fatal Python error: Aborted"
    row = results.Row(
        "relu", "forward", verdict="failed", failure=results.Failure("It raised:\n  LLVM ERROR: no operand")
    )
    assert replaying._said(row) == "LLVM ERROR: no operand"


def test_a_compiler_of_debians_is_of_the_version_that_is_listed():
    listed = BY_FILE["pocl-debian"]
    told = {"versions": {"OpenCL": "Portable Computing Language, driver 3.1+debian"}}
    replaying._check_version(listed, listed.faults[0], told)
    told["versions"]["OpenCL"] = told["versions"]["OpenCL"].replace("3.1", "6.0")
    with pytest.raises(
        errors.BackendError, match=r"3\.1 is listed, but .*6\.0.* apt-get install pocl-opencl-icd, of 3\.1"
    ):
        replaying._check_version(listed, listed.faults[0], told)


ABSOLUTE = """
[[fault]]
id = "some-absolute"
kind = "wrong special values"
title = "NaN"
by = "mathematics"
text = "It is 1."
explicit = true
seen = "2026-11-26"
operation = "absolute"
direction = "backward"
inputs = [{ float32 = [inf] }]
dy = { float32 = [1] }
"""


@pytest.fixture
def listed(write, tmp_path, monkeypatch):
    """A list of a fault of autograd and of what is none."""
    version = importlib.metadata.version("autograd")
    if version != BY_FILE["autograd"].version:
        pytest.skip("another version may have another fault")
    write(HEAD.replace("1.0", version) + FAULT + ABSOLUTE)
    monkeypatch.setattr(entries.load_all, "__defaults__", (tmp_path,))
    return entries.load_all()[0]


def test_the_command_replays_shows_and_compares(listed, tmp_path):
    folder = tmp_path / "report"
    run = CliRunner().invoke(main, ["conform", "--world", "--device", "some", "--report", str(folder)])
    assert run.exit_code == 1, run.output
    assert "some-absolute: reproduced (wrong)" in run.output and "Not reproduced: some-relu." in run.output
    assert "Faults: 1, of 1 implementations (wrong numbers 0, wrong special values 1, crashes 0)" in run.output
    assert f"new: some-absolute of some: wrong special values in {listed.version}" in run.output
    found = outcomes.load(folder / "world.json").outcomes["some-absolute"]
    assert (found.computed, found.exact, found.reproduced) == ("[nan]", "[1]", True)
    page = (folder / "world.html").read_text(encoding="utf-8")
    assert page.index("Faults</h3>") < page.rindex("some-absolute</code>") < page.index("Not reproduced</h3>")
    shown = CliRunner().invoke(main, ["conform", "--world", "--report", str(folder)])
    assert shown.exit_code == 0 and "Faults: 1, of 1 implementations" in shown.output


def test_another_version_is_no_replay(listed):
    with pytest.raises(errors.BackendError, match=r"some 2\.0 is listed, but .* is installed"):
        list(replaying.replay(dataclasses.replace(listed, version="2.0")))


@pytest.mark.parametrize("option", ["--operation=relu", "--repro=case", "--kernel=file.cl", "--merge", "--seed=1"])
def test_what_the_list_does_not_take_is_refused(option):
    assert CliRunner().invoke(main, ["conform", "--world", option]).exit_code == 2


def outcome(**others):
    found = outcomes.Outcome("a", "some", "1.0", "crash", "2026-11-27", "failed", True, "0", "1")
    return dataclasses.replace(found, **others)


def world(*found):
    return outcomes.World({one.id: one for one in found})


def test_changes_are_told():
    last = world(outcome(), outcome(id="b"), outcome(id="c"), outcome(id="d"), outcome(id="f", reproduced=False))
    now = world(
        outcome(date="2026-12-01"),
        outcome(id="b", version="2.0", computed="3"),
        outcome(id="c", version="2.0", verdict="conforms", reproduced=False),
        outcome(id="e"),
        outcome(id="f"),
    )
    assert [(one.what, one.id) for one in outcomes.compare(last, now)] == [
        ("changed", "b"),
        ("gone", "c"),
        ("gone", "d"),
        ("new", "e"),
        ("new", "f"),
    ]
    changed, gone, *_ = outcomes.compare(last, now)
    assert changed.text == "version 1.0 before, 2.0 now; computed 0 before, 3 now"
    assert gone.text == "crash in 1.0; 2.0: conforms"
    assert outcomes.compare(last, last) == []


def test_what_is_not_deterministic_may_compute_anything():
    before = outcome(verdict="not deterministic")
    assert outcomes.compare(world(before), world(dataclasses.replace(before, computed="7"))) == []


def test_what_reports_say_is_kept(tmp_path):
    rows = [
        results.Row("relu", "forward"),
        results.Row("relu", "backward", verdict="wrong"),
        results.Row("elu", "forward"),
    ]
    device = results.DeviceReport("jax", "JAX", driver="0.10.2", rows=rows)
    report = results.Report("0.1", "2026-11-27T01:00:00+00:00", {}, 7, "quick", 100, [device])
    world(outcome()).with_report(report).save(tmp_path / "world.json")
    found = outcomes.load(tmp_path / "world.json")
    assert found.outcomes == {"a": outcome()}
    verdicts = {"conforms": ["relu.forward", "elu.forward"], "wrong": ["relu.backward"]}
    assert found.runs == {"jax": outcomes.Run("jax", "0.10.2", "2026-11-27", 100, 7, verdicts)}


@pytest.mark.parametrize("change", [{"format": "other"}, {"outcomes": [{}]}, {"runs": [3]}, {"more": 1}])
def test_other_files_are_refused(tmp_path, change):
    world(outcome()).save(tmp_path / "world.json")
    content = json.loads((tmp_path / "world.json").read_text(encoding="utf-8")) | change
    (tmp_path / "world.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(errors.DataError, match=r"world\.json"):
        outcomes.load(tmp_path / "world.json")


def test_of_several_versions_a_run_is_shown_for_its_own():
    run = outcomes.Run("onnxruntime", "1.32.0", "2026-11-27", 100, 7, {"conforms": ["relu.forward"]})
    runs = {"onnxruntime": run, "jax": dataclasses.replace(run, device="jax", version="0.0.1")}
    overview = summary.Overview.of(LISTED, outcomes.World({}, runs), [])
    assert {one.listed.file for one in overview.implementations if one.run} == {"onnxruntime", "jax"}


def test_a_file_is_named_before_a_device():
    found = world_list._named(LISTED, ["onnxruntime"])
    assert [one.file for one in found] == ["onnxruntime"]
    assert [one.file for one in world_list._named(LISTED, ["opencl:+debian", "onnxruntime-1.21"])] == [
        one.file for one in LISTED if one.file in ("onnxruntime-1.21", "pocl-debian")
    ]


def test_a_device_that_is_not_listed_is_refused():
    run = CliRunner().invoke(main, ["conform", "--world", "--device", "reference"])
    assert run.exit_code == 2 and "reference is not in the list" in run.output


def test_the_tool_makes_new_environments(tmp_path):
    """With a Python that only notes what it is asked, so that nothing is installed."""
    fake = tmp_path / "python"
    fake.write_text(
        f"""#!/bin/sh
case "$*" in
  "-I -m venv "*) echo "$*" >> {tmp_path}/asked; mkdir -p "$4/bin"; cp "$0" "$4/bin/python"
    printf '#!/bin/sh\\necho "$@" >> {tmp_path}/asked\\n' > "$4/bin/refcnn"; chmod +x "$4/bin/refcnn";;
  *pip*) echo "$*" >> {tmp_path}/asked;;
  *) exec {sys.executable} "$@";;
esac
""",
        encoding="utf-8",
    )
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    import subprocess

    tool = Path(__file__).parents[1] / "tools" / "adapters"
    environment = os.environ | {"PYTHON": str(fake), "REFCNN_ADAPTERS": str(tmp_path / "adapters")}
    old = tmp_path / "adapters" / "environments" / "world-autograd"
    old.mkdir(parents=True)
    subprocess.run([tool, "--world", "autograd", "oclgrind"], env=environment, check=True, timeout=60)
    made, installed, shown, _, without, _ = (tmp_path / "asked").read_text(encoding="utf-8").splitlines()
    # What is Debian's pip does not know.
    assert without.endswith("--upgrade --editable " + str(tool.parents[1]))
    assert made == f"-I -m venv {old}" and not old.exists()
    assert f"autograd=={BY_FILE['autograd'].version} --editable" in installed
    assert shown == f"conform --world --device autograd --report {tmp_path / 'adapters' / 'world'}"
