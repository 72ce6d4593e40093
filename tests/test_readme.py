"""The README's Python runs as written, and its commands exist."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_python_blocks_run_in_order(tmp_path):
    program = "import matplotlib\nmatplotlib.use('Agg')\n" + "\n".join(blocks("python"))
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=300, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    accuracy = float(re.search(r"not seen: ([\d.]+)%", done.stdout)[1])
    assert accuracy > 85, done.stdout
    assert (tmp_path / "digits.onnx").stat().st_size > 10_000
    assert (tmp_path / "kernels_and_feature_maps.png").stat().st_size > 1_000


COMMANDS = [line for block in blocks("sh") for line in block.splitlines() if re.match(r"(tools/)?refcnn ", line)]


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_and_their_options_exist(line):
    import click

    from refcnn.cli import main

    command, words = main, shlex.split(line)[1:]
    context = click.Context(main)
    while isinstance(command, click.Group):
        name = words.pop(0)
        command = command.get_command(context, name)
        assert command is not None, f"there is no command {name}"
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= known
