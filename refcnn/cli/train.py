"""``refcnn train``."""

import _thread
import contextlib
import functools
import sys

import click

from ..models import NAMED
from ..runs.options import DEFAULT_VALIDATION_SPLIT, DEFAULTS, flag
from . import streams
from .proof_options import Bar, Time
from .ranks import among_ranks, start_ranks, use_device
from .serve import listening, require_libraries, serving
from .train_options import training_options

#: The page of a training is this machine's alone.
_HOST = "127.0.0.1"


@click.command("train")
@click.option(
    "--data",
    metavar="DATA",
    help="digits, mnist, or a path: a folder of IDX files, an .npz file with x and "
    f"y, or a folder with one sub-folder of images for each class.  [default: {DEFAULTS['data']}]",
)
@click.option(
    "--data-dir",
    metavar="DIR",
    help="Where the files of mnist lie.  [default: REFCNN_DATA, then a cache, then a download]",
)
@click.option(
    "--pixel-range",
    type=float,
    nargs=2,
    metavar="BLACK WHITE",
    help="The values of a black and a white "
    "pixel in DATA's .npz or IDX files, by which 'predict' reads image files.  [default: 0 255 for 8 bits; "
    "for floating point 0 1 or 0 255, where the values tell]",
)
@click.option(
    "--model",
    metavar="MODEL",
    help=f"{', '.join(NAMED)}, or MODULE:FUNCTION, called as "
    f"FUNCTION(image_shape=(C, H, W), classes=n); it returns a Model.  [default: {DEFAULTS['model']}]",
)
@click.option(
    "--backend",
    metavar="BACKEND",
    envvar="REFCNN_BACKEND",
    help="auto, reference, opencl or opencl:PLATFORM:DEVICE, as 'refcnn devices' lists them; for several processes "
    "several, with commas between them.  [default: REFCNN_BACKEND, else auto]",
)
@training_options
@click.option(
    "--validation-split",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="PART",
    help="Part of each class's training images to set aside for validation.  [default: the data set's own "
    f"test part, where it has one, else {DEFAULT_VALIDATION_SPLIT}]",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**64 - 1),
    metavar="N",
    help="Fixes every random draw.  [default: drawn, and recorded]",
)
@click.option("--out", metavar="DIR", help="The run folder, empty or new.  [default: runs/DATA-MODEL-NUMBER]")
@click.option(
    "--resume",
    metavar="RUN",
    help="Go on with a run; --epochs may be raised, and the patience, the proof and TensorBoard be others. Else its "
    "configuration holds; a model of your own is named again.",
)
@click.option(
    "--serve",
    is_flag=True,
    help="Print the address of a page that shows the curves, the first layer's kernels as they change, and a button "
    "that stops as Ctrl-C does. It needs refcnn[serve].",
)
@click.option(
    "--processes",
    type=click.IntRange(1),
    metavar="N",
    help="Train in so many processes on this machine, among which each batch is cut. It needs refcnn[mpi]. Leave it "
    "out under mpiexec, which starts them on several machines.",
)
@click.option(
    "--rank-limit",
    type=Time(),
    metavar="TIME",
    help="How long to wait for a process that has not come to where the others wait. Then it is named and ended, and "
    "the others go on, where MPI can go on without it.  [default: 30m]",
)
@click.option(
    "--elastic",
    is_flag=False,
    flag_value=1,
    type=click.IntRange(1),
    metavar="N",
    help="Keep N more processes in reserve (1 where N is left out), under mpiexec the last N of those that it starts. "
    "Where a process is lost, one of them gets ready to take its place, and joins at the end of an epoch. It needs an "
    "MPI that goes on where a process is lost: Open MPI 5, under mpiexec with --with-ft ulfm.",
)
def command(processes, **options):
    """Train a network. The run folder holds the checkpoints, metrics, pictures and the exported model."""
    if processes is not None:
        start_ranks(processes, "--processes", options["elastic"] or 0)
    _train_among_ranks(**options)


@among_ranks
def _train_among_ranks(ranks, backend, out, resume, time, serve, dry_run, lr_find, rank_limit, elastic, **options):
    from ..runs import training
    from ..runs.run_folder import RunFolder

    streams.work_goes_on()
    if rank_limit is not None:
        ranks.limit = rank_limit
    if ranks.is_in_reserve:
        _train(_stand_by(ranks), time)
        return
    _check_elastic(ranks, elastic)
    if serve:
        require_libraries()
        if dry_run or lr_find:
            raise click.UsageError("--serve shows a training: leave --dry-run and --lr-find out.")
    # Of options that may be given again there are none.
    options = {name: value for name, value in options.items() if value is not None and value != ()}
    if resume is None:
        _say(use_device(ranks, backend or "auto"))
        if dry_run or lr_find:
            if ranks.is_first:
                _rehearse(dry_run, lr_find, options, out)
            return
        session = training.start(options, out, ranks=ranks)
    else:
        if out is not None:
            raise click.UsageError("--resume goes on in the run's own folder: leave --out out.")
        if dry_run or lr_find:
            raise click.UsageError("--resume goes on with a run: leave --dry-run and --lr-find out.")
        run = ranks.by_first(RunFolder.open, resume, options.get("model"))
        _say(use_device(ranks, backend or run.configuration.backend, is_open=backend is None))
        session = training.resume(run, options, ranks)
    with _served(session) if serve and ranks.is_first else contextlib.nullcontext():
        _train(session, time)


@contextlib.contextmanager
def _served(session):
    """Show a training on a page inside the block."""
    from ..serve import training

    live = training.Live(session.run.path.name, session.first_kernels)
    session.loop.callbacks = [*session.loop.callbacks, live]
    # What the terminal has of Ctrl-C, from another thread.
    make = functools.partial(training.application, live, _thread.interrupt_main)
    with listening(_HOST, 0) as listener, serving(make, listener, _HOST, "the training is shown"):
        yield


def _check_elastic(ranks, elastic):
    from ..errors import ArgumentError
    from ..parallel import reserves

    if elastic is None or ranks.reserves is not None:
        return
    if ranks.size == 1:
        raise click.UsageError("--elastic goes with several processes: give --processes, or start them by mpiexec.")
    if not reserves.are_possible():
        raise ArgumentError(
            "--elastic needs an MPI that goes on where a process is lost, but this one ends all then. Open MPI 5 does, "
            'as pip install "refcnn[mpi]" brings it: give --processes, or start it by mpiexec --with-ft ulfm.'
        )
    raise ArgumentError(
        f"--elastic keeps {elastic} of {ranks.size} processes in reserve, but two must be left to train. Start more."
    )


def _stand_by(ranks):
    """Return the training for which this process was in reserve, as soon as it can join; SystemExit where it ends."""
    from ..interruption import uninterrupted
    from ..runs import rejoining, training

    session = None
    with uninterrupted():
        while order := ranks.stand_by():
            try:
                session = training.stand_in(*order, ranks)
                answer = rejoining.READY
            except (Exception, SystemExit) as error:
                answer = rejoining.answer_of(error)
            ranks.reserves.answer(answer)
    return session


def _say(text):
    from ..display import shown

    if text:
        click.echo(shown(text, keep="\n"))


def _rehearse(is_dry, picture, options, out):
    from ..display import command, shown
    from ..runs import rehearsal

    if is_dry:
        rehearsal.dry_run(options, out, lambda text: click.echo(shown(text, keep="\n")))
    if picture:
        found = rehearsal.learning_rates(options, picture)
        click.echo(f"The loss was smallest about ten times above the learning rate {found.suggestion:g}.")
        given = [
            text for name in ("data", "model", "weights") if name in options for text in (flag(name), options[name])
        ]
        click.echo(f"{shown(picture)} shows the search. Next: {command('train', *given, '--lr', found.suggestion)}")


def _train(session, seconds):
    from ..parallel.alone import LostRankError
    from ..runs.rejoining import Joining

    is_joining = not session.has_state
    is_described = is_joining
    while True:
        try:
            if is_joining:
                is_joining, remark = False, session.join()
                if session.ranks.is_first:
                    click.echo(remark)
            is_new, is_described = not is_described, True
            _train_to_the_end(session, seconds, is_new)
            # Should the first be lost while it writes, another does that.
            session.ranks.meet()
            return
        except Joining:
            is_joining = True
        except LostRankError:
            remark = session.recover()
            if session.ranks.is_first:
                click.echo(f"Warning: {remark}.", err=True)


def _train_to_the_end(session, seconds, is_new):
    from ..display import shown
    from ..interruption import Interrupted, stoppable
    from ..runs import report
    from . import leave

    try:
        if not session.ranks.is_first:
            # The first writes all that is left to be done.
            try:
                session.finish(seconds=seconds)
            except Interrupted as stop:
                sys.exit(stop.status)
            return
        # Held on to from the training to the pictures.
        with session.run.locked(), stoppable():
            if is_new:
                click.echo(shown(session.description(), keep="\n"))
            session.finish(click.echo, seconds=seconds)
            if session.is_complete:
                click.echo(report.completion(session.run))
            else:
                click.echo("Writing the pictures and exporting the model...")
                click.echo(report.write(session.run, session.validation, progress=Bar("proof")))
    except (Interrupted, KeyboardInterrupt) as stop:
        advice = session.run.command("train", "--resume", session.run.path)
        leave(f"{shown(stop) or 'Stopped.'}\nGo on with: {advice}", stop)
    click.echo("\n".join(map(shown, report.summary(session.run))))
