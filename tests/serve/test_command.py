"""``refcnn serve`` as a command: its one line, its end, and what it says where it cannot serve."""

import importlib.util
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
from click.testing import CliRunner

from refcnn.cli import main

from .. import small_run
from .conftest import line_image, png


def started(model_file, *arguments):
    """Start it in the model's folder, where no onnxruntime-web is that it would tell of."""
    return started_in(model_file.parent, model_file, *arguments)


def started_in(folder, *arguments):
    command = [sys.executable, "-m", "refcnn", "serve", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, **pipes, env=small_run.environment(), cwd=folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_address_and_serves_until_it_is_stopped(model_file, number):
    process = started(model_file)
    try:
        line = process.stdout.readline()
        (address,) = re.findall(r"http://127\.0\.0\.1:\d+/[\w-]{40,}/$", line.strip())
        assert line.startswith("lines.onnx is served until Ctrl-C at http")
        with urllib.request.urlopen(address + "api/prediction", png(line_image()), 30) as answer:
            assert b"upright" in answer.read()
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (out, err, process.returncode) == ("", "Stopped.\n", 128 + number)


def test_two_tokens_are_never_the_same(model_file):
    processes = [started(model_file) for _ in range(2)]
    tokens = set()
    for process in processes:
        tokens.add(process.stdout.readline().split("/")[-2])
        process.kill()
        process.communicate()
    assert len(tokens) == 2


def test_without_a_network_it_explains_operations(tmp_path):
    process = started_in(tmp_path)
    try:
        (address,) = re.findall(r"^Each operation is explained until Ctrl-C at (http.*/)$", process.stdout.readline())
        with urllib.request.urlopen(address, timeout=30) as answer:
            assert answer.url == f"{address}explain/" and b"conv_transpose2d" in answer.read()
    finally:
        process.kill()
        process.communicate()


def test_options_of_a_network_need_one():
    result = CliRunner().invoke(main, ["serve", "--classes", "names.txt"])
    assert result.exit_code == 2 and "name a file or a run" in result.stderr


def refused(*arguments):
    result = CliRunner().invoke(main, ["serve", *map(str, arguments)])
    assert result.exit_code == 1, result.output
    assert result.stdout == "" and "Traceback" not in result.stderr
    (line,) = result.stderr.splitlines()
    return line


def test_a_port_in_use(model_file):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = refused(model_file, "--port", port)
    assert f"--port {port} cannot be served: Address already in use" in said


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host", "\udcff", "a" * 300])
def test_an_address_that_is_not_this_machines(model_file, host):
    assert "cannot be served" in refused(model_file, "--host", host)


def test_a_missing_run_and_a_broken_model(model_file, tmp_path):
    assert "does not exist" in refused(tmp_path / "nothing")
    assert "holds no training run" in refused(tmp_path)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(model_file.read_bytes()[:-40])
    assert "broken.onnx" in refused(broken)


def test_without_the_extra_it_says_what_to_install(model_file, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "uvicorn" else find(name))
    assert "pip install 'refcnn[serve]'" in refused(model_file)
