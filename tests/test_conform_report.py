"""The pages of conformance reports: complete, escaped, whole without anything else, and readable in a browser."""

import dataclasses
import json
import math
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from refcnn.conformance.reports import html
from refcnn.conformance.reports.merge import load, merge, render_merged
from refcnn.conformance.reports.results import BINS, VERDICTS, DeviceReport, Failure, Report, Row
from refcnn.errors import ArgumentError, DataError, FileWriteError

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
        self.feed(path.read_text(encoding="utf-8"))
        assert self.open == []

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

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
    head, *rows = page.tables[0]
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
        ("softmax forward", ["! known fault", "–", "–", "–"]),
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
    marks = {"conforms": "✓", "not offered": "–", "known fault": "!"}
    assert page.tables[0][1][1].startswith(f"{marks.get(verdict, '✗')} {verdict}")
    passes = verdict in ("conforms", "not offered", "known fault")
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
    assert page.tables[0][0][1].endswith("– nothing was tested")
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
    assert html.duration(seconds) == text


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


def days(*devices):
    """Reports of one device each, from one day to the next."""
    return [report(entry, date=f"2026-03-{index:02}T10:00:00+00:00") for index, entry in enumerate(devices, 1)]


def changes(reports):
    return [
        (column.driver, cell.row.name, *dataclasses.astuple(cell.change))
        for column in merge(reports).columns
        for _, cell in column.changes
    ]


def test_drivers_of_a_device_stand_side_by_side():
    first, second, other = device(row(), driver="1"), device(row(), driver="2"), device(row(), name="other")
    reports = days(first, second, other, first)
    merged = merge(reversed(reports))
    assert [[column.driver for column in columns] for columns in merged.devices] == [["2", "1"], ["535.1"]]
    assert [column.reports for column in merged.columns] == [1, 2, 1]
    assert merged.reports == 4
    assert merged.changes == 0


def test_changed_verdict_is_marked_across_drivers(tmp_path):
    reports = days(device(row(), wrong(), driver="1"), device(row(verdict="wrong"), wrong(), driver="2"))
    assert changes(reports) == [("2", "conv2d.forward", "was conforms", reports[0].date, "1")]
    page = rendered_merged(reports, tmp_path)
    marked = [cell for entry in page.tables[0] for cell in entry if "▲" in cell]
    assert len(marked) == 1
    assert marked[0].startswith("✗ wrong")
    assert marked[0].endswith("▲ was conforms")
    assert "was conforms on 2026-03-01 10:00 UTC with 1" in page.text
    assert "1 changed since" in page.text


def test_worst_ratio_is_marked_where_its_class_changes():
    ratios = [0.2, 0.45, 0.51, 0.9, 0.09]
    reports = days(*(device(row(worst_ratio=ratio)) for ratio in ratios))
    found = [changes(reports[: last + 1]) for last in range(len(ratios))]
    name = ("535.1", "conv2d.forward")
    assert found == [
        [],
        [],
        [(*name, "was below half the bound (0.45)", reports[1].date, "535.1")],
        [],
        [(*name, "was within the bound (0.9)", reports[3].date, "535.1")],
    ]


def test_dates_are_compared_as_moments():
    early = report(device(row()), date="2026-03-01T10:00:00+09:00")
    late = report(device(row(verdict="wrong")), date="2026-03-01T02:00:00+00:00")
    (column,) = merge([late, early]).columns
    assert column.report is late
    assert column.changes[0][1].change.text == "was conforms"


def test_rows_that_a_later_report_left_out_stay(tmp_path):
    reports = days(device(row(), row("softmax", verdict="wrong")), device(row()), device(row("softmax")))
    merged = merge(reports)
    (column,) = merged.columns
    cells = {key.operation: cell for key, cell in column.cells.items()}
    assert cells["conv2d"].date == reports[1].date
    assert (cells["softmax"].change.text, cells["softmax"].change.date) == ("was wrong", reports[0].date)
    assert column.summary.conforms
    assert "from 2026-03-02 10:00 UTC" in rendered_merged(reports, tmp_path).text


def test_device_that_can_no_longer_be_tested_is_marked(tmp_path):
    page = rendered_merged(days(device(row()), device(error="it is gone")), tmp_path)
    assert "▲ could be tested" in page.tables[0][1][0]
    assert "could be tested on 2026-03-01 10:00 UTC with 535.1" in page.text
    assert "it is gone" in page.text


def test_report_given_twice_counts_once():
    subject = report(device(row()))
    merged = merge([subject, dataclasses.replace(subject)])
    assert merged.reports == merged.columns[0].reports == 1


def test_nothing_changed_is_said_where_something_could_have(tmp_path):
    assert "changed since" not in rendered_merged(days(device(row())), tmp_path).text
    assert "Nothing changed since" in rendered_merged(days(device(row()), device(row())), tmp_path).text


def test_equal_devices_of_one_report_stay_apart():
    merged = merge([report(device(row(verdict="wrong")), device(row(), specification="opencl:0:1"))])
    assert [len(columns) for columns in merged.devices] == [1, 1]
    assert merged.changes == 0


def test_implementations_without_a_platform_are_told_apart_by_machine():
    reports = [
        report(
            device(
                row(),
                platform="",
                driver="",
                name=f"mine {version}",
                specification="mine:object",
                versions={"mine": version},
            ),
            host={"machine": machine},
            date=f"2026-03-0{version[0]}T10:00:00+00:00",
        )
        for version, machine in (("1.0", "x86_64"), ("1.0", "aarch64"), ("2.0", "x86_64"))
    ]
    merged = merge(reports)
    drivers = [[column.driver for column in columns] for columns in merged.devices]
    assert drivers == [["mine 1.0"], ["mine 1.0", "mine 2.0"]]


def test_merging_nothing_is_an_error():
    with pytest.raises(ArgumentError, match="no report was given"):
        merge([])


def test_saved_reports_are_read_from_files_and_folders(tmp_path):
    subject = full_report()
    subject.save(tmp_path / "one.json")
    report(device(row())).save(tmp_path / "two.json")
    assert load([tmp_path])[0] == subject
    assert load([tmp_path]) == load([tmp_path / "one.json", str(tmp_path / "two.json")])


def edited(**entries):
    return json.dumps({**full_report().to_json(), **entries})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "3",
        "\x00",
        '{"schema": 1}',
        edited(schema=99),
        edited(schema=None),
        edited(seed="one"),
        edited(date="yesterday"),
        edited(date=3),
        edited(devices=[3]),
        edited(devices=None),
        edited(host=[]),
        edited(devices=[{"name": "a"}]),
        edited(surplus=1),
        edited().replace('"seconds": 2.0', '"seconds": NaN'),
        edited(devices=[{**full_report().to_json()["devices"][0], "name": 3}]),
        edited(
            devices=[
                {
                    **full_report().to_json()["devices"][0],
                    "rows": [{**full_report().to_json()["devices"][0]["rows"][0], "verdict": "fine"}],
                }
            ]
        ),
        edited(
            devices=[
                {
                    **full_report().to_json()["devices"][0],
                    "rows": [{**full_report().to_json()["devices"][0]["rows"][0], "histogram": [1, 2]}],
                }
            ]
        ),
    ],
)
def test_what_is_no_report_is_said_with_its_name(tmp_path, text):
    full_report().save(tmp_path / "good.json")
    (tmp_path / "odd.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"odd\.json"):
        load([tmp_path])


def test_unreadable_reports_are_said_with_their_names(tmp_path):
    with pytest.raises(DataError, match=r"absent\.json"):
        load([tmp_path / "absent.json"])
    with pytest.raises(DataError, match=r"holds no \.json file"):
        load([tmp_path])
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"bytes\.json"):
        load([tmp_path])


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
    assert page.tables[0] == Page(path).tables[0]
    (cells,) = [entry[1:] for entry in page.tables[0] if entry[0] == "conv2d forward"]
    assert any(cell.startswith("✓ conforms 0.25 of the bound") for cell in cells)
    assert "script" not in {tag for tag, _ in page.elements}
    assert console == []
    assert asked == set()
