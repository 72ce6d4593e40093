"""What a measurement found: a board of results, as text and as JSON."""

import dataclasses
import datetime
import json
import math
import os
import platform
from pathlib import Path

from ..files import atomic_write
from ..tables import table
from ..version import __version__
from .measuring import ratio

FORMAT = "refcnn bench 2"
_RESULT_WIDTHS = (16, 7, 6, 7, 7)


@dataclasses.dataclass
class Device:
    """One device of refcnn's and what was measured of it alone.

    Attributes
    ----------
    name, about, kind : str
    gflops, bandwidth : float or None
        Its limits, as :mod:`.peaks` measures them: multiply-adds in registers, in GFLOP/s, and elementwise kernels, in
        GB/s.
    product_gflops : float or None
        The most that its own matrix product reached.
    first_step : dict of str to float
        Seconds of the first training step in a new process, by ``cold`` (no compiled kernels are kept from before) and
        ``warm``.
    memory : dict of str to int
        Bytes of the device's memory that were held at most, by workload.
    """

    name: str
    about: str
    kind: str
    gflops: float | None = None
    bandwidth: float | None = None
    product_gflops: float | None = None
    first_step: dict = dataclasses.field(default_factory=dict)
    memory: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Result:
    """One workload, done by the devices of one kind and their rivals in turns.

    Attributes
    ----------
    part : str
        ``networks``, ``grid``, ``batches``, ``sizes`` or ``file``.
    name, mode : str
    flop : int
        Multiplications and additions of the formulas: those of the direct algorithm.
    times : dict of str to Times
        By the contestant's name.
    x : int
        The batch size or image size, where a curve is drawn over it.
    done : dict of str to int
        The multiplications and additions that each device really does; what rivals do is not known.
    """

    part: str
    name: str
    mode: str
    flop: int
    times: dict
    x: int = 0
    done: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Board:
    """All results of a run.

    Attributes
    ----------
    devices : list of Device
    rivals : dict of str to str
        What each rival says of itself, by kind of device and name.
    results : list of Result
    missing : list of str
        Who could not take part, and why.
    is_complete : bool
        False if the run was stopped before its end.
    """

    devices: list = dataclasses.field(default_factory=list)
    rivals: list = dataclasses.field(default_factory=list)
    results: list = dataclasses.field(default_factory=list)
    missing: list = dataclasses.field(default_factory=list)
    is_complete: bool = False
    date: str = dataclasses.field(
        default_factory=lambda: datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    )

    def device(self, name):
        """Return a device by its name, or None if the contestant of that name is a rival."""
        return next((device for device in self.devices if device.name == name), None)

    def save(self, path):
        """Write the board as JSON, as :func:`save` does."""
        save(path, FORMAT, self)


def save(path, form, found):
    """Write what was measured as JSON, whole or not at all.

    Parameters
    ----------
    path : str or os.PathLike
    form : str
        The name of the form that the file has.
    found : object
        A dataclass.

    Raises
    ------
    FileWriteError
        If the file cannot be written.
    """
    host = {
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    content = {"format": form, "refcnn": __version__, "host": host, **dataclasses.asdict(found)}
    with atomic_write(Path(path)) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def heading(board):
    """Return lines that say who takes part."""
    lines = []
    for device in board.devices:
        lines.append(f"{device.name}: {device.about}")
        if device.gflops is not None:
            lines += [
                f"  peak: {device.gflops:.0f} GFLOP/s of multiply-adds in registers; matrix product "
                f"{device.product_gflops:.0f} GFLOP/s, {device.product_gflops / device.gflops:.0%} of that",
                f"  memory: {device.bandwidth:.0f} GB/s read and written by elementwise operations on long arrays",
            ]
    return [*lines, *board.rivals, *board.missing]


def result_lines(board, result):
    """Return the table of one result, below its title."""
    rivals = [name for name in result.times if board.device(name) is None]
    if result.part == "file":
        return _file_lines(board, result, rivals)
    titles = "it/s", "spread", "GFLOP/s", "of peak", "direct-equivalent"
    rows = [("", *titles, *(f"x {name}" for name in rivals))]
    for name, times in result.times.items():
        if not times.seconds:
            if times.error is not None or board.device(name) is not None:
                rows.append((f"  {name}", f"failed: {times.error}"))
            continue
        device, direct = board.device(name), f"{result.flop / times.median / 1e9:.1f}"
        speed = result.done[name] / times.median / 1e9 if name in result.done else None
        done = "" if speed is None else f"{speed:.1f}"
        share = f"{speed / device.gflops:.0%}" if device is not None and device.gflops and speed is not None else ""
        ratios = _ratios(result, times, rivals, device)
        label = ", ".join(filter(None, (f"  {name}", times.remark)))
        rows.append((label, f"{1 / times.median:.4g}", f"{times.spread:.1%}", done, share, direct, *ratios))
    return [f"{result.name}, {result.mode}", *table(rows, least=_RESULT_WIDTHS)]


def _file_lines(board, result, rivals):
    rows = [("", "ms", "spread", "memory", *(f"x {name}" for name in rivals))]
    for name, times in result.times.items():
        if not times.seconds:
            rows.append((f"  {name}", f"failed: {times.error}"))
            continue
        device = board.device(name)
        held = device.memory.get(f"{result.name}, {result.mode}") if device is not None else None
        memory = f"{held / 2**20:.0f} MiB" if held else ""
        ratios = _ratios(result, times, rivals, device)
        rows.append((f"  {name}", f"{times.median * 1e3:.4g}", f"{times.spread:.1%}", memory, *ratios))
    return [f"{result.name}, {result.mode}", *table(rows, least=_RESULT_WIDTHS)]


def _ratios(result, times, rivals, device):
    """Return how many times faster a device is than each rival, as text; nothing for those who are no device."""
    return [
        f"{ratio(times, result.times[rival]):.2f}" if device is not None and result.times[rival].seconds else ""
        for rival in rivals
    ]


def summary_lines(board):
    """Return first steps, memory, and the geometric means over the grid."""
    rows = [("first training step", "cold", "warm", "of the process", "device memory")]
    for device in board.devices:
        if device.first_step:
            cells = [f"{device.first_step[key]:.2f} s" for key in ("cold", "warm", "process")]
            memory = max(device.memory.values(), default=0)
            rows.append((f"  {device.name}", *cells, f"{memory / 2**20:.0f} MiB" if memory else ""))
    lines = table(rows) if len(rows) > 1 else []
    means = [
        (f"  {device} against {rival}, {mode}", str(len(ratios)), f"{geometric_mean(ratios):.2f}")
        for (device, rival, mode), ratios in grid_ratios(board).items()
    ]
    if means:
        lines += table([("geometric mean over the grid", "layers", "times faster"), *means])
    if not board.is_complete:
        lines.append("Stopped before the end: what is above is all there is.")
    return lines


def grid_ratios(board):
    """Return how many times faster each device is than each rival, layer by layer.

    Returns
    -------
    dict of (str, str, str) to list of float
        By device, rival and mode.
    """
    found = {}
    for result in board.results:
        if result.part != "grid":
            continue
        for name, times in result.times.items():
            for rival, theirs in result.times.items():
                if board.device(name) is not None and board.device(rival) is None and times.seconds and theirs.seconds:
                    found.setdefault((name, rival, result.mode), []).append(ratio(times, theirs))
    return found


def geometric_mean(numbers):
    """Return the geometric mean of positive numbers."""
    return math.exp(math.fsum(map(math.log, numbers)) / len(numbers))
