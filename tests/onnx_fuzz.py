"""Foreign ONNX models, and how their mutants are read: for :mod:`tests.fuzz` and ``tools/fuzz_onnx.py``.

Beside a model ``NAME.onnx`` lie its inputs, ``NAME.npz``, in their order. Around its folder lies what a model may name
and nobody may open: a file beside the folder, a link to it, a pipe.
"""

import contextlib
import itertools
import os
import sys
from pathlib import Path

import numpy as np

from refcnn.onnx import load

#: What Python itself, its packages and refcnn consist of.
_OWN = tuple(os.path.realpath(path) for path in (sys.prefix, sys.base_prefix, Path(__file__).parents[1]))
#: What nobody does who reads a model, beside opening files: the beginnings of the names of Python's audit events.
_DEEDS = "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.truncate", "os.chmod", "os.fork"
_DEEDS += (
    "os.exec",
    "os.system",
    "os.posix_spawn",
    "subprocess.",
    "socket.",
    "shutil.",
    "tempfile.",
    "ftplib.",
    "urllib.",
)


#: Where kernels are kept once they are built, which are no part of a model.
_CACHE = os.path.realpath(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


class Watch:
    """Notes what is opened outside of a folder while it is on."""

    def __init__(self):
        self._folder, self.seen = None, []
        sys.addaudithook(self._note)

    @contextlib.contextmanager
    def on(self, folder):
        """Watch; what was seen ends with an AssertionError."""
        self._folder, self.seen = os.path.realpath(folder), []
        try:
            yield
        finally:
            self._folder = None
        assert not self.seen, f"{self.seen[:3]} happened"

    def _note(self, event, arguments):
        if self._folder is None or (event != "open" and not event.startswith(_DEEDS)):
            return
        if event != "open":
            if _is_below(arguments[0], [_CACHE]) or _is_compiled(arguments[0]):
                return
            self.seen.append((event, str(arguments)[:200]))
            return
        path, _, flags = arguments
        if isinstance(path, int):
            return
        writes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        path = os.path.realpath(os.fsdecode(path))
        allowed = (_CACHE, os.devnull) if writes else (_CACHE, os.devnull, self._folder, *_OWN)
        if not _is_below(path, allowed) and not _is_compiled(path):
            self.seen.append(("open", path[:200], "to write" if writes else "to read"))


def _is_below(path, folders):
    return any(str(path) == folder or str(path).startswith(f"{folder}{os.sep}") for folder in folders)


def _is_compiled(path):
    """Return whether Python keeps there what it compiled of a module, as it does when one is first imported."""
    return _is_below(path, _OWN) and "__pycache__" in str(path).split(os.sep)


_watch = None


def watch():
    """Return the watch of this process: Python's audit hooks stay for good."""
    global _watch
    _watch = _watch or Watch()
    return _watch


def place(folder, name, content, feeds):
    """Put a model and its inputs into a folder, and what it may name around it; return its path."""
    path = folder / f"{name}.onnx"
    path.write_bytes(content)
    np.savez(path.with_suffix(".npz"), **{f"{number:03}": np.asarray(array) for number, array in enumerate(feeds)})
    secret = folder.parent / "secret"
    secret.write_bytes(bytes(4096))
    (folder / "data").write_bytes(bytes(4096))
    (folder / "folder").mkdir(exist_ok=True)
    for name, make in (("link", lambda path: path.symlink_to(secret)), ("pipe", os.mkfifo)):
        if not os.path.lexists(folder / name):
            make(folder / name)
    return path


def write(folder):
    """Write one small model of each file of cases."""
    from .onnx.test_cases import VARIANTS

    models, files = [entry.values[0] for entry in VARIANTS if entry.values[0].expect != "refuse"], {}
    for entry in VARIANTS:
        variant = entry.values[0]
        if variant in models and variant.folder is None:
            files.setdefault(entry.id[:2], variant)
    return [
        place(folder, number, variant.model.SerializeToString(), variant.feeds.values())
        for number, variant in files.items()
    ]


def read(path):
    """Load a model and compute it, with as many inputs as it wants."""
    with np.load(path.with_suffix(".npz")) as archive:
        feeds = [archive[name] for name in sorted(archive.files)]
    with watch().on(path.parent), np.errstate(all="ignore"):
        model = load(path)
        given = itertools.chain(feeds, itertools.repeat(feeds[-1] if feeds else np.zeros(1, np.float32)))
        for result in model.run(list(itertools.islice(given, len(model.input_names)))):
            assert isinstance(result, np.ndarray)
