"""The environment that the commands of a checkout make: which extras are installed, on what machine."""

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]

#: In the place of an environment's Python: notes what pip is asked for; whether a device computes is a file's matter.
PYTHON = """#!/bin/sh
case "$*" in
*"-P -m pip install"*)
    for last; do :; done
    echo "$last" >> "{folder}/installed"
    case "$last" in *,intel*) [ ! -e "{folder}/no-intel" ] || exit 1; touch "{folder}/computes";; esac;;
*best*) [ -e "{folder}/computes" ];;
esac
"""


@pytest.fixture
def checkout(tmp_path):
    """A checkout with nothing in it but what the commands need, whose environment has a Python of ours."""
    for name in ("setup.cfg", "pyproject.toml", "tools/environment.sh"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(CHECKOUT / name, tmp_path / name)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(PYTHON.format(folder=tmp_path))
    python.chmod(0o755)
    return tmp_path


def make(checkout, extras="pocl", system="Linux x86_64"):
    """Make the environment; return the extras that were installed, one after the other, and what was printed."""
    (checkout / "installed").write_text("")
    # A function of the shell stands in for the command that tells the machine.
    program = f"set -euo pipefail; uname() {{ echo {system}; }}; source tools/environment.sh {extras}; echo ready"
    done = subprocess.run(["bash", "-c", program], cwd=checkout, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout == "ready\n", done.stderr
    installed = (checkout / "installed").read_text().split()
    return [entry.removeprefix(f"{checkout}[").removesuffix("]") for entry in installed], done.stderr


needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")


@needs_bash
def test_intels_runtime_is_installed_only_where_nothing_else_computes(checkout):
    assert make(checkout)[0] == ["pocl", "pocl,intel"]
    assert make(checkout)[0] == [], "nothing is missing any more"
    assert make(checkout, "pocl,test")[0] == ["pocl,test"], "a device computes by now"


@needs_bash
def test_a_runtime_that_was_asked_for_is_not_installed_twice(checkout):
    assert make(checkout, "pocl,intel,test")[0] == ["pocl,intel,test"]


@needs_bash
def test_without_any_runtime_the_environment_is_made_all_the_same(checkout):
    (checkout / "no-intel").touch()
    installed, said = make(checkout)
    assert installed == ["pocl", "pocl,intel"] and "computes without OpenCL" in said
    assert make(checkout)[0] == [], "what is not to be had is not tried at each command"


@needs_bash
@pytest.mark.parametrize("system", ["Linux aarch64", "Darwin arm64"])
def test_intels_runtime_is_not_tried_where_there_is_none(checkout, system):
    assert make(checkout, system=system)[0] == ["pocl"]


@pytest.mark.parametrize("extra", ["pocl", "intel"])
def test_runtimes_for_some_machines_alone_do_not_end_an_installation_on_others(extra):
    requirements = pytest.importorskip("packaging.requirements")
    configuration = configparser.ConfigParser()
    configuration.read(CHECKOUT / "setup.cfg")
    lines = configuration["options.extras_require"][extra].strip().splitlines()
    for line in lines:
        marker = requirements.Requirement(line).marker
        assert marker.evaluate({"sys_platform": "linux", "platform_machine": "x86_64"})
        for system, machine in (("linux", "aarch64"), ("darwin", "arm64"), ("win32", "AMD64")):
            assert not marker.evaluate({"sys_platform": system, "platform_machine": machine}), (line, machine)


def test_everything_in_the_package_is_installed():
    """What is missing from a wheel is missed only where no checkout lies about."""
    configuration = configparser.ConfigParser()
    configuration.read(CHECKOUT / "setup.cfg")
    packages = configuration["options"]["packages"].split()
    folders = {CHECKOUT.joinpath(*package.split(".")): package for package in packages if package != "refcnn.kernels"}
    files = [path for path in (CHECKOUT / "refcnn").rglob("*") if path.is_file() and path.parent.name != "__pycache__"]
    assert {path.parent for path in files if path.suffix == ".py"} == set(folders), "the packages of setup.cfg"
    data = configuration["options.package_data"]
    installed = {
        path
        for folder, package in folders.items()
        for pattern in data.get(package, "").split()
        for path in folder.glob(pattern)
    }
    assert {path for path in files if path.suffix != ".py"} == installed, "the package data of setup.cfg"
    assert all(path.match(data["refcnn.kernels"].strip()) for path in (CHECKOUT / "kernels").iterdir())
