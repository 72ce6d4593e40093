"""``refcnn export``."""

from pathlib import Path

import click

from . import streams


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
def command(run, out, named_model, opset, softmax):
    """Export the best model of a run to ONNX; the file takes its name only when its proof is done."""
    from ..display import command as command_line
    from ..display import shown
    from ..runs import report
    from ..runs.run_folder import RunFolder

    streams.work_goes_on()
    proof = report.export(RunFolder.open(run, named_model), out, opset=opset, softmax=softmax)
    click.echo(proof)
    click.echo(f"{shown(out)} is written. Next: {command_line('predict', Path(out), 'IMAGE...')}")
