"""``refcnn verify``."""

import sys
from pathlib import Path

import click

from ..display import shown
from ..tables import table, terminal_width
from . import streams
from .proof_options import Bar
from .shapes import InputShape
from .verdicts import CouldNotRun, VerdictCommand


@click.command("verify", cls=VerdictCommand)
@click.argument("path", metavar="MODEL.onnx")
@click.option(
    "--device",
    "devices",
    multiple=True,
    metavar="DEVICE",
    help="onnxruntime, reference, opencl:PLATFORM:DEVICE or all; may be given several times.  [default: all]",
)
@click.option(
    "--data",
    "files",
    multiple=True,
    metavar="FILE",
    help="Inputs of your own too: an .npy file, or an .npz file with an array for each input, by its name. May be "
    "given several times.",
)
@click.option(
    "--shape",
    "shapes",
    multiple=True,
    type=InputShape("Nx3x224x224", may_be_open=True),
    metavar="[INPUT=]SHAPE",
    help="The shape of an input, such as 1x3x224x224; letters stand for sizes that are drawn.  [default: as the file "
    "declares it]",
)
@click.option(
    "--examples", type=click.IntRange(0), default=10, show_default=True, metavar="N", help="How many inputs are drawn."
)
@click.option("--report", "folder", metavar="DIR", help="Write verify.html, and of what is wrong the inputs.")
@click.option("--strict", is_flag=True, help="What is only suspect counts as wrong.")
def command(path, devices, files, shapes, examples, folder, strict):
    """Hold any ONNX file on every executor against the exact answers, by each operator.

    Each result is judged on the inputs that the executor itself gave its operator, by a proved error bound. onnxruntime
    runs without optimisation for that, and as it is deployed end to end. Inputs are drawn, in the shapes that the file
    declares.

    Exit status: 0 if all conform, 1 if one is wrong, else 2 if it could not be found out.
    """
    from ..conformance.running import runner
    from ..onnx.proof import verifying

    if not examples and not files:
        raise click.UsageError("--examples 0 leaves nothing to verify: give --data.")
    streams.work_goes_on()
    if folder is not None:
        folder = runner.writable_folder(folder)
    found = verifying.verify(
        path, executors(devices), examples=examples, shapes=dict(shapes), data=files, progress=Bar(Path(path).name)
    )
    for line in lines(found):
        click.echo(shown(line))
    if folder is not None:
        _save(found, folder)
    usable = [result for result in found.results if result.verdict != verifying.UNUSABLE]
    wrong = {verifying.WRONG, verifying.SUSPECT} if strict else {verifying.WRONG}
    sys.exit(1 if found.verdicts & wrong else 0 if len(usable) > 0 else 2)


def executors(wanted):
    """Return the executors of files among devices, "all" of them if none are given, as ``verifying.verify`` takes them.

    Raises
    ------
    CouldNotRun
        If one that is named runs no files.
    """
    from ..conformance.subjects import finding as subjects
    from ..conformance.subjects.backends import BackendSubject

    found = []
    for specification in subjects.expand(wanted or ("all",)):
        subject, kind = subjects.find(specification), specification.partition(":")[0]
        if kind == "onnxruntime" and specification.endswith("CPUExecutionProvider"):
            found.append("onnxruntime")
        elif isinstance(subject, BackendSubject):
            found.append(specification)
        elif wanted and "all" not in wanted:
            raise CouldNotRun(
                f"{specification} runs single operations, not files. Give onnxruntime, reference or opencl."
            )
    return found


def lines(found):
    """Return what was found of a file as lines of text.

    Parameters
    ----------
    found : refcnn.onnx.proof.verifying.Verification

    Returns
    -------
    list of str
    """
    cells = [("executor", "inputs", "error/bound", "at", "output off by", "verdict")]
    for result in found.results:
        difference = "" if result.difference is None else f"{result.difference:.2g}"
        numbers = (f"{result.ratio:.3f}", result.node, difference) if result.examples else ("", "", "")
        cells.append((result.name, str(result.examples), *numbers, result.verdict))
    inputs = f"{found.examples} input{'s' * (found.examples != 1)}"
    text = [f"{found.path}: {found.operations} operations, {inputs}"]
    text += table(cells, left=(0, 3, 5), width=terminal_width())
    if found.bounds is not None:
        text.append(f"End to end: {found.bounds}.")
    if found.overflowing:
        text.append(f"{found.overflowing} inputs were passed over, on which values leave float32's range.")
    return text + [line for result in found.results for line in _remarks(result)]


def _remarks(result):
    if result.unusable:
        yield f"{result.name} was not judged: {result.unusable}"
    for operation, link in sorted(result.faults):
        yield f"{result.name} is known to compute {operation} wrongly: {link}"
    if result.suspicion:
        yield f"{result.name} is suspect: {result.suspicion}."
    if result.parting is not None:
        shapes = " and ".join(map(str, result.parting.shapes))
        yield f"{result.name} parts from the exact answer at {result.parting.node}, inputs of shape {shapes}:"
        yield f"  {result.parting.text}"


def _save(found, folder):
    from ..conformance.reports.html import write_page
    from ..files import atomic_write
    from ..npz import write

    for number, result in enumerate(found.results):
        if result.parting is not None:
            name = f"inputs_{number}.npz"
            with atomic_write(folder / name) as temporary:
                write(temporary, dict(zip(found.input_names, result.parting.inputs, strict=True)))
            click.echo(shown(f"The inputs on which {result.name} is wrong are in {folder / name}."))
    write_page("verify.html.jinja", folder / "verify.html", found=found)
    click.echo(shown(f"The report is {folder / 'verify.html'}."))
