"""``refcnn bench``."""

import signal
import sys

import click

from . import streams
from .ranks import among_ranks, start_ranks, use_device
from .shapes import InputShape


@click.command("bench")
@click.option(
    "--device",
    "devices",
    multiple=True,
    metavar="DEVICE",
    help="opencl:PLATFORM:DEVICE; may be given several times.  [default: all OpenCL devices]",
)
@click.option("--quick", is_flag=True, help="Less of everything: two to three minutes for a device.")
@click.option(
    "--rounds",
    type=click.IntRange(1),
    metavar="N",
    help="Turns that everyone has at each workload.  [default: 7; with --quick 5]",
)
@click.option(
    "--part",
    "parts",
    multiple=True,
    type=click.Choice(["networks", "first-step", "grid"], case_sensitive=False),
    help="May be given several times.  [default: all]",
)
@click.option(
    "--model", "file", metavar="FILE.onnx", help="In place of the scoreboard: any ONNX file, beside onnxruntime."
)
@click.option(
    "--batch",
    "batches",
    multiple=True,
    type=click.IntRange(1),
    metavar="N",
    help="Of the file; may be given several times.  [default: that of the file, or 1]",
)
@click.option(
    "--shape",
    "shapes",
    multiple=True,
    type=InputShape("3x224x224"),
    metavar="[INPUT=]3x224x224",
    help="The sizes of an input of the file, but for the batch, where the file leaves them free; may be given several "
    "times.  [default: 3x224x224 for images]",
)
@click.option("--torch-python", metavar="PATH", help="The Python interpreter that has PyTorch, if not this one.")
@click.option("--bfloat16", is_flag=True, help="Also measure PyTorch in bfloat16, in a row of its own.")
@click.option("--json", "json_file", metavar="FILE", help="Write all that was measured.")
@click.option("--plot", metavar="FILE.png", help="Also measure over batch and image sizes, and draw the throughput.")
@click.option(
    "--profile",
    is_flag=True,
    help="In place of the scoreboard: the time of each operation and kernel of the chapter's training step, or of "
    "inference with --model, by the device's clock, and the host's part.",
)
@click.option("--scaling", is_flag=True, help="In place of the scoreboard: how time and memory grow, with a verdict.")
@click.option(
    "--ranks",
    "is_over_ranks",
    is_flag=True,
    help="In place of the scoreboard: what the sum of gradients costs a training step over several processes, here "
    "and, by a model, over many. Start them with mpiexec, or give --processes.",
)
@click.option("--processes", type=click.IntRange(2), metavar="N", help="Start so many on this machine for --ranks.")
def command(is_over_ranks, processes, **options):
    """Measure training, inference and convolution layers beside PyTorch and onnxruntime, turn by turn.

    Everyone has as many threads as there are cores. "GFLOP/s" are the multiplications and additions that refcnn really
    does, of whatever algorithm, and "of peak" is their share of what the device does in registers alone. What others do
    is not known: "direct-equivalent" are the GFLOP/s of the formula, which Winograd's algorithm beats by doing less.
    Behind PyTorch's name stands which layout of images was the faster, NCHW or NHWC. Ctrl-C ends the run and shows what
    was measured. Exit status 1 if --scaling finds a limit exceeded.
    """
    if is_over_ranks:
        _over_ranks(processes, **options)
    elif processes is not None:
        raise click.UsageError("--processes is for --ranks: leave it out, or measure --ranks.")
    else:
        _measure(**options)


def _over_ranks(processes, devices, quick, rounds, json_file, **others):
    given = [name for name, value in others.items() if value not in (None, False, ())]
    if given:
        raise click.UsageError("--ranks goes with --device, --quick, --rounds, --json and --processes alone.")
    if processes is not None:
        start_ranks(processes, "--processes")
    _sums(",".join(devices) or "auto", rounds or (5 if quick else 7), 0.2 if quick else 0.5, json_file)


@among_ranks
def _sums(ranks, devices, rounds, seconds, json_file):
    from ..bench import ranks as of_ranks

    if ranks.size == 1:
        raise click.UsageError("--ranks measures several processes: start them with mpiexec, or give --processes.")
    ranks.by_first(_find_out_whether_it_can_be_saved, json_file, None)
    click.echo(use_device(ranks, devices))
    found = of_ranks.measure(ranks, rounds, seconds)
    for line in of_ranks.lines(found):
        click.echo(line)
    if json_file is not None:
        ranks.by_first(found.save, json_file)
        click.echo(f"The measurements are in {json_file}.")


def _measure(
    devices, quick, rounds, parts, file, batches, shapes, torch_python, bfloat16, json_file, plot, profile, scaling
):
    from ..bench import board as boards
    from ..bench import running
    from ..interruption import exit_status, stop_if_asked

    if profile and scaling:
        raise click.UsageError("--profile and --scaling are two measurements: give one of them.")
    if profile or scaling:
        for option, value in {"--json": json_file, "--plot": plot, "--bfloat16": bfloat16}.items():
            if value:
                raise click.UsageError(f"{option} is for the scoreboard: leave it out, or --profile and --scaling.")
        if file is not None and scaling:
            raise click.UsageError("--scaling is of refcnn's own networks: leave it out, or --model.")
        if file is None:
            _refuse_what_is_of_a_file(batches, shapes)
        names = device_names(devices)
        if profile:
            _profile(names, file, batches, dict(shapes))
        elif not _scaling(names):
            sys.exit(1)
        return
    if file is None:
        _refuse_what_is_of_a_file(batches, shapes)
    if file is not None and (plot is not None or parts):
        raise click.UsageError("--part and --plot are for the scoreboard: leave them out, or --model.")
    if file is not None and bfloat16:
        raise click.UsageError("PyTorch reads no ONNX file: leave out --bfloat16, or --model.")
    _find_out_whether_it_can_be_saved(json_file, plot)
    options = running.Options(
        devices=device_names(devices),
        parts=parts or running.PARTS,
        quick=quick,
        rounds=rounds or (5 if quick else 7),
        curves=plot is not None,
        torch_python=torch_python or running.find_torch_python(),
        bfloat16=bfloat16,
        file=file,
        batches=batches,
        shapes=dict(shapes),
    )
    board = running.run(options, _printing(running.Progress))
    for line in boards.summary_lines(board):
        click.echo(line)
    if json_file is not None:
        board.save(json_file)
        click.echo(f"The measurements are in {json_file}.")
    if plot is not None:
        from ..bench import plotting

        plotting.save(board, plot)
        click.echo(f"The curves are in {plot}.")
    if not board.is_complete:
        stop_if_asked()
        sys.exit(exit_status(signal.SIGINT))


def _find_out_whether_it_can_be_saved(json_file, plot):
    from ..files import check_writable

    if json_file is None and plot is None:
        return
    streams.work_goes_on()
    if json_file is not None:
        check_writable(json_file)
    if plot is not None:
        from ..runs.plotting import check_picture

        check_picture(plot)


def device_names(wanted):
    """Return the names of the devices to measure; of those that are passed over, say why."""
    from ..bench import running
    from ..opencl.runtime import finding

    names = running.device_names(wanted)
    if not wanted:
        for remark in finding.remarks():
            click.echo(remark, err=True)
    return names


def _refuse_what_is_of_a_file(batches, shapes):
    if batches or shapes:
        raise click.UsageError("--batch and --shape are for a file: name one with --model.")


def _profile(names, file, batches, shapes):
    from ..bench import running
    from ..tables import terminal_width

    for name in names:
        for found in running.profiles(name, file, batches, shapes, terminal_width()):
            click.echo(f"{name}: {found['about']}")
            click.echo(
                f"  {found['label']}; limits: {found['gflops']:.0f} GFLOP/s of multiply-adds in registers, "
                f"{found['bandwidth']:.0f} GB/s by elementwise operations on long arrays"
            )
            for line in found["lines"]:
                click.echo(line)


def _scaling(names):
    from ..bench import scaling

    passes = True
    for name in names:
        click.echo(f"{name}: about two minutes on a CPU")
        for check in scaling.checks(name):
            click.echo(scaling.line(check))
            passes = passes and check.passes
    return passes


def _printing(base):
    from tqdm import tqdm

    from ..bench import board as boards

    class Printing(base):
        """A bar, above which each workload's table appears."""

        def begins(self, board, seconds, turns):
            for line in boards.heading(board):
                click.echo(line)
            click.echo(
                f"This takes about {_duration(seconds)}, on a slow device more; Ctrl-C ends it and shows what is "
                "measured by then."
            )
            # disable=None: only on a terminal.
            self._bar = tqdm(total=turns, unit="turn", disable=None, leave=False)

        def turn(self):
            self._bar.update()

        def result(self, board, result):
            self._bar.clear()
            for line in boards.result_lines(board, result):
                click.echo(line)
            self._bar.refresh()

    return Printing()


def _duration(seconds):
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
