"""How ``refcnn predict`` prints what it finds."""

import csv
import io
import json

from ..display import shown


class Text:
    """A line for each image that could be read.

    Parameters
    ----------
    top : int
        How many classes are named of each.
    echo : callable
        Takes a line of text.
    """

    def __init__(self, top, echo):
        self._top, self._echo = top, echo

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def write(self, prediction):
        """Print a prediction."""
        if prediction.error is None:
            found = ", ".join(f"{shown(name)} ({part:.2%})" for name, part in prediction.classes)
            self._echo(f"{shown(prediction.path)}: {found}")


class Csv(Text):
    """A table (RFC 4180, but for the ends of lines): a row for each image, and a pair of columns for each class."""

    def __enter__(self):
        pairs = [(f"class_{rank}", f"probability_{rank}") for rank in range(2, self._top + 1)]
        self._row(["image", "class", "probability", *(name for pair in pairs for name in pair), "warning", "error"])
        return self

    def write(self, prediction):
        pairs = [(shown(name), part) for name, part in prediction.classes]
        pairs += [("", "")] * (self._top - len(pairs))
        numbers = [value for pair in pairs for value in pair]
        self._row(
            [shown(prediction.path), *numbers, shown(" ".join(prediction.remarks)), shown(prediction.error or "")]
        )

    def _row(self, values):
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(values)
        self._echo(line.getvalue())


class Json(Text):
    """An array (RFC 8259) of an object for each image, which is whole where an error ends the work too."""

    def __init__(self, top, echo):
        super().__init__(top, echo)
        self._former = None

    def __enter__(self):
        self._echo("[")
        return self

    def __exit__(self, *_):
        if self._former is not None:
            self._echo(self._former)
        self._echo("]")

    def write(self, prediction):
        if self._former is not None:
            self._echo(f"{self._former},")
        self._former = json.dumps(
            {
                "image": str(prediction.path),
                "classes": [{"class": name, "probability": part} for name, part in prediction.classes],
                "warnings": list(prediction.remarks),
                "error": prediction.error,
            }
        )


#: By the names that ``--format`` takes.
FORMATS = {"text": Text, "csv": Csv, "json": Json}
