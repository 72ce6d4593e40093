"""The operations in the order in which people look for them."""

import dataclasses

from .. import rooms

#: The title of each family, by the trait or the page that tells it, in their order on a page.
_TITLES = {
    "window": "Windows that slide over images",
    "activation": "Activations",
    "normalization": "Normalisation",
    None: "Other layers",
    "loss": "Losses",
    "optimizer": "Optimizers",
    "arithmetic": "Arithmetic",
    "elementary": "Functions of each number",
    "reduction": "Over axes",
    "shape": "Shape and place",
    "logic": "Truth values",
}


@dataclasses.dataclass(frozen=True)
class Family:
    """Operations that are alike.

    Attributes
    ----------
    title : str
    operations : list of str
    """

    title: str
    operations: list


def families():
    """Return all operations, each in one :class:`Family`."""
    found = {name: [] for name in _TITLES}
    for operation in rooms.operations():
        found[_name_of(operation)].append(operation)
    return [Family(_TITLES[name], operations) for name, operations in found.items()]


def _name_of(operation):
    if rooms.find(rooms.LAYERS, operation) is None:
        return "optimizer"
    stem = rooms.path(rooms.LAYERS, operation).rpartition("/")[2].removesuffix(".py")
    return stem if stem in rooms.PAGES else rooms.trait(rooms.LAYERS, operation, "FAMILY")
