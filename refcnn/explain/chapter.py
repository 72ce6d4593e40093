"""The chapter on convolutional networks, to be read from top to bottom, whose figures move."""

import markupsafe

from .. import rooms
from ..conformance.theory.examples import examples
from ..pages import page
from ..shapes import window_output_shape
from .explaining import explained, render, write


class _Figures:
    """The players that the chapter's text asks for, with what is to be explained for them."""

    def __init__(self):
        self.wanted = {}

    def number(self, operation, only):
        """Return the number of an operation among the page's data, and note which examples a figure shows."""
        self.wanted.setdefault(operation, []).append(only)
        return list(self.wanted).index(operation)

    def data(self):
        """Return what the page plays, in the order of the numbers."""
        return [
            explained(operation, lambda choices, some=some: _is_shown(choices, some)).data
            for operation, some in self.wanted.items()
        ]


def _is_shown(choices, wanted):
    return any(all(choices.get(name) == value for name, value in only.items()) for only in wanted)


def write_chapter(path):
    """Write the chapter; FileWriteError if that cannot be done."""
    figures, text = _told(has_pages=False)
    write(path, "chapter.html.jinja", figures, text=text)


def served_chapter():
    """Return the chapter as a page beside those of the operations, to which it has links."""
    figures, text = _told(has_pages=True)
    return render("chapter.html.jinja", figures, text=text)


def _told(has_pages):
    figures = _Figures()
    made = page.environment(__package__)
    made.globals |= {"figure_number": figures.number, "formula_of": formulas, "output_sizes": output_sizes}
    template = made.get_template("chapter_text.html.jinja")
    text = markupsafe.Markup(template.render(operations=rooms.operations(), has_pages=has_pages))
    return figures.data(), text


def formulas(operation):
    """Return the formulas of an operation in MathML, the first ones, which are of its result."""
    from .facts import described

    return described(operation)[1]


def output_sizes(operation):
    """Return rows (size, kernel, padding, stride, dilation, size of the result) of an operation's examples."""
    rows = {}
    for example in examples(operation):
        names = ("pixels", "kernel", "padding", "stride", "dilation")
        size, kernel, padding, stride, dilation = (example.choices[name] for name in names)
        (out,) = window_output_shape((size,), (kernel,), (stride,), (padding, padding), (dilation,))
        rows[size, kernel, padding, stride, dilation, out] = None
    return list(rows)
