"""``refcnn train``."""

import click

from ..fitting import optimizers
from ..runs.options import DEFAULT_VALIDATION_SPLIT, DEFAULTS
from . import streams


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
    help="chapter, lenet5, or MODULE:FUNCTION, called as "
    f"FUNCTION(image_shape=(C, H, W), classes=n); it returns a Model.  [default: {DEFAULTS['model']}]",
)
@click.option(
    "--backend",
    metavar="BACKEND",
    envvar="REFCNN_BACKEND",
    help="auto, reference, opencl or "
    "opencl:PLATFORM:DEVICE, as 'refcnn devices' lists them.  [default: REFCNN_BACKEND, else auto]",
)
@click.option(
    "--epochs", type=click.IntRange(1), help=f"Times through the training images.  [default: {DEFAULTS['epochs']}]"
)
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    help=f"Images in a step; the last step of an epoch takes what is left.  [default: {DEFAULTS['batch_size']}]",
)
@click.option(
    "--lr",
    type=float,
    help="Learning rate at the start of each epoch, along which it falls to zero.  "
    f"[default: {', '.join(f'{name} {lr}' for name, (_, lr) in optimizers.choices().items())}]",
)
@click.option(
    "--optimizer",
    type=click.Choice(list(optimizers.choices()), case_sensitive=False),
    help=f"[default: {DEFAULTS['optimizer']}]",
)
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
    help="Go on with a run; --epochs may be raised. Its configuration holds; a model of your own is named again.",
)
def command(backend, out, resume, **options):
    """Train a network. The run folder holds the checkpoints, metrics, pictures and the exported model."""
    from ..backend import use_backend
    from ..display import shown
    from ..interruption import Interrupted, stoppable
    from ..runs import report, training
    from ..runs.run_folder import RunFolder
    from . import leave

    streams.work_goes_on()
    options = {name: value for name, value in options.items() if value is not None}
    if resume is None:
        use_backend(backend or "auto")
        session = training.start(options, out)
    else:
        if out is not None:
            raise click.UsageError("--resume goes on in the run's own folder: leave --out out.")
        run = RunFolder.open(resume, options.get("model"))
        use_backend(backend or run.configuration.backend)
        session = training.resume(run, options)
    try:
        # Held on to from the training to the pictures.
        with session.run.locked(), stoppable():
            click.echo(shown(session.description(), keep="\n"))
            session.finish(click.echo)
            if session.is_complete:
                click.echo("The run was complete already; --epochs N with a larger N trains on.")
            else:
                click.echo("Writing the pictures and proving the exported model...")
                click.echo(report.write(session.run, session.validation))
    except (Interrupted, KeyboardInterrupt) as stop:
        advice = session.run.command("train", "--resume", session.run.path)
        leave(f"{shown(stop) or 'Stopped.'}\nGo on with: {advice}", stop)
    click.echo("\n".join(map(shown, report.summary(session.run))))
