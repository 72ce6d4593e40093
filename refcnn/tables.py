"""Tables of text: cells below each other, in lines that a terminal does not wrap."""

import itertools
import shutil
import sys

_GAP = "  "
_CUT = "..."
# A cell is not cut below so many characters: a line that is too long tells more.
_LEAST_CUT = 8


def terminal_width():
    """Return how many characters a line of standard output may have: its terminal's, or None where it is none.

    One that does not say how wide it is, as mpiexec gives its ranks, passes lines on.
    """
    return (shutil.get_terminal_size((0, 0)).columns or None) if sys.stdout.isatty() else None


def table(rows, *, left=(0,), least=(), width=None):
    """Return rows of text as lines, with cells below each other.

    Parameters
    ----------
    rows : sequence of tuple of str
        One that is shorter than the first ends with a remark of any length.
    left : collection of int
        The columns that stand to the left of their place; others stand to the right.
    least : sequence of int
        Widths that the columns have at least, so that tables stand well below each other.
    width : int, optional
        How many characters a line may have, such as :func:`terminal_width`: the widest columns are cut to that, in the
        middle of their cells. Remarks are not, and no column below a few characters.

    Returns
    -------
    list of str
    """
    count = len(rows[0])
    whole = [row for row in rows if len(row) == count]
    found = [max(map(len, column)) for column in zip(*whole, strict=True)]
    widths = _cut([max(pair) for pair in itertools.zip_longest(found, least[:count], fillvalue=0)], width)

    def placed(place, cell):
        cell = _shortened(cell, widths[place])
        return cell.ljust(widths[place]) if place in left else cell.rjust(widths[place])

    lines = []
    for row in rows:
        kept = row if len(row) == count else row[:-1]
        cells = [placed(place, cell) for place, cell in enumerate(kept)]
        lines.append(_GAP.join((*cells, *row[len(kept) :])).rstrip())
    return lines


def _cut(widths, most):
    if most is None:
        return widths
    widths = list(widths)
    while sum(widths) + len(_GAP) * (len(widths) - 1) > most and max(widths) > _LEAST_CUT:
        widths[widths.index(max(widths))] -= 1
    return widths


def _shortened(cell, width):
    if len(cell) <= width:
        return cell
    # What tells names apart is often at their end.
    kept = width - len(_CUT)
    return cell[: kept - kept // 2] + _CUT + cell[len(cell) - kept // 2 :]
