"""Files that are written whole or not at all."""

import contextlib
import errno
import os
import tempfile
from pathlib import Path

from .errors import FileWriteError


@contextlib.contextmanager
def atomic_write(path):
    """Give a temporary path beside ``path``; what is written there takes its name at the end.

    The new contents are on the disk before the name changes hands, so that a
    crash at any moment leaves either the former file or the new one, whole.

    Parameters
    ----------
    path : str or os.PathLike
        The file to make or replace. Its folder must exist.

    Yields
    ------
    pathlib.Path
        The temporary file to write, with the suffix of ``path``.

    Raises
    ------
    FileWriteError
        If the file cannot be written (a full disk, no permission).
    """
    path = Path(path)
    temporary = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
    except OSError as error:
        raise FileWriteError(
            f"{path} could not be written: {error.strerror or error}. What stood there before is unchanged. "
            f"{remedy(error)}"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def remedy(error):
    """Return what to do about an OSError of writing a file, as a sentence: space helps only where it was lacking."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "Free some space, or name another folder, and try again."
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return "Make that folder first, or name another."
    if error.errno == errno.ENAMETOOLONG:
        return "Give it a shorter name."
    return "Name a folder that can be written."
