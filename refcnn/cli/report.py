"""``refcnn report``."""

import os
from pathlib import Path

import click

from . import streams
from .proof_options import Bar, Time
from .verify import executors

#: Inputs on which a file is judged, and the seconds that this may take.
_EXAMPLES, _SECONDS = 5, 60.0


@click.command("report")
@click.argument("paths", metavar="RUN...|FILE.onnx", nargs=-1, required=True)
@click.option(
    "--out",
    metavar="FILE.html",
    help="The page.  [default: report.html in the run folder, FILE.html beside FILE.onnx; of several runs "
    "comparison.html]",
)
@click.option(
    "--backend",
    metavar="BACKEND",
    envvar="REFCNN_BACKEND",
    help="What computes, as in 'refcnn train'.  [default: REFCNN_BACKEND, else auto]",
)
@click.option(
    "--model",
    "named_model",
    metavar="MODULE:FUNCTION",
    help="The model of a run that was trained with one of your own: code is imported only if it is named here.  "
    "[default: the run's model.onnx]",
)
@click.option(
    "--examples",
    type=click.IntRange(0),
    metavar="N",
    help=f"How many inputs of a file are drawn, on which it is judged; 0 leaves that out.  [default: {_EXAMPLES}]",
)
@click.option(
    "--device",
    "devices",
    multiple=True,
    metavar="DEVICE",
    help="What computes them, as in 'refcnn verify'.  [default: reference, the backend, onnxruntime]",
)
@click.option(
    "--proof-time",
    type=Time(),
    metavar="TIME",
    help=f"End the judgement after this time, and say what was not judged.  [default: {_SECONDS:g}s]",
)
def command(paths, out, backend, named_model, **judgement):
    """Write a page of a run, of an ONNX file, or of several runs beside each other, which needs nothing else.

    It shows curves, layers, confusion matrix, the images that were hard, kernels and feature maps, the proof, and how
    the run is done again. 'refcnn train' writes it too. Of a file it shows layers, kernels, metadata, and whether every
    executor computes it right, as 'refcnn verify' finds out.
    """
    from ..backend import use_backend
    from ..display import shown
    from ..files import check_writable
    from ..runs import report
    from ..runs.pages import gathering, writing
    from ..runs.run_folder import RunFolder

    streams.work_goes_on()
    files = [path for path in paths if os.path.isfile(path) or (path.endswith(".onnx") and not os.path.isdir(path))]
    if files and len(paths) > 1:
        raise click.UsageError(f"{shown(files[0])} is no run: a file has a page of its own. Give it alone.")
    if files and named_model is not None:
        raise click.UsageError(f"--model is for the folder of a run: leave it out for {shown(files[0])}.")
    said = [name for name, value in judgement.items() if value not in (None, ())]
    if said and not files:
        option = {"devices": "--device"}.get(said[0], f"--{said[0].replace('_', '-')}")
        raise click.UsageError(f"{option} is for an ONNX file: leave it out for a run, whose proof is kept.")
    target = Path(out) if out is not None else _default(paths, bool(files))
    runs = [] if files else [RunFolder.open(path, named_model) for path in paths]
    check_writable(target)
    with use_backend(backend or "auto"), report.locked_for(runs[0] if len(runs) == 1 else None, target):
        if files:
            writing.write_file(files[0], target, _wanted(files[0], **judgement))
        elif len(runs) > 1:
            writing.write_comparison(runs, target)
        else:
            writing.write_run(runs[0], target, gathering.find(runs[0]))
    click.echo(shown(target))


def _wanted(path, examples, devices, proof_time):
    """Return how a file is to be judged."""
    from ..backend import active
    from ..onnx.proof.file_executors import ONNXRUNTIME
    from ..runs.pages.verified import Wanted

    usual = dict.fromkeys(("reference", active().name, ONNXRUNTIME))
    return Wanted(
        _EXAMPLES if examples is None else examples,
        executors(devices) if devices else tuple(usual),
        proof_time or _SECONDS,
        Bar(Path(path).name),
    )


def _default(paths, is_file):
    if len(paths) > 1:
        return Path("comparison.html")
    return Path(paths[0]).with_suffix(".html") if is_file else Path(paths[0]) / "report.html"
