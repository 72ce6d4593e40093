"""Where onnxruntime-web is found, and that nothing but two files of it is taken."""

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from refcnn.cli import main
from refcnn.errors import ArgumentError
from refcnn.serve import onnxruntime_web

from .. import small_run

MODULE, WEBASSEMBLY = onnxruntime_web.MEDIA_TYPES


@pytest.fixture
def package(tmp_path):
    """A folder like the package's, in a folder node_modules."""
    return stand_in(tmp_path)


def stand_in(parent):
    folder = parent / "node_modules" / "onnxruntime-web"
    (folder / "dist").mkdir(parents=True)
    (folder / "package.json").write_text(json.dumps({"name": "onnxruntime-web", "version": "1.2.3", "private": True}))
    for name in (MODULE, WEBASSEMBLY, "ort.min.js"):
        (folder / "dist" / name).write_bytes(name.encode())
    return folder


def test_it_is_found_by_its_folder_and_by_that_which_holds_it(package, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in (package, package.parent, "node_modules", None):
        found = onnxruntime_web.find(folder)
        assert (found.title, found.folder) == ("onnxruntime-web 1.2.3", package)
        assert found.files == {name: name.encode() for name in (MODULE, WEBASSEMBLY)}


def test_in_the_current_folder_it_need_not_be(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert onnxruntime_web.find() is None
    (tmp_path / "node_modules").mkdir()
    assert onnxruntime_web.find() is None


def test_the_folder_may_be_a_link_to_where_an_installer_keeps_it(package, tmp_path):
    kept = package.rename(tmp_path / "kept")
    package.symlink_to(kept, target_is_directory=True)
    assert onnxruntime_web.find(package).folder == kept


def refused(folder):
    with pytest.raises(ArgumentError, match="npm install onnxruntime-web") as caught:
        onnxruntime_web.find(folder)
    assert str(folder) in str(caught.value) and len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_a_folder_that_is_not_there_or_another(tmp_path):
    assert "does not exist" in refused(tmp_path / "nothing")
    assert "does not exist" in refused(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "[]",
        "{}",
        '{"name": "onnxruntime-node", "version": "1.2.3"}',
        '{"name": "onnxruntime-web", "version": "<script>"}',
        '{"name": "onnxruntime-web", "version": 1}',
        '{"name": "onnxruntime-web", "version": "' + "1" * 99 + '.2.3"}',
    ],
)
def test_another_package(package, text):
    (package / "package.json").write_text(text)
    assert "is not the folder of onnxruntime-web" in refused(package)


@pytest.mark.parametrize("name", [MODULE, WEBASSEMBLY])
def test_a_file_that_is_not_there_or_elsewhere(package, tmp_path, name):
    (package / "dist" / name).unlink()
    assert "does not exist" in refused(package)
    (tmp_path / "elsewhere").write_text("a secret")
    (package / "dist" / name).symlink_to(tmp_path / "elsewhere")
    assert "no plain file" in refused(package)
    (package / "dist" / name).unlink()
    os.mkfifo(package / "dist" / name)
    assert "no plain file" in refused(package)


def test_its_folder_dist_is_no_link(package, tmp_path):
    (package / "dist").rename(tmp_path / "elsewhere")
    (package / "dist").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert "symbolic link" in refused(package)


def test_a_file_that_is_too_large(package):
    with (package / "dist" / WEBASSEMBLY).open("r+b") as file:
        file.truncate(1 << 27)
    assert "too many for such a file" in refused(package)


def test_the_command_names_the_folder_and_refuses_another(package, model_file, tmp_path):
    command = [sys.executable, "-m", "refcnn", "serve", str(model_file)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, **pipes, cwd=tmp_path, env=small_run.environment())
    assert process.stdout.readline().startswith("lines.onnx is served until Ctrl-C at http")
    process.kill()
    _, err = process.communicate()
    assert err == f"The page loads onnxruntime-web 1.2.3 from {package}\n"
    named = ["--onnxruntime-web", str(tmp_path)]
    result = CliRunner().invoke(main, ["serve", str(model_file), *named])
    assert result.exit_code == 1 and result.stdout == "" and len(result.stderr.splitlines()) == 1
    assert str(tmp_path) in result.stderr and "npm install onnxruntime-web" in result.stderr
