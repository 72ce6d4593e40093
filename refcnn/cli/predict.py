"""``refcnn predict``."""

import contextlib
import sys

import click

from . import prediction_formats
from .predictor_options import PREDICTOR_OPTIONS, predictor_arguments
from .proof_options import with_options

#: Of so many images at most it is said what is unusual about them.
MOST_REMARKS = 10


@click.command("predict")
@click.argument("path", metavar="FILE.onnx|RUN")
@click.argument("images", metavar="IMAGE|FOLDER...", nargs=-1, required=True)
@click.option("--top", type=click.IntRange(1), default=1, show_default=True, help="How many classes to name.")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(prediction_formats.FORMATS)),
    default="text",
    show_default=True,
    help="How to print what is found; csv and json hold warnings and errors too.",
)
@with_options(*PREDICTOR_OPTIONS)
def command(path, images, top, form, **said):
    """Print the most probable class of each image file, by any ONNX file or a run's best checkpoint.

    Of a folder all the image files in it and below are taken. An ONNX file that refcnn wrote says itself how images
    become its input; of others it is said what to tell.
    """
    from ..display import shown
    from ..interruption import stop_if_asked
    from ..runs.prediction import Predictor

    predictor = Predictor(path, **predictor_arguments(path, said))
    count = failures = remarks = 0
    writing = prediction_formats.FORMATS[form](min(top, len(predictor.classes)), click.echo)
    with writing as writer, contextlib.closing(predictor.predictions(images, top)) as predictions:
        for prediction in predictions:
            stop_if_asked()
            writer.write(prediction)
            count += 1
            if prediction.error is not None:
                # One broken file among thousands must not hide the answers for the rest.
                click.echo(f"Error: {shown(prediction.error)}", err=True)
                failures += 1
            remarks += bool(prediction.remarks)
            for remark in prediction.remarks if remarks <= MOST_REMARKS else ():
                click.echo(f"Warning: {shown(remark)}", err=True)
    if remarks > MOST_REMARKS:
        click.echo(f"Warning: so it is with {remarks - MOST_REMARKS} further images.", err=True)
    if failures:
        click.echo(f"{failures} of {count} images could not be read.", err=True)
        sys.exit(1)
