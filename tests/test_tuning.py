"""Tuning: classes of shapes, the database of choices, and measuring them."""

import json
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import refcnn as rm
from refcnn.bench import variants as measuring
from refcnn.bench import workloads
from refcnn.cli import main
from refcnn.errors import BackendError, FileWriteError
from refcnn.opencl.convolution import choice, tuning
from refcnn.opencl.convolution.sizes import Convolution

CHAPTER = Convolution((64, 32, 28, 28), (64, 32, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1)
CLASS = "3x3 stride 1x1 dilation 1x1 groups 1 c32 k64 p1024 n64"


def device(**changes):
    """What the database reads of a device."""
    about = {"device_name": "Chip", "platform_name": "Maker", "driver_version": "1.0", "kind": "gpu"}
    return SimpleNamespace(**about | changes)


@pytest.fixture
def database(tmp_path, monkeypatch):
    """The path of the user's database, which does not exist yet."""
    path = tmp_path / "folder" / "tuning.json"
    monkeypatch.setenv("REFCNN_TUNING", str(path))
    tuning.forget()
    yield path
    tuning.forget()


def test_shape_class():
    assert tuning.shape_class(CHAPTER) == CLASS
    depthwise = Convolution((1, 5, 9, 17), (5, 1, 5, 3), (2, 1), (0, 0, 0, 0), (1, 2), 5)
    # Output 3 x 13, of 39 pixels.
    assert tuning.shape_class(depthwise) == "5x3 stride 2x1 dilation 1x2 groups each c1 k1 p64 n1"


@given(sizes=st.tuples(*[st.integers(1, 300)] * 4), data=st.data())
def test_a_class_holds_sizes_up_to_its_own(sizes, data):
    batch, inputs, outputs, size = sizes
    words = _class(batch, inputs, outputs, size).split(" ")
    c, k, p, n = (int(word[1:]) for word in words[-4:])
    for number, bound, base in ((inputs, c, 2), (outputs, k, 2), (size**2, p, 4), (batch, n, 4)):
        assert number <= bound < base * number
    # Any other shape within the same bounds, and above the next smaller ones, is of the class.
    other = _class(data.draw(st.integers(n // 4 + 1, n)), data.draw(st.integers(c // 2 + 1, c)), outputs, size)
    assert other == " ".join(words)


def _class(batch, inputs, outputs, size):
    return tuning.shape_class(
        Convolution((batch, inputs, size, size), (outputs, inputs, 1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 1)
    )


def test_signals_are_tuned_as_images_and_volumes_are_not():
    """Volumes have one kernel to each direction."""
    with rm.use_backend("reference"):
        (signal,), (volume,) = (
            workloads.record(rm.Sequential([layer]), shape)
            for layer, shape in ((rm.Conv1d(4, 3), (3, 9)), (rm.Conv3d(4, 3), (3, 5, 5, 5)))
        )
    geometry = workloads.geometry_of(signal, batch=5)
    assert tuning.shape_class(geometry) == "1x3 stride 1x1 dilation 1x1 groups 1 c4 k4 p16 n16"
    assert workloads.geometry_of(volume) is None


def test_keys_widen_from_the_class_to_the_kind():
    keys = tuning.keys("forward", CHAPTER)
    assert keys[0] == f"conv2d forward {CLASS}"
    assert keys[-1] == "conv2d forward 3x3 stride 1x1 dilation 1x1 groups 1"
    assert len(keys) == 5 and all(long.startswith(short + " ") for long, short in zip(keys, keys[1:], strict=False))


def test_recorded_choices_are_found_again(database):
    one, other, newer = device(), device(device_name="Other"), device(driver_version="1.1")
    keys = tuning.keys("forward", CHAPTER)
    assert tuning.lookup(device(kind="cpu"), "forward", CHAPTER) is None
    tuning.record(one, {keys[-1]: "plain"})
    assert tuning.lookup(one, "forward", CHAPTER) == "plain"
    tuning.record(one, {keys[0]: "winograd_4x4"})
    assert tuning.lookup(one, "forward", CHAPTER) == "winograd_4x4"
    assert tuning.lookup(one, "forward", CHAPTER._replace(x_shape=(1, 32, 28, 28))) == "plain"
    tuning.record(other, {keys[0]: "direct"})
    assert tuning.lookup(other, "forward", CHAPTER) == "direct"
    assert tuning.lookup(one, "forward", CHAPTER) == "winograd_4x4"
    # Another driver, and another direction, are other matters: there the defaults for an unknown GPU hold.
    assert tuning.lookup(newer, "forward", CHAPTER) == "gpu"
    assert tuning.lookup(one, "backward_x", CHAPTER) == "gpu"


@pytest.mark.parametrize(
    ("about", "family"),
    [
        ({"kind": "cpu", "platform_name": "Portable Computing Language"}, "PoCL"),
        ({"kind": "cpu", "platform_name": "Intel(R) OpenCL"}, "Intel CPU"),
        ({"kind": "cpu", "platform_name": "AMD Accelerated Parallel Processing"}, None),
        ({"kind": "gpu", "platform_name": "NVIDIA CUDA"}, "NVIDIA"),
        ({"kind": "gpu", "platform_name": "Portable Computing Language"}, "GPU"),
        ({"kind": "accelerator", "platform_name": "Maker"}, "GPU"),
    ],
)
def test_families(about, family):
    assert tuning.family(device(**about)) == family


def test_the_defaults_of_the_package():
    families = tuning.load(tuning.DEFAULTS)
    assert set(families) <= {"PoCL", "Intel CPU", "NVIDIA", "GPU"}
    # On a GPU that nobody has measured nothing but the general kernels is taken.
    assert families["GPU"] == {"conv2d": "gpu"}


ALTERED = [
    ("not JSON at all", "Expecting value"),
    ("[]", "object"),
    ('{"format": "something else", "devices": {}}', "'something else'"),
    ('{"format": "refcnn tuning 1", "devices": {}}', "digest"),
    ('{"format": "refcnn tuning 1", "devices": {}, "digest": "0"}', "altered"),
    ('{"format": "refcnn tuning 1", "devices": {"a": []}, "digest": "0"}', "devices.a"),
    ('{"format": "refcnn tuning 1", "devices": {"a": {"conv2d": "rm -rf"}}, "digest": "0"}', "'rm -rf'"),
    ("[" * 100_000, "recursion"),
    ('{"format": "refcnn tuning 1", "devices": {}, "digest": 1e999}', "too large"),
    ('{"format": "refcnn tuning 1", "devices": {}, "devices": {}, "digest": "0"}', "twice"),
]


@pytest.mark.parametrize(("text", "part"), ALTERED)
def test_a_foreign_file_is_refused_and_left_alone(database, text, part, capsys):
    database.parent.mkdir()
    database.write_text(text)
    for refused in (lambda: tuning.load(database), lambda: tuning.record(device(), {"conv2d": "plain"})):
        with pytest.raises(BackendError, match=f"(?s){database}.*{part}.*Delete it"):
            refused()
    assert database.read_text() == text
    result = CliRunner().invoke(main, ["tune", "--model", "chapter"])
    assert result.exit_code == 1 and str(database) in result.stderr
    # Training goes on, with one message.
    capsys.readouterr()
    for _ in range(2):
        assert tuning.lookup(device(), "forward", CHAPTER) == "gpu"
        tuning._lookup.cache_clear()
    assert capsys.readouterr().err.count(str(database)) == 1


def test_one_letter_altered_is_noticed(database):
    tuning.record(device(), {"conv2d forward": "plain"})
    database.write_text(database.read_text().replace("plain", "direct"))
    with pytest.raises(BackendError, match="altered"):
        tuning.load(database)


def test_a_database_is_written_whole_or_not_at_all(database, monkeypatch):
    tuning.record(device(), {"conv2d": "plain"})
    before = database.read_bytes()

    def fails(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fails)
    with pytest.raises(FileWriteError, match="No space left"):
        tuning.record(device(), {"conv2d": "direct"})
    assert database.read_bytes() == before
    assert [path.name for path in database.parent.iterdir()] == [database.name]


def test_choices_take_the_fastest_of_those_that_can_compute_all():
    small, large = CHAPTER, CHAPTER._replace(x_shape=(64, 32, 56, 56))
    measured = {
        ("forward", small): {"cpu": 2.0, "direct": 1.0},
        ("forward", large): {"cpu": 3.0, "gpu": 4.0},
        ("backward_w", small): {},
    }
    chosen = measuring.choices(measured)
    (full_small, *wide), (full_large, *_) = (tuning.keys("forward", one) for one in (small, large))
    assert chosen[full_small] == "direct" and chosen[full_large] == "cpu"
    assert chosen[wide[-1]] == chosen[wide[1]] == "cpu"
    assert not [key for key in chosen if "backward" in key]


def test_the_plain_variant_is_chosen_for_what_was_measured_alone():
    chosen = measuring.choices({("forward", CHAPTER): {"plain": 1.0, "gpu": 2.0, "cpu": 3.0}})
    keys = tuning.keys("forward", CHAPTER)
    assert [chosen[key] for key in keys] == ["plain", *["gpu"] * 4]


def test_choices_weigh_shapes_by_their_quotients():
    small, large = CHAPTER, CHAPTER._replace(x_shape=(64, 32, 56, 56))
    # The second shape alone has the longer times; 4 times faster at the first weighs more than 2 times at the second.
    chosen = measuring.choices(
        {("forward", small): {"cpu": 0.001, "gpu": 0.004}, ("forward", large): {"cpu": 2.0, "gpu": 1.0}}
    )
    assert chosen[tuning.keys("forward", small)[-1]] == "cpu"


def test_tune_measures_a_model_and_its_choices_hold(opencl_backend, database, tmp_path, monkeypatch):
    if opencl_backend.device.is_simulator:
        pytest.skip("a simulator's times say nothing")
    (tmp_path / "tiny_models.py").write_text(
        "import refcnn as rm\n\ndef tiny(image_shape, classes):\n"
        "    return rm.Sequential([rm.Conv2d(3, 3, padding=1), rm.Flatten(), rm.Dense(classes)])\n"
    )
    monkeypatch.chdir(tmp_path)
    arguments = [
        "tune",
        "--device",
        opencl_backend.name,
        "--model",
        "tiny_models:tiny",
        "--image-shape",
        "2,5,6",
        "--batch-size",
        "3",
    ]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "3x2x5x6 -> 3, 3x3" in result.output and str(database) in result.output
    geometry = Convolution((3, 2, 5, 6), (3, 2, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1)
    entries = tuning.load(database)[tuning.identity(opencl_backend.device)]
    for direction in measuring.DIRECTIONS:
        found = tuning.lookup(opencl_backend.device, direction, geometry)
        assert found in choice.candidates(direction, geometry)
        assert set(tuning.keys(direction, geometry)) <= set(entries)
        assert choice.choose(opencl_backend.device, direction, geometry) == found
        # Another choice in the database is another choice of the kernels.
        for name in choice.candidates(direction, geometry):
            tuning.record(opencl_backend.device, {tuning.keys(direction, geometry)[0]: name})
            assert choice.choose(opencl_backend.device, direction, geometry) == name


def test_a_choice_that_cannot_compute_a_shape_is_passed_over(opencl_backend, database):
    wide = Convolution((1, 3, 9, 9), (4, 3, 5, 5), (1, 1), (0, 0, 0, 0), (1, 1), 1)
    tuning.record(opencl_backend.device, {"conv2d": "winograd_4x4"})
    assert choice.choose(opencl_backend.device, "forward", wide) != "winograd_4x4"


def test_measuring_leaves_out_what_fails(opencl_backend, monkeypatch):
    geometry = CHAPTER._replace(x_shape=(2, 32, 8, 8))

    def fails(*_, **__):
        raise BackendError("no such kernel")

    with rm.use_backend(opencl_backend):
        monkeypatch.setattr(choice, "candidates", lambda *_: ("cpu", "gpu"))
        monkeypatch.setattr(measuring, "_PLAIN_FLOP", {"cpu": 0, "gpu": 0})
        own = "cpu" if opencl_backend.device.kind == "cpu" else "gpu"
        assert set(measuring.measure(opencl_backend, geometry, "forward")) == {own}
        monkeypatch.setattr(measuring, "_seconds", fails)
        assert measuring.measure(opencl_backend, geometry, "forward") == {}


@pytest.mark.parametrize("shape", ["28,28", "1,28,x", "0,28,28", ""])
def test_a_wrong_image_shape_is_refused(shape, database):
    result = CliRunner().invoke(main, ["tune", "--model", "chapter", "--image-shape", shape])
    assert result.exit_code == 2 and "no image shape" in result.stderr


def test_the_reference_has_nothing_to_tune(database):
    result = CliRunner().invoke(main, ["tune", "--device", "reference"])
    assert result.exit_code == 1 and "reference is no OpenCL device" in result.stderr


def test_tune_finds_out_that_it_cannot_write_before_it_measures(tmp_path, monkeypatch):
    def measures(*_):
        pytest.fail("something was measured")

    (tmp_path / "file").write_text("")
    monkeypatch.setattr(measuring, "measure_directions", measures)
    monkeypatch.setenv("REFCNN_TUNING", str(tmp_path / "file" / "tuning.json"))
    for options in ([], ["--defaults", str(tmp_path / "file" / "defaults.json")], ["--defaults", str(tmp_path)]):
        result = CliRunner().invoke(main, ["tune", *options])
        assert result.exit_code == 1 and "cannot be written" in result.stderr, result.output
    with pytest.raises(FileWriteError, match="REFCNN_TUNING"):
        tuning.record(device(), {"conv2d forward": "plain"})


def test_the_database_is_readable_text(database):
    tuning.record(device(), {"conv2d forward": "plain"})
    content = json.loads(database.read_text())
    assert content["devices"] == {"Chip | Maker | 1.0": {"conv2d forward": "plain"}}
