"""onnxruntime-web where somebody installed it: the files that a page needs of it, and no others."""

import re
from pathlib import Path
from typing import NamedTuple

from ..errors import ArgumentError
from ..reading import parse_json, read_plain, reading

#: What installs it.
HOW = "npm install onnxruntime-web"
NAME = "onnxruntime-web"
#: In the package, without threads and graphics processors: the module to import, and what that loads.
_MODULE, _WEBASSEMBLY = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
#: By the name of a file what it holds.
MEDIA_TYPES = {_MODULE: "text/javascript", _WEBASSEMBLY: "application/wasm"}
#: Five times what they have today.
_MOST_BYTES, _MOST_DESCRIPTION = 1 << 26, 1 << 20
_VERSION = re.compile(r"\d{1,9}\.\d{1,9}\.\d{1,9}([-+][\w.+-]{1,64})?", re.ASCII)


class Package(NamedTuple):
    """An installed onnxruntime-web.

    Attributes
    ----------
    folder : pathlib.Path
        Without symbolic links.
    version : str
    files : dict of str to bytes
        By name what a page needs. They are read once, so that no request can reach anything else.
    """

    folder: Path
    version: str
    files: dict

    @property
    def title(self):
        """What it is called among executors."""
        return f"{NAME} {self.version}"

    def description(self):
        """Return what a page needs to know."""
        return {"name": self.title, "module": f"{NAME}/{_MODULE}", "webassembly": f"{NAME}/{_WEBASSEMBLY}"}


def find(folder=None):
    """Return the :class:`Package` in a folder, or in the current one; None if there is none in that.

    Parameters
    ----------
    folder : str or os.PathLike, optional
        The package's own, or one that holds it, such as ``node_modules``.

    Raises
    ------
    ArgumentError
        If it is not there, or not whole.
    """
    if folder is None:
        folder = Path("node_modules") / NAME
        if not folder.is_dir():
            return None
    elif (Path(folder) / NAME).is_dir():
        folder = Path(folder) / NAME
    with reading(folder, f"the folder of {NAME}", ArgumentError, f"Name a folder where '{HOW}' was run."):
        folder = Path(folder).resolve(strict=True)
        description = parse_json(read_plain(folder / "package.json", _MOST_DESCRIPTION))
        name, version = (description[key] for key in ("name", "version"))
        if name != NAME or not _VERSION.fullmatch(version):
            raise ValueError(f"it is {name!r} of version {version!r}")
        # Its own files, and nothing that a link in their place points to.
        distributed = folder / "dist"
        if distributed.is_symlink():
            raise ValueError("its folder dist is a symbolic link")
        files = {name: read_plain(distributed / name, _MOST_BYTES, follow=False) for name in MEDIA_TYPES}
    return Package(folder, version, files)
