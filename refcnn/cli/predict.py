"""``refcnn predict``."""

import contextlib
import os
import sys

import click

from ..onnx.metadata import SCORES
from . import prediction_formats
from .image_options import IMAGE_OPTIONS, refuse_for_runs
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
@click.option(
    "--backend",
    metavar="BACKEND",
    help="What computes, as in 'refcnn train'.  [default: onnxruntime for .onnx files, for a RUN REFCNN_BACKEND, else "
    "auto]",
)
@click.option(
    "--model",
    "named_model",
    metavar="MODULE:FUNCTION",
    help="The model of a RUN that was trained with one "
    "of your own: code is imported only if it is named.  [default: the run's model.onnx]",
)
@with_options(*IMAGE_OPTIONS)
@click.option(
    "--classes",
    metavar="FILE",
    help="The names of an .onnx file's classes, one on each line.  [default: as its metadata say, else numbers]",
)
@click.option(
    "--output",
    metavar="NAME",
    help="Which output of an .onnx file holds the scores of the classes.  [default: the only one that can]",
)
@click.option(
    "--scores",
    type=click.Choice(SCORES),
    help="What these scores are: logits, of which the softmax is taken, probabilities, or an independent probability "
    "of each class.  [default: as the file's metadata or its last operator say]",
)
def command(path, images, top, form, backend, named_model, classes, output, scores, **said):
    """Print the most probable class of each image file, by any ONNX file or a run's best checkpoint.

    Of a folder all the image files in it and below are taken. An ONNX file that refcnn wrote says itself how images
    become its input; of others it is said what to tell.
    """
    from ..backend import use_backend
    from ..display import shown
    from ..interruption import stop_if_asked
    from ..runs.image_options import ImageOptions
    from ..runs.prediction import Predictor

    of_file, said = {"classes": classes, "output": output, "scores": scores}, ImageOptions(**said)
    if os.path.isdir(path):
        refuse_for_runs(path, said, of_file)
        use_backend(backend or os.environ.get("REFCNN_BACKEND") or "auto")
    elif named_model is not None:
        raise click.UsageError(f"--model is for the folder of a run: leave it out for {shown(path)}.")
    predictor = Predictor(path, named_model=named_model, images=said, backend=backend, **of_file)
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
