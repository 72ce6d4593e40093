"""The options of commands that export: whether the model is proved, and for how long."""

import click

from ..errors import ArgumentError
from ..runs.options import seconds_of


class Time(click.ParamType):
    """A time such as ``90s``, ``10m`` or ``1h30m``, as seconds."""

    name = "time"

    def convert(self, value, param, ctx):
        try:
            return value if isinstance(value, float) else seconds_of(value)
        except ArgumentError as error:
            self.fail(str(error), param, ctx)


PROOF_OPTIONS = (
    click.option("--proof/--no-proof", default=None, help="Whether the exported model is proved.  [default: it is]"),
    click.option(
        "--proof-time", type=Time(), metavar="TIME", help="End the proof after this time, and say what was not judged."
    ),
)


def with_options(*options):
    """Return a decorator that adds options to a command, in their order."""

    def add(command):
        for option in reversed(options):
            command = option(command)
        return command

    return add
