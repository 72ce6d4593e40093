"""``refcnn show``."""

import click

from . import streams


@click.command("show")
@click.argument("kind", type=click.Choice(["kernels", "features", "curves"], case_sensitive=False))
@click.argument("run")
@click.option(
    "--out",
    metavar="FILE",
    help="Picture file (.png, .pdf, .svg); of several each gets its number.  "
    "[default: a window, or without a screen a file in the run folder]",
)
@click.option(
    "--image",
    metavar="IMAGE",
    help="The image whose features are shown.  [default: the first that the run was validated on]",
)
@click.option("--pixel-range", type=float, nargs=2, metavar="BLACK WHITE", help="For IMAGE as in 'refcnn predict'.")
@click.option(
    "--model",
    "named_model",
    metavar="MODULE:FUNCTION",
    help="The model of a run that was trained with one of your own: code is imported only if it is named here.",
)
def command(kind, run, out, image, pixel_range, named_model):
    """Show the first layer's kernels, the feature maps after each convolution, or the curves of a run."""
    from ..backend import use_backend
    from ..display import shown
    from ..runs import plotting, report
    from ..runs.run_folder import RunFolder

    if image is not None and kind != "features":
        raise click.UsageError(f"--image is for features; {kind} need no image.")
    streams.work_goes_on()
    if out is not None:
        plotting.check_picture(out)
    folder = RunFolder.open(run, named_model)
    is_window = out is None and plotting.has_screen()
    with use_backend("reference"):
        figures = report.draw(folder, kind, image, plotting.window if is_window else None, pixel_range)
    if is_window:
        plotting.show_windows()
        return
    for path in report.save_figures(figures, folder, kind, out, image):
        click.echo(shown(path))
