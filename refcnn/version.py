"""The version of this package, and those of what it stands on."""

import functools

__version__ = "0.1.0"


def versions(*libraries):
    """Return the versions of refcnn, Python and libraries, a dict of str to str."""
    import platform

    found = {name: _version(name) for name in libraries}
    return {"refcnn": __version__, "Python": platform.python_version(), **found}


@functools.cache
def _version(library):
    """Return the version of what is installed, whose files take milliseconds to find and to read."""
    from importlib import metadata

    return metadata.version(library)
