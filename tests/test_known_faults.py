"""The list of known faults: which cases an entry explains, when it counts as fixed, and errors in the file."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from refcnn.cli import main
from refcnn.conformance.bundles.case_file import read_case
from refcnn.conformance.reports.results import Report
from refcnn.conformance.running.known_faults import CONDITIONS, ENOUGH_CASES, Watch, file, load
from refcnn.conformance.theory.strategies import Case
from refcnn.errors import DataError

from .test_layout import OPERATIONS

DEVICE = {"name": "Some GPU 7", "platform": "Vendor OpenCL", "driver": "31.0.5", "specification": "opencl:0:0"}
ENTRY = {
    "id": "wrong-padding",
    "operation": "conv2d",
    "direction": "backward",
    "device": "some gpu",
    "driver": "31.0.*",
    "condition": "padding",
    "link": "https://example.org/1",
    "seen": "an error of 3 where 1e-6 is allowed",
}
ROW = {"device": DEVICE, "operation": "conv2d", "direction": "backward", "variant": "gpu"}


def case(padding=(0, 0, 0, 0), stride=(1, 1), dilation=(1, 1), groups=1, x=1.0, dy=1.0, **others):
    attributes = {"padding": padding, "stride": stride, "dilation": dilation, "groups": groups, **others}
    arrays = (np.full((1, 1, 2, 2), value, np.float32) for value in (x, 1.0, dy))
    x, w, dy = arrays
    return Case((x, w, None), attributes, dy)


PADDED = case(padding=(0, 0, 0, 1))


def ran(watch, one, times=ENOUGH_CASES):
    for _ in range(times):
        watch.ran(one)


@pytest.fixture
def faults(tmp_path):
    """Write entries to a file and load them; fields given as None are left out."""

    def write(*entries):
        lines = []
        for entry in entries:
            lines.append("[[fault]]")
            lines += [f"{name} = {value!r}" for name, value in (ENTRY | entry).items() if value is not None]
        (tmp_path / "faults.toml").write_text("\n".join(lines))
        return load(tmp_path / "faults.toml")

    return write


def test_the_list_of_the_package_is_in_order():
    for fault in load(file()):
        assert fault.operation in OPERATIONS
        assert fault.link.startswith("https://")


@pytest.mark.parametrize(
    ("entry", "row"),
    [
        ({}, {}),
        ({"device": "VENDOR"}, {}),
        ({"driver": "*"}, {}),
        ({"driver": "3?.[01].5"}, {}),
        ({"driver": "30.*|31.*"}, {}),
        ({"variant": "gpu"}, {}),
        ({}, {"variant": None}),
    ],
)
def test_a_failure_that_fits_is_known(faults, entry, row):
    watch = Watch(faults(entry), **(ROW | row))
    assert watch.explain(PADDED, "off by 3").id == "wrong-padding"
    assert watch.explain(case(padding=(1, 1, 1, 1)), "off by 4").id == "wrong-padding"
    assert watch.seen == {"wrong-padding": (PADDED, "off by 3")}


@pytest.mark.parametrize(
    ("entry", "row"),
    [
        ({"operation": "dense"}, {}),
        ({"direction": "forward"}, {}),
        ({"variant": "cpu"}, {}),
        ({"variant": "gpu"}, {"variant": None}),
        ({"device": "gpu 8"}, {}),
        ({"driver": "31.0"}, {}),
        ({"driver": "30.*"}, {}),
        ({"driver": "30.*|32.*"}, {}),
        ({"condition": "dilation"}, {}),
        ({}, {"device": {"specification": "mine:ops"}}),
    ],
)
def test_a_failure_that_does_not_fit_is_not_known(faults, entry, row):
    watch = Watch(faults(entry), **(ROW | row))
    ran(watch, PADDED)
    assert watch.explain(PADDED, "off by 3") is None
    assert watch.seen == {} and watch.fixed() == []


@pytest.mark.parametrize(("difference", "is_known"), [(0.5, True), (0.25, True), (0.6, False), (np.inf, False)])
def test_what_is_further_off_than_the_fault_is_not_known(faults, difference, is_known):
    watch = Watch(faults({"difference": 0.5}), **ROW)
    ran(watch, PADDED)
    assert (watch.explain(PADDED, "off", difference) is not None) == is_known
    assert [fault.id for fault in watch.fixed()] == ["wrong-padding"] * (not is_known)
    assert Watch(faults({}), **ROW).explain(PADDED, "off", difference) is not None


def of(*arrays, **attributes):
    return Case(tuple(map(np.array, arrays)), attributes)


INFINITY = float("inf")
LOWEST = np.finfo(np.float32).min

#: A window of three numbers of which the last place reaches over the end.
OVERHANGING = {
    "kernel": (2,),
    "stride": (2,),
    "padding": (0, 0),
    "dilation": (1,),
    "ceil_mode": True,
    "count_include_padding": True,
}

#: A case for each condition, and the other conditions that it meets.
CONCERNED = {
    "any": (case(), ()),
    "not finite": (case(dy=np.inf), ()),
    "below zero": (case(x=-1.0), ()),
    "subnormal": (case(x=1e-39), ()),
    "beyond int32": (of(np.int64([1, 2**31])), ()),
    "infinity": (of(np.float32([INFINITY, 1])), ("not finite",)),
    "NaN and infinity": (of(np.float32([INFINITY, np.nan])), ("not finite", "infinity")),
    "smallest number": (of(np.float32([LOWEST])), ("below zero",)),
    "minus infinity alone": (of(np.float32([[-INFINITY, 3]]), axes=(0,)), ("not finite", "below zero")),
    "minus infinity first": (of(np.float32([[-INFINITY], [-2e32]]), axes=(0, 1)), ("not finite", "below zero")),
    "size kept": (case(axes=(0,), scales=(1.5,), sizes=None, keep_aspect_ratio_policy="stretch", roi=None), ()),
    "wrapped more than once": (of(np.float32([[1], [2]]), mode="wrap", pads=(0, 0, 0, 2)), ()),
    "padding": (PADDED, ()),
    "padding at the end counted": (case(padding=(0, 0, 1, 0), count_include_padding=True), ("padding",)),
    "beyond the padding counted": (of(np.ones((1, 1, 3), np.float32), **OVERHANGING), ("stride",)),
    "stride": (case(stride=(1, 2)), ()),
    "dilation": (case(dilation=(3, 1)), ()),
    "groups": (case(groups=2), ()),
}


@pytest.mark.parametrize(
    ("condition", "other"),
    [
        ("beyond int32", of(np.int64([2**31 - 1, -(2**31)]))),
        ("wrapped more than once", of(np.float32([[1], [2]]), mode="wrap", pads=(2, 1, 2, 1))),
        ("wrapped more than once", of(np.float32([[1, 2, 3]]), mode="wrap", pads=(0, 2, 0, -1))),
        ("wrapped more than once", of(np.float32([[1], [2]]), mode="edge", pads=(0, 0, 0, 2))),
        ("padding at the end counted", case(padding=(1, 1, 1, 1), count_include_padding=True)),
        ("padding at the end counted", case(padding=(0, 0, 1, 1), count_include_padding=False)),
        ("infinity", of(np.float32([-INFINITY, np.nan]))),
        ("NaN and infinity", of(np.float32([-INFINITY, np.nan]))),
        ("NaN and infinity", of(np.float32([INFINITY]))),
        ("beyond the padding counted", of(np.ones((1, 1, 4), np.float32), **OVERHANGING)),
        ("beyond the padding counted", of(np.ones((1, 1, 3), np.float32), **OVERHANGING | {"ceil_mode": False})),
        (
            "beyond the padding counted",
            of(np.ones((1, 1, 3), np.float32), **OVERHANGING | {"count_include_padding": False}),
        ),
        ("minus infinity alone", of(np.float32([[-INFINITY, 3]]), axes=(1,))),
        ("minus infinity first", of(np.float32([[-INFINITY], [-2]]), axes=(0, 1))),
        ("minus infinity first", of(np.float32([[-2e32], [-INFINITY]]), axes=(0, 1))),
        ("smallest number", of(np.float32([-3e38, -INFINITY]))),
    ],
)
def test_a_condition_leaves_out_what_is_near(condition, other):
    assert not CONDITIONS[condition](other)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_each_condition_tells_its_cases(condition):
    concerned = {name for name, (one, _) in CONCERNED.items() if CONDITIONS[condition](one)}
    also = {name for name, (_, others) in CONCERNED.items() if condition in others}
    assert concerned == (set(CONCERNED) if condition == "any" else {condition} | also)
    # Operations without such an attribute.
    assert CONDITIONS[condition](Case((np.ones(3, np.float32),), {})) == (condition == "any")


@pytest.mark.parametrize(("entry", "enough"), [({}, ENOUGH_CASES), ({"enough": 3}, 3), ({"enough": 200}, 200)])
def test_a_fault_is_fixed_when_its_cases_ran_and_none_failed(faults, entry, enough):
    watch = Watch(faults(entry), **ROW)
    assert watch.fixed() == []
    ran(watch, case())
    assert watch.fixed() == []
    ran(watch, PADDED, enough - 1)
    assert watch.fixed() == []
    watch.ran(PADDED)
    assert [fault.id for fault in watch.fixed()] == ["wrong-padding"]
    watch.explain(PADDED, "off by 3")
    assert watch.fixed() == []


def test_a_list_that_is_wrong_is_said_before_the_run(faults, tmp_path, monkeypatch):
    with pytest.raises(DataError):
        faults({"condition": "sometimes"})
    monkeypatch.setenv("REFCNN_KNOWN_FAULTS", str(tmp_path / "faults.toml"))
    done = CliRunner().invoke(main, ["conform", "--device", "reference", "--operation", "relu"])
    assert done.exit_code == 2, done.output
    assert "condition" in done.output and "'sometimes'" in done.output


def test_of_two_faults_one_may_be_fixed(faults):
    watch = Watch(faults({}, {"id": "groups", "condition": "groups"}), **ROW)
    for one in (PADDED, case(groups=2)):
        ran(watch, one)
    assert watch.explain(case(groups=2), "off by 3").id == "groups"
    assert [fault.id for fault in watch.fixed()] == ["wrong-padding"]


def test_a_fault_hidden_behind_another_is_not_said_to_be_fixed(faults):
    watch = Watch(faults({}, {"id": "any", "condition": "any"}), **ROW)
    ran(watch, PADDED)
    assert watch.explain(PADDED, "off by 3").id == "wrong-padding"
    assert watch.fixed() == []


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"link": None}, r"fault 1 \(wrong-padding\) .*'link'"),
        ({"id": None}, r"fault 1 \(without id\) .*'id'"),
        ({"vendor": "x"}, "'vendor'"),
        ({"seen": 3}, "seen: 3"),
        ({"seen": " "}, "seen: ' '"),
        ({"direction": "sideways"}, "'forward', 'backward'"),
        ({"condition": "case.dy is None"}, "'any', 'not finite'"),
    ],
)
def test_an_entry_that_is_wrong_is_named(faults, entry, message):
    with pytest.raises(DataError, match=message):
        faults(entry)


def test_one_id_twice_is_an_error(faults):
    with pytest.raises(DataError, match="wrong-padding"):
        faults({}, {"operation": "dense"})


@pytest.mark.parametrize("text", ["fault = 3", "faults = []", "[[fault]", "fault = [3]", "\udcff"])
def test_a_file_that_is_wrong_is_an_error(tmp_path, text):
    (tmp_path / "faults.toml").write_text(text, errors="surrogateescape")
    with pytest.raises(DataError, match="faults.toml"):
        load(tmp_path / "faults.toml")
    with pytest.raises(DataError, match="nowhere"):
        load(tmp_path / "nowhere.toml")


IMPLEMENTATION = """
import os, signal
import numpy as np

from refcnn.reference import max_pool2d


class Device:
    name = "Some GPU 7"

    def relu(self, x):
        y = np.where(x <= 0, np.float32(0), x)
        return np.where(np.isnan(x), np.float32(0), y)

    def relu_backward(self, dy, x):
        return (np.where(x <= 0, np.float32(0), dy) * np.float32(1.5),)

    def max_pool2d(self, x, **attributes):
        return max_pool2d.forward(x, **attributes)[0]

    def add(self, a, b):
        if not np.isfinite(a).all():
            os.kill(os.getpid(), signal.SIGKILL)
        return a + b


device = Device()
"""


@pytest.fixture
def conform(faults, tmp_path, monkeypatch):
    """Run ``refcnn conform`` on an implementation with a list of known faults; return the outcome and the rows."""
    (tmp_path / "implementation_with_faults.py").write_text(IMPLEMENTATION)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("REFCNN_KNOWN_FAULTS", str(tmp_path / "faults.toml"))

    def run(operation, *entries):
        for entry in entries:
            entry.setdefault("operation", operation)
            entry.setdefault("driver", "*")
        faults(*entries)
        arguments = [
            "--device",
            "implementation_with_faults:device",
            "--operation",
            operation,
            "--seed",
            "1",
            "--examples",
            "100",
            "--report",
            "report",
        ]
        done = CliRunner().invoke(main, ["conform", *arguments])
        (device,) = Report.load(tmp_path / "report" / "report.json").devices
        return done, {row.direction: row for row in device.rows}

    return run


def assert_saved_as_known(rows):
    for direction, row in rows.items():
        folder = Path("report") / row.failure.bundle
        assert read_case(folder)[1] == direction
        assert json.loads((folder / "case.json").read_text())["known"] == row.failure.known
        alone = subprocess.run([sys.executable, "repro.py"], cwd=folder, capture_output=True, text=True, timeout=300)
        assert f"known as {row.failure.known}" in alone.stdout


def test_what_is_known_stands_before_what_fails(conform):
    done, rows = conform("relu", {"id": "half", "direction": "backward", "condition": "any"})
    assert done.exit_code == 1, done.output
    assert [rows[direction].verdict for direction in ("forward", "backward")] == ["wrong", "known fault"]
    device = "implementation_with_faults:device"
    known, _, fault = done.output.partition(f"\nrelu.forward on {device}: wrong\n")
    assert f"relu.backward on {device}: known fault, known as half" in known
    assert fault.splitlines()[-1] == f"Not conforming: {device} (relu.forward)."


def test_what_is_known_lets_a_device_pass_and_is_shown(conform):
    done, rows = conform(
        "relu", {"id": "nan", "direction": "forward", "condition": "not finite"}, {"id": "half", "condition": "any"}
    )
    assert done.exit_code == 0, done.output
    assert {direction: (row.verdict, row.failure.known) for direction, row in rows.items()} == {
        "forward": ("known fault", "nan"),
        "backward": ("known fault", "half"),
    }
    assert "nan" in rows["forward"].failure.message and rows["backward"].worst_ratio > 1
    assert rows["forward"].cases == rows["backward"].cases == 100
    assert_saved_as_known(rows)


def test_what_is_known_is_so_without_its_bundle(conform, tmp_path):
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "implementation_with_faults-device-01-relu-backward").write_text("not a bundle")
    done, rows = conform("relu", {"id": "nan", "direction": "forward"}, {"id": "half", "condition": "any"})
    row = rows["backward"]
    assert (row.verdict, row.failure.known, row.failure.bundle) == ("known fault", "half", None)
    assert "the bundle could not be saved: " in row.failure.message


def test_what_is_known_hides_nothing_else(conform):
    done, rows = conform("relu", {"id": "other", "condition": "not finite"})
    assert done.exit_code == 1, done.output
    assert (rows["backward"].verdict, rows["backward"].failure.known) == ("wrong", None)
    assert np.isfinite(read_case(f"report/{rows['backward'].failure.bundle}")[3].dy).all()
    assert (rows["forward"].verdict, rows["forward"].failure.known) == ("wrong", None)


def test_what_is_further_off_than_is_known_is_another_fault(conform):
    known = {"id": "nan", "direction": "forward", "condition": "not finite"}
    done, rows = conform("relu", known, {"id": "half", "condition": "any", "difference": 1e-30})
    assert done.exit_code == 1, done.output
    assert (rows["forward"].verdict, rows["backward"].verdict) == ("known fault", "wrong")


def test_what_is_fixed_is_an_error(conform):
    done, rows = conform("max_pool2d", {"id": "padded", "direction": "forward", "condition": "padding"})
    assert done.exit_code == 1, done.output
    assert (rows["forward"].verdict, rows["forward"].failure.known) == ("fixed fault", "padded")
    assert "faults.toml" in rows["forward"].failure.message


def test_a_crash_may_be_known(conform):
    done, rows = conform("add", {"id": "falls", "direction": "forward", "condition": "not finite"})
    assert done.exit_code == 0, done.output
    assert (rows["forward"].verdict, rows["forward"].failure.known) == ("known fault", "falls")
    assert "SIGKILL" in rows["forward"].failure.message
    assert_saved_as_known({"forward": rows["forward"]})
