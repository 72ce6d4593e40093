"""Tables of text stay within a width, and lose nothing where there is none."""

import io
import os
import sys

from hypothesis import given
from hypothesis import strategies as st

from refcnn.tables import table, terminal_width

WORDS = st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=40)


@st.composite
def rows(draw):
    columns = draw(st.integers(2, 7))
    return draw(st.lists(st.tuples(*[WORDS] * columns), min_size=1, max_size=6))


@given(rows())
def test_without_a_width_all_is_there(rows):
    for line, row in zip(table(rows), rows, strict=True):
        assert line.split() == [cell for cell in row if cell]


@given(rows(), st.integers(70, 200))
def test_lines_are_no_longer_than_the_width(rows, width):
    lines = table(rows, width=width)
    assert len(lines) == len(rows)
    assert all(len(line) <= width for line in lines)
    # What fits is left alone.
    if max(map(len, table(rows))) <= width:
        assert lines == table(rows)


def test_columns_stand_below_each_other():
    rows = [("name", "count"), ("a", "7"), ("longer", "12345")]
    assert table(rows) == ["name    count", "a           7", "longer  12345"]
    assert table(rows, left=(0, 1), least=(8,)) == ["name      count", "a         7", "longer    12345"]


def test_the_widest_column_is_cut_in_the_middle_and_remarks_are_not():
    rows = [("", "name", "size"), ("a", "pthread-skylake-avx512-EPYC", "12"), ("b", "failed: " + 40 * "x")]
    assert table(rows, left=(0, 1), width=24) == [
        "   name             size",
        "a  pthrea...2-EPYC    12",
        f"b  failed: {40 * 'x'}",
    ]


def test_only_a_terminal_has_a_width(monkeypatch):
    monkeypatch.setenv("COLUMNS", "90")
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    assert terminal_width() is None
    monkeypatch.setattr(stream, "isatty", lambda: True)
    assert terminal_width() == 90
    # What mpiexec gives its ranks is a terminal that has no width.
    monkeypatch.delenv("COLUMNS")
    for columns, width in ((132, 132), (0, None)):
        monkeypatch.setattr(os, "get_terminal_size", lambda *_, columns=columns: os.terminal_size((columns, 0)))
        assert terminal_width() == width
