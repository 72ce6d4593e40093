"""The options of commands that tell the classes of images: how these become the input, and what its output is."""

import os

import click

from ..onnx.metadata import SCORES
from .image_options import IMAGE_OPTIONS, refuse_for_runs

PREDICTOR_OPTIONS = (
    click.option(
        "--backend",
        metavar="BACKEND",
        help="What computes, as in 'refcnn train'.  [default: onnxruntime for .onnx files, for a RUN REFCNN_BACKEND, "
        "else auto]",
    ),
    click.option(
        "--model",
        "named_model",
        metavar="MODULE:FUNCTION",
        help="The model of a RUN that was trained with one "
        "of your own: code is imported only if it is named.  [default: the run's model.onnx]",
    ),
    *IMAGE_OPTIONS,
    click.option(
        "--classes",
        metavar="FILE",
        help="The names of an .onnx file's classes, one on each line.  [default: as its metadata say, else numbers]",
    ),
    click.option(
        "--output",
        metavar="NAME",
        help="Which output of an .onnx file holds the scores of the classes.  [default: the only one that can]",
    ),
    click.option(
        "--scores",
        type=click.Choice(SCORES),
        help="What these scores are: logits, of which the softmax is taken, probabilities, or an independent "
        "probability of each class.  [default: as the file's metadata or its last operator say]",
    ),
)


def predictor_arguments(path, said):
    """Return the arguments of :class:`refcnn.runs.prediction.Predictor` beside the path; of a run choose the backend.

    Parameters
    ----------
    path : str
    said : dict
        The values of :data:`PREDICTOR_OPTIONS`.

    Raises
    ------
    UsageError
        If something is said that is not for such a model.
    """
    from ..backend import use_backend
    from ..display import shown
    from ..runs.image_options import ImageOptions

    said = dict(said)
    backend, named_model = said.pop("backend"), said.pop("named_model")
    of_file = {name: said.pop(name) for name in ("classes", "output", "scores")}
    images = ImageOptions(**said)
    if os.path.isdir(path):
        refuse_for_runs(path, images, of_file)
        use_backend(backend or os.environ.get("REFCNN_BACKEND") or "auto")
    elif named_model is not None:
        raise click.UsageError(f"--model is for the folder of a run: leave it out for {shown(path)}.")
    return {"named_model": named_model, "images": images, "backend": backend, **of_file}
