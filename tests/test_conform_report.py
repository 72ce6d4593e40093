"""The pages of conformance reports: complete, escaped, whole without anything else, and readable in a browser."""

import dataclasses
import math
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from refcnn.cli.conform import faults, results
from refcnn.conformance.reports import html
from refcnn.conformance.reports.merge import load, merge, render_merged
from refcnn.conformance.reports.results import BINS, VERDICTS, DeviceReport, Failure, Report, Row
from refcnn.errors import FileWriteError
from refcnn.pages import texts

HOSTILE = "<script>alert('x')</script>\"&amp; </title></pre> \u202e \ud800"

#: Elements that HTML has no end tag for.
VOID = {"meta", "br", "hr", "img", "input", "link", "wbr"}


def counts(*first, beyond=0):
    return [*first, *[0] * (BINS - len(first)), beyond]


def row(operation="conv2d", direction="forward", variant=None, verdict="conforms", **fields):
    ran = {"cases": 100, "worst_ratio": 0.25, "worst_ulp": 1.5, "seconds": 2.0, "histogram": counts(9000, 120, 3)}
    return Row(operation, direction, variant, verdict, **{**ran, **fields})


def wrong(message="conv2d.backward: gradient of input 1\n  3 of 12 elements are wrong", **fields):
    case = {"inputs": ["np.array([1.0], np.float32)", "None"], "attributes": {"stride": [2, 1]}, "dy": "<float32 (9,)>"}
    failure = Failure(message, case, "bundles/conv2d.backward gpu", fields.pop("known", None))
    beyond = {"worst_ratio": math.inf, "worst_ulp": 8.4e6, "histogram": counts(70, beyond=3), "failure": failure}
    return row("conv2d", "backward", "gpu", **{"verdict": "wrong", **beyond, **fields})


def device(*rows, name="Example GPU 9000", platform="Example CL", driver="535.1", **fields):
    specification = fields.pop("specification", "opencl:0:0")
    return DeviceReport(specification, name, platform, driver, rows=list(rows), **fields)


def report(*devices, date="2026-03-01T10:00:00+00:00", **fields):
    host = {"system": "Linux", "machine": "x86_64", "Python": "3.11"}
    run = {"refcnn": "0.3.0", "date": date, "host": host, "seed": 1234567, "profile": "quick", "examples": 100}
    return Report(**{**run, "devices": list(devices), **fields})


def full_report():
    coverage = {"every extent 1": 12, "groups between 1 and C": 0, HOSTILE: 3}
    return report(
        device(
            row(coverage=coverage),
            row(variant="gpu"),
            wrong(),
            row(
                "softmax", verdict="known fault", failure=Failure("softmax: a barrier is missing", known="pocl-softmax")
            ),
            versions={"pyopencl": "2024.2"},
            build_options="-cl-std=CL1.2",
            denormals=False,
        ),
        device(
            row(coverage={"every extent 1": 1}),
            wrong(verdict="crashed", cases=3, worst_ratio=0.0),
            row("dropout", verdict="not offered", cases=0, histogram=counts()),
            name="Example CPU",
            specification="opencl:1:0",
            denormals=True,
        ),
        device(name="no rows", platform="", driver="", specification="mine:operations"),
        device(name="dead", error="clGetDeviceInfo: DEVICE_NOT_AVAILABLE", specification="opencl:2:0"),
    )


class Page(HTMLParser):
    """A page's elements, texts and tables; fails on tags that do not match."""

    def __init__(self, path):
        super().__init__()
        self.open, self.elements, self.tables, self.texts = [], [], [], []
        # Of each table its cells as texts; one that reaches down stands in each of its rows.
        self.named, self._reaching = {}, {}
        self.feed(path.read_text(encoding="utf-8"))
        assert self.open == []

    @property
    def text(self):
        # Elements within a sentence end before its commas.
        return re.sub(r" (?=[,;:])", "", " ".join(" ".join(self.texts).split()))

    @property
    def verdicts(self):
        """The matrix, and the first table but for the summary."""
        return self.named["verdicts"]

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.elements.append((tag, attributes))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
            self.named[attributes.get("id")], self._reaching = self.tables[-1], {}
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self._fill()
            place = len(self.tables[-1][-1])
            if "thead" not in self.open and int(attributes.get("rowspan", 1)) > 1:
                self._reaching[place] = int(attributes["rowspan"]) - 1, self.tables[-1][-1]
            self.tables[-1][-1].append("")

    def _fill(self):
        row = self.tables[-1][-1]
        while len(row) in self._reaching and self._reaching[len(row)][1] is not row:
            left, above = self._reaching.pop(place := len(row))
            row.append(above[place])
            if left > 1:
                self._reaching[place] = left - 1, row

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag == "tr":
            self._fill()

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.texts.append(data)
        if "td" in self.open or "th" in self.open:
            self.tables[-1][-1][-1] = " ".join(f"{self.tables[-1][-1][-1]} {data}".split())

    def ids(self):
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]


def rendered(subject, folder):
    path = folder / "page.html"
    html.render(subject, path)
    return Page(path)


def rendered_merged(reports, folder):
    path = folder / "merged.html"
    render_merged(merge(reports), path)
    return Page(path)


def test_page_holds_the_whole_report(tmp_path):
    page = rendered(full_report(), tmp_path)
    head, *rows = page.verdicts
    assert [cell.split(" opencl")[0].split(" mine")[0] for cell in head[1:]] == [
        "Example GPU 9000",
        "Example CPU",
        "no rows",
        "dead",
    ]
    assert [(entry[0], [re.split(r" \d|∞", cell)[0].strip() for cell in entry[1:]]) for entry in rows] == [
        ("conv2d forward", ["✓ conforms", "✓ conforms", "–", "–"]),
        ("conv2d forward · gpu", ["✓ conforms", "–", "–", "–"]),
        ("conv2d backward · gpu", ["✗ wrong", "✗ crashed", "–", "–"]),
        ("dropout forward", ["–", "– not offered", "–", "–"]),
        ("softmax forward", ["! known fault pocl-softmax", "–", "–", "–"]),
    ]
    dashes = [attributes for tag, attributes in page.elements if attributes.get("title") == "not run"]
    assert len(dashes) == 2 * 13 + 1
    assert all(attributes["aria-label"] == "not run" for attributes in dashes)
    assert rows[0][1] == "✓ conforms 0.25 of the bound · 1.5 ULP 100 cases · 2 s"
    assert rows[2][1] == "✗ wrong ∞ of the bound · 8.4e+06 ULP 100 cases · 2 s"
    for entry in (
        "3 of 4 do not conform",
        "1234567",
        "quick",
        "0.3.0",
        "2026-03-01 10:00 UTC",
        "x86_64",
        "Example CL",
        "535.1",
        "-cl-std=CL1.2",
        "2024.2",
        "flushed to zero",
        "kept",
        "the device does not say",
        "DEVICE_NOT_AVAILABLE",
        "3 of 12 elements are wrong",
        "stride = [2, 1]",
        "input 0: np.array([1.0], np.float32)",
        "dy: <float32 (9,)>",
        "bundles/conv2d.backward gpu",
        "pocl-softmax",
        "groups between 1 and C",
        "every extent 1",
    ):
        assert entry in page.text


def test_bundles_are_linked_relative_to_the_page(tmp_path):
    failed = wrong()
    failed.failure.bundle = "javascript:alert(1)"
    page = rendered(report(device(wrong()), device(failed)), tmp_path)
    links = [attributes["href"] for tag, attributes in page.elements if tag == "a"]
    assert "./bundles/conv2d.backward%20gpu" in links
    assert all(link.startswith(("./", "#")) for link in links)


def test_each_fault_of_a_row_is_told(tmp_path):
    case = {"inputs": ["<float32 (9,)>"], "attributes": {}, "dy": None}
    others = [
        Failure(
            "it is off", case, "second", explanation="In common: NaN in x. 3 of 3 such cases fail.", verdict="wrong"
        ),
        Failure("it raised", case, "third", verdict="failed"),
    ]
    failing = wrong(further=others)
    failing.failure.explanation = "In common: stride > kernel. 5 of 5 such cases fail."
    subject = report(device(failing, row()))
    for page in (rendered(subject, tmp_path), rendered_merged([subject], tmp_path)):
        (cell,) = [cell for entry in page.verdicts for cell in entry if "faults" in cell]
        assert cell.startswith("✗ wrong 3 faults")
        heads = re.findall(r"✗ (\w+) conv2d\.backward \(gpu\) on Example GPU 9000", page.text)
        assert heads == ["wrong", "wrong", "failed"]
        assert len(cards(page)) == 3
        for words in ("stride > kernel. 5 of 5", "NaN in x. 3 of 3", "it is off", "it raised", "second", "third"):
            assert words in page.text
    subject.save(tmp_path / "report.json")
    assert Report.load(tmp_path / "report.json") == subject


def test_verdicts_lead_to_their_failures(tmp_path):
    for page in (rendered(full_report(), tmp_path), rendered_merged([full_report()], tmp_path)):
        links = [attributes["href"] for tag, attributes in page.elements if tag == "a"]
        targets = [link[1:] for link in links if link.startswith("#")]
        assert {target for target in targets if target.startswith("failure")}
        assert set(targets) <= set(page.ids())
        assert len(page.ids()) == len(set(page.ids()))


@pytest.mark.parametrize("verdict", VERDICTS)
def test_every_verdict_is_told_in_words(tmp_path, verdict):
    page = rendered(report(device(row(verdict=verdict))), tmp_path)
    marks = {"conforms": "✓", "not offered": "–", "known fault": "!", "suspect": "!"}
    assert page.verdicts[1][1].startswith(f"{marks.get(verdict, '✗')} {verdict}")
    passes = verdict in ("conforms", "not offered", "known fault", "suspect")
    assert ("it conforms" in page.text) == passes
    assert ("1 of 1 does not conform" in page.text) == (not passes)


def test_histogram_has_a_bar_for_every_bin_that_is_not_empty(tmp_path):
    page = rendered(report(device(row(histogram=counts(1000, 0, 10, 1, beyond=7)))), tmp_path)
    drawn = [attributes for tag, attributes in page.elements if tag == "rect"]
    heights = [float(entry["height"]) for entry in drawn]
    assert heights[0] > heights[1] > heights[3] > heights[2] > 0
    assert [entry.get("class") for entry in drawn] == [None, None, None, "beyond"]
    (label,) = [attributes["aria-label"] for tag, attributes in page.elements if tag == "svg"]
    for entry in ("0.00 to 0.05: 1,000", "0.10 to 0.15: 10", "above 1: 7"):
        assert entry in label
        assert entry in page.text


def test_coverage_shows_what_only_other_rows_of_the_operation_reached(tmp_path):
    rows = row(coverage={"batch 1": 5}), row(variant="gpu", coverage={"stride above kernel": 2})
    page = rendered(report(device(*rows), device(row("softmax", coverage={"odd batch": 1}))), tmp_path)
    forward, gpu, softmax = page.tables[-3:]
    assert forward[1:] == [["batch 1", "5", "–"], ["stride above kernel", "0", "–"]]
    assert gpu[1:] == [["batch 1", "0", "–"], ["stride above kernel", "2", "–"]]
    assert softmax[1:] == [["odd batch", "–", "1"]]


def test_reference_and_opencl_share_a_row(tmp_path):
    reference = device(row(cases=1), row(direction="backward"), name="NumPy", specification="reference")
    cpu = device(row(variant="cpu", cases=2), row(variant="cpu+relu", cases=3), name="CPU")
    for draw in (rendered, lambda subject, folder: rendered_merged([subject], folder)):
        head, *lines = draw(report(reference, cpu), tmp_path).verdicts
        lines = [entry for entry in lines if entry[0].startswith("conv2d")]
        # What is merged stands by platform and name.
        numpy = next(place for place, cell in enumerate(head) if "NumPy" in cell) if draw is rendered else 2
        other = 3 - numpy
        assert [entry[0] for entry in lines] == [
            "conv2d forward · cpu",
            "conv2d forward · cpu+ relu",
            "conv2d backward",
        ]
        assert "1 case " in lines[0][numpy] and "2 cases" in lines[0][other]
        assert lines[1][numpy] == "–" and "3 cases" in lines[1][other]
        assert lines[2][numpy].startswith("✓") and lines[2][other] == "–"


def test_beside_several_variants_the_reference_reaches_over_them(tmp_path):
    reference = device(row(cases=1, coverage={"batch 1": 1}), name="NumPy")
    gpu = device(row(variant="gpu", cases=2), row(variant="plain", cases=4), row(variant="gpu+relu", cases=8))
    cpu = device(row(variant="cpu", cases=16, coverage={"batch 1": 7}))
    page = rendered(report(reference, gpu, cpu), tmp_path)
    cells = {entry[0]: [re.findall(r"(\d+) case", cell) for cell in entry[1:]] for entry in page.verdicts[1:]}
    assert cells == {
        "conv2d forward · cpu": [["1"], [], ["16"]],
        "conv2d forward · gpu": [["1"], ["2"], []],
        "conv2d forward · plain": [["1"], ["4"], []],
        "conv2d forward · gpu+ relu": [[], ["8"], []],
    }
    tall = [attributes for tag, attributes in page.elements if tag == "td" and "rowspan" in attributes]
    # In the matrix and in the histograms.
    assert [attributes["rowspan"] for attributes in tall] == ["3", "3"]
    assert page.tables[-4][1:] == [["batch 1", "1", "–", "7"]]


def test_summary_comes_first(tmp_path):
    for page in (rendered(full_report(), tmp_path), rendered_merged([full_report()], tmp_path)):
        ids = page.ids()
        assert ids.index("summary") < ids.index("devices-summary") < ids.index("matrix") < ids.index("failures")
        head, *lines = page.named["devices-summary"]
        assert head == [
            *("Device", "Verdict", "Conforming", "Known faults", "Failing", "Not offered", "Cases"),
            *("Nearest to its bound", "Time"),
        ]
        names = "Example GPU 9000", "Example CPU", "no rows", "dead"
        told = {name: next(entry[1:] for entry in lines if entry[0].startswith(name)) for name in names}
        assert told["Example GPU 9000"] == [
            *("✗ does not conform", "2", "1", "1", "0", "400", "0.25 of it conv2d.forward", "8 s")
        ]
        assert told["Example CPU"] == [
            *("✗ does not conform", "1", "0", "1", "1", "103", "0.25 of it conv2d.forward", "6 s")
        ]
        assert told["no rows"] == ["– nothing was tested", "0", "0", "0", "0", "0", "", "0 s"]
        assert told["dead"][0] == "✗ could not be tested"
        assert page.text.index("Summary") < page.text.index("Operations")
        assert "✗ wrong conv2d (backward · gpu) on Example GPU 9000" in page.text


def test_the_summary_of_what_is_exact_or_unusable(tmp_path):
    exact = device(row(worst_ratio=0.0), name="Exact")
    subject = report(exact, device(unusable="it builds nothing", name="Unusable"))
    _, first, second = rendered(subject, tmp_path).named["devices-summary"]
    assert first[7] == "no error" and second[1] == "– unusable, not tested it builds nothing"


def unbuilt(operation, device_name="Example GPU 9000", error="unknown type name 'half8'", number=0, **fields):
    message = (
        f"elementwise_{number % 3}.cl could not be built for {device_name} (Example CL, driver 1) with options "
        f"-DOPERATION={operation} -DWIDTH={number} -cl-denorms-are-zero. The compiler says:\n"
        f"{number}:172:1: error: {error}\n(options: -DOPERATION={operation} -I /usr/include/{operation})\n"
        f"(source saved as /tmp/tmp{operation}.cl)"
    )
    failure = Failure(message, {"inputs": [f"<float32 ({number},)>"]}, f"bundles/{operation}.{number}")
    nothing = {"cases": 1, "worst_ratio": 0.0, "worst_ulp": 0.0, "histogram": counts()}
    return row(operation, verdict="did not build", failure=failure, **{**nothing, **fields})


def cards(page):
    return [identifier for identifier in page.ids() if identifier.startswith("failure-")]


@pytest.mark.parametrize("draw", [rendered, lambda subject, folder: rendered_merged([subject], folder)])
def test_identical_failures_are_one(tmp_path, draw):
    names = [f"operation_{chr(ord('a') + index)}" for index in range(26)]
    rows = [unbuilt(name, number=index) for index, name in enumerate(names)]
    others = [unbuilt(name, "Other GPU", number=index) for index, name in enumerate(names)]
    page = draw(report(device(*rows), device(*others, name="Other GPU", specification="opencl:1:0")), tmp_path)
    assert len(cards(page)) == 1
    assert "✗ did not build 52 alike" in page.text
    assert "operation_a (forward), operation_b (forward), operation_c (forward), operation_d (forward) and 22 more" in (
        page.text
    )
    # Nothing of any is lost.
    for index, name in enumerate(names):
        assert page.text.count(f"-DOPERATION={name} -DWIDTH={index} ") == 2
        assert page.text.count(f"input 0: <float32 ({index},)>") == 2
        assert page.text.count(f"bundles/{name}.{index}") == 2
    links = [attributes["href"] for tag, attributes in page.elements if tag == "a" and attributes["href"][0] == "#"]
    assert links.count("#failure-0") == 52 + 1


def test_identical_failures_are_one_in_the_terminal():
    names = [f"operation_{chr(ord('a') + index)}" for index in range(26)]
    rows = [unbuilt(name, number=index) for index, name in enumerate(names)]
    others = [unbuilt(name, "Other GPU", number=index) for index, name in enumerate(names)]
    alone = unbuilt("dense", error="out of registers")
    text = faults(
        [device(*rows, alone), device(*others, name="Other GPU", specification="opencl:1:0", error="it ended")]
    )
    head, *lines = text.strip().splitlines()
    assert head == "did not build, 52 alike"
    assert all(len(line) <= 120 for line in lines if line.startswith(("  on ", "    ")))
    assert text.count("The compiler says") == 2
    together = " ".join(text.split())
    for specification in ("opencl:0:0", "opencl:1:0"):
        assert f"on {specification}: {', '.join(f'{name}.forward' for name in names)} " in together
    assert "the message of operation_a.forward on opencl:0:0: elementwise_0.cl could not be built" in together
    assert "saved as bundles/operation_a.0 and 51 more, of the others, beside it" in together
    assert "dense.forward on opencl:0:0: did not build" in together and "out of registers" in together
    assert text.endswith("\nopencl:1:0 could not be tested any further: it ended")
    assert faults([device(row())]) == ""


def raised(operation, direction, place, error="the driver is too old"):
    lines = ["Traceback (most recent call last):", f'  File "worker.py", line {len(operation)}, in _{direction}']
    lines += [f'  File "mine.py", line {place}, in computed', f"RuntimeError: {error}"]
    return row(
        operation, direction, verdict="failed", failure=Failure("\n".join(lines), None, f"{operation}-{direction}")
    )


def test_one_exception_from_every_operation_is_said_once(tmp_path):
    """By whichever way it came to where it was raised; others, and those raised elsewhere, are others."""
    rows = [raised(name, direction, 7) for name in ("relu", "dense") for direction in ("forward", "backward")]
    others = [raised("tile", "forward", 8), raised("split", "forward", 7, "out of memory")]
    text = faults([device(*rows, *others)])
    assert text.count("RuntimeError: the driver is too old") == 2 and text.count("failed, 4 alike") == 1
    for name in ("tile.forward", "split.forward"):
        assert f"{name} on opencl:0:0: failed" in text
    page = rendered(report(device(*rows, *others)), tmp_path)
    assert len(cards(page)) == 3
    assert "✗ failed 4 alike On Example GPU 9000: relu, dense" in page.text


def test_failures_that_differ_stay_apart(tmp_path):
    ended = [
        row(name, verdict="crashed", failure=Failure(f"the process ended by SIGSEGV in {name}.forward"))
        for name in "xy"
    ]
    wrongs = [wrong("conv2d.backward: 3 of 12 elements"), wrong("conv2d.backward: 4 of 12 elements")]
    rows = [unbuilt("a"), unbuilt("b", error="out of registers"), *ended, wrongs[0]]
    page = rendered(report(device(*rows), device(wrongs[1], name="Other GPU")), tmp_path)
    assert len(cards(page)) == 5
    assert "✗ crashed 2 alike On Example GPU 9000: x (forward), y (forward)" in page.text
    text = faults([device(*rows), device(wrongs[1], name="Other GPU")])
    heads = [line for line in text.splitlines() if line and not line.startswith(" ")]
    assert heads[2] == "crashed, 2 alike" and [head.rpartition(" ")[2] for head in heads].count("wrong") == 2
    assert len(heads) == 5


@pytest.mark.parametrize("histogram", [counts(), counts(70)])
def test_what_did_not_build_has_no_error(tmp_path, histogram):
    subject = report(device(unbuilt("conv2d", histogram=histogram, worst_ratio=0.5, worst_ulp=3.0)))
    for page in (rendered(subject, tmp_path), rendered_merged([subject], tmp_path)):
        assert page.verdicts[-1][1] == "✗ did not build 1 case · 2 s"
        assert "rect" not in {tag for tag, _ in page.elements}
    assert not subject.devices[0].rows[0].is_compared and row().is_compared
    # The file is as ever.
    subject.save(tmp_path / "report.json")
    assert Report.load(tmp_path / "report.json") == subject
    head, line = results(subject.devices[0]).splitlines()[2:4]
    assert head.split() == ["operation", "cases", "error/bound", "probable", "ULP", "verdict", "seconds"]
    assert line.split() == ["conv2d.forward", "1", "did", "not", "build", "2.0"]


def test_known_faults_stand_at_their_column(tmp_path):
    def known(operation, **fields):
        return row(operation, verdict="known fault", failure=Failure("off", known=f"fault-of-{operation}"), **fields)

    runtime = device(known("relu"), known("elu"), name="Runtime", specification="onnxruntime:CPU")
    subject = report(device(row("relu"), unbuilt("elu")), runtime, device(known("elu"), name="Third"))
    for page in (rendered(subject, tmp_path), rendered_merged([subject], tmp_path)):
        heads = [cell for line in page.verdicts[:2] for cell in line if "known fault" in cell and "forward" not in cell]
        assert [
            re.findall(r"! \d known faults?", cell) for cell in heads if cell.startswith(("Runtime", "Third", "535"))
        ] == [["! 2 known faults"], ["! 1 known fault"]]
        sections = [identifier for identifier in page.ids() if identifier.startswith("known-")]
        assert sections == ["known-1", "known-2"]
        ids = page.ids()
        order = [ids.index(place) for place in ("failures", "known-1", "known-2", "devices")]
        assert order == sorted(order)
        # The one that is a fault stands above them, the others below.
        places = [ids.index(card) for card in cards(page)]
        assert sum(order[0] < place < order[1] for place in places) == 1
        assert sum(order[1] < place < order[2] for place in places) == 2
        assert sum(order[2] < place < order[3] for place in places) == 1
        assert all(f"! known fault fault-of-{name}" in page.text for name in ("relu", "elu"))
        assert "Known faults of Runtime" in page.text


def hostile_report(**fields):
    failure = Failure(HOSTILE, {"inputs": [HOSTILE], "attributes": {HOSTILE: HOSTILE}, "dy": HOSTILE}, HOSTILE, HOSTILE)
    bad = row(HOSTILE, "forward", HOSTILE, "wrong", coverage={HOSTILE: 1}, failure=failure)
    texts = dict.fromkeys(("name", "platform", "driver", "specification", "build_options", "error"), HOSTILE)
    return report(
        device(bad, **texts, versions={HOSTILE: HOSTILE}),
        refcnn=HOSTILE,
        profile=HOSTILE,
        host={HOSTILE: HOSTILE},
        **fields,
    )


@pytest.mark.parametrize("draw", [rendered, lambda subject, folder: rendered_merged([subject], folder)])
def test_foreign_text_stays_text(tmp_path, draw):
    page = draw(hostile_report(), tmp_path)
    assert "script" not in {tag for tag, _ in page.elements}
    assert "alert('x')" in page.text


@pytest.mark.parametrize("draw", [rendered, lambda subject, folder: rendered_merged([subject], folder)])
def test_page_asks_for_nothing_else(tmp_path, draw):
    page = draw(full_report(), tmp_path)
    assert not {tag for tag, _ in page.elements} & {"script", "link", "img", "iframe", "object", "embed", "base"}
    assert not [attributes for _, attributes in page.elements if "src" in attributes or "srcset" in attributes]
    policies = [attributes["content"] for tag, attributes in page.elements if "http-equiv" in attributes]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]
    (style,) = re.findall("<style>(.*?)</style>", next(tmp_path.glob("*.html")).read_text(encoding="utf-8"), re.DOTALL)
    assert "url(" not in style
    assert "@import" not in style


def test_empty_reports_have_pages(tmp_path):
    assert "no device was tested" in rendered(report(), tmp_path).text
    assert "nothing was tested" in rendered(report(device()), tmp_path).text
    assert "The reports hold no device" in rendered_merged([report()], tmp_path).text
    assert "nothing was tested" in rendered_merged([report(device())], tmp_path).text


def test_what_json_has_no_number_for_is_written_as_text(tmp_path):
    """Attributes and ratios may be of any float."""
    failure = Failure("off", {"inputs": [], "attributes": {"min": -math.inf, "max": math.inf, "value": math.nan}})
    row = Row("clip", "forward", verdict="wrong", worst_ratio=math.inf, failure=failure)
    report = Report("1", "2026-01-01", {}, 1, "quick", 1, [DeviceReport("a", "A", rows=[row])])
    report.save(tmp_path / "report.json")
    (read,) = Report.load(tmp_path / "report.json").devices[0].rows
    assert read.worst_ratio == math.inf
    assert read.failure.case["attributes"] == {"min": "-infinity", "max": "infinity", "value": "NaN"}


def test_where_nothing_was_tested_nothing_conforms(tmp_path):
    idle = device(row("relu", verdict="not offered", cases=0), name="idle")
    assert not report(idle).conforms and not report(device()).conforms and not report().conforms
    page = rendered(report(idle), tmp_path)
    # The legend explains each verdict.
    assert "– nothing was tested" in page.text and page.text.count("conforms") == 1
    assert page.verdicts[0][1].endswith("– nothing was tested")
    assert rendered_merged([report(idle)], tmp_path).text.count("conforms") == 1
    assert report(idle, device(row())).conforms
    assert "✓ 1 of 2 conforms – nothing was tested on 1" in rendered(report(idle, device(row())), tmp_path).text
    bad = report(idle, device(row()), device(row(verdict="crashed", cases=0)), device(error="it is gone"))
    assert not bad.conforms
    assert "✗ 2 of 4 do not conform – nothing was tested on 1" in rendered(bad, tmp_path).text


@pytest.mark.parametrize("write", [html.render, lambda subject, path: render_merged(merge([subject]), path)])
def test_page_that_cannot_be_written_is_said(tmp_path, write):
    with pytest.raises(FileWriteError, match="page.html"):
        write(full_report(), tmp_path / "missing" / "page.html")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (0.123, "0.12 s"),
        (9.97, "10 s"),
        (59.4, "59 s"),
        (59.8, "1 min 0 s"),
        (200.0, "3 min 20 s"),
        (math.inf, "∞"),
    ],
)
def test_durations(seconds, text):
    assert texts.duration(seconds) == text


def test_all_that_the_schema_allows_can_be_shown(tmp_path):
    days = "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-05:00"
    for index, date in enumerate(days):
        report(device(row(seconds=math.inf), driver=str(index)), date=date).save(tmp_path / f"{index}.json")
    page = rendered_merged(load([tmp_path]), tmp_path)
    assert all(day in page.text for day in days)
    assert "100 cases · ∞" in page.text
    assert "0001-01-01T00:00:00+01:00" in rendered(load([tmp_path / "0.json"])[0], tmp_path).text


@pytest.mark.parametrize(
    ("ratio", "name"),
    [
        (0.0, "no error"),
        (0.1, "below a tenth"),
        (0.11, "below half"),
        (1.0, "within"),
        (1.01, "beyond"),
        (math.inf, "beyond"),
    ],
)
def test_ratio_classes(ratio, name):
    assert html.ratio_class(ratio).startswith(name)


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def browse(tmp_path_factory):
    """Open a page in headless Chromium; give its DOM, its lines on the console and the URLs that it asked for."""
    if CHROMIUM is None:
        pytest.skip("no chromium, chromium-browser or google-chrome on the path: install one to test the pages in it")

    def open_page(path):
        folder = tmp_path_factory.mktemp("chromium")
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-sync",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-dev-shm-usage",
            # The browser's own requests, for updates and the time, are to reach nobody from a test.
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={folder / 'profile'}",
            f"--log-net-log={folder / 'net.json'}",
            "--enable-logging=stderr",
            "--window-size=400,900",
            "--dump-dom",
        ]
        done = subprocess.run(
            [CHROMIUM, *options, path.as_uri()], capture_output=True, encoding="utf-8", timeout=120, check=True
        )
        console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        log = (folder / "net.json").read_text(encoding="utf-8", errors="replace")
        asked = set(re.findall(r'site=file:[^"]*","url":"([^"]+)"', log))
        return done.stdout, console, asked

    return open_page


def test_browser_tells_of_requests_and_script_errors(tmp_path, browse):
    (tmp_path / "page.html").write_text("<img src='http://example.invalid/x.png'><script>missing()</script>")
    _, console, asked = browse(tmp_path / "page.html")
    assert asked == {"http://example.invalid/x.png"}
    assert any("missing is not defined" in line for line in console)


@pytest.mark.parametrize("kind", ["report", "merged"])
def test_browser_shows_the_matrix_and_asks_for_nothing(tmp_path, browse, kind):
    path = tmp_path / "page.html"
    reports = [full_report(), hostile_report(date="2026-03-02T10:00:00+00:00")]
    if kind == "report":
        html.render(dataclasses.replace(reports[0], devices=[*reports[0].devices, *reports[1].devices]), path)
    else:
        render_merged(merge(reports), path)
    document, console, asked = browse(path)
    (tmp_path / "dom.html").write_text(document, encoding="utf-8")
    page = Page(tmp_path / "dom.html")
    assert page.verdicts == Page(path).verdicts
    (cells,) = [entry[1:] for entry in page.verdicts if entry[0] == "conv2d forward"]
    assert any(cell.startswith("✓ conforms 0.25 of the bound") for cell in cells)
    assert "script" not in {tag for tag, _ in page.elements}
    assert console == []
    assert asked == set()
