"""``refcnn export``."""

from pathlib import Path

import click

from . import streams
from .proof_options import PROOF_OPTIONS, Bar, with_options


@click.command("export")
@click.argument("run")
@click.option("--out", required=True, metavar="FILE.onnx", help="The file to write.")
@click.option(
    "--model",
    "named_model",
    metavar="MODULE:FUNCTION",
    help="The model of a run that was trained with one of your own: code is imported only if it is named here.",
)
@click.option("--opset", type=click.IntRange(1), metavar="N", help="ONNX opset.  [default: refcnn's own]")
@click.option("--softmax", is_flag=True, help="End the graph with a softmax: probabilities in place of logits.")
@click.option("--fold", is_flag=True, help="Fold batch normalisations into the convolutions before them.")
@click.option("--float16", is_flag=True, help="Store weights in half the bytes; the file computes in float32.")
@click.option("--external-data", is_flag=True, help="Put weights beside the file, as is needed from 2 GiB on.")
@with_options(*PROOF_OPTIONS)
@click.option(
    "--examples", type=click.IntRange(1), default=20, show_default=True, metavar="N", help="How many the proof draws."
)
@click.option("--strict", is_flag=True, help="Refuse a file that is only suspect, too.")
def command(run, out, named_model, opset, softmax, proof, proof_time, examples, strict, **changes):
    """Export the best model of a run to ONNX; the file takes its name only when its proof is done."""
    from ..display import command as command_line
    from ..display import shown
    from ..runs import report
    from ..runs.run_folder import RunFolder

    streams.work_goes_on()
    wanted = {"proof": proof is not False, "proof_time": proof_time, "examples": examples, "strict": strict}
    wanted |= {"opset": opset, "softmax": softmax, "progress": Bar("proof"), **changes}
    found = report.export(RunFolder.open(run, named_model), out, **wanted)
    click.echo(found)
    click.echo(f"{shown(out)} is written. Next: {command_line('predict', Path(out), 'IMAGE...')}")
