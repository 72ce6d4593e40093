"""What the tests of several processes share: starting them, or a skip with the reason why they cannot be."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from refcnn import processes
from refcnn.errors import ArgumentError
from refcnn.parallel import starting


class Ended(NamedTuple):
    """How ranks ended, and what they said."""

    status: int
    out: str
    err: str


@pytest.fixture(scope="session")
def mpi():
    """Return a function that runs a program of Python on several ranks."""
    try:
        starting.launcher(1)
    except ArgumentError as error:
        pytest.skip(str(error))

    def run(size, *arguments, cwd=None, limit=240, **environment):
        command, _ = starting.launcher(size)
        found = subprocess.run(
            [*command, sys.executable, *map(str, arguments)],
            cwd=cwd,
            timeout=limit,
            capture_output=True,
            text=True,
            check=False,
            env=processes.environment() | {"PYTHONDONTWRITEBYTECODE": "1"} | environment,
        )
        return Ended(found.returncode, found.stdout, found.stderr)

    return run


@pytest.fixture(scope="session")
def ulfm(mpi):
    """Skip where MPI cannot go on once a rank is lost."""
    if "--with-ft" not in starting.launcher(1)[0]:
        pytest.skip("this MPI ends all ranks where one is lost")


@pytest.fixture
def program(tmp_path):
    """Return a function that writes a program and returns its path."""

    def write(text, name="program.py"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def pytest_collection_modifyitems(items):
    """Let one worker have all of them: more processes than cores make each other wait."""
    here = Path(__file__).parent
    for item in items:
        if here in Path(item.path).parents and os.environ.get("PYTEST_XDIST_WORKER"):
            item.add_marker(pytest.mark.xdist_group("mpi"))
