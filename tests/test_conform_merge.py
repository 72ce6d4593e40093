"""Reports of many machines on one page: what is the same device, what changed, and files that hold no report."""

import dataclasses
import json

import pytest

from refcnn.conformance.reports.merge import load, merge
from refcnn.errors import ArgumentError, DataError

from .test_conform_report import device, full_report, rendered_merged, report, row, wrong


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
    marked = [cell for entry in page.verdicts for cell in entry if "▲" in cell]
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
    assert "▲ could be tested" in page.verdicts[1][0]
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


def test_a_device_whose_reports_hold_both_has_a_row_for_each(tmp_path):
    page = rendered_merged(days(device(row(cases=1)), device(row(variant="cpu", cases=2))), tmp_path)
    assert [entry[0] for entry in page.verdicts[2:]] == ["conv2d forward", "conv2d forward · cpu"]
