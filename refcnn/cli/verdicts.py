"""Commands whose exit status is a verdict: 1 says that something is wrong, and nothing else does."""

import contextlib
import os
import traceback

import click

from ..errors import RefcnnError
from ..parallel.alone import RankError
from . import message

#: The environment variable that has the traceback printed where refcnn itself fails.
TRACEBACK = "REFCNN_TRACEBACK"


class CouldNotRun(click.ClickException):
    """Nothing was found out."""

    exit_code = 2


class VerdictCommand(click.Command):
    """Ends with 1 where something is wrong, and for no other reason: what is not foreseen could not run."""

    def invoke(self, context):
        with fails_without_verdict():
            return super().invoke(context)


@contextlib.contextmanager
def fails_without_verdict():
    """Make CouldNotRun of what goes wrong within the block; an error of ranks stays what each of them raises."""
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, click.Abort, RankError):
        raise
    except RefcnnError as error:
        raise CouldNotRun(message(error)) from error
    except OSError as error:
        raise CouldNotRun(f"the run could not go on: {error}. Nothing was found out about the devices.") from error
    except Exception as error:
        raise CouldNotRun(_unforeseen(error)) from error


def _unforeseen(error):
    if os.environ.get(TRACEBACK):
        traceback.print_exception(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"refcnn failed, which says nothing about the devices: {type(error).__name__}: {error} ({frame.filename}, line "
        f"{frame.lineno}). This is a fault of refcnn. Please report it, with the output of the same command with "
        f"{TRACEBACK}=1 set in the environment, and the files that it reads."
    )
