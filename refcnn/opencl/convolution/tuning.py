"""Which variant of the kernels was measured to be the fastest: the user's database, and the defaults of this package.

A database is a JSON file that names, for each device, variants by keys such as
``conv2d forward 3x3 stride 1x1 dilation 1x1 groups 1 c32 k64 p1024 n64``. What
has no key of its own is looked up by the key's beginnings, the longest first,
so that ``conv2d forward`` would hold for all other shapes.
"""

import functools
import hashlib
import json
import os
import sys
from pathlib import Path

from ...errors import BackendError
from ...files import atomic_write, check_writable
from ...locking import locked_file
from ...mode import is_reproducible
from ...reading import check, parse_json, read_plain, reading
from ..variants import GENERAL, SPECIAL

FORMAT = "refcnn tuning 1"
DEFAULTS = Path(__file__).parent / "tuned_defaults.json"
# The last words of a shape class, which tell sizes.
_SIZES = 4


def shape_class(geometry):
    """Return the class of a convolution's sizes and attributes, whose members share one choice.

    Channels are rounded up to powers of two, pixels and the batch to powers of four.

    Parameters
    ----------
    geometry : refcnn.opencl.convolution.sizes.Convolution

    Returns
    -------
    str
        Words from the most to the least important.
    """
    (batch, _, out_h, out_w), channels, groups = geometry.y_shape, geometry.x_shape[1], geometry.groups
    sharing = "1" if groups == 1 else "each" if groups == channels else "some"
    return (
        f"{_by(geometry.kernel)} stride {_by(geometry.stride)} dilation {_by(geometry.dilation)} groups {sharing} "
        f"c{_up(geometry.inputs, 2)} k{_up(geometry.outputs, 2)} p{_up(out_h * out_w, 4)} n{_up(batch, 4)}"
    )


def _by(pair):
    return "x".join(map(str, pair))


def _up(number, base):
    """The least power of the base that is not below a number."""
    power = 1
    while power < number:
        power *= base
    return power


def keys(direction, geometry):
    """Return under which keys a measured shape counts: its class, and wider ones down to its kind without sizes."""
    words = f"{geometry.operation} {direction} {shape_class(geometry)}".split(" ")
    return [" ".join(words[: len(words) - dropped]) for dropped in range(_SIZES + 1)]


def lookup(device, direction, geometry):
    """Return the variant that was measured to be the fastest, or None if nothing is known.

    Where results must not depend on what was measured on one machine, the package's defaults alone are asked.

    Parameters
    ----------
    device : Device
    direction : str
        ``forward``, ``backward_x`` or ``backward_w``.
    geometry : refcnn.opencl.convolution.sizes.Convolution
    """
    return _lookup(
        None if is_reproducible() else identity(device), family(device), geometry.operation, direction, geometry
    )


@functools.lru_cache(maxsize=4096)
def _lookup(identity, family, operation, direction, geometry):
    # Of two operations sizes may be alike, as tuples are: the operation is for the cache.
    sought = keys(direction, geometry)[0]
    own, defaults = _user_database().get(identity, {}), _defaults().get(family, {})
    while sought:
        for entries in (own, defaults):
            if sought in entries:
                return entries[sought]
        sought = sought.rpartition(" ")[0]
    return None


def identity(device):
    """Return what tells a device in the user's database: its name, its platform and its driver."""
    return f"{device.device_name} | {device.platform_name} | {device.driver_version}"


def family(device):
    """Return to which of the families of the defaults a device belongs, or None."""
    platform = device.platform_name.lower()
    if device.kind == "cpu":
        known = {"portable computing language": "PoCL", "intel": "Intel CPU"}
    else:
        known = {"nvidia": "NVIDIA", "": "GPU"}
    return next((name for part, name in known.items() if part in platform), None)


def record(device, choices, path=None):
    """Add choices to a database, which is written whole or not at all; they hold at once.

    Parameters
    ----------
    device : Device or str
        A device, or what :func:`identity` or :func:`family` would return for it.
    choices : dict of str to str
        Variants by one of :func:`keys`, or by a key's beginning.
    path : str or os.PathLike, optional
        The user's database, if it is not given.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    BackendError
        If the file that is there is not one of refcnn's, or was altered.
    FileWriteError
        If it cannot be written.
    """
    path = writable_path(path)
    name = device if isinstance(device, str) else identity(device)
    # What another process records between the reading and the writing would be lost.
    with locked_file(path):
        databases = load(path)
        databases[name] = dict(sorted({**databases.get(name, {}), **choices}.items()))
        content = {"format": FORMAT, "digest": _digest(databases), "devices": databases}
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    forget()
    return path


def writable_path(path=None):
    """Return the file that :func:`record` would write, and make its folder.

    Raises
    ------
    FileWriteError
        If it cannot be written.
    """
    where = "" if path is not None else ", in the environment variable REFCNN_TUNING"
    path = Path(path) if path is not None else user_path()
    check_writable(path, make_folder=True, advice=f"Name another file{where}.")
    return path


def load(path):
    """Return the databases of a file, or none if there is no such file.

    Returns
    -------
    dict of str to dict of str to str
        For each device the variants by key.

    Raises
    ------
    BackendError
        If it is not one of refcnn's, or was altered.
    """
    advice = "Delete it, and let 'refcnn tune' make another; without one the package's defaults hold."
    with reading(path, "a tuning database of this refcnn", BackendError, advice):
        if not Path(path).exists():
            return {}
        content = parse_json(read_plain(path))
        check(content, _schema())
        if content["digest"] != _digest(content["devices"]):
            raise ValueError("it was altered after it was written")
        return content["devices"]


def _schema():
    choices = {"type": "object", "additionalProperties": {"enum": [*GENERAL, *SPECIAL]}}
    return {
        "type": "object",
        "properties": {
            "format": {"const": FORMAT},
            "digest": {"type": "string"},
            "devices": {"type": "object", "additionalProperties": choices},
        },
        "required": ["format", "digest", "devices"],
        "additionalProperties": False,
    }


def user_path():
    """Return where the user's database lies; the environment variable ``REFCNN_TUNING`` names another file."""
    import platformdirs

    named = os.environ.get("REFCNN_TUNING")
    return Path(named) if named else Path(platformdirs.user_data_dir("refcnn", appauthor=False), "tuning.json")


def forget():
    """Read the databases anew when they are next needed."""
    _lookup.cache_clear()
    _user_database.cache_clear()


@functools.cache
def _user_database():
    try:
        return load(user_path())
    except BackendError as error:
        # A file in the way is no obstacle to training.
        print(f"refcnn: {error}", file=sys.stderr)
        return {}


@functools.cache
def _defaults():
    return load(DEFAULTS)


def _digest(databases):
    return hashlib.sha256(json.dumps(databases, sort_keys=True).encode()).hexdigest()
