"""The command line: one command in each module of this package, imported when it is called."""

import contextlib
import importlib
import signal
import sys

import click

from .. import __version__
from ..errors import RefcnnError
from ..interruption import exit_status, stoppable

_COMMANDS = ("train", "predict", "show", "export", "devices", "conform", "bench", "tune")


class _Commands(click.Group):
    def list_commands(self, context):
        return _COMMANDS

    def get_command(self, context, name):
        return importlib.import_module(f".{name}", __name__).command if name in _COMMANDS else None

    def invoke(self, context):
        from threadpoolctl import threadpool_limits

        try:
            # The reference backend's many small products lose by threads, and tenfold where cores are shared.
            with threadpool_limits(limits=1, user_api="blas"), stoppable():
                return super().invoke(context)
        except RefcnnError as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt as stop:
            leave("Stopped.", stop, err=True)


def leave(message, stop, **options):
    """Say that a signal stopped the process, and end with the exit status that tells which.

    Parameters
    ----------
    message : str
    stop : Stopped, Interrupted or KeyboardInterrupt
    **options
        Of :func:`click.echo`.
    """
    # Where the terminal was closed nobody reads it.
    with contextlib.suppress(OSError):
        click.echo(message, **options)
    sys.exit(getattr(stop, "status", exit_status(signal.SIGINT)))


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="refcnn")
def main():
    """Train convolutional neural networks, look inside them, and export them to ONNX with a proof."""
