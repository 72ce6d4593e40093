"""Several faults of one operation in one run: all are found, and a line says what the cases of each have in common."""

import json
import re
import time

import numpy as np
import pytest
from click.testing import CliRunner

from refcnn.cli import main
from refcnn.conformance.bundles.case_file import read_case
from refcnn.conformance.reports.html import render
from refcnn.conformance.reports.results import Report
from refcnn.conformance.running import explaining, faults, runner, testing
from refcnn.conformance.running.explaining import Describing, Description, Evidence
from refcnn.conformance.running.features import Features, features
from refcnn.conformance.theory.strategies import Case

PLANTED = """
import itertools
import os
import signal
import time
import zlib

import numpy as np

from refcnn.reference import average_pool2d as averaging, conv2d as convolution, dense as fully_connected
from refcnn.reference import max_pool2d as pooling

calls = itertools.count()


class Planted:
    # Strides beyond the kernel and channels past 64 are wrong, and all numbers where there is a NaN, which is lost.
    def conv2d(self, x, w, b, *, stride, **attributes):
        is_lost = np.isnan(x).any() or np.isnan(w).any()
        x, w = (np.where(np.isnan(entry), np.float32(0), entry) for entry in (x, w))
        x[:, 64:] = 0
        y = convolution.forward(x, w, b, stride=stride, **attributes)[0] + np.float32(is_lost)
        is_beyond = any(step > taps for step, taps in zip(stride, w.shape[2:]))
        return y * np.float32(1.5) if is_beyond else y

    # Wrong in two ways, and an error of its own.
    def max_pool2d(self, x, *, kernel, stride, padding, **attributes):
        if x.shape[0] > 1 and x.shape[1] == 1:
            raise ValueError("one channel")
        lost = np.where(np.isnan(x), np.float32(-np.inf), x)
        y = pooling.forward(lost, kernel=kernel, stride=stride, padding=padding, **attributes)[0]
        is_beyond = any(step > taps for step, taps in zip(stride, kernel))
        return y + np.float32(1) if is_beyond and any(padding) else y

    # Each case is wrong.
    def dense(self, x, w, b):
        return fully_connected.forward(x, w, b)[0].astype(np.float64)

    # Whatever decides about it is nothing that anybody would look for.
    def add(self, a, b):
        return a + b + np.asarray(zlib.crc32(a.tobytes() + b.tobytes()) % 3 == 0, a.dtype)

    # One fault is found, and then, among the largest cases, another ends the process.
    def relu(self, x):
        if x.size > 60_000:
            os.kill(os.getpid(), signal.SIGKILL)
        return np.where(x <= 0, np.float32(7), x)


    # Many cases end the process, and few others are wrong.
    def average_pool2d(self, x, *, stride, **attributes):
        if max(stride) > 1:
            os.kill(os.getpid(), signal.SIGKILL)
        y = averaging.forward(np.where(np.isnan(x), np.float32(1), x), stride=stride, **attributes)[0]
        return y + np.float32(np.isnan(x).any())

    # Many have no end, and few others are wrong.
    def leaky_relu(self, x, *, alpha):
        while x.ndim > 2:
            time.sleep(1)
        return np.where(np.isnan(x), np.float32(1), np.where(x < 0, np.float32(alpha) * x, x))

    # Each case ends the process.
    def negative(self, x):
        os._exit(3)

    # None of them is at fault that a process ends.
    def absolute(self, x):
        if next(calls) > 40:
            os._exit(3)
        return np.abs(x)


planted = Planted()
"""


#: Without the cases of which one dimension is long: they tell faults apart no better, and take longer than all others.
SMALL = ("small",)


@pytest.fixture
def conform(own_module, tmp_path, monkeypatch):
    """Run ``refcnn conform`` on the planted faults; return the outcome and the row."""
    own_module("planted", PLANTED)

    def run(operation, *arguments, device="planted:planted", sizes=None):
        if sizes is not None:
            monkeypatch.setattr(runner, "sizes", lambda *_: sizes)
        asked = ["--operation", operation, "--report", "report"] if operation else []
        done = CliRunner().invoke(main, ["conform", "--device", device, *asked, *map(str, arguments)])
        (found,) = Report.load(tmp_path / "report" / "report.json").devices
        return done, next((row for row in found.rows if row.failures), None)

    return run


def explained(row):
    """Return what each fault's cases have in common."""
    return [failure.explanation.removeprefix("In common: ").partition(". ")[0] for failure in row.failures]


@pytest.mark.parametrize(
    ("operation", "verdicts", "common"),
    [
        ("conv2d", {"wrong"}, [r"stride > kernel", r"NaN", r"[xw]\.shape\[1\] > 6\d"]),
        ("max_pool2d", {"wrong", "failed"}, [r"stride > kernel and padding > 0", r"NaN in x", r"x\.shape\[0\] > 1"]),
    ],
)
def test_all_faults_of_an_operation_are_found_in_one_run(conform, tmp_path, operation, verdicts, common):
    # What is drawn with a seed depends on the modules of the process: so many that all are met.
    done, row = conform(operation, "--seed", 1, "--examples", 300)
    assert done.exit_code == 1, done.output
    # Few cases may tell one fault as two.
    count = len(row.failures)
    assert 3 <= count <= faults.MOST
    assert {failure.verdict for failure in row.failures} == verdicts
    # A rare value may stand beside what decides.
    assert all(any(re.search(one, text) for text in explained(row)) for one in common), explained(row)
    # Each has a bundle of its own, which shows it.
    bundles = [failure.bundle for failure in row.failures]
    assert len(set(bundles)) == count
    for failure in row.failures:
        case = read_case(tmp_path / "report" / failure.bundle)[3]
        assert case.inputs[0].size <= 65 * 9
        saved = json.loads((tmp_path / "report" / failure.bundle / "case.json").read_text())["message"]
        assert saved.startswith(failure.explanation)
        assert f"saved as {failure.bundle}" in done.output and failure.explanation in done.output
    assert done.output.endswith(f"\nNot conforming: planted:planted ({operation}.forward).\n")
    page = (tmp_path / "report" / "report.html").read_text()
    assert f"{count} faults" in page and all(bundle in page for bundle in bundles)
    for bundle in bundles:
        again, _ = conform(None, "--device", "reference", "--repro", f"report/{bundle}")
        assert again.output.endswith(f"Not conforming: planted:planted ({operation}.forward).\n")


def test_what_is_always_wrong_is_one_fault(conform):
    _, row = conform("dense", "--seed", 1, "--examples", 20)
    assert (row.verdict, row.further) == ("wrong", [])
    cases = re.fullmatch(r"In common: whatever was drawn. (\d+) of \1 such cases fail.", row.failure.explanation)
    assert cases and int(cases[1]) <= row.cases


def test_what_nothing_describes_is_one_fault(conform):
    _, row = conform("add", "--seed", 1, "--examples", 40, sizes=SMALL)
    assert row.verdict == "wrong" and len(row.failures) <= faults.MOST
    assert any("nothing that was looked for" in failure.explanation for failure in row.failures)


def test_faults_stand_though_another_ends_the_process(conform, tmp_path, monkeypatch):
    monkeypatch.setattr(testing, "_SHRINKING_LIMIT", 3)
    done, row = conform("relu", "--seed", 2)
    assert done.exit_code == 1, done.output
    assert (row.verdict, row.failure.verdict) == ("crashed", "crashed")
    # Few cases may tell one fault as two.
    assert {failure.verdict for failure in row.further} == {"wrong"}
    first, second, *_ = (read_case(tmp_path / "report" / failure.bundle)[3] for failure in row.failures)
    assert first.inputs[0].size > 60_000
    assert (second.inputs[0] <= 0).any() and second.inputs[0].size <= 200


def assert_each_is_shown(done, row, operation, folder):
    """Each fault has its bundle, its line and its place in every account of the run."""
    assert done.exit_code == 1 and done.output.endswith(f"\nNot conforming: planted:planted ({operation}.forward).\n")
    page = (folder / "report.html").read_text()
    assert f"{len(row.failures)} faults" in page
    assert len({failure.bundle for failure in row.failures}) == len(row.failures)
    for failure in row.failures:
        saved = json.loads((folder / failure.bundle / "case.json").read_text())["message"]
        assert saved.startswith(failure.explanation) and failure.bundle in page
        assert f"{operation}.forward on planted:planted: {failure.verdict}\n  {failure.explanation}" in done.output
        assert f"saved as {failure.bundle}" in done.output


def test_a_row_goes_on_after_a_crash(conform, tmp_path, monkeypatch):
    # Each step of the search for a smaller case starts a process.
    monkeypatch.setattr(testing, "_SHRINKING_LIMIT", 5)
    done, row = conform("average_pool2d", "--seed", 1, "--examples", 200, sizes=SMALL)
    verdicts = [failure.verdict or row.verdict for failure in row.failures]
    # Few cases may tell one fault as two.
    assert set(verdicts) == {"crashed", "wrong"} and verdicts.count("crashed") <= 3, row
    assert row.verdict == verdicts[0] == "crashed" and row.cases >= 200 and row.is_compared
    common = explained(row)
    assert "stride" in common[0] and any("NaN" in text for text in common[verdicts.index("wrong") :]), common
    assert_each_is_shown(done, row, "average_pool2d", tmp_path / "report")
    for failure in row.failures:
        case = read_case(tmp_path / "report" / failure.bundle)[3]
        assert np.isnan(case.inputs[0]).any() or max(case.attributes["stride"]) > 1
        again, _ = conform(None, "--repro", f"report/{failure.bundle}")
        assert f"average_pool2d.forward on planted:planted: {failure.verdict}\n" in again.output


def test_a_row_goes_on_after_a_hang(conform, tmp_path, monkeypatch):
    # Each step of the search for a smaller case costs the patience with it.
    monkeypatch.setattr(testing, "_SHRINKING_LIMIT", 20)
    start = time.monotonic()
    done, row = conform("leaky_relu", "--seed", 1, "--examples", 400, "--case-limit", 0.5)
    verdicts = [failure.verdict or row.verdict for failure in row.failures]
    assert set(verdicts) == {"hung", "wrong"} and verdicts.count("hung") <= 2, row
    assert row.verdict == verdicts[0] and row.is_compared
    assert_each_is_shown(done, row, "leaky_relu", tmp_path / "report")
    assert time.monotonic() - start < 100


def test_where_each_case_ends_the_process_one_does(conform, monkeypatch):
    """Others would cost a start each, and show nothing else."""
    monkeypatch.setattr(testing, "_SHRINKING_LIMIT", 3)
    _, row = conform("negative", "--seed", 1, sizes=SMALL)
    assert (row.verdict, row.further, row.cases) == ("crashed", [], 1)
    assert explained(row) == ["whatever was drawn"]


def test_what_no_case_is_at_fault_for_ends_few_processes(conform, monkeypatch):
    monkeypatch.setattr(testing, "_SHRINKING_LIMIT", 3)
    start = time.monotonic()
    _, row = conform("absolute", "--seed", 1, "--examples", 200, sizes=SMALL)
    assert row.verdict == "crashed" and 1 <= len(row.failures) <= 3
    assert {failure.verdict or row.verdict for failure in row.failures} == {"crashed"}
    # None is at fault for the first of them alone.
    assert row.cases > 45
    assert time.monotonic() - start < 60


def test_a_report_without_further_faults_is_read(conform, tmp_path):
    _, row = conform("max_pool2d", "--seed", 1, sizes=SMALL)
    assert row.further
    path = tmp_path / "report" / "report.json"
    content = json.loads(path.read_text())
    for row in content["devices"][0]["rows"]:
        del row["further"]
        for name in ("explanation", "verdict") if row["failure"] else ():
            del row["failure"][name]
    path.write_text(json.dumps(content))
    report = Report.load(path)
    assert [len(row.failures) for row in report.devices[0].rows if row.failure] == [1]
    render(report, tmp_path / "page.html")


def convolution(stride=(1, 1), x=(1, 2, 5, 5), **attributes):
    attributes = {"stride": stride, "padding": (0, 0, 0, 0), "dilation": (1, 1), "groups": 1} | attributes
    arrays = np.ones(x, np.float32), np.ones((3, 2, 2, 3), np.float32)
    return Case((*arrays, None), attributes, np.full((1, 3, 4, 3), np.nan, np.float32))


def test_what_is_said_of_a_case():
    found = features("conv2d", "forward", convolution((2, 3), padding=(0, 1, 2, 1)))
    assert found.numbers["stride"] == 3 and found.numbers["kernel"] == 3 and found.numbers["padding"] == 2
    # Along no axis is the stride larger.
    assert not found.flags["stride > kernel"] and found.flags["kernel > stride"] is False
    assert found.flags["padding > dilation"] and found.flags["stride differs from axis to axis"]
    assert found.flags["b is None"] and "dy.size" not in found.numbers
    assert found.numbers["x.shape[1]"] == 2 and found.edges["x.shape[2] is odd"]
    found = features("conv2d", "backward", convolution((3, 1)))
    assert found.flags["stride > kernel"] and found.flags["NaN in dy"] and not found.flags["NaN in x"]
    assert found.flags["NaN anywhere"] and found.edges["stride larger than kernel"]
    several = features("concat", "forward", Case((np.ones((2, 3), np.float32),) * 2, {"axis": 1}))
    assert {"x[0].size", "x[1].size", "axis"} <= set(several.numbers)


def seen(kind=None, is_drawn=True, **numbers):
    flags = {name: bool(numbers.pop(name)) for name in list(numbers) if name.isupper()}
    return Evidence(Features(flags, numbers, {}), kind, is_drawn)


def test_the_shortest_description_is_found():
    fails = [seen("wrong", A=1, B=1, C=place % 2, size=place) for place in range(8)]
    passes = [seen(A=place % 2, B=place % 3 == 0 and place % 2 == 0, C=1, size=place) for place in range(12)]
    found = Describing(fails + passes).best([fails[0].found])
    assert str(found) == "A and B"
    assert all(found.holds(one.found) for one in fails) and not any(found.holds(one.found) for one in passes)


def test_numbers_are_compared_with_what_passes():
    fails = [seen("wrong", size=size) for size in (65, 100, 129)]
    passes = [seen(size=size) for size in (1, 5, 64, 33)]
    found = Describing(fails + passes).best([fails[0].found])
    assert str(found) == "size > 64"
    assert not found.holds(Features({}, {}, {}))


def test_a_few_exceptions_are_cheaper_than_what_explains_them():
    fails = [seen("wrong", A=1, size=place) for place in range(12)]
    passes = [seen(A=0, size=place) for place in range(12)] + [seen(A=1, size=4)]
    assert str(Describing(fails + passes).best([fails[3].found])) == "A"


def test_what_is_alike_counts_no_more_than_what_was_drawn():
    fails = [seen("wrong", A=1, size=place) for place in range(12)]
    near = [seen(A=1, size=1, is_drawn=False) for _ in range(200)]
    passes = [seen(A=0, size=place) for place in range(12)]
    assert "A" in str(Describing(fails + passes + near).best([fails[3].found])).split(" and ")


def test_where_nothing_tells_cases_apart_there_is_no_description():
    fails = [seen("wrong", A=place % 2, size=place) for place in range(4)]
    passes = [seen(A=place % 2, size=place % 4) for place in range(40)]
    assert Describing(fails + passes).best([fails[0].found]) is None


def test_where_all_fail_nothing_need_be_said():
    fails = [seen("wrong", A=place % 2, size=place) for place in range(4)]
    assert Describing(fails).best([fails[0].found]) == Description()
    assert str(Description()) == "whatever was drawn"


def of(value, size=3, other=1.0):
    return Case((np.array([value] * size, np.float32), np.array([other] * size, np.float32)), {})


def test_two_failures_that_one_description_explains_are_one_fault():
    """NaN in either input: the second is no other fault, and the first is described anew."""
    row, nan = faults.Faults("add", "forward"), float("nan")
    wrong = ValueError("off")
    for place in range(1, 20):
        row.passed(of(float(place), place))
    assert row.failed(of(nan), wrong)
    row.add(faults.Fault(of(nan), wrong, "off"))
    assert str(row.found[0].description) == "NaN in a"
    for place in range(1, 10):
        assert not row.failed(of(nan, place), wrong)
    for place in range(1, 5):
        row.failed(of(1.0, place, other=nan), wrong)
    row.add(faults.Fault(of(1.0, 1, other=nan), wrong, "off"))
    assert [str(fault.description) for fault in row.found] == ["NaN anywhere"]
    assert not row.failed(of(2.0, 30, other=nan), wrong)
    # Another kind of failure is another fault.
    assert row.failed(of(nan), TypeError("none"))


def test_a_description_that_is_not_true_gives_way_to_a_better_one():
    row, wrong = faults.Faults("add", "forward"), ValueError("off")
    row.failed(of(-1.0, 8), wrong)
    row.add(faults.Fault(of(-1.0, 8), wrong, "off"))
    assert row.found[0].description == Description()
    for size in range(1, 30):
        for value in (1.0, -1.0):
            if value < 0 and size > 7:
                row.failed(of(value, size), wrong)
            else:
                row.passed(of(value, size))
    assert set(str(row.found[0].description).split(" and ")) >= {"a.shape[0] > 7"} or "size > 7" in row.line(
        row.found[0]
    )
    assert "22 of 22 such cases fail" in row.line(row.found[0]) or "23 of 23 such cases fail" in row.line(row.found[0])


def test_numbers_that_are_none_are_compared_with_nothing():
    assert explaining.Term("x > nan", "numbers", "x", 1, float("nan"), 1.0).holds(Features({}, {"x": 3}, {})) is False
    fails = [seen("wrong", size=float("nan")), seen("wrong", size=3.0)]
    assert Describing([*fails, seen(size=1.0)]).best([fails[1].found]) is not None
