"""What runtimes need of the process's environment before OpenCL is first asked for its platforms.

The loader in pyopencl's wheel reads a folder of ``.icd`` files, each of which
names one runtime's library. Intel's CPU runtime from PyPI installs such a file
too, but where no loader looks and with a path that does not exist. So refcnn
makes a folder of its own, with the system's files and one for Intel's
runtime, and names it in ``OCL_ICD_VENDORS`` before pyopencl is imported.

PoCL lists no device where it cannot write its cache. Where it cannot, it is
given a temporary one in ``POCL_CACHE_DIR``. pyopencl makes no kernel there, and
is told by ``PYOPENCL_NO_CACHE`` to do without.
"""

import atexit
import hashlib
import importlib.metadata
import os
import shutil
import site
import sys
import tempfile
from pathlib import Path

from ...files import atomic_folder

INTEL_DISTRIBUTION = "intel-opencl-rt"
INTEL_LIBRARY = "libintelocl.so"
SYSTEM_VENDORS = Path("/etc/OpenCL/vendors")
#: Bytes that caches need, at least: with less on the disk builds fail.
_LEAST_CACHE = 2**24


def prepare_environment():
    """Make Intel's runtime visible to the OpenCL loader, if it is installed in this Python environment, and PoCL able.

    Where the user's cache cannot be written, temporary folders do, for as long as this process lives. What the user
    has set is left alone; so is everything if pyopencl was imported before.

    Returns
    -------
    list of str
        What keeps a runtime from being found, a text for each.
    """
    if "pyopencl" in sys.modules:
        return []
    _let_pyopencl_do_without_a_cache()
    return [problem for problem in (_show_intels_runtime(), _give_pocl_a_cache()) if problem]


def _let_pyopencl_do_without_a_cache():
    if "PYOPENCL_NO_CACHE" in os.environ:
        return
    import platformdirs

    if _obstacle(Path(platformdirs.user_cache_dir("pytools", "pytools"))):
        os.environ["PYOPENCL_NO_CACHE"] = "1"


def _show_intels_runtime():
    if "OCL_ICD_VENDORS" in os.environ:
        return None
    library = find_intel_library()
    if library is None:
        return None
    entries = _read_entries(SYSTEM_VENDORS)
    if any(
        Path(text.decode(errors="replace").strip()).name.startswith(INTEL_LIBRARY) and _exists(text)
        for text in entries.values()
    ):
        return None
    entries["refcnn-intel.icd"] = os.fsencode(library) + b"\n"
    import platformdirs

    try:
        folder = write_vendors(entries, Path(platformdirs.user_cache_dir("refcnn")))
    except OSError:
        try:
            folder = write_vendors(entries, _temporary_folder())
        except OSError as error:
            return f"Intel's runtime is installed, but no folder can be written that names it to OpenCL ({error})"
    os.environ["OCL_ICD_VENDORS"] = str(folder)
    return None


def _give_pocl_a_cache():
    named = os.environ.get("POCL_CACHE_DIR")
    if named:
        obstacle = _obstacle(Path(named))
        return obstacle and f"PoCL's cache, which POCL_CACHE_DIR names, cannot be written ({obstacle})"
    is_pocls = bool(os.environ.get("XDG_CACHE_HOME") or os.environ.get("HOME"))
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path(os.path.expanduser("~"), ".cache"), "pocl", "kcache")
    obstacle = _obstacle(folder)
    if obstacle is None and is_pocls:
        return None
    if obstacle is not None:
        try:
            folder = _temporary_folder()
        except OSError as error:
            return f"PoCL can write no cache: neither {folder} ({obstacle}) nor a temporary folder ({error})"
    # Of its own accord PoCL takes a folder that all users share if it knows no home.
    os.environ["POCL_CACHE_DIR"] = str(folder)
    return None


def _obstacle(folder):
    """Return why a cache cannot be written to a folder, which need not exist yet, or None."""
    try:
        while not os.path.lexists(folder):
            folder = folder.parent
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        return f"{folder}: {error.strerror or error}"
    return None if free >= _LEAST_CACHE else f"{folder}: only {free / 2**20:.1f} MiB are free"


def _temporary_folder():
    folder, owner = tempfile.mkdtemp(prefix="refcnn-"), os.getpid()

    def remove():
        # A forked child ends before its parent may do.
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return Path(folder)


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
