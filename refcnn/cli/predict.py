"""``refcnn predict``."""

import os
import sys

import click


@click.command("predict")
@click.argument("path", metavar="MODEL.onnx|RUN")
@click.argument("images", nargs=-1, required=True)
@click.option("--top", type=click.IntRange(1), default=1, show_default=True, help="How many classes to name.")
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
def command(path, images, top, backend, pixel_range, named_model):
    """Print the most probable class of each image file, by an exported model or a run's best checkpoint."""
    from ..backend import use_backend
    from ..display import shown
    from ..errors import DataError
    from ..interruption import stop_if_asked
    from ..runs.prediction import Predictor

    if named_model is not None and not os.path.isdir(path):
        raise click.UsageError(f"--model is for the folder of a run: leave it out for {shown(path)}.")
    if os.path.isdir(path):
        use_backend(backend)
    predictor = Predictor(path, pixel_range=pixel_range, named_model=named_model)
    failures = 0
    for image in images:
        stop_if_asked()
        try:
            found = predictor.top(image, top)
        except DataError as error:
            # One broken file among thousands must not hide the answers for the rest.
            click.echo(f"Error: {shown(error)}", err=True)
            failures += 1
            continue
        click.echo(f"{shown(image)}: " + ", ".join(f"{shown(name)} ({part:.2%})" for name, part in found))
    if failures:
        click.echo(f"{failures} of {len(images)} images could not be read.", err=True)
        sys.exit(1)
