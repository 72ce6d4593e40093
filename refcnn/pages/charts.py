"""Charts of lines: their places in a picture, and the same in words and numbers for those who do not see it.

``chart.html.jinja`` draws what :func:`line_chart` returns, by its macro ``chart``.
"""

import dataclasses
import math

#: Size of the picture, and where the axes begin and end in it.
_BOX = {"width": 460, "height": 280, "left": 56, "right": 446, "top": 22, "bottom": 236}
#: So many colours there are for lines, and so many patterns of dashes, by which equal colours are told apart.
COLOURS = 6
DASHES = ("", "6 4", "2 3", "9 3 2 3")
#: So many lines can be told apart in a chart.
MOST_LINES = COLOURS * len(DASHES)
#: Lines of so few points have each of them marked.
_MOST_DOTS = 40
#: So many numbers the table behind a chart has at most, and so many ticks an axis.
_MOST_NUMBERS, _TICKS = 2000, 5
#: How much of the range of values stays free above and below them.
_MARGIN = 0.04
#: What is as good as zero.
_LEAST = 1e-300


@dataclasses.dataclass(frozen=True)
class Line:
    """What is drawn as one line.

    Attributes
    ----------
    name : str
    points : dict of float to float
        By x.
    style : int, optional
        Which colour and pattern, so that the same thing looks the same in several charts; its place, if not given.
    """

    name: str
    points: dict
    style: int | None = None


def line_chart(title, lines, *, x_name="epoch", marks=(), percent=False, logarithmic=False):
    """Return what the template draws, a dict.

    Parameters
    ----------
    title : str
    lines : sequence of Line
        With one point at least each, and all values finite.
    x_name : str
    marks : sequence of (float, str)
        Places along x that are marked, and with what word.
    percent : bool
        Whether the values are shares of 1.
    logarithmic : bool
        Whether the values, all above 0, have a logarithmic scale.
    """
    written = _percent if percent else _number
    across = _Scale([x for line in lines for x in line.points], _BOX["left"], _BOX["right"], least=1)
    values = [y for line in lines for y in line.points.values()]
    upward = _Scale(values, _BOX["bottom"], _BOX["top"], margin=_MARGIN, logarithmic=logarithmic)
    drawn = []
    for place, line in enumerate(lines):
        style = place if line.style is None else line.style
        points = [(round(across(x), 1), round(upward(y), 1)) for x, y in sorted(line.points.items())]
        drawn.append(
            {
                "name": line.name,
                "colour": style % COLOURS + 1,
                "dash": DASHES[style // COLOURS % len(DASHES)],
                "path": "M" + "L".join(f"{x:g} {y:g}" for x, y in points),
                "dots": points if len(points) <= _MOST_DOTS else [],
            }
        )
    return {
        "title": title,
        "x_name": x_name,
        "box": _BOX,
        "lines": drawn,
        "across": [(round(across(tick), 1), _number(tick)) for tick in across.ticks(whole=True)],
        "upward": [(round(upward(tick), 1), written(tick)) for tick in upward.ticks()],
        "marks": [(round(across(x), 1), text) for x, text in marks],
        "text": f"{title}: " + "; ".join(_described(line, x_name, written) for line in lines),
        **_table(lines, written),
    }


def upright_bars(values, limit):
    """Return numbers as bars upward and downward from a line in the middle of a square of side 1.

    Parameters
    ----------
    values : sequence of (float or None)
        None has no bar.
    limit : float
        The magnitude that reaches the upper or the lower end.

    Returns
    -------
    list of (float, float, float, float)
        Left, top, width and height of each.
    """
    pitch = 1 / len(values)
    heights = [(index, (value or 0.0) / (limit or 1.0) / 2) for index, value in enumerate(values)]
    return [(index * pitch, 0.5 - max(height, 0), 0.8 * pitch, abs(height)) for index, height in heights]


def _described(line, x_name, written):
    (first, begin), *_, (last, end) = [*sorted(line.points.items())] * 2
    if len(line.points) == 1:
        return f"{line.name} {written(end)} at {x_name} {_number(last)}"
    low, high = min(line.points.values()), max(line.points.values())
    return (
        f"{line.name} from {written(begin)} at {x_name} {_number(first)} to {written(end)} at {x_name} "
        f"{_number(last)}, between {written(low)} and {written(high)}"
    )


def _table(lines, written):
    places = sorted({x for line in lines for x in line.points})
    step = math.ceil(len(places) * len(lines) / _MOST_NUMBERS)
    rows = [
        (_number(x), *(written(line.points[x]) if x in line.points else "" for line in lines)) for x in places[::step]
    ]
    return {"rows": rows, "step": step}


class _Scale:
    """Brings values to places between two ends of an axis."""

    def __init__(self, values, begin, end, least=0.0, margin=0.0, logarithmic=False):
        self._logarithmic = logarithmic
        low, high = min(values), max(values)
        if logarithmic:
            low, high = math.log10(low), math.log10(high)
        # Where all values are one, it stands in the middle.
        size = abs(high) if abs(high) > _LEAST else 1.0
        missing = max(least, size * (1e-9 if high - low > _LEAST else 1.0)) - (high - low)
        self._low, self._high = (low - missing / 2, high + missing / 2) if missing > 0 else (low, high)
        margin *= self._high - self._low
        self._low, self._high = self._low - margin, self._high + margin
        self._begin, self._end = begin, end

    def __call__(self, value):
        value = math.log10(value) if self._logarithmic else value
        return self._begin + (self._end - self._begin) * (value - self._low) / (self._high - self._low)

    def ticks(self, whole=False):
        """Return about :data:`_TICKS` round values in the range, whole numbers if that is asked for."""
        if self._logarithmic and self._high - self._low >= 1:
            step = max(1, round((self._high - self._low) / _TICKS))
            return [10.0**power for power in range(math.ceil(self._low), math.floor(self._high) + 1, step)]
        low, high = (10**self._low, 10**self._high) if self._logarithmic else (self._low, self._high)
        step = _round_step((high - low) / _TICKS)
        step = max(1, round(step)) if whole else step
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        return [count * step for count in range(first, last + 1)]


def _round_step(step):
    """Return the next larger of 1, 2 and 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * times for times in (1, 2, 5, 10) if power * times >= step * (1 - 1e-9))


def _number(value):
    return f"{value:.4g}"


def _percent(value):
    return f"{100 * value:.4g} %"
