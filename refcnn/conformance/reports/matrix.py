"""The matrix of a report: a line for each operation, direction and variant of the kernels, a column for each device."""

import dataclasses
from typing import Any

from .results import DIRECTIONS


@dataclasses.dataclass(frozen=True)
class Key:
    """What a result is of: an operation in one direction, as one variant of the kernels."""

    operation: str
    direction: str
    variant: str | None

    @classmethod
    def of(cls, row):
        """Return the key of a Row."""
        return cls(row.operation, row.direction, row.variant)

    @property
    def is_fused(self):
        """Whether the variant has another operation in its kernel."""
        return self.variant is not None and "+" in self.variant

    @property
    def order(self):
        """Sorts by operation, forward before backward, then by variant, the fused ones last."""
        return self.operation, DIRECTIONS.index(self.direction), self.is_fused, self.variant or ""

    @property
    def detail(self):
        """Direction and variant in one text."""
        return f"{self.direction} · {self.variant}" if self.variant else self.direction


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of the matrix.

    Attributes
    ----------
    key : Key
        What its heading says.
    entries : list
        What each column holds, or None.
    spans : list of int
        Over how many lines each column's cell reaches; 0 where one above reaches down to here.
    """

    key: Key
    entries: list[Any]
    spans: list[int]

    @property
    def cells(self):
        """Return (column, entry, span) of the cells that begin in this line."""
        cells = enumerate(zip(self.entries, self.spans, strict=True))
        return [(column, entry, span) for column, (entry, span) in cells if span]


@dataclasses.dataclass(frozen=True)
class Matrix:
    """Results by operation and device.

    Attributes
    ----------
    operations : dict of str to list of Line
        Every operation of which any column holds anything.
    """

    operations: dict

    @classmethod
    def of(cls, columns):
        """Return the matrix of columns, each a dict of Key to what it holds."""
        found = {}
        for key in sorted({key for column in columns for key in column}, key=lambda key: key.order):
            found.setdefault(key.operation, {}).setdefault(key.direction, []).append(key)
        return cls(
            {
                operation: [line for keys in directions.values() for line in _lines(keys, columns)]
                for operation, directions in found.items()
            }
        )

    def coverage(self, line):
        """Return what the cases of a line of Rows covered.

        For each event that any row of the operation covered, how often it was
        on each device; None where the device has no such row or ran no case of it.
        """
        related = [row for other in self.operations[line.key.operation] for row in other.entries if row is not None]
        events = sorted({event for row in related for event in row.coverage})
        rows = [row if row and row.cases else None for row in line.entries]
        return {event: [row and row.coverage.get(event, 0) for row in rows] for event in events}

    def missed(self, line):
        """Return the events that no case of a line reached on any device."""
        return [event for event, counts in self.coverage(line).items() if not any(counts)]


def _lines(keys, columns):
    """Return the lines of the keys of an operation in one direction, which are in their order.

    What knows no variants, such as the reference, stands beside those that OpenCL devices run unfused; beside several
    its cell is as high as their lines together.
    """
    whole = next((key for key in keys if key.variant is None), None)
    unfused = [key for key in keys if key.variant is not None and not key.is_fused]
    # Of a device reports of several versions may hold both.
    holds_both = any(whole in column and any(key in column for key in unfused) for column in columns)
    if whole is None or not unfused or holds_both:
        return [Line(key, [column.get(key) for column in columns], [1] * len(columns)) for key in keys]
    lines = []
    for place, key in enumerate(key for key in keys if key is not whole):
        is_shared = [whole in column and place < len(unfused) for column in columns]
        lines.append(
            Line(
                key,
                [
                    (None if place else column[whole]) if shared else column.get(key)
                    for column, shared in zip(columns, is_shared, strict=True)
                ],
                [(0 if place else len(unfused)) if shared else 1 for shared in is_shared],
            )
        )
    return lines
