"""What is worth saying about a data set before a network is trained on it."""

import numpy as np

from ..errors import DataError
from .dataset import DataSet
from .stored import extremes

#: So many names are shown at most.
MOST_NAMES = 10


def require_classes(train: DataSet) -> None:
    """Refuse to train where there is nothing to tell apart.

    Parameters
    ----------
    train : DataSet

    Raises
    ------
    DataError
        If all images are of one class.
    """
    found = np.unique(train.y)
    if len(found) < 2:
        raise DataError(
            f"all {len(train)} training images are of one class, {train.classes[found[0]]!r}, so that there is nothing "
            "to tell apart. Give images of at least two classes."
        )


def remarks(train: DataSet, validation: DataSet) -> list[str]:
    """Return what is not as one would expect in a data set's parts, a line of text each.

    Parameters
    ----------
    train, validation : DataSet

    Returns
    -------
    list of str
    """
    missing = {part: set(range(len(train.classes))) - set(np.unique(part.y).tolist()) for part in (train, validation)}
    lines = []
    if missing[train]:
        lines.append(f"No training image is of {_named(train, missing[train])}: nothing can be learned of them.")
    if unseen := missing[validation] - missing[train]:
        lines.append(f"No validation image is of {_named(train, unseen)}: the accuracy does not count them.")
    return [*train.notes, *lines, *_pixel_range(train)]


def _named(dataset, indices):
    # Written with quotes and escapes, since names may hold anything.
    names = [repr(dataset.classes[index]) for index in sorted(indices)]
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"the class{'es' if len(names) > 1 else ''} {', '.join(names[:MOST_NAMES])}{more}"


def _pixel_range(train):
    white = train.preprocessing.white
    if train.x.dtype == bool:
        return []
    low, high = extremes(train.x)
    values = f"The images' values, from {low:g} to {high:g},"
    if white is None:
        return [f"{values} do not tell black and white; for 'predict' name them with --pixel-range BLACK WHITE."]
    if train.x.dtype.kind == "u" and high <= white / 2:
        return [
            f"{values} are dark where white is {white:g}; of .npz, .npy and IDX files --pixel-range BLACK WHITE says "
            "another."
        ]
    return []
