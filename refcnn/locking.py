"""Locks that one process holds at a time, and that end with it, however it ends; another is told who holds them."""

import contextlib
import os
import platform
import sys
import threading
from pathlib import Path

from .errors import FileWriteError, LockedError

#: The lock of a folder is a file in it, which is there while a process writes in the folder, or was killed doing so.
FOLDER_LOCK = ".lock"
# Windows lets nobody read the byte that is locked, which is the first.
_OWNER_OFFSET = 1
_OWNER_BYTES = 400

# This process's locks by their files, each with its handle and the number of its holds: a process shuts out others, but
# may hold what it holds already.
_held = {}
_held_guard = threading.Lock()


@contextlib.contextmanager
def locked_folder(folder, advice):
    """Keep other processes from writing in a folder.

    Parameters
    ----------
    folder : str or os.PathLike
        It must exist.
    advice : str
        What can be done where another process writes there, beside waiting for its end.

    Raises
    ------
    LockedError
        If another process holds the lock.
    FileWriteError
        If nothing can be written in the folder.
    """
    path = Path(os.path.realpath(folder), FOLDER_LOCK)
    try:
        is_ours = _hold(path, _is_locked_at_once)
    except OSError as error:
        raise FileWriteError(
            f"nothing can be written in {folder}: {error.strerror or error}. Name a folder that can be written, or "
            "change its permissions."
        ) from error
    if not is_ours:
        raise LockedError(f"{folder} is being written by {_owner(path)}. Wait until that has ended, or {advice}.")
    try:
        yield
    finally:
        _let_go(path)


@contextlib.contextmanager
def locked_file(path):
    """Wait until no other process changes a file, then keep others from it; the lock is a file beside it.

    Parameters
    ----------
    path : str or os.PathLike
        Its folder must exist.

    Raises
    ------
    FileWriteError
        If nothing can be written in its folder.
    """
    path = Path(os.path.realpath(path))
    lock = path.with_name(f".{path.name}.lock")
    try:
        _hold(lock, _is_locked_at_last)
    except OSError as error:
        raise FileWriteError(
            f"{path} could not be written: {error.strerror or error}. What stood there before is unchanged. Name a "
            "file in another folder, or change the permissions of this one."
        ) from error
    try:
        yield
    finally:
        _let_go(lock)


def _hold(path, lock):
    """Take a hold of the lock; return False if another process has it."""
    with _held_guard:
        if path not in _held:
            handle = _open_locked(path, lock)
            if handle is None:
                return False
            _held[path] = [handle, 0]
        _held[path][1] += 1
        return True


def _let_go(path):
    with _held_guard:
        _held[path][1] -= 1
        if _held[path][1]:
            return
        handle, _ = _held.pop(path)
        try:
            # Its folder may have been moved, and another process lock the file that is there now. Windows does not
            # remove an open file; it may stay.
            with contextlib.suppress(OSError):
                if os.path.samestat(os.fstat(handle), os.stat(path)):
                    os.unlink(path)
        finally:
            os.close(handle)


def _open_locked(path, lock):
    """Return the handle of the file, which holds the lock; None if another process has it."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        try:
            if not lock(handle, path):
                os.close(handle)
                return None
            # Whoever held it before removed the file in letting go: there may be another by now.
            if os.path.samestat(os.fstat(handle), os.stat(path)):
                _write_owner(handle)
                return handle
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _is_locked_at_once(handle, path):
    return _lock(handle, path, blocking=False)


def _is_locked_at_last(handle, path):
    return _lock(handle, path, blocking=True)


def _lock(handle, path, blocking):
    from filelock import lock_descriptor

    try:
        return lock_descriptor(handle, blocking=blocking)
    except OSError as error:
        print(
            f"refcnn: {path.parent} cannot be locked ({error.strerror or error}): let no other process write there.",
            file=sys.stderr,
        )
        return True


def _write_owner(handle):
    owner = f"{os.getpid()} {platform.node()}".encode()
    # On a full disk the lock holds, but does not tell whose it is.
    with contextlib.suppress(OSError):
        os.ftruncate(handle, 0)
        os.write(handle, b" " * _OWNER_OFFSET + owner)


def _owner(path):
    """Return in words which process holds the lock of a file."""
    try:
        with open(path, "rb", buffering=0) as file:
            file.seek(_OWNER_OFFSET)
            number, host = file.read(_OWNER_BYTES).decode().split(" ", 1)
    except (OSError, ValueError):
        return "another process"
    return f"process {number}" + (f" on {host}" if host != platform.node() else "")
