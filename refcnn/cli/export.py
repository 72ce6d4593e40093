"""``refcnn export``."""

import click

from . import streams


@click.command("export")
@click.argument("run")
@click.option("--out", required=True, metavar="FILE.onnx", help="The file to write.")
@click.option("--opset", type=click.IntRange(1), metavar="N", help="ONNX opset.  [default: refcnn's own]")
@click.option("--softmax", is_flag=True, help="End the graph with a softmax: probabilities in place of logits.")
def command(run, out, opset, softmax):
    """Export the best model of a run to ONNX; the file takes its name only when its proof is done."""
    from .. import report
    from ..run_folder import COMMAND, RunFolder

    streams.work_goes_on()
    proof = report.export(RunFolder.open(run), out, opset=opset, softmax=softmax)
    click.echo(proof)
    click.echo(f"{out} is written. Next: {COMMAND} predict {out} IMAGE...")
