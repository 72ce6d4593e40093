"""``refcnn explain``."""

import os
from pathlib import Path

import click

from . import streams


@click.command("explain")
@click.argument("name", metavar="[OPERATION|RUN]", required=False)
@click.option(
    "--out",
    metavar="FILE.html",
    help="The page.  [default: explain.html in the run folder, else OPERATION.html or chapter.html here]",
)
@click.option(
    "--model",
    "named_model",
    metavar="MODULE:FUNCTION",
    help="The model of a run that was trained with one of your own: code is imported only if it is named here.",
)
def command(name, out, named_model):
    """Write a page that shows how a convolutional network computes, which needs nothing else.

    Of an OPERATION, such as conv2d: its formula, the reference's loop with the line that runs, the window as it moves,
    where each number comes from, the gradients, the kernel's code, the error bound and ONNX's operator. Of a RUN: its
    network, layer by layer, with its own numbers. Without either the chapter, to be read from top to bottom.
    """
    from ..display import shown
    from ..explain import chapter, explaining, of_run
    from ..files import check_writable
    from ..runs.report import locked_for
    from ..runs.run_folder import RunFolder

    streams.work_goes_on()
    is_run = name is not None and (os.path.isdir(name) or os.sep in name)
    if named_model is not None and not is_run:
        raise click.UsageError("--model is for the folder of a run: leave it out.")
    if name is not None and not is_run:
        explaining.require_operation(name)
    run = RunFolder.open(name, named_model) if is_run else None
    target = Path(out) if out is not None else _default(name, is_run)
    check_writable(target)
    with locked_for(run, target):
        if is_run:
            of_run.write_run(run, target)
        elif name is None:
            chapter.write_chapter(target)
        else:
            explaining.write_operation(name, target)
    click.echo(shown(target))


def _default(name, is_run):
    if is_run:
        return Path(name) / "explain.html"
    return Path("chapter.html" if name is None else f"{name}.html")
