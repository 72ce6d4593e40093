"""Oclgrind, which simulates a device and reports races, uninitialised reads and accesses out of bounds.

A process computes in it if its environment names Oclgrind's runtime before OpenCL is first asked for platforms.
"""

import contextlib
import os
import shutil
from pathlib import Path

#: Where it is installed, if its command is not on the path.
_PLACES = ("/usr/lib/oclgrind", "/usr/local/lib/oclgrind", "/usr/local/lib")

#: Oclgrind falls silent after so many reports, 1,000 as a rule: fewer than a search for the smallest case may see.
_MOST_REPORTS = 2**31 - 1

INSTALL_ADVICE = "Install it: Debian's and Ubuntu's package is oclgrind, its source github.com/jrprice/Oclgrind."


def library():
    """Return the path of Oclgrind's OpenCL runtime, or None."""
    command = shutil.which("oclgrind")
    places = [Path(command).resolve().parents[1] / "lib" / "oclgrind"] if command else []
    paths = (place / "liboclgrind-rt-icd.so" for place in (*places, *map(Path, _PLACES)))
    return next((path for path in paths if path.exists()), None)


def environment(folder, runtime=None):
    """Return what the environment of a process needs to have Oclgrind as its only OpenCL platform.

    Parameters
    ----------
    folder : str or os.PathLike
        Where the loader's file and the log go; the log of a former process is removed.
    runtime : str or os.PathLike, optional
        As :func:`library` returns it, if that is known.

    Returns
    -------
    dict of str to str
    """
    vendors, log = Path(folder) / "oclgrind-vendors", Path(folder) / "oclgrind.log"
    vendors.mkdir(exist_ok=True)
    (vendors / "oclgrind.icd").write_text(f"{runtime or library()}\n")
    log.unlink(missing_ok=True)
    return {
        "OCL_ICD_VENDORS": str(vendors),
        "OCLGRIND_LOG": str(log),
        "OCLGRIND_DATA_RACES": "1",
        "OCLGRIND_UNINITIALIZED": "1",
        "OCLGRIND_MAX_ERRORS": str(_MOST_REPORTS),
    }


class Reports:
    """What Oclgrind reports in one process.

    Parameters
    ----------
    environment : mapping of str to str
        That of the process that computes in it.
    """

    def __init__(self, environment=os.environ):
        self._path = environment.get("OCLGRIND_LOG")
        self._position = 0

    def following(self):
        """Return the text of what was reported since this was last asked."""
        text = b""
        # There is no log before the process has made its first context.
        with contextlib.suppress(OSError, TypeError), open(self._path, "rb") as log:
            log.seek(self._position)
            text = log.read()
            self._position = log.tell()
        return text.decode("utf-8", errors="replace").strip()
