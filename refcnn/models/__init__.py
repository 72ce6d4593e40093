"""Ready networks by name, and the user's own."""

from .building import LENET5_FIELD, NAMED, build, chapter, lenet5

__all__ = ["LENET5_FIELD", "NAMED", "build", "chapter", "lenet5"]
