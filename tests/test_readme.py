"""The README's Python runs as written, and its commands exist."""

import importlib.util
import json
import os
import pkgutil
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from refcnn import rooms
from refcnn.runs.prediction import Predictor

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


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
    (found,) = Predictor(tmp_path / "digits.onnx").predictions([tmp_path / "digit.png"], 10)
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("{"))
    assert json.loads(line) == dict(found.classes) and len(found.classes) == 10


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


def test_paths_and_names_are_there():
    """But for those of the operation that the recipe would add."""
    paths = set(re.findall(r"\b(?:refcnn|kernels|tests|tools)/[\w./]*\w", README))
    assert len(paths) > 20
    assert not {path for path in paths if Path(path).stem not in ("scale", "test_scale") and not (ROOT / path).exists()}
    names = set(re.findall(r"\brefcnn(?:\.[A-Za-z_]\w*)+", README))
    assert "refcnn.conformance.subjects.base" in names
    for name in names:
        # Of what needs libraries that may be absent it is enough that the module is there.
        assert importlib.util.find_spec(name) or pkgutil.resolve_name(name), name


def recipe():
    """Return the files that "Add an operation" names for a line on a page, and for a module in each wing."""
    section = README[README.index("## Add an operation") : README.index("## Layout")]
    page, module = section.split("**Anything else")
    return [set(re.findall(r"^\d\. `([\w/.]+)`:", part, re.MULTILINE)) for part in (page, module)]


def texts():
    """Return what an operation may stand in by its path: package, kernels, and the operations' tests.

    Not the adapters, which offer what other libraries have, nor the list of the faults of these.
    """
    paths = [path for folder in ("refcnn", "kernels", "tests/operations") for path in (ROOT / folder).rglob("*.*")]
    paths = [path for path in paths if {"adapters", "world"}.isdisjoint(path.relative_to(ROOT).parts)]
    return {str(path.relative_to(ROOT)): path for path in paths if path.suffix in (".py", ".cl", ".toml", ".json")}


def test_the_recipe_names_every_page_that_an_operation_of_one_line_stands_on():
    page, _ = recipe()
    found = {name for name, path in texts().items() if re.search("softsign", path.read_text("utf-8"), re.IGNORECASE)}
    assert found == page


def test_the_recipe_names_every_file_that_bears_the_name_of_an_operation():
    _, module = recipe()
    modules = {operation for operation in rooms.operations() if f"refcnn/reference/{operation}.py" in texts()}
    assert "scale" not in modules and len(modules) > 10
    for operation in modules:
        is_update = rooms.find(rooms.OPTIMIZERS, operation) is not None
        expected = {name.replace("scale", operation) for name in module}
        if is_update:
            expected = {name.replace("/layers/", "/optimizers/") for name in expected}
        found = {name for name in texts() if Path(name).stem in (operation, f"test_{operation}")}
        # Some compute nothing on a device, or by kernels that they share.
        assert found | {f"kernels/{operation}.cl"} == expected


def test_the_table_of_what_there_is_names_all_layers_and_operations():
    """Those over one and three spatial axes, the functions of layers and ReNom's own names stand for themselves."""
    import refcnn as rm
    from refcnn.arguments import Written

    table = README.split("## What there is")[1].split("\n## ")[0]
    named = set(re.findall(r"`(\w+)`", table))
    assert {name for name in named if not hasattr(rm, name)} == set()
    public = {name for name in rm.__all__ if callable(getattr(rm, name)) and not re.search("[13]d$", name)}
    classes = {
        name for name in public if isinstance(getattr(rm, name), type) and issubclass(getattr(rm, name), Written)
    }
    others = {"Layer", "Model", "Optimizer", "Callback", "GlorotNormal", "GlorotUniform", "HeNormal"}
    assert classes - others - {"Deconv2d", "BatchNormalize", "Lrn"} <= named
    of_layers = {name.lower() for name in classes}
    functions = {name for name in rooms.operations() if name in public and name.replace("_", "") not in of_layers}
    assert functions <= named
