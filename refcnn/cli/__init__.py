"""The command line: one command in each module of this package, imported when it is called."""

import importlib
import sys

import click

from .. import __version__
from ..errors import RefcnnError
from . import streams

_COMMANDS = ("train", "predict", "show", "export", "devices", "conform", "bench", "tune")


class _Commands(click.Group):
    def list_commands(self, context):
        return _COMMANDS

    def get_command(self, context, name):
        return importlib.import_module(f".{name}", __name__).command if name in _COMMANDS else None

    def main(self, *arguments, **options):
        with streams.prepared():
            return super().main(*arguments, **options)

    def invoke(self, context):
        from threadpoolctl import threadpool_limits

        try:
            # The reference backend's many small products lose by threads, and tenfold where cores are shared.
            with threadpool_limits(limits=1, user_api="blas"):
                return super().invoke(context)
        except RefcnnError as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:
            click.echo("Stopped.", err=True)
            sys.exit(130)


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="refcnn")
def main():
    """Train convolutional neural networks, look inside them, and export them to ONNX with a proof."""
