"""Shapes of a file's inputs on the command line: ``3x224x224``, or ``INPUT=3x224x224``."""

import click


class InputShape(click.ParamType):
    """The name of an input, ``""`` where none is given, and its sizes.

    Parameters
    ----------
    example : str
        A shape for messages.
    may_be_open : bool
        Whether letters may stand for sizes, which are None then.
    """

    name = "shape"

    def __init__(self, example, may_be_open=False):
        self._example, self._may_be_open = example, may_be_open

    def convert(self, value, param, ctx):
        name, _, text = value.rpartition("=")
        sizes = tuple(map(self._size, text.split("x"))) if text else ()
        if 0 in sizes:
            self.fail(f"{value!r} is no shape: write it as {self._example}, or INPUT={self._example}.", param, ctx)
        return name, sizes

    def _size(self, text):
        if text.isascii() and text.isdecimal():
            return int(text)
        return None if self._may_be_open and text.isascii() and text.isalpha() else 0
