"""``refcnn bench``."""

import click


@click.command("bench")
@click.option("--device", "devices", multiple=True, metavar="DEVICE", help="opencl:PLATFORM:DEVICE; may be given "
              "several times.  [default: all OpenCL devices]")
@click.option("--quick", is_flag=True, help="Less of everything: about a minute for a device.")
@click.option("--rounds", type=click.IntRange(1), metavar="N", help="Turns that everyone has at each workload.  "
              "[default: 7; with --quick 5]")
@click.option("--part", "parts", multiple=True, type=click.Choice(["networks", "first-step", "grid"]),
              help="May be given several times.  [default: all]")
@click.option("--torch-python", metavar="PATH", help="The Python interpreter that has PyTorch, if not this one.")
@click.option("--json", "json_file", metavar="FILE", help="Write all that was measured.")
@click.option("--plot", metavar="FILE.png", help="Also measure over batch and image sizes, and draw the throughput.")
def command(devices, quick, rounds, parts, torch_python, json_file, plot):  # fmt: skip
    """Measure training, inference and convolution layers beside PyTorch and onnxruntime, turn by turn.

    Everyone has as many threads as there are cores. "of peak" is the share of what the device's own matrix product
    reaches, by the operations of the formulas: Winograd's algorithm needs fewer and can exceed it. Ctrl-C ends the run
    and shows what was measured.
    """
    from ..bench import board as boards
    from ..bench import running

    options = running.Options(
        devices=devices, parts=parts or running.PARTS, quick=quick, rounds=rounds or (5 if quick else 7),
        curves=plot is not None, torch_python=torch_python or running.find_torch_python(),
    )  # fmt: skip
    board = running.run(options, _printing(running.Progress))
    for line in boards.summary_lines(board):
        click.echo(line)
    if json_file is not None:
        board.save(json_file)
        click.echo(f"The measurements are in {json_file}.")


def _printing(base):
    from tqdm import tqdm

    from ..bench import board as boards

    class Printing(base):
        """A bar, above which each workload's table appears."""

        def begins(self, board, seconds, turns):
            for line in boards.heading(board):
                click.echo(line)
            click.echo(f"This takes about {_duration(seconds)}; Ctrl-C ends it and shows what is measured by then.")
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
