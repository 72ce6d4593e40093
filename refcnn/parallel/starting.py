"""Starting the ranks on this machine, by the ``mpiexec`` of this environment."""

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import ArgumentError
from ..interruption import GENTLE, exit_status, stopping_signals
from .ranks import INSTALL_ADVICE, is_started_by_mpi

#: Names the file in which ranks leave their exit status: any but 0 would let mpiexec say at length that there was one.
_STATUS_FILE = "REFCNN_STATUS_FILE"
#: The columns of the terminal to which mpiexec passes on what the ranks write, for whom it is none.
_COLUMNS = "REFCNN_COLUMNS"


def launcher(processes: int) -> tuple[list[str], list[str]]:
    """Return the command that starts so many ranks on this machine, and what is to be said of it.

    Raises
    ------
    ArgumentError
        If mpi4py is not installed, or there is no ``mpiexec``.
    """
    if importlib.util.find_spec("mpi4py") is None:
        raise ArgumentError(f"several processes need MPI, but mpi4py is not installed. {INSTALL_ADVICE}")
    beside = Path(sys.executable).parent
    program = shutil.which("mpiexec", path=str(beside)) or shutil.which("mpiexec")
    if program is None:
        raise ArgumentError(
            f"several processes are started by mpiexec, which is neither in {beside} nor on the PATH. {INSTALL_ADVICE} "
            "Or add that of the system's MPI to the PATH."
        )
    command, remarks = [program, "-n", str(processes)], []
    said = _version(program)
    if "Open MPI" in said or "open-mpi" in said or "prte" in said.lower():
        # Each rank takes its share of the cores by itself.
        command += ["--map-by", ":OVERSUBSCRIBE", "--bind-to", "none"]
        # So that the others can go on where a rank is lost; former versions do not know it.
        command += [] if re.search(r"Open MPI\) [0-4]\.", said) else ["--with-ft", "ulfm"]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.append("--allow-run-as-root")
            remarks.append(
                "the ranks run as root, which Open MPI advises against: a fault of theirs can damage any file. Better "
                "start them as another user."
            )
    return command, remarks


def _version(program):
    found = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    return found.stdout


def same_program(option: str) -> list[str]:
    """Return the command that this process runs, without an option and its value."""
    given, arguments = iter(sys.argv[1:]), []
    for argument in given:
        if argument == option:
            next(given, None)
        elif not argument.startswith(f"{option}="):
            arguments.append(argument)
    # Without -P the current folder, which may hold data of strangers, would be the first place for every import.
    return [sys.executable, "-P", "-m", "refcnn", *arguments]


def run(command: Sequence[str]) -> int:
    """Run ranks to their end and return their exit status; signals that ask this process to stop are passed on.

    Parameters
    ----------
    command : sequence of str
        What :func:`launcher` returned, and the program with its arguments.
    """
    with tempfile.TemporaryDirectory(prefix="refcnn-") as folder:
        status = Path(folder) / "status"
        environment = os.environ | {_STATUS_FILE: str(status)}
        if sys.stderr.isatty():
            environment[_COLUMNS] = str(shutil.get_terminal_size().columns)
        if sys.stdout.isatty():
            # What all who ask for the width of a terminal look at first.
            environment["COLUMNS"] = str(shutil.get_terminal_size().columns)
        # In a session of its own, lest Ctrl-C in the terminal reaches mpiexec, which kills the ranks a quarter of a
        # second after that; what is GENTLE it only passes on.
        child = subprocess.Popen(command, env=environment, start_new_session=True)
        with _passed_on(child) as asked:
            code = child.wait()
        if code == 0 and status.exists():
            code = int(status.read_text())
        if asked and code == exit_status(GENTLE):
            return exit_status(asked[0])
        return code if code >= 0 else exit_status(-code)


def bar_options() -> dict:
    """Return the options by which tqdm draws a bar where standard error is a terminal, at the end of mpiexec too."""
    columns = os.environ.get(_COLUMNS, "")
    return {"disable": False, "ncols": int(columns)} if columns.isdecimal() else {"disable": None}


@contextlib.contextmanager
def _passed_on(child):
    asked = []

    def pass_on(number, _):
        asked.append(number)
        # The second time there is no waiting for a checkpoint; a terminal that is closed signals twice by itself.
        is_again = len(asked) > 1 and number != getattr(signal, "SIGHUP", None)
        child.send_signal(signal.SIGTERM if is_again else GENTLE)

    former = {number: signal.getsignal(number) for number in stopping_signals()}
    taken = [number for number, action in former.items() if action not in (signal.SIG_IGN, None)]
    try:
        for number in taken:
            signal.signal(number, pass_on)
        yield asked
    finally:
        for number in taken:
            signal.signal(number, former[number])


@contextlib.contextmanager
def status_told() -> Iterator[None]:
    """Let a rank that :func:`run` started not end with its exit status; a file tells it for all."""
    try:
        yield
    except SystemExit as stop:
        file = os.environ.get(_STATUS_FILE)
        if file is None or not is_started_by_mpi() or not isinstance(stop.code, int):
            raise
        # Each does, since any may be the first by now; it is the same for all.
        Path(file).write_text(str(stop.code))
