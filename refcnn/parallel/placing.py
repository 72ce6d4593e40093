"""What each rank computes with: its share of the processor's cores, and one of the devices."""

import os
import platform
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import backend
from ..errors import ArgumentError

if TYPE_CHECKING:
    from .alone import Alone

#: By which PoCL is told how many threads to start: it does not look at which cores a process may run on.
_POCL_THREADS = ("POCL_MAX_PTHREAD_COUNT", "POCL_CPU_MAX_CU_COUNT")


def share_cores(ranks: "Alone") -> int | None:
    """Give each of the ranks that may run on the same cores its own of them, and return how many it has.

    Those to which whoever started them has given different ones, as of each socket, keep these apart; where there are
    fewer cores than ranks several have the same. It is called before OpenCL is first asked for its platforms, which
    count the cores then. None where the system does not tell.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))
    if ranks.size == 1:
        return len(cores)
    sharing = [rank for rank, found in enumerate(ranks.gather((ranks.host, cores))) if found == (ranks.host, cores)]
    cores = part_of(cores, sharing.index(ranks.rank), len(sharing))
    _bind(cores)
    return len(cores)


def _bind(cores):
    os.sched_setaffinity(0, cores)
    for name in _POCL_THREADS:
        os.environ.setdefault(name, str(len(cores)))


class Place(NamedTuple):
    """What a rank computes with.

    Attributes
    ----------
    host : str
    device : str
        A backend's specification.
    cores : tuple of int
        Empty where the system does not tell.
    """

    host: str
    device: str
    cores: tuple[int, ...]


def own_place() -> Place:
    """Return with what this process computes."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else ()
    return Place(platform.node(), backend.active().name, tuple(cores))


def take(place: Place) -> None:
    """Compute from now on with what a rank did that was lost: on another machine with a device of that name there."""
    if place.host == platform.node() and place.cores:
        _bind(place.cores)
    backend.use_backend(place.device)


def part_of(cores: list[int], rank: int, size: int) -> list[int]:
    """Return a rank's cores: as many as another's, or one more; one of them where there are fewer than ranks."""
    if size > len(cores):
        return [cores[rank % len(cores)]]
    return cores[rank * len(cores) // size : (rank + 1) * len(cores) // size]


def device_of(text: str, ranks: "Alone", is_open: bool = False) -> str:
    """Return the specification of the backend on which this rank computes.

    Parameters
    ----------
    text : str
        As of :func:`refcnn.backend.find`, or several with commas between them, which the ranks on each host take in
        turn.
    ranks : Ranks or Alone
    is_open : bool
        Whether other devices will do too: where the one is a GPU, the ranks take the GPUs of its platform in turn, as
        they do where the text is ``auto`` or ``opencl``.

    Raises
    ------
    ArgumentError
        If there are more devices than ranks on this host.
    """
    names = [name.strip() for name in text.split(",")]
    if len(names) > ranks.host_size:
        raise ArgumentError(
            f"--backend names {len(names)} devices, but there {_are(ranks.host_size)} on this machine. Name as many at "
            f"most, or start more processes: --processes {len(names)}"
        )
    if ranks.host_size > 1 and len(names) == 1 and (is_open or names[0] in ("auto", "opencl")):
        names = backend.alike(names[0])
    return names[ranks.host_rank % len(names)]


def _are(count):
    return "is one process" if count == 1 else f"are {count} processes"


def described(ranks: "Alone", device: Any, cores: int | None) -> str:
    """Return lines that say who computes with what; empty where one process works alone. All ranks must call it.

    Parameters
    ----------
    ranks : Ranks or Alone
    device : Backend
        On which this rank computes.
    cores : int or None
        How many it has.
    """
    rows = ranks.gather((ranks.host, device.name, device.description, cores))
    if len(rows) == 1:
        return ""
    lines = [f"{len(rows)} ranks on {_counted(len({host for host, *_ in rows}), 'machine')}"]
    for name in dict.fromkeys((host, name) for host, name, *_ in rows):
        sharing = [rank for rank, row in enumerate(rows) if row[:2] == name]
        shown = [_counted(rows[rank][3], "core") if rows[rank][3] else "" for rank in sharing]
        of_cores = ", ".join(dict.fromkeys(filter(None, shown)))
        who, each = (
            (f"ranks {', '.join(map(str, sharing))} share", " each") if sharing[1:] else (f"rank {sharing[0]}:", "")
        )
        lines.append(f"  {who} {name[1]}: {rows[sharing[0]][2]}" + (f", {of_cores}{each}" if of_cores else ""))
    return "\n".join(lines)


def _counted(count, noun):
    return f"{count} {noun}{'s' * (count != 1)}"
