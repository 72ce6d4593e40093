"""``refcnn predict``."""

import os
import sys

import click


@click.command("predict")
@click.argument("model", metavar="MODEL.onnx|RUN")
@click.argument("images", nargs=-1, required=True)
@click.option("--top", type=click.IntRange(1), default=1, show_default=True, help="How many classes to name.")
@click.option("--backend", metavar="BACKEND", envvar="REFCNN_BACKEND", default="auto",
              help="What computes for a RUN, as in 'refcnn train'; .onnx files run in onnxruntime.  "
              "[default: REFCNN_BACKEND, else auto]")
def command(model, images, top, backend):  # fmt: skip
    """Print the most probable class of each image file, by an exported model or a run's best checkpoint."""
    from ..backend import use_backend
    from ..errors import DataError
    from ..interruption import stop_if_asked
    from ..prediction import Predictor

    if os.path.isdir(model):
        use_backend(backend)
    predictor = Predictor(model)
    failures = 0
    for image in images:
        stop_if_asked()
        try:
            found = predictor.top(image, top)
        except DataError as error:
            # One broken file among thousands must not hide the answers for the rest.
            click.echo(f"Error: {error}", err=True)
            failures += 1
            continue
        click.echo(f"{image}: " + ", ".join(f"{name} ({probability:.2%})" for name, probability in found))
    if failures:
        click.echo(f"{failures} of {len(images)} images could not be read.", err=True)
        sys.exit(1)
