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


class Bar:
    """A bar on a terminal while inputs are judged, as the ``progress`` of proofs and verifications."""

    def __init__(self, name):
        from tqdm import tqdm

        from ..parallel.starting import bar_options

        self._bar = tqdm(total=None, unit="input", leave=False, desc=name, **bar_options())

    def __call__(self, done, wanted):
        self._bar.total = wanted
        self._bar.update(done - self._bar.n)
        if done >= wanted:
            self._bar.close()


def with_options(*options):
    """Return a decorator that adds options to a command, in their order."""

    def add(command):
        for option in reversed(options):
            command = option(command)
        return command

    return add
