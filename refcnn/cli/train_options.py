"""The options of ``refcnn train`` that say how it trains."""

import re

import click

from ..data.augment import AUGMENTATIONS
from ..data.sizing import DEFAULT_FIT, FITS
from ..fitting import optimizers, schedules
from ..fitting.metrics import MONITORED, TOP_K
from ..runs.configuration import BALANCED
from ..runs.options import DEFAULTS, MICRO_BATCH, OVERFIT_EPOCHS
from .proof_options import PROOF_OPTIONS, Time, with_options


class Weights(click.ParamType):
    """``balanced``, or numbers with commas between them, as a tuple."""

    name = "weights"

    def convert(self, value, param, ctx):
        if not isinstance(value, str) or value == BALANCED:
            return value
        try:
            return tuple(map(float, value.split(",")))
        except ValueError:
            self.fail(
                f"{value!r} is neither {BALANCED} nor numbers with commas between them, such as 1,2.5,1.", param, ctx
            )


class Size(click.ParamType):
    """A side's length, or ``HEIGHTxWIDTH``, as a pair."""

    name = "size"

    def convert(self, value, param, ctx):
        if not isinstance(value, str):
            return value
        found = re.fullmatch(r"([1-9]\d{0,5})(?:x([1-9]\d{0,5}))?", value)
        if found is None:
            self.fail(f"{value!r} is no size. Give a side's length in pixels, or HEIGHTxWIDTH, as 32 or 48x64.")
        return int(found[1]), int(found[2] or found[1])


_NUMBER = click.FloatRange(0)
_POSITIVE = click.FloatRange(0, min_open=True)
_PART = click.FloatRange(0, 1, max_open=True)
_COUNT = click.IntRange(1)

_STEPS = (
    click.option("--epochs", type=_COUNT, help=f"Times through the training images.  [default: {DEFAULTS['epochs']}]"),
    click.option(
        "--batch-size",
        type=_COUNT,
        help=f"Images in a step; the last step of an epoch takes what is left.  [default: {DEFAULTS['batch_size']}]",
    ),
    click.option(
        "--reproducible",
        "micro_batch",
        is_flag=False,
        flag_value=MICRO_BATCH,
        type=_COUNT,
        metavar="N",
        help="Train to the same bits with any number of processes, on devices of one kind: a batch is cut into micro-"
        f"batches of N images ({MICRO_BATCH} where N is left out), each computed by itself, and what they give is "
        "added in one order. So batch normalisation is over N images. It takes longer, the more so the smaller N.",
    ),
    click.option(
        "--synchronise-batch-statistics",
        is_flag=True,
        default=None,
        help="Let batch normalisation take the statistics of the whole batch where several processes train, as one "
        "process does, and not each those of its part.",
    ),
    click.option(
        "--lr",
        type=float,
        help="Learning rate, the largest of the schedule.  "
        f"[default: {', '.join(f'{name} {lr}' for name, (_, lr) in optimizers.choices().items())}]",
    ),
    click.option(
        "--optimizer",
        type=click.Choice(list(optimizers.choices()), case_sensitive=False),
        help=f"[default: {DEFAULTS['optimizer']}]",
    ),
    click.option(
        "--schedule",
        metavar="NAME[:ARGUMENT=N,...]",
        help=f"How the rate goes: {', '.join(schedules.NAMED)}. 'restarts' falls to zero along each epoch, or along "
        "several, as restarts:every=3; step:every=5,by=0.1; one-cycle:rise=0.25,start=0.04.  "
        f"[default: {schedules.DEFAULT}]",
    ),
    click.option(
        "--warm-up", type=_NUMBER, metavar="EPOCHS", help="Let the rate rise in the first epochs, such as 0.5."
    ),
    click.option("--weight-decay", type=_NUMBER, metavar="N", help="Draw weights to zero by this.  [default: 0]"),
    click.option("--clip-norm", type=_POSITIVE, metavar="N", help="Scale larger gradients down to this norm."),
    click.option("--clip-value", type=_POSITIVE, metavar="N", help="Cut each gradient's numbers to [-N, N]."),
    click.option(
        "--accumulation-steps", type=_COUNT, metavar="N", help="Take a step with the mean gradient of so many batches."
    ),
    click.option(
        "--average-decay",
        type=_PART,
        metavar="PART",
        help="Judge and export a moving average of the weights, which keeps this part of itself in a step, such as "
        "0.999.",
    ),
)

_IMAGES = (
    click.option(
        "--image-size",
        type=Size(),
        metavar="SIZE",
        help="Bring all images to this size in pixels: a side's length, or HEIGHTxWIDTH.  [default: their own; where a "
        "folder's differ, the commonest]",
    ),
    click.option(
        "--image-fit",
        type=click.Choice(FITS),
        help="How images are brought to the size: scaled and cropped, scaled and padded with black, or stretched.  "
        f"[default: {DEFAULT_FIT} for folders of images, stretch for arrays]",
    ),
    click.option(
        "--augment",
        metavar="NAME[=N],...",
        help=f"Vary training images anew in each epoch: {', '.join(AUGMENTATIONS)}, with commas between them, such as "
        "shift=2,rotate=10,flip. Shift and cutout take pixels, or below 1 a part of the image; crop the smallest part "
        "of the area that is kept; rotate degrees.",
    ),
    click.option(
        "--in-memory/--no-in-memory",
        default=None,
        help="Hold a folder's images in memory, or decode them as they are needed; the results are the same.  "
        "[default: held, if they take no more than a quarter of it]",
    ),
)

_LOSS = (
    click.option(
        "--label-smoothing", type=_PART, metavar="PART", help="Share of a target that all classes get alike, as 0.1."
    ),
    click.option(
        "--class-weights",
        type=Weights(),
        metavar="WEIGHTS",
        help=f"'{BALANCED}', so that rare classes count as much as others, or a number for each, as 1,2.5,1; "
        "a loss is the mean by these weights.",
    ),
)

_START = (
    click.option(
        "--from",
        "weights",
        metavar="MODEL.onnx|RUN",
        help="Start from the network in an ONNX file, whoever wrote it, or from the weights of another run (its folder "
        "or a checkpoint), as far as names and shapes agree. For other classes the last layer is made anew.",
    ),
    click.option(
        "--freeze",
        multiple=True,
        metavar="NAME",
        help="Leave a layer's parameters or one of them as they are, such as 0, 0.w or 'layer1*'; * stands for "
        "anything. Running statistics are learned on. May be given again.",
    ),
)

_END = (
    click.option(
        "--monitor",
        type=click.Choice(MONITORED),
        metavar="METRIC",
        help=f"Which metric tells the best epoch, of {', '.join(MONITORED)}.  [default: {MONITORED[0]}]",
    ),
    click.option("--patience", type=_COUNT, metavar="N", help="Stop after N epochs in a row without a better one."),
    click.option(
        "--time", type=Time(), metavar="TIME", help="Stop after this time, as 90s, 10m or 1h30m, with what is learned."
    ),
    click.option(
        "--top-k", type=_COUNT, metavar="K", help=f"Count a class among the K most probable.  [default: {TOP_K}]"
    ),
    *PROOF_OPTIONS,
    click.option("--tensorboard/--no-tensorboard", default=None, help="Write event files for TensorBoard, too."),
)

_TRIALS = (
    click.option("--dry-run", is_flag=True, help="Try all of it with a few batches, and keep nothing."),
    click.option(
        "--overfit-batch",
        is_flag=True,
        default=None,
        help=f"Train on a single batch, {OVERFIT_EPOCHS} times if not told otherwise, and say whether it is learned: a "
        "test of model and data. No proof, if not asked for.",
    ),
    click.option(
        "--lr-find",
        is_flag=False,
        flag_value="learning_rates.png",
        metavar="PICTURE",
        help="Do not train, but look for a learning rate, and draw the search.  [default: learning_rates.png]",
    ),
)


#: Adds the options of this page to a command.
training_options = with_options(*_STEPS, *_IMAGES, *_LOSS, *_START, *_END, *_TRIALS)
