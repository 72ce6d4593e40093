"""Kernel files and their compilation for a device."""

import contextlib
import functools
import os
import re
import sys
import threading
import time
import warnings
from pathlib import Path

from ...errors import BackendError, KernelBuildError

_LOG_LINES = 20
# Seconds after which a lock of pyopencl's cache, held while a few small files are written, has no owner any more.
_STALE_LOCK = 10
# Held while a compiler runs: of two threads that turn the process's standard error away, one would not turn it back.
_compiling = threading.Lock()
_INCLUDE = re.compile(r'^#include "(\w+)\.cl"$', re.MULTILINE)


@functools.cache
def kernel_folder():
    """Return the folder of the kernel files: inside the installed package, or beside it in a checkout.

    The environment variable ``REFCNN_KERNELS`` names another folder in their place, for those who try out changes.
    """
    if os.environ.get("REFCNN_KERNELS"):
        return Path(os.environ["REFCNN_KERNELS"])
    package = Path(__file__).resolve().parents[2]
    inside = package / "kernels"
    return inside if inside.is_dir() else package.parent / "kernels"


def source(file_stem):
    """Return the text of ``kernels/<file_stem>.cl``, with the files that it includes in the place of their names.

    So no compiler has to find a file, and a fault's bundle or a cache's key holds all there is.

    Raises
    ------
    BackendError
        If there is no such file.
    """
    path = kernel_folder() / f"{file_stem}.cl"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        remedy = "Correct REFCNN_KERNELS, or unset it" if os.environ.get("REFCNN_KERNELS") else "Install refcnn again"
        raise BackendError(f"the kernel file {path} cannot be read ({error.strerror}). {remedy}.") from error
    return _INCLUDE.sub(lambda line: source(line[1]), text)


def build(device, context, file_stem, options):
    """Return the compiled ``kernels/<file_stem>.cl``.

    Runtimes, or pyopencl for those that do not, keep compiled programs on the disk from one process to the next.

    Parameters
    ----------
    device : refcnn.opencl.runtime.device.Device
    context : pyopencl.Context
    file_stem : str
    options : tuple of str

    Raises
    ------
    BackendError
        If there is no such file.
    KernelBuildError
        If the compiler refuses it.
    """
    advice = "Choose another device ('refcnn devices' lists them) or update its driver. "
    options = (*options, *device.build_options)
    return compiled(device, context, f"{file_stem}.cl", source(file_stem), options, advice, _cache_folder())


def compiled(device, context, name, text, options, advice="", cache_folder=False):
    """Return a compiled text.

    Parameters
    ----------
    device : refcnn.opencl.runtime.device.Device
    context : pyopencl.Context
    name : str
        That of the text's file, for messages.
    text : str
    options : tuple of str
        All of them.
    advice : str
        What to do where it cannot be compiled.
    cache_folder : str or False
        Where pyopencl keeps what it compiled.

    Raises
    ------
    KernelBuildError
        If the compiler refuses it.
    """
    import pyopencl as cl

    with _silent_compiler():
        try:
            return _compiled(cl.Program(context, text), list(options), cache_folder)
        except cl.Error as error:
            # Before this line stands what pyopencl adds.
            lines = [line for line in str(error).partition(">:")[2].splitlines() if line.strip()]
            log = "\n".join(lines[:_LOG_LINES]) or str(error)
            raise KernelBuildError(
                f"{name} could not be built for {device.device_name} ({device.platform_name}, driver "
                f"{device.driver_version}) with options {' '.join(options) or '(none)'}. {advice}The compiler says:\n"
                f"{log}",
                log,
            ) from error


def _compiled(compilable, options, cache_folder):
    import pyopencl as cl

    try:
        return compilable.build(options=options, cache_dir=cache_folder)
    except cl.Error:
        raise
    except Exception:
        # pyopencl's cache lets any exception out where its files cannot be read or written, or the disk is full.
        return compilable.build(options=options, cache_dir=False)


def _cache_folder():
    """Return a folder for pyopencl's cache, freed of a lock whose process was killed, or False if there can be none."""
    import platformdirs

    version = ".".join(map(str, sys.version_info[:3]))
    folder = Path(platformdirs.user_cache_dir("refcnn", appauthor=False)) / f"compiled-py{version}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = folder / "lock"
        if lock.exists() and time.time() - lock.stat().st_mtime > _STALE_LOCK:
            lock.unlink(missing_ok=True)
    except OSError:
        return False
    return str(folder)


@contextlib.contextmanager
def _silent_compiler():
    """Keep what a compiler remarks from the terminal: it concerns the kernel's author, not the user.

    PoCL's compiler writes to the process's standard error itself, beneath Python's.
    """
    with _compiling, warnings.catch_warnings(), open(os.devnull, "wb") as nowhere:
        warnings.simplefilter("ignore")
        try:
            terminal = os.dup(2)
        except OSError:
            yield
            return
        try:
            os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
