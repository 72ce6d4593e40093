"""Files and folders that are written whole or not at all."""

import contextlib
import errno
import os
import re
import shutil
import tempfile
import threading
from pathlib import Path

from .errors import FileWriteError

#: In the name of everything half written; nobody else's files are called so.
_MARK = "-refcnn-unfinished-"
_UNFINISHED = re.compile(rf"\..*{_MARK}[a-z0-9_]{{8}}(\..*)?", re.DOTALL)
# The temporary name of a file whose own name is as long as names may be must not be longer.
_STEM_CHARACTERS = 40
# Windows keeps everybody else from writing in a locked file, also the writer by its name; what is half written stays
# there unlocked and is never removed, since nobody can tell whether its writer lives.
_LOCKS = os.name != "nt"
_reading_umask = threading.Lock()


def check_writable(path, make_folder=False, advice="Name a file in a folder that exists and can be written."):
    """Find out, before long work, whether a file can be made or replaced; what stands there is left alone.

    Parameters
    ----------
    path : str or os.PathLike
    make_folder : bool
        Whether to make its folder if there is none.
    advice : str
        What ends the message.

    Raises
    ------
    FileWriteError
        If it cannot be written.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if make_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent) as file:
            file.write(b"a full disk takes no byte")
    except OSError as error:
        raise FileWriteError(f"{path} cannot be written: {error.strerror or error}. {advice}") from error


@contextlib.contextmanager
def atomic_write(path, *, durable=True):
    """Give a temporary path beside ``path``; what is written there takes its name at the end.

    The new contents are on the disk before the name changes hands, so that a
    crash at any moment leaves either the former file or the new one, whole.
    What a killed process left half written in the folder is removed.

    Parameters
    ----------
    path : str or os.PathLike
        The file to make or replace. Its folder must exist.
    durable : bool
        Whether the end waits for the disk. A file for which it does not outlives this process, however that ends, but
        not a crash of the machine.

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
    try:
        with _temporary(path, path.stem, path.suffix, _make_file) as temporary:
            yield temporary
            if durable:
                with open(temporary, "rb+") as file:
                    os.fsync(file.fileno())
            temporary.chmod(0o666 & ~_umask())
            os.replace(temporary, path)
    except OSError as error:
        raise FileWriteError(
            f"{path} could not be written: {error.strerror or error}. What stood there before is unchanged. "
            f"{remedy(error)}"
        ) from error


@contextlib.contextmanager
def atomic_group(path):
    """Give a temporary folder beside ``path``, whose files are moved beside it at the end, that of its name last.

    So ``path`` never says anything of the others that does not hold: they must bear names that tell their contents,
    since what bears such a name already is replaced by the same.

    Parameters
    ----------
    path : str or os.PathLike
        The file to make or replace. Its folder must exist.

    Yields
    ------
    pathlib.Path
        The temporary folder, in which a file of ``path``'s name is to be written, and others.

    Raises
    ------
    FileWriteError
        If a file cannot be written (a full disk, no permission).
    """
    path = Path(path)
    try:
        with _temporary(path, path.stem, "", _make_folder) as temporary:
            yield temporary
            _move_group(temporary, path)
    except OSError as error:
        raise FileWriteError(
            f"{path} could not be written: {error.strerror or error}. What stood there before is unchanged. "
            f"{remedy(error)}"
        ) from error


def _move_group(temporary, path):
    """Move the files of a folder beside ``path``, that of its name last; new ones are removed if that fails."""
    files = sorted(temporary.iterdir(), key=lambda file: file.name == path.name)
    for file in files:
        with open(file, "rb+") as handle:
            os.fsync(handle.fileno())
    moved = []
    try:
        for file in files:
            target = path.parent / file.name
            is_new = not os.path.lexists(target)
            os.replace(file, target)
            if is_new:
                moved.append(target)
        moved.clear()
    finally:
        for target in moved:
            _remove(target, False)


@contextlib.contextmanager
def atomic_folder(path):
    """Give a temporary folder beside ``path``, which takes its name at the end; a folder that stood there is removed.

    Parameters
    ----------
    path : str or os.PathLike
        The folder to make or replace. The folder around it must exist.

    Yields
    ------
    pathlib.Path
        The temporary folder to fill.

    Raises
    ------
    OSError
        If it cannot be written; what stood there before is unchanged.
    """
    path = Path(path)
    with _temporary(path, path.name, "", _make_folder) as temporary:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        with _temporary(path, path.name, "", _make_folder) as former:
            # Moved away whole: half removed, it would stand there for others to read.
            with contextlib.suppress(FileNotFoundError):
                os.rename(path, former / path.name)
            try:
                os.rename(temporary, path)
            except OSError:
                with contextlib.suppress(OSError):
                    os.rename(former / path.name, path)
                raise


def is_unfinished(name):
    """Return whether a file of this name is one that :func:`atomic_write` or :func:`atomic_folder` has not finished."""
    return _UNFINISHED.fullmatch(name) is not None


def remove_leftovers(folder):
    """Remove what killed processes left half written in a folder; what a living one writes is locked, and stays."""
    try:
        with os.scandir(folder) as entries:
            left = [entry for entry in entries if is_unfinished(entry.name)]
    except OSError:
        return
    for entry in left:
        # What cannot be opened or locked may be in use.
        with contextlib.suppress(OSError):
            _remove_abandoned(entry)


def _remove_abandoned(entry):
    if not _LOCKS or entry.is_symlink():
        return
    is_folder = entry.is_dir()
    handle = _open(entry.path, is_folder)
    try:
        if _lock(handle):
            _remove(entry.path, is_folder)
    finally:
        os.close(handle)


def remedy(error):
    """Return what to do about an OSError of writing a file, as a sentence: space helps only where it was lacking."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "Free some space, or name another folder, and try again."
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return "Make that folder first, or name another."
    if error.errno == errno.ENAMETOOLONG:
        return "Give it a shorter name."
    return "Name a folder that can be written."


@contextlib.contextmanager
def _temporary(path, stem, suffix, make):
    """Make something half written beside ``path``, keep it locked, and remove it if it has not another name by then."""
    remove_leftovers(path.parent)
    temporary, handle = _locked_temporary(path.parent, f".{stem[:_STEM_CHARACTERS]}{_MARK}", suffix, make)
    try:
        yield temporary
    finally:
        _remove(temporary, make is _make_folder)
        if handle is not None:
            os.close(handle)


def _locked_temporary(folder, prefix, suffix, make):
    while True:
        temporary = make(dir=folder, prefix=prefix, suffix=suffix)
        if not _LOCKS:
            return temporary, None
        try:
            handle = _open(temporary, make is _make_folder)
        except FileNotFoundError:
            # Another process took it for abandoned, before it was locked.
            continue
        if _is_claimed(temporary, handle):
            return temporary, handle
        os.close(handle)


def _is_claimed(temporary, handle):
    """Lock what was just made; return False if another process took it for abandoned before that."""
    try:
        if not _lock(handle):
            return False
    except OSError:
        # Where there are no locks nobody can lock it to remove it either.
        return True
    try:
        return os.path.samestat(os.fstat(handle), os.stat(temporary))
    except FileNotFoundError:
        return False


def _make_file(**name):
    handle, path = tempfile.mkstemp(**name)
    os.close(handle)
    return Path(path)


def _make_folder(**name):
    return Path(tempfile.mkdtemp(**name))


def _open(path, is_folder):
    return os.open(path, (os.O_RDONLY if is_folder else os.O_RDWR) | getattr(os, "O_NOFOLLOW", 0))


def _lock(handle):
    from filelock import lock_descriptor

    return lock_descriptor(handle, blocking=False)


def _remove(path, is_folder):
    if is_folder:
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _umask():
    # It can only be read by setting it, which must not leave it set: two threads would read each other's.
    with _reading_umask:
        umask = os.umask(0)
        os.umask(umask)
    return umask
