"""Checkpoints: the round trip, broken files, and files that would run code."""

import io
import json
import os
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import refcnn as rm
from refcnn import models, npz
from refcnn.errors import ArgumentError, CheckpointError
from refcnn.fitting.metrics import best_row
from refcnn.runs.checkpoint import Checkpoint
from refcnn.runs.configuration import Configuration
from refcnn.runs.run_folder import RunFolder, check_free, claim

from . import small_run


def arrays(shape, infinite=False):
    return st.sampled_from([np.float32, np.float64]).flatmap(
        lambda dtype: hnp.arrays(
            dtype, shape, elements=st.floats(allow_nan=False, allow_infinity=infinite, width=8 * dtype().itemsize)
        )
    )


@st.composite
def parameters_and_optimizer(draw):
    """Parameters, and of some of them the state of an optimizer, in which a square may have become infinite."""
    shapes = draw(st.dictionaries(NAMES, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3), max_size=3))
    parameters = {name: draw(arrays(shape)) for name, shape in shapes.items()}
    updated = [name for name in shapes if draw(st.booleans())]
    slots = {name: {slot: draw(arrays(shapes[name], infinite=True)) for slot in "mr"} for name in updated}
    return parameters, {name: {"step": np.asarray(draw(st.integers(1, 2**40)))} | slots[name] for name in updated}


NAMES = st.from_regex(r"[A-Za-z_0-9]{1,9}(\.[A-Za-z_0-9]{1,9}){0,2}", fullmatch=True)
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def row(epoch, loss=0.1):
    times = {"seconds": 1.5, "iterations_per_second": 20.0}
    return {"epoch": epoch, "train_loss": loss, "validation_loss": loss, "validation_accuracy": 0.9, **times}


def example(**changes):
    fields = {
        "parameters": {"0.w": np.arange(6, dtype=np.float32).reshape(2, 3)},
        "optimizer": {"0.w": {"step": np.asarray(3), "v": np.ones((2, 3), np.float32)}},
        "epoch": 1,
        "shuffle": 4,
        "losses": np.array([0.5, 0.25]),
        "seconds": 1.5,
        "seed": 2**64 - 1,
        "stream": 9,
        "history": [row(1)],
        "image_shape": (1, 8, 8),
    }
    return Checkpoint(**{**fields, **changes})


@given(
    state=parameters_and_optimizer(),
    losses=hnp.arrays(np.float64, st.integers(0, 5), elements=FINITE),
    seconds=st.floats(0, allow_infinity=False),
    seed=st.integers(0, 2**64 - 1),
    shuffle=st.none() | st.integers(0, 2**64 - 1),
    history=st.lists(FINITE, max_size=3).map(lambda losses: [row(*entry) for entry in enumerate(losses, 1)]),
    image_shape=st.none() | st.tuples(*[st.integers(1, 10**6)] * 3),
)
def test_everything_comes_back_to_the_bit(tmp_path_factory, state, **fields):
    path = tmp_path_factory.mktemp("checkpoint") / "a.npz"
    parameters, optimizer = state
    saved = example(parameters=parameters, optimizer=optimizer, epoch=len(fields["history"]), **fields)
    saved.save(path)
    loaded = Checkpoint.load(path)
    for first, second in [(saved.parameters, loaded.parameters), ({"": saved.losses}, {"": loaded.losses})] + [
        (saved.optimizer[name], loaded.optimizer[name]) for name in saved.optimizer
    ]:
        assert first.keys() == second.keys()
        for name, array in first.items():
            assert array.dtype == second[name].dtype and array.shape == second[name].shape
            assert array.tobytes() == second[name].tobytes()
    assert saved.optimizer.keys() == loaded.optimizer.keys()
    for field in ("epoch", "shuffle", "seconds", "seed", "stream", "history", "image_shape"):
        assert getattr(saved, field) == getattr(loaded, field)


def test_an_optimizer_goes_on_in_the_midst_of_a_step(tmp_path):
    """Before its first step too: the sum of gradients so far, their number and the average of the weights are kept."""
    with rm.use_backend("reference"):
        model, optimizers = rm.Sequential([rm.Dense(2, input_size=3)]), []
        for number in (1, 4):
            optimizer = rm.Adam(accumulation_steps=3, average_decay=0.5)
            for _ in range(number):
                with model.train():
                    loss = rm.mean_squared_error(model(np.eye(3)), np.ones((3, 2)))
                loss.grad().update(optimizer)
            states = {name: optimizer.state(parameter) for name, parameter in model.parameters()}
            example(parameters=model.state(), optimizer=states).save(tmp_path / "a.npz")
            optimizers.append(rm.Adam(accumulation_steps=3, average_decay=0.5))
            Checkpoint.load(tmp_path / "a.npz").restore(model, optimizers[-1])
            for name, parameter in model.parameters():
                found = optimizers[-1].state(parameter)
                assert found.keys() == states[name].keys() >= {"gradient", "gradients"}
                assert ("average" in found) == (number == 4)
                for slot, array in states[name].items():
                    np.testing.assert_array_equal(found[slot], array)


def test_a_checkpoint_from_before_tells_no_size_of_images(tmp_path):
    example().save(tmp_path / "new.npz")
    with np.load(tmp_path / "new.npz") as file:
        arrays = dict(file)
    header = json.loads(arrays.pop("refcnn.json").tobytes())
    del header["image_shape"]
    npz.save(tmp_path / "old.npz", arrays, header)
    assert Checkpoint.load(tmp_path / "old.npz").image_shape is None


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "good.npz"
    example().save(path)
    return path.read_bytes()


@given(cut=st.integers(0), changes=st.lists(st.tuples(st.integers(0), st.integers(1, 255)), min_size=1, max_size=3))
def test_a_broken_file(good, tmp_path_factory, cut, changes):
    """Cut anywhere it is refused; with bytes changed too, unless the change met nothing that counts."""
    path = tmp_path_factory.mktemp("checkpoint") / "broken.npz"
    path.write_bytes(good[: cut % len(good)])
    with pytest.raises(CheckpointError, match="broken.npz"):
        Checkpoint.load(path)
    refused_or_whole(path, good, changes)


@pytest.mark.parametrize("mask", [0x01, 0x08, 0x40])
def test_any_one_byte_changed(good, tmp_path, mask):
    """Each position in turn, so that every field of the file's headers is met."""
    for position in range(len(good)):
        refused_or_whole(tmp_path / "broken.npz", good, [(position, mask)])


def refused_or_whole(path, good, changes):
    broken = bytearray(good)
    for position, mask in changes:
        broken[position % len(good)] ^= mask
    path.write_bytes(broken)
    try:
        loaded = Checkpoint.load(path)
    except CheckpointError as error:
        assert str(path) in str(error)
    else:
        np.testing.assert_array_equal(loaded.parameters["0.w"], example().parameters["0.w"])


@pytest.mark.parametrize(
    "changes",
    [
        {"parameters": {"0.w": np.array([np.nan], np.float32)}},
        {"parameters": {"0.w": np.array([np.inf], np.float32)}},
        {"parameters": {"0.w": np.arange(6).reshape(2, 3)}},
        {"parameters": {"0.w": np.array(["a", "b"])}},
        {"optimizer": {"0.w": {"v": np.ones((3, 2), np.float32)}}},
        {"optimizer": {"0.w": {"v": np.full((2, 3), np.nan, np.float32)}}},
        {"optimizer": {"0.w": {"step": np.asarray(-3), "v": np.ones((2, 3), np.float32)}}},
        {"optimizer": {"0.w": {"step": np.asarray(2.5), "v": np.ones((2, 3), np.float32)}}},
        {"optimizer": {"1.w": {"v": np.ones((2, 3), np.float32)}}},
        {"losses": np.array([[0.5]])},
        {"losses": np.array([0.5, np.nan])},
        {"losses": np.array([1, 2])},
        {"epoch": 2},
        {"epoch": "1"},
        {"epoch": True},
        {"epoch": 1.0},
        {"shuffle": -1},
        {"shuffle": 2**64},
        {"seconds": -1.0},
        {"seconds": float("nan")},
        {"seconds": float("inf")},
        {"seconds": 10**400},
        {"seed": -5},
        {"seed": 2.5},
        {"seed": None},
        {"stream": "9"},
        {"history": [1]},
        {"history": {"1": 1}},
        {"history": [row(2)]},
        {"history": [row(1, "0.1")]},
        {"history": [row(1, float("nan"))]},
        {"history": [row(1) | {"validation_accuracy": 1.5}]},
        {"history": [{"epoch": 1}]},
        {"image_shape": (1, 8)},
        {"image_shape": (1, 8, 0)},
    ],
    ids=repr,
)
def test_what_training_never_leaves_there_is_refused(tmp_path, changes):
    example(**changes).save(tmp_path / "odd.npz")
    with pytest.raises(CheckpointError, match="odd.npz"):
        Checkpoint.load(tmp_path / "odd.npz")


@pytest.mark.parametrize("values", [np.array([[np.nan]], np.float32), np.array([[np.inf]]), np.array([[1]])])
def test_parameters_that_are_none_are_refused(tmp_path, values):
    with rm.use_backend("reference"):
        model = rm.Sequential([rm.Dense(1, input_size=1, ignore_bias=True)])
        former = model.state()["0.w"]
        npz.save(tmp_path / "odd.npz", {"0.w": values}, {"format": "refcnn parameters"})
        with pytest.raises(CheckpointError, match="odd.npz.*0.w"):
            model.load(tmp_path / "odd.npz")
        np.testing.assert_array_equal(model.state()["0.w"], former)


def test_a_missing_file(tmp_path):
    with pytest.raises(CheckpointError, match="no.npz does not exist"):
        Checkpoint.load(tmp_path / "no.npz")


def test_another_kind_of_file(tmp_path):
    with rm.use_backend("reference"):
        model = rm.Sequential([rm.Dense(2, input_size=3)])
        model.save(tmp_path / "model.npz")
    with pytest.raises(CheckpointError, match="'refcnn parameters'.* 'refcnn checkpoint 1'"):
        Checkpoint.load(tmp_path / "model.npz")
    np.savez(tmp_path / "plain.npz", x=np.zeros(3))
    with pytest.raises(CheckpointError, match="plain.npz"):
        Checkpoint.load(tmp_path / "plain.npz")


class Attack:
    def __reduce__(self):
        return os.mkdir, ("attacked",)


def test_a_file_with_code_inside_is_refused_and_nothing_runs(good, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": ()})
    for member, content in (
        ("parameter/0.w.npy", header.getvalue() + pickle.dumps(Attack())),
        ("extra.npy", pickle.dumps(Attack())),
    ):
        with zipfile.ZipFile(io.BytesIO(good)) as former, zipfile.ZipFile("attack.npz", "w") as file:
            for name in former.namelist():
                if name != member:
                    file.writestr(name, former.read(name))
            file.writestr(member, content)
        with pytest.raises(CheckpointError, match="attack.npz"):
            Checkpoint.load("attack.npz")
        assert not os.path.exists("attacked")
    # The trap is live: NumPy itself, told to unpickle, springs it.
    with zipfile.ZipFile("attack.npz", "w") as file:
        file.writestr("x.npy", header.getvalue() + pickle.dumps(Attack()))
    with np.load("attack.npz", allow_pickle=True) as file:
        file["x"]
    assert os.path.exists("attacked")


def test_a_checkpoint_of_another_model_or_optimizer():
    with rm.use_backend("reference"):
        model = rm.Sequential([rm.Dense(3, input_size=2)])
        checkpoint = example(parameters=model.state(), optimizer={})
        with pytest.raises(CheckpointError, match=r"0.w has shape \(2, 3\) in the file and \(4, 3\)"):
            checkpoint.restore(rm.Sequential([rm.Dense(3, input_size=4)]))
        with pytest.raises(CheckpointError, match="missing"):
            checkpoint.restore(rm.Sequential([rm.Dense(3, input_size=2), rm.Dense(3, input_size=3)]))
        with pytest.raises(CheckpointError, match="Adam: the state has .*Resume with the optimizer"):
            example(parameters=model.state()).restore(model, rm.Adam())


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "validation_accuracy": st.sampled_from([0.5, 0.75, 1.0]),
                "validation_loss": st.sampled_from([0.0, 0.1, 0.2]),
            }
        ),
        min_size=1,
    )
)
def test_the_best_row(history):
    best = best_row(history)
    position = next(index for index, row in enumerate(history) if row is best)
    for index, row in enumerate(history):
        assert row["validation_accuracy"] <= best["validation_accuracy"]
        if row["validation_accuracy"] == best["validation_accuracy"]:
            assert row["validation_loss"] >= best["validation_loss"]
            assert row["validation_loss"] > best["validation_loss"] or index >= position


def test_folders_in_which_no_run_can_start(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArgumentError, match="file is a file, but a folder is needed"):
        check_free(tmp_path / "file")
    with pytest.raises(ArgumentError, match="is not empty: it holds file. Name a folder"):
        check_free(tmp_path)
    for index in range(9):
        (tmp_path / f"file{index}").write_text("")
    with pytest.raises(ArgumentError, match="and 5 more"):
        check_free(tmp_path)
    (tmp_path / "file").unlink()
    (tmp_path / "config.json").write_text('{"name": "another program\'s"}')
    with pytest.raises(ArgumentError, match="is not empty: it holds config.json"):
        check_free(tmp_path)
    (tmp_path / "left").mkdir()
    # What a kill leaves: a file half written, and a lock that nobody holds.
    (tmp_path / "left" / ".config-refcnn-unfinished-x7_abcde.json").write_text("")
    (tmp_path / "left" / ".lock").write_text(" 1 host")
    check_free(tmp_path / "left")
    check_free(tmp_path / "missing")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", "3", '{"format": "other"}', '{"format": "refcnn run 1"}', "\xff", "null"]
)
def test_a_configuration_that_is_none(tmp_path, text):
    (tmp_path / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(CheckpointError, match="config.json is not the configuration of a run"):
        RunFolder.open(tmp_path)


@pytest.fixture
def run(tmp_path):
    """A run of the chapter's network on images of 4x4 pixels, with a checkpoint."""
    configuration = Configuration(
        data="digits",
        data_dir=None,
        data_digest="0" * 64,
        classes=("a", "b"),
        model="chapter",
        backend="reference",
        preprocessing=rm.data.Preprocessing(1 / 255, 1, 4, 4),
        device="NumPy",
        epochs=3,
        batch_size=2,
        lr=0.01,
        optimizer="adam",
        validation_split=None,
        seed=7,
    )
    run = RunFolder(tmp_path / "run", configuration)
    run.path.mkdir()
    run.update()
    with rm.use_backend("reference"):
        state = models.build("chapter", (1, 4, 4), 2).state()
    example(parameters=state, optimizer={}, image_shape=(1, 4, 4)).save(run.best)
    return run


def change(run, **changes):
    path = run.path / "config.json"
    fields = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in fields.items() if value is not ...}))


def test_a_configuration_comes_back(run):
    assert RunFolder.open(run.path).configuration == run.configuration
    change(run, completed_epochs=...)
    assert RunFolder.open(run.path).configuration == run.configuration


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": "3"},
        {"epochs": 0},
        {"epochs": 3.0},
        {"epochs": True},
        {"epochs": None},
        {"batch_size": 2.5},
        {"batch_size": -1},
        {"batch_size": [2]},
        {"seed": -5},
        {"seed": 2**64},
        {"seed": "7"},
        {"lr": 0},
        {"lr": "0.1"},
        {"lr": float("nan")},
        {"lr": float("inf")},
        {"lr": 10**400},
        {"validation_split": 0},
        {"validation_split": 1},
        {"validation_split": True},
        {"classes": []},
        {"classes": "ab"},
        {"classes": ["a", 1]},
        {"classes": ["a", "a"]},
        {"classes": {"a": 1}},
        {"data": ""},
        {"data": 3},
        {"data_dir": 3},
        {"data_digest": "0"},
        {"model": ["chapter"]},
        {"optimizer": 3},
        {"optimizer": None},
        {"backend": None},
        {"device": 0},
        {"completed_epochs": -1},
        {"completed_epochs": "3"},
        {"preprocessing": []},
        {"preprocessing": {"scale": 1}},
        {"surplus": 1},
        {"model": ...},
        {"format": "refcnn run 9"},
        {"format": ["refcnn run 1"]},
    ],
    ids=repr,
)
def test_fields_of_another_type_or_range_are_refused(run, changes):
    change(run, **changes)
    with pytest.raises(CheckpointError, match="config.json"):
        RunFolder.open(run.path)


def test_the_size_of_images_is_held_against_the_checkpoint_before_a_model_is_built(run):
    with rm.use_backend("reference"):
        assert run.best_model()(np.zeros((1, 1, 4, 4))).shape == (1, 2)
        fields = run.configuration.preprocessing.to_json()
        change(run, preprocessing=fields | {"height": 40000, "width": 40000})
        with pytest.raises(CheckpointError, match=r"\(1, 4, 4\).*\(1, 40000, 40000\)"):
            RunFolder.open(run.path).best_model()


def test_a_folder_without_a_run(tmp_path):
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(CheckpointError, match="holds no training run"):
            RunFolder.open(path)
    small_run.write_inputs(tmp_path)
    with pytest.raises(CheckpointError, match="holds no training run"):
        RunFolder.open(tmp_path / "data.npz")


def test_names_of_new_run_folders(tmp_path):
    root = tmp_path / "some" / "runs"
    for number in (1, 2):
        assert claim(None, "digits", "chapter", root) == root / f"digits-chapter-{number}"
        assert os.listdir(root / f"digits-chapter-{number}") == []
    assert claim(None, "/some where/my data.npz", "my.models:net", root).name == "my_data.npz-my.models_net-1"
    assert claim(tmp_path / "named", "digits", "chapter", root) == tmp_path / "named"
    assert claim(tmp_path / "named", "digits", "chapter", root) == tmp_path / "named"
