"""Whatever a file holds, readers read it or raise refcnn's own errors, in little time and memory.

``REFCNN_FUZZ_MUTANTS`` sets how many mutants each reader is given, 100 as a rule, and ``REFCNN_FUZZ_SEED`` which.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from . import small_run

if not sys.platform.startswith("linux"):
    pytest.skip("memory is limited and times are taken as Linux does", allow_module_level=True)

from .fuzz import READERS

MUTANTS, SEED = int(os.environ.get("REFCNN_FUZZ_MUTANTS", "100")), os.environ.get("REFCNN_FUZZ_SEED", "1")


@pytest.fixture(scope="module")
def entries(tmp_path_factory):
    """What the process of :mod:`tests.fuzz` told; where a mutant ended it another goes on behind that."""
    folder, deaths = tmp_path_factory.mktemp("fuzz"), {}
    command = [sys.executable, "-m", "tests.fuzz", str(folder), str(MUTANTS), SEED]
    while True:
        done = subprocess.run(
            command,
            cwd=Path(__file__).parents[1],
            env=small_run.environment(),
            capture_output=True,
            text=True,
            errors="replace",
        )
        if done.returncode == 0:
            break
        assert (folder / "current.json").exists(), done.stderr
        reader, number = json.loads((folder / "current.json").read_text())
        assert (reader, number) not in deaths, done.stderr
        deaths[reader, number] = f"exit status {done.returncode}: {done.stderr[-3000:]}"
    told = [json.loads(line) for line in (folder / "found.jsonl").read_text().splitlines()]
    return [
        *told,
        *({"reader": reader, "number": number, "error": error} for (reader, number), error in deaths.items()),
    ]


@pytest.mark.parametrize("reader", READERS)
def test_mutants(entries, reader):
    own = [entry for entry in entries if entry["reader"] == reader]
    valid = [entry for entry in own if "valid" in entry]
    assert valid and all(entry["error"] is None for entry in valid), valid
    wrong = [entry for entry in own if "number" in entry]
    assert not wrong, f"{len(wrong)} mutants: {json.dumps(wrong[:5], indent=1)}"
    assert any("accepted" in entry for entry in own)
