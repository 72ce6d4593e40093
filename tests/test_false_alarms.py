"""Counting cases of right implementations: each once, whatever ended the count before, and what is wrong is kept."""

import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from refcnn.conformance.bundles.case_file import read_case

from .orders_of_summation import ORDERS, Ordered, Summing

sys.path.append(str(Path(__file__).parents[1] / "tools"))
import false_alarms


@pytest.fixture
def broken(monkeypatch):
    """An implementation that is wrong from 100 on."""
    module = types.ModuleType("broken_for_counting")
    module.relu = lambda x: np.where((x > 0) & (x < 100), x, np.minimum(0, x) * 0)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return f"{module.__name__}:"


def test_cases_are_counted_once_and_what_is_wrong_is_kept(tmp_path, broken, capsys):
    path = tmp_path / "counts.jsonl"
    counting = false_alarms.Counting(path, ["reference", broken], 20)
    counting.run(1, "relu")
    (line,) = map(json.loads, path.read_text().splitlines())
    # The search in which one fails ends there for all.
    assert (line["seed"], line["operation"]) == (1, "relu") and 30 <= line["cases"]["reference"] <= 40
    assert line["cases"][broken] < 20
    (alarm,) = line["alarms"]
    assert alarm["device"] == broken and alarm["row"] == ["relu", "forward", None]
    case = read_case(tmp_path / alarm["bundle"])[3]
    assert case.inputs[0].size <= 24
    counting.run(1, "relu")
    assert len(path.read_text().splitlines()) == 1
    with open(path, "a") as file:
        file.write('{"seed": 1, "operation": "rel')
    false_alarms.Counting(path, ["reference"], 5).run(2, "relu")
    lines = path.read_text().splitlines()
    assert len(lines) == 3 and json.loads(lines[2])["cases"] == {"reference": 10}


def test_what_has_a_short_name_is_counted_once_too(tmp_path):
    path = tmp_path / "counts.jsonl"
    for _ in range(2):
        false_alarms.Counting(path, ["onnxruntime"], 4).run(1, "relu")
    (line,) = map(json.loads, path.read_text().splitlines())
    (count,) = line["cases"].values()
    # So was it not once, and lists of that time are told as what they are.
    path.write_text(path.read_text() * 2)
    assert false_alarms.summary(path).splitlines()[-1].split() == [str(count), "0", "in", "all"]


def test_ten_orders_are_right_and_none_is_another(tmp_path):
    assert len(ORDERS) == 10
    path = tmp_path / "counts.jsonl"
    specifications = [f"tests.orders_of_summation:ALL.{order}" for order in ORDERS]
    # Of fewer than five none is vast.
    counting = false_alarms.Counting(path, specifications, 4)
    for operation in ("conv2d", "reduce_mean"):
        counting.run(1, operation)
    lines = list(map(json.loads, path.read_text().splitlines()))
    assert not any(line["alarms"] for line in lines)
    assert all(set(line["cases"]) == set(specifications) for line in lines)
    terms = np.random.default_rng(1).standard_normal((1003, 400)).astype(np.float32)
    sums = {name: Summing(order).total(terms).tobytes() for name, order in ORDERS.items()}
    assert len(set(sums.values())) == len(sums)
    assert not hasattr(Ordered("sequential", ORDERS["sequential"]), "relu")
