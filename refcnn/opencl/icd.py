"""OpenCL runtimes that lie in the Python environment and that the loader does not find by itself.

The loader in pyopencl's wheel reads a folder of ``.icd`` files, each of which
names one runtime's library. Intel's CPU runtime from PyPI installs such a file
too, but where no loader looks and with a path that does not exist. So refcnn
makes a folder of its own, with the system's files and one for Intel's
runtime, and names it in ``OCL_ICD_VENDORS`` before pyopencl is imported.
"""

import hashlib
import importlib.metadata
import os
import site
import sys
from pathlib import Path

from ..files import atomic_folder

INTEL_DISTRIBUTION = "intel-opencl-rt"
INTEL_LIBRARY = "libintelocl.so"
SYSTEM_VENDORS = Path("/etc/OpenCL/vendors")


def prepare_environment():
    """Make Intel's runtime visible to the OpenCL loader, if it is installed in this Python environment.

    Does nothing if the user has set ``OCL_ICD_VENDORS``, if pyopencl was
    imported before, if there is no such runtime or the system knows it
    already, and if the user's cache cannot be written.
    """
    if "OCL_ICD_VENDORS" in os.environ or "pyopencl" in sys.modules:
        return
    library = find_intel_library()
    if library is None:
        return
    entries = _read_entries(SYSTEM_VENDORS)
    if any(Path(text.decode(errors="replace").strip()).name.startswith(INTEL_LIBRARY) and _exists(text)
           for text in entries.values()):
        return
    entries["refcnn-intel.icd"] = os.fsencode(library) + b"\n"
    import platformdirs

    try:
        folder = write_vendors(entries, Path(platformdirs.user_cache_dir("refcnn")))
    except OSError:
        return
    os.environ["OCL_ICD_VENDORS"] = str(folder)


def find_intel_library():
    """Return the path of Intel's CPU runtime in this Python environment, or None."""
    candidates = []
    try:
        files = importlib.metadata.files(INTEL_DISTRIBUTION) or ()
        candidates += [Path(file.locate()) for file in files if file.name == INTEL_LIBRARY]
    except importlib.metadata.PackageNotFoundError:
        pass
    candidates += [Path(prefix) / "lib" / INTEL_LIBRARY for prefix in (sys.prefix, site.USER_BASE) if prefix]
    return next((path.resolve() for path in candidates if path.is_file()), None)


def write_vendors(entries, cache):
    """Return a folder below ``cache`` that holds the given ``.icd`` files.

    The folder's name is made from its contents and it takes that name when it
    is complete, so that processes which start at once cannot disturb each other.

    Parameters
    ----------
    entries : dict of str to bytes
        The files' names and contents.
    cache : pathlib.Path

    Raises
    ------
    OSError
        If the folder cannot be made.
    """
    digest = hashlib.sha256(repr(sorted(entries.items())).encode()).hexdigest()[:16]
    folder = cache / f"opencl-vendors-{digest}"
    if _read_entries(folder) == entries:
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    try:
        with atomic_folder(folder) as temporary:
            for name, contents in entries.items():
                (temporary / name).write_bytes(contents)
    except OSError:
        if _read_entries(folder) != entries:
            raise
    return folder


def _read_entries(folder):
    try:
        return {path.name: path.read_bytes() for path in sorted(folder.glob("*.icd"))}
    except OSError:
        return {}


def _exists(entry):
    return Path(entry.decode(errors="replace").strip()).is_file()
