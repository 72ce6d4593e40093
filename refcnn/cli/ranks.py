"""What commands have in common of which several processes, the ranks of MPI, do the work together."""

import functools
import sys

import click

from . import streams


def among_ranks(command):
    """Let a command's function run as one of the ranks, if MPI has started this process, and give it them first.

    Rank 0 alone writes to standard output, and an error of any is shown once; both are the command's own where it runs
    in one process. Of the option ``elastic`` it is told how many of the processes are in reserve.
    """

    @functools.wraps(command)
    def run(*arguments, **options):
        from ..parallel.alone import RankError
        from ..parallel.ranks import joined

        try:
            with joined(options.get("elastic") or 0) as ranks:
                streams.of_first(ranks)
                return command(ranks, *arguments, **options)
        except RankError as error:
            if error.is_told_here:
                raise
            sys.exit(error.status)

    return run


def use_device(ranks, text, is_open=False):
    """Compute on this rank's device from now on, with its share of the cores; return lines that say who has what.

    Parameters
    ----------
    ranks : Ranks or Alone
    text : str
        What ``--backend`` says: one device or several.
    is_open : bool
        As of :func:`refcnn.parallel.placing.device_of`.
    """
    from .. import backend
    from ..parallel import placing

    cores = placing.share_cores(ranks)
    backend.use_backend(placing.device_of(text, ranks, is_open))
    return placing.described(ranks, backend.active(), cores)


def start_ranks(processes, option, reserves=0):
    """Run this very command line again in several processes, but for one option, and end with their exit status.

    Parameters
    ----------
    processes : int
    option : str
        Which has asked for it.
    reserves : int
        How many more to start, which are in reserve.
    """
    from ..parallel import ranks, starting

    if ranks.is_started_by_mpi():
        raise click.UsageError(f"this process was started by MPI already: leave {option} out.")
    command, remarks = starting.launcher(processes + reserves)
    for remark in remarks:
        click.echo(f"Warning: {remark}", err=True)
    sys.exit(starting.run([*command, *starting.same_program(option)]))
