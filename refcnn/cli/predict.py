"""``refcnn predict``."""

import contextlib
import os
import sys

import click

from . import prediction_formats

#: Of so many images at most it is said what is unusual about them.
MOST_REMARKS = 10


@click.command("predict")
@click.argument("path", metavar="MODEL.onnx|RUN")
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
    envvar="REFCNN_BACKEND",
    default="auto",
    help="What computes for a RUN, as in 'refcnn train'; .onnx files run in onnxruntime.  "
    "[default: REFCNN_BACKEND, else auto]",
)
@click.option(
    "--pixel-range",
    type=float,
    nargs=2,
    metavar="BLACK WHITE",
    help="The values of a black and a white "
    "pixel in the images that the model was trained on.  [default: as 'refcnn train' found or was told]",
)
@click.option(
    "--model",
    "named_model",
    metavar="MODULE:FUNCTION",
    help="The model of a RUN that was trained with one "
    "of your own: code is imported only if it is named.  [default: the run's model.onnx, in onnxruntime]",
)
def command(path, images, top, form, backend, pixel_range, named_model):
    """Print the most probable class of each image file, by an exported model or a run's best checkpoint.

    Of a folder all the image files in it and below are taken.
    """
    from ..backend import use_backend
    from ..display import shown
    from ..interruption import stop_if_asked
    from ..runs.prediction import Predictor

    if named_model is not None and not os.path.isdir(path):
        raise click.UsageError(f"--model is for the folder of a run: leave it out for {shown(path)}.")
    if os.path.isdir(path):
        use_backend(backend)
    predictor = Predictor(path, pixel_range=pixel_range, named_model=named_model)
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
