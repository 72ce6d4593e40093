"""Processes in reserve take the places of lost ranks with the state of the training; where they fail none stops."""

import json
import re
import subprocess
import sys

import pytest

from refcnn.parallel import starting

from .. import small_run
from .test_train import NOISE, arguments, run

#: Does to the process that was started under a number what ELASTIC says: in a step of training, or as it gets ready.
#: All others wait in their 12th step for the processes that are awaited to be ready.
MODULE = """
import json, os, signal, time
from pathlib import Path
import refcnn as rm
from refcnn.errors import DataError
from refcnn.parallel.ranks import started_as
import small_models

told = json.loads(os.environ["ELASTIC"])
own = told.get(str(started_as()), {})


class Elastic(rm.Model):
    def __init__(self, shape, classes):
        super().__init__()
        self.net, self.steps = small_models.small(shape, classes), 0

    def forward(self, x):
        self.steps += rm.mode.is_training()
        if self.steps == own.get("step"):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.steps == 12:
            begun = time.monotonic()
            while not all(Path(f"built-{number}").exists() for number in told["awaited"]):
                assert time.monotonic() - begun < 100
                time.sleep(0.01)
        time.sleep(0.005)
        return self.net(x)


def elastic(image_shape, classes):
    if "at_building" in own:
        Path(f"built-{started_as()}").touch()
        if own["at_building"] == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if own["at_building"] == "hang":
            time.sleep(1000)
        raise DataError("the weights are unreadable")
    model = Elastic(image_shape, classes)
    Path(f"built-{started_as()}").touch()
    return model
"""
BITS = ("--reproducible", "2", "--epochs", "7")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    path = tmp_path_factory.mktemp("undisturbed")
    write_inputs(path)
    status, _, err = run(path, arguments("run", "--model", "elastic_models:elastic", *BITS), ELASTIC='{"awaited": []}')
    assert status == 0, err
    return path / "run"


@pytest.fixture
def folder(tmp_path):
    write_inputs(tmp_path)
    return tmp_path


def write_inputs(path):
    small_run.write_inputs(path)
    (path / "elastic_models.py").write_text(MODULE, encoding="utf-8")


def train(folder, told, *options, awaited=(3,)):
    """Train with three processes, and return what they wrote, once it has ended well."""
    command = arguments("run", "--model", "elastic_models:elastic", *BITS, *options)
    environment = {"ELASTIC": json.dumps({**told, "awaited": awaited})}
    status, out, err = run(folder, [*command, "--processes", "3"], **environment)
    assert status == 0, err
    assert not NOISE.search(err), err
    assert not re.search("^Error:", err, re.MULTILINE), err
    return out, err


def assert_undisturbed(folder, undisturbed):
    for name in ("last.npz", "best.npz"):
        small_run.assert_same(folder / "run" / name, undisturbed / name)
    small_run.assert_same_kernels(folder / "run", undisturbed)
    assert {path.name for path in (folder / "run").iterdir()} == {path.name for path in undisturbed.iterdir()}


def joined(out):
    """Return how many joined, and how many there were then, each time."""
    return re.findall(r"(\d) more joined in the place of lost ranks; (\d) go on after epoch \d", out)


@pytest.mark.parametrize("lost", [0, 1])
def test_the_training_ends_with_all_ranks_and_the_same_bits(ulfm, folder, undisturbed, lost):
    out, err = train(folder, {str(lost): {"step": 5}}, "--elastic")
    assert re.findall(r"Warning: rank (\d) was lost; 2 go on", err) == [str(lost)], err
    assert joined(out) == [("1", "3")]
    assert out.count("run folder:") == out.count("In run:") == 1
    assert_undisturbed(folder, undisturbed)


def test_those_that_joined_may_be_lost_too(ulfm, folder, undisturbed):
    told = {"0": {"step": 5}, "3": {"step": 4}}
    out, err = train(folder, told, "--elastic", "2")
    assert re.findall(r"Warning: rank (\d) was lost; 2 go on", err) == ["0", "3"], err
    assert joined(out)[0] == ("1", "3")
    assert_undisturbed(folder, undisturbed)


def test_several_places_are_taken_at_once(ulfm, folder, undisturbed):
    out, err = train(folder, {"1": {"step": 5}, "2": {"step": 5}}, "--elastic=2", awaited=(3, 4))
    assert re.search("1 goes on", err), err
    assert sum(int(count) for count, _ in joined(out)) == 2 and joined(out)[-1][1] == "3"
    assert_undisturbed(folder, undisturbed)


@pytest.mark.parametrize(
    ("how", "message"), [("kill", "it has ended"), ("fail", "the weights are unreadable"), ("hang", None)]
)
def test_one_that_does_not_get_ready_stops_nobody(ulfm, folder, undisturbed, how, message):
    out, err = train(folder, {"1": {"step": 5}, "3": {"at_building": how}}, "--elastic")
    found = re.findall(r"Warning: process (\d) cannot take the place of a rank: (.*)", err)
    assert found == ([("3", message)] if message else [])
    assert joined(out) == []
    assert_undisturbed(folder, undisturbed)


def test_another_takes_the_place_of_one_that_does_not_get_ready(ulfm, folder, undisturbed):
    told = {"1": {"step": 5}, "3": {"at_building": "fail"}}
    out, err = train(folder, told, "--elastic", "2")
    assert "Warning: process 3 cannot take the place of a rank" in err
    assert_undisturbed(folder, undisturbed)


def test_those_that_nobody_needs_end_with_the_others(ulfm, folder, undisturbed):
    out, _ = train(folder, {}, "--elastic", "2", awaited=(0,))
    assert joined(out) == [] and "3 ranks on 1 machine" in out
    assert_undisturbed(folder, undisturbed)


def test_an_error_ends_those_in_reserve_too(ulfm, folder):
    command = arguments("nan", "--processes", "2", "--elastic", "--lr", "1e30", "--optimizer", "sgd")
    status, _, err = run(folder, [*command, "--model", "small_models:small"])
    assert status == 1
    assert len(re.findall(r"Error: the loss is \S+ at epoch 1, batch", err)) == err.count("Error") == 1


def test_an_mpi_that_ends_all_is_refused(mpi, folder):
    command, _ = starting.launcher(3)
    if "--with-ft" in command:
        place = command.index("--with-ft")
        del command[place : place + 2]
    found = subprocess.run(
        [*command, sys.executable, "-P", "-m", "refcnn", *arguments("refused", "--elastic")],
        cwd=folder,
        env=small_run.environment(),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert found.returncode == 1
    assert found.stderr.count("--elastic needs an MPI that goes on where a process is lost") == 1, found.stderr
    assert not (folder / "refused").exists()


@pytest.mark.parametrize("processes", [(), ("--processes", "1")])
def test_a_process_alone_is_refused(mpi, folder, processes):
    status, _, err = run(folder, arguments("alone", "--elastic", *processes))
    assert status != 0
    assert not (folder / "alone").exists()
    assert "--elastic" in err
