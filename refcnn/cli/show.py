"""``refcnn show``."""

import os
from pathlib import Path

import click

from . import streams
from .image_options import IMAGE_OPTIONS, refuse_for_runs
from .proof_options import with_options


@click.command("show")
@click.argument("kind", type=click.Choice(["kernels", "features", "curves"], case_sensitive=False))
@click.argument("path", metavar="FILE.onnx|RUN")
@click.option(
    "--out",
    metavar="FILE",
    help="Picture file (.png, .pdf, .svg); of several each gets its number.  "
    "[default: a window, or without a screen a file in the run folder or beside FILE.onnx]",
)
@click.option(
    "--image",
    metavar="IMAGE",
    help="The image whose features are shown.  [default: the first that the run was validated on]",
)
@click.option(
    "--epoch",
    type=click.IntRange(0),
    metavar="N",
    help="The epoch whose kernels are shown, of a run; 0 is before the first.  [default: that of the best checkpoint]",
)
@click.option(
    "--model",
    "named_model",
    metavar="MODULE:FUNCTION",
    help="The model of a run that was trained with one of your own: code is imported only if it is named here.",
)
@with_options(*IMAGE_OPTIONS)
def command(kind, path, out, image, epoch, named_model, **said):
    """Show the first layer's kernels, the feature maps after each convolution, or the curves of a run.

    The network is that of a run, or of any ONNX file, whose IMAGE becomes its input as in 'refcnn predict'.
    """
    from ..backend import use_backend
    from ..display import shown
    from ..runs import drawing, plotting, report
    from ..runs.image_options import ImageOptions
    from ..runs.run_folder import RunFolder

    if image is not None and kind != "features":
        raise click.UsageError(f"--image is for features; {kind} need no image.")
    if epoch is not None and kind != "kernels":
        raise click.UsageError(f"--epoch is for kernels; leave it out for {kind}.")
    images, folder = ImageOptions(**said), None
    # Where there is neither, the ending tells what was meant.
    if is_file := (os.path.isfile(path) or (path.endswith(".onnx") and not os.path.isdir(path))):
        if named_model is not None:
            raise click.UsageError(f"--model is for the folder of a run: leave it out for {shown(path)}.")
        if epoch is not None:
            raise click.UsageError(f"--epoch is for the folder of a run: leave it out for {shown(path)}.")
    else:
        refuse_for_runs(path, images)
    streams.work_goes_on()
    if out is not None:
        plotting.check_picture(out)
    if not is_file:
        folder = RunFolder.open(path, named_model)
    is_window = out is None and plotting.has_screen()
    figure = {"figure": plotting.window} if is_window else {}
    with use_backend("reference"):
        if is_file:
            figures = list(drawing.of_file(path, kind, image, images=images, **figure))
        else:
            figures = list(drawing.of_run(folder, kind, image, pixel_range=images.pixel_range, epoch=epoch, **figure))
    if is_window:
        plotting.show_windows()
        return
    target = drawing.default_path(path, kind, image, epoch) if out is None else Path(out)
    is_numbered = len(figures) > 1 or (out is None and kind == "features")
    with report.locked_for(folder, target):
        for saved in drawing.save(figures, target, is_numbered):
            click.echo(shown(saved))
