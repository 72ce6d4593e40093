"""The command line: one command in each module of this package, imported when it is called."""

import contextlib
import importlib
import os
import signal
import sys

import click

from ..display import shown
from ..errors import BackendError, ExportError, RefcnnError
from ..interruption import exit_status, stoppable
from ..parallel.alone import RankError
from ..parallel.ranks import is_started_by_mpi, started_as
from ..parallel.starting import status_told
from ..version import __version__
from . import streams

_COMMANDS = (
    *("train", "predict", "show", "serve", "report", "explain", "export", "devices", "verify", "conform", "bench"),
    "tune",
)


class _Commands(click.Group):
    def list_commands(self, context):
        return _COMMANDS

    def get_command(self, context, name):
        return importlib.import_module(f".{name}", __name__).command if name in _COMMANDS else None

    def main(self, *arguments, **options):
        with status_told(), streams.prepared():
            return super().main(*arguments, **options)

    def invoke(self, context):
        from threadpoolctl import threadpool_limits

        _pass_over_foreign_settings()
        try:
            # The reference backend's many small products lose by threads, and tenfold where cores are shared.
            with threadpool_limits(limits=1, user_api="blas"), stoppable():
                return super().invoke(context)
        except RankError as error:
            told = click.ClickException(message(error))
            told.exit_code = error.status
            raise told from error
        except RefcnnError as error:
            raise click.ClickException(message(error)) from error
        except KeyboardInterrupt as stop:
            leave("Stopped.", stop, err=True)


def leave(text, stop, **options):
    """Say that a signal stopped the process, and end with the exit status that tells which.

    Parameters
    ----------
    text : str
    stop : Stopped, Interrupted or KeyboardInterrupt
    **options
        Of :func:`click.echo`.
    """
    # Where the terminal was closed nobody reads it. Of ranks, which a signal stops together, the first says it.
    with contextlib.suppress(OSError):
        if not is_started_by_mpi() or started_as() == 0:
            click.echo(text, **options)
    sys.exit(getattr(stop, "status", exit_status(signal.SIGINT)))


def message(error):
    """Return what to show of an error of refcnn's; names and paths in it must not act on the terminal."""
    # Only what compilers, drivers and the proof say is of more than one line: a name must not make another.
    return shown(error, keep="\n" if isinstance(error, BackendError | ExportError | RankError) else "")


def _pass_over_foreign_settings():
    """Let Matplotlib not read its settings from the current folder, which may hold data of strangers.

    Older versions evaluate some of them, and others name modules to import or start LaTeX. Those of the user's
    configuration, and of the file that MATPLOTLIBRC names, hold.
    """
    if os.path.lexists("matplotlibrc"):
        with contextlib.chdir(os.path.dirname(__file__)):
            import matplotlib


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="refcnn")
def main():
    """Train convolutional neural networks, look inside them, and export them to ONNX with a proof."""
