"""The options that say how image files become the input of a network that somebody else trained."""

import click

from ..data.preprocessing import COLOURS, LAYOUTS
from ..data.sizing import DEFAULT_FILTER, DEFAULT_FIT, FILTERS, FITS
from .train_options import Size


class Numbers(click.ParamType):
    """A number, or a tuple of several with commas between them."""

    name = "numbers"

    def convert(self, value, param, ctx):
        if not isinstance(value, str):
            return value
        try:
            numbers = tuple(map(float, value.split(",")))
        except ValueError:
            self.fail(f"{value!r} is no number, and no several with commas between them, as 0.5 or 0.4,0.5,0.6.")
        return numbers if len(numbers) > 1 else numbers[0]


_COLOURS = [colour for colours in COLOURS.values() for colour in colours]

IMAGE_OPTIONS = (
    click.option(
        "--pixel-range",
        type=float,
        nargs=2,
        metavar="BLACK WHITE",
        help="The values of a black and a white pixel in the images that the model was trained on.  [default: as "
        "'refcnn train' found or was told]",
    ),
    click.option(
        "--mean",
        type=Numbers(),
        metavar="NUMBERS",
        help="What pixels in that range are reduced by: a number, or one for each channel, with commas between them.  "
        "[default for .onnx files of others: 0]",
    ),
    click.option(
        "--deviation",
        type=Numbers(),
        metavar="NUMBERS",
        help="What they are divided by then.  [default for .onnx files of others: 1]",
    ),
    click.option(
        "--colour",
        type=click.Choice(_COLOURS, case_sensitive=False),
        help="How an .onnx file's channels are ordered.  [default: RGB, or grey of one channel]",
    ),
    click.option(
        "--layout",
        type=click.Choice(LAYOUTS, case_sensitive=False),
        help="How the axes of its input are ordered.  [default: as their sizes tell, else NCHW]",
    ),
    click.option(
        "--image-size",
        type=Size(),
        metavar="SIZE",
        help="The size of an .onnx file's images in pixels, if the file leaves it open: a side's length, or "
        "HEIGHTxWIDTH.",
    ),
    click.option(
        "--image-fit",
        type=click.Choice(FITS),
        help="How images are brought to the size of an .onnx file: scaled and cropped, scaled and padded with black, "
        f"or stretched.  [default for those of others: {DEFAULT_FIT}]",
    ),
    click.option(
        "--image-filter",
        type=click.Choice(FILTERS),
        help=f"By which of Pillow's filters.  [default for .onnx files of others: {DEFAULT_FILTER}]",
    ),
)


def refuse_for_runs(path, images, others=None):
    """Raise UsageError if something is said of a run that its configuration knows.

    Parameters
    ----------
    path : str
    images : ImageOptions
    others : dict, optional
        By the names of further options for ONNX files what they say, None of nothing.
    """
    from ..display import shown

    names = [name for name in images.said if name != "pixel_range"]
    names += [name for name, value in (others or {}).items() if value is not None]
    if names:
        option = "--" + names[0].replace("_", "-")
        raise click.UsageError(f"{option} is for .onnx files: leave it out for the run in {shown(path)}.")
