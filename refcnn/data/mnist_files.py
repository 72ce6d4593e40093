"""The MNIST data set: found on this machine, or downloaded once."""

import os
from pathlib import Path

import numpy as np

from ..errors import ArgumentError, DataError
from ..typing import PathLike
from . import idx
from .dataset import DataSet

MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
SHA256 = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
ORDERS = ("train-test", "mldata")


def mnist(data_dir: PathLike | None = None, order: str = "train-test") -> tuple[DataSet, DataSet | None]:
    """Load MNIST, 70,000 grey images of 28x28 pixels of the digits 0 to 9.

    The four files are looked for in ``data_dir``, then in the folder that the
    environment names as REFCNN_DATA, then in the user's cache folder
    (``refcnn/mnist``); failing that they are downloaded there, and each is held
    against its SHA-256. The files may be gzipped or not.

    Parameters
    ----------
    data_dir : str or os.PathLike, optional
        A folder to look in first.
    order : {"train-test", "mldata"}
        "train-test": the 60,000 training and the 10,000 test images as the
        files hold them. "mldata": all 70,000 as the file "MNIST original" of
        mldata.org held them.

    Returns
    -------
    train : DataSet
        60,000 images, or all 70,000 with ``order="mldata"``; uint8, scale 1/255.
    test : DataSet or None
        10,000 images, or None with ``order="mldata"``.

    Raises
    ------
    DataError
        If the files are broken, or neither there nor to be had.
    ArgumentError
        For another order.

    Notes
    -----
    "MNIST original" held the training images sorted by label, then the test
    images sorted by label; within a label they stand as in MNIST's own files
    (a stable sort). A. Geron's "Hands-On Machine Learning" (chapter 3,
    ``sort_by_target``) restores that order in the same way, and the images at the
    beginning of a surviving piece of the file agree.
    """
    if order not in ORDERS:
        raise ArgumentError(f"mnist: order is {order!r}, but must be one of {', '.join(ORDERS)}.")
    train, test = idx.read_folder(_folder(data_dir))
    if order == "train-test":
        return train, test
    parts = [part.subset(np.argsort(part.y, kind="stable")) for part in (train, test)]
    x, y = (np.concatenate([getattr(part, name) for part in parts]) for name in ("x", "y"))
    return DataSet(x, y, train.classes, train.preprocessing), None


def fetch_mnist(order: str = "train-test", data_home: PathLike | None = None) -> dict[str, np.ndarray]:
    """MNIST in the form that scikit-learn's former ``fetch_mldata("MNIST original", data_home=...)`` gave.

    Parameters
    ----------
    order : {"train-test", "mldata"}
        All 70,000 images in the order of MNIST's own files, or in that of
        "MNIST original", which was sorted by label (see ``mnist``).
    data_home : str or os.PathLike, optional
        A folder to look in first, as ``data_dir`` of ``mnist``.

    Returns
    -------
    dict
        ``data``, uint8 of shape (70000, 784), and ``target``, float64 of
        shape (70000,), as the original had them.

    Raises
    ------
    DataError, ArgumentError
        As ``mnist``.
    """
    parts = [part for part in mnist(data_home, order) if part is not None]
    data = np.concatenate([part.x[:].reshape(len(part), -1) for part in parts])
    # By their names, since in files of the user's own a digit may be missing.
    digits = np.array(parts[0].classes, dtype=np.float64)
    return {"data": data, "target": digits[np.concatenate([part.y for part in parts])]}


def cache_folder():
    """The folder that downloaded files are kept in."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("refcnn", appauthor=False), "mnist")


def _folder(data_dir):
    looked_in = []
    for folder, given_by in ((data_dir, "data_dir"), (os.environ.get("REFCNN_DATA"), "REFCNN_DATA")):
        if not folder:
            continue
        if found := idx.find(folder):
            if len(found) < len(SHA256):
                raise DataError(
                    f"{folder} (given by {given_by}) holds {', '.join(sorted(p.name for p in found.values()))}, but "
                    f"MNIST is four files: {', '.join(SHA256)}, gzipped or not. Put the others there too."
                )
            return folder
        looked_in.append(folder)
    cache = cache_folder()
    if not (os.path.isdir(cache) and len(idx.find(cache)) == len(SHA256)):
        _download(cache, [*looked_in, cache])
    return cache


def _download(folder, looked_in):
    for name, sha256 in SHA256.items():
        failures = []
        if not any(_retrieve(mirror, name, sha256, folder, failures) for mirror in MIRRORS):
            raise DataError(
                f"MNIST was not found in {' or '.join(map(str, looked_in))}, and {name} could not be downloaded "
                f"({'; '.join(failures)}). Put the four files {', '.join(SHA256)} (gzipped or not) in a folder and "
                f"name it with --data-dir, data_dir or the environment variable REFCNN_DATA, or put them in {folder}."
            )


def _retrieve(mirror, name, sha256, folder, failures):
    import pooch
    import requests

    try:
        pooch.retrieve(
            mirror + name, f"sha256:{sha256}", name, folder, downloader=pooch.HTTPDownloader(timeout=(10, 60))
        )
    except requests.ConnectionError as error:
        cause = error.args[0] if error.args else error
        failures.append(f"{mirror}: {getattr(cause, 'reason', cause)}")
        return False
    except (OSError, ValueError) as error:  # requests' other errors are OSErrors; pooch's for a wrong hash a ValueError
        failures.append(f"{mirror}: {error}")
        return False
    return True
