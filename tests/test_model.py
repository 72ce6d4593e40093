"""Models: parameters by name, saving, loading, moving between backends, summary."""

import zipfile

import numpy as np
import pytest

import refcnn as rm
from refcnn.errors import ArgumentError, CheckpointError, FileWriteError, ShapeError


@pytest.fixture(autouse=True)
def reference():
    with rm.use_backend("reference"):
        yield


def small_model():
    return rm.Sequential(
        [
            rm.Conv2d(channel=3, filter=3, padding=1),
            rm.Relu(),
            rm.MaxPool2d(filter=2, stride=2),
            rm.Flatten(),
            rm.Dense(4),
        ]
    )


X = np.random.default_rng(0).normal(size=(2, 1, 6, 6))
T = np.eye(4)[[1, 3]]


def train(model, optimizer, steps=3):
    for _ in range(steps):
        with model.train():
            loss = rm.softmax_cross_entropy(model(X), T)
        loss.grad().update(optimizer)
    return float(loss)


class Branching(rm.Model):
    def __init__(self):
        super().__init__()
        self.stem = rm.Conv2d(channel=2, filter=3, padding=1)
        self.blocks = [rm.Conv2d(channel=2, filter=3, padding=1), rm.Sequential([rm.Conv2d(channel=2, filter=1)])]
        self.again = self.stem
        self.head = rm.Dense(4)

    def forward(self, x):
        x = self.stem(x)
        return self.head(rm.flatten(rm.add(self.blocks[0](x), self.blocks[1](x))))


def test_names_of_parameters():
    model = Branching()
    model(X)
    names = [name for name, _ in model.parameters()]
    assert names == ["stem.w", "stem.b", "blocks.0.w", "blocks.0.b", "blocks.1.0.w", "blocks.1.0.b", "head.w", "head.b"]


def test_shapes_come_from_the_first_input():
    model = small_model()
    assert not list(model.parameters())
    model(X)
    assert {name: parameter.shape for name, parameter in model.parameters()} == {
        "0.w": (3, 1, 3, 3),
        "0.b": (1, 3, 1, 1),
        "4.w": (27, 4),
        "4.b": (1, 4),
    }


def test_input_size_makes_parameters_at_once():
    assert rm.Conv2d(channel=4, filter=(3, 5), groups=2, input_size=(2, 8, 8)).params.w.shape == (4, 1, 3, 5)
    assert rm.Dense(3, input_size=7).params.b.shape == (1, 3)


def test_parameter_asked_for_too_early():
    with pytest.raises(AttributeError, match="first call"):
        rm.Dense(3).params.w  # noqa: B018


def test_seed_fixes_weights_and_dropout():
    def run():
        rm.set_seed(3)
        model = rm.Sequential([rm.Dense(8), rm.Dropout(0.5), rm.Dense(4)])
        with model.train():
            return model(X.reshape(2, -1)).as_ndarray()

    np.testing.assert_array_equal(run(), run())


def test_dropout_acts_in_training_alone():
    layer = rm.Dropout(0.5)
    x = np.ones((10, 100))
    np.testing.assert_array_equal(layer(x).as_ndarray(), x)
    with rm.Sequential([layer]).train():
        dropped = layer(x).as_ndarray()
    assert set(np.unique(dropped)) == {0, 2} and 0.3 < (dropped == 0).mean() < 0.7


def test_save_and_load(tmp_path):
    model, other = small_model(), small_model()
    y = model(X).as_ndarray()
    model.save(tmp_path / "model.npz")
    other.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(other(X).as_ndarray(), y)


def test_load_into_another_model(tmp_path):
    model = small_model()
    model(X)
    model.save(tmp_path / "model.npz")
    wider = rm.Sequential([rm.Conv2d(channel=4, filter=3, padding=1), rm.Relu(), rm.Relu(), rm.Flatten(), rm.Dense(4)])
    wider(X)
    before = wider.state()
    with pytest.raises(CheckpointError, match=r"0\.w has shape \(3, 1, 3, 3\)"):
        wider.load(tmp_path / "model.npz")
    with pytest.raises(CheckpointError, match="belong to no layer"):
        rm.Sequential([rm.Dense(4)]).load(tmp_path / "model.npz")
    for name, array in wider.state().items():
        np.testing.assert_array_equal(array, before[name])


def test_parameters_stay_the_same_objects_when_they_are_loaded(tmp_path):
    model = small_model()
    model(X)
    model.save(tmp_path / "model.npz")
    parameters, values = dict(model.parameters()), model.state()
    optimizer = rm.Adam(lr=0.01)
    train(model, optimizer, 2)
    model.load(tmp_path / "model.npz")
    for name, parameter in model.parameters():
        assert parameter is parameters[name]
        np.testing.assert_array_equal(parameter.as_ndarray(), values[name])
        assert optimizer.state(parameter)["step"] == 2


def test_load_of_a_file_that_claims_more_than_memory_holds(tmp_path):
    header = np.lib.format.header_data_from_array_1_0(np.zeros(1)) | {"shape": (1 << 50,)}
    with zipfile.ZipFile(tmp_path / "model.npz", "w") as archive, archive.open("0.w.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, header)
    with pytest.raises(CheckpointError, match="but 0 follow"):
        small_model().load(tmp_path / "model.npz")


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut off"])
def test_load_of_a_broken_file(tmp_path, content):
    (tmp_path / "model.npz").write_bytes(content)
    with pytest.raises(CheckpointError, match="model.npz"):
        small_model().load(tmp_path / "model.npz")


def test_load_never_unpickles(tmp_path):
    np.savez(tmp_path / "model.npz", **{"refcnn.json": np.array([object()], dtype=object)})
    with pytest.raises(CheckpointError, match="not a whole file"):
        small_model().load(tmp_path / "model.npz")


def test_load_of_a_missing_or_foreign_file(tmp_path):
    with pytest.raises(CheckpointError, match="does not exist"):
        small_model().load(tmp_path / "none.npz")
    np.savez(tmp_path / "foreign.npz", x=np.zeros(3))
    with pytest.raises(CheckpointError, match="not a whole file"):
        small_model().load(tmp_path / "foreign.npz")


def test_a_failed_save_leaves_the_former_file(tmp_path, monkeypatch):
    model, path = small_model(), tmp_path / "model.npz"
    model(X)
    model.save(path)
    before = path.read_bytes()

    def full(*arguments, **keywords):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", full)
    with pytest.raises(FileWriteError, match="No space left"):
        model.save(path)
    assert path.read_bytes() == before and [entry.name for entry in tmp_path.iterdir()] == ["model.npz"]


def test_save_without_parameters(tmp_path):
    with pytest.raises(ShapeError, match="no parameters yet"):
        small_model().save(tmp_path / "model.npz")


def test_summary(capsys):
    model = small_model()
    model.summary((1, 6, 6))
    printed = capsys.readouterr().out
    assert "0: Conv2d" in printed and "(N, 3, 6, 6)" in printed and "142" in printed.splitlines()[-1]
    model(X)


def test_summary_tells_what_an_example_costs(capsys):
    model = rm.Sequential([rm.Conv2d(3, 3, padding=1), rm.Sequential([rm.Relu(), rm.Flatten()]), rm.Dense(4)])
    model.summary((1, 6, 6))
    heading, _, conv2d, relu, _, dense, total = capsys.readouterr().out.splitlines()
    assert heading.split()[-2:] == ["FLOP", "memory"]
    # Two operations for each weight and pixel; float32 results, and the parameters.
    assert conv2d.split()[-3:] == ["1,944", "552", "B"]
    assert relu.split()[-3:] == ["0", "432", "B"]
    assert dense.split()[-3:] == ["864", "1.7", "KiB"]
    assert total.split()[-3:] == ["2,808", "3.1", "KiB"]


def test_summary_counts_what_a_model_computes_beside_its_layers(capsys):
    class Doubled(rm.Model):
        def __init__(self):
            super().__init__()
            self.layer = rm.Relu()

        def forward(self, x):
            return self.layer(x) + self.layer(x * 2)

    rm.Sequential([Doubled()]).summary((5,))
    heading, sequential, doubled, relu, total = capsys.readouterr().out.splitlines()
    costs = [line.split()[-3:] for line in (sequential, doubled, relu, total)]
    assert costs == [["0", "0", "B"], ["0", "40", "B"], ["0", "40", "B"], ["0", "80", "B"]]


def test_summary_of_a_model_that_computes_with_numpy_in_between_has_shapes(capsys):
    class Foreign(rm.Model):
        def __init__(self):
            super().__init__()
            self.layer = rm.Dense(3)

        def forward(self, x):
            return np.tanh(self.layer(x))

    Foreign().summary((5,))
    heading, _, dense, total = capsys.readouterr().out.splitlines()
    assert heading.split() == ["layer", "output", "shape", "parameters"]
    assert dense.split()[-3:] == ["(N,", "3)", "18"] and total.split() == ["total", "18"]


@pytest.mark.parametrize("optimizer", [rm.Sgd(lr=0.01), rm.Sgd(lr=0.01, nesterov=False, momentum=0.9), rm.Adam()])
def test_training_lowers_the_loss(optimizer):
    rm.set_seed(0)
    model = small_model()
    first = train(model, optimizer, 1)
    assert train(model, optimizer, 20) < first


@pytest.mark.parametrize("make", [lambda: rm.Sgd(lr=0.05), lambda: rm.Adam(lr=0.05)])
def test_optimizer_state_round_trip(make):
    rm.set_seed(1)
    model, optimizer = small_model(), make()
    train(model, optimizer)
    twin, twin_optimizer = small_model(), make()
    twin.set_state(model.state())
    parameters = dict(model.parameters())
    for name, parameter in twin.parameters():
        twin_optimizer.set_state(parameter, optimizer.state(parameters[name]))
    train(model, optimizer)
    train(twin, twin_optimizer)
    for name, array in model.state().items():
        np.testing.assert_array_equal(twin.state()[name], array)


def test_optimizer_state_of_another_optimizer():
    model, optimizer = small_model(), rm.Sgd()
    train(model, optimizer, 1)
    parameter = dict(model.parameters())["0.w"]
    with pytest.raises(CheckpointError, match="Adam"):
        rm.Adam().set_state(parameter, optimizer.state(parameter))


def test_model_and_optimizer_move_between_backends():
    def run(backends):
        rm.set_seed(2)
        model, optimizer = small_model(), rm.Adam(lr=0.01)
        for backend in backends:
            with rm.use_backend(backend):
                train(model, optimizer, 2)
        return model.state()

    stayed, moved = run(["reference:float64"] * 2), run(["reference:float64", "reference"])
    for name, array in stayed.items():
        assert moved[name].dtype == np.float32
        np.testing.assert_allclose(moved[name], array, atol=1e-5)


def test_sequential_refuses_a_class():
    with pytest.raises(ShapeError, match="with brackets"):
        rm.Sequential([rm.Relu])


BAD_ATTRIBUTES = [
    (lambda: rm.Conv2d(stride=0), "stride is 0"),
    (lambda: rm.Conv2d(stride=-1), "stride is -1"),
    (lambda: rm.Conv2d(filter=(3, 3, 3)), "vertical, horizontal"),
    (lambda: rm.Conv2d(filter=2.5), "filter is 2.5"),
    (lambda: rm.Conv2d(padding=-1), "padding is -1"),
    (lambda: rm.Conv2d(padding=(1, 2, 3)), "padding"),
    (lambda: rm.Conv2d(channel=5, groups=2), "groups"),
    (lambda: rm.Conv2d(channel=True), "channel is True"),
    (lambda: rm.MaxPool2d(filter=2, stride=0), "stride is 0"),
    (lambda: rm.MaxPool2d(filter=2, padding=2), "less than the filter"),
    (lambda: rm.AveragePool2d(filter=0), "filter is 0"),
    (lambda: rm.Dropout(1.0), "dropout_ratio is 1.0"),
    (lambda: rm.Dropout(-0.1), "dropout_ratio is -0.1"),
    (lambda: rm.Dense(0), "output_size is 0"),
    (lambda: rm.Sgd(lr=0), "lr is 0"),
    (lambda: rm.Sgd(momentum=1), "momentum is 1"),
    (lambda: rm.Adam(lr=float("nan")), "lr is nan"),
    # Numbers that float32, in which devices compute, does not tell from 0, 1 or infinity.
    (lambda: rm.Adam(epsilon=1e-46), "epsilon is 1e-46, which may be 0"),
    (lambda: rm.Adam(epsilon=1e-39), "epsilon is 1e-39, which may be 0"),
    (lambda: rm.Adam(epsilon=1e39), "epsilon is 1e.39, which may be inf"),
    (lambda: rm.Adam(epsilon=10**400), "epsilon is 10+, which may be inf"),
    (lambda: rm.Adam(lr=1e-50), "lr is 1e-50, which may be 0"),
    (lambda: rm.Adam(beta1=1 - 1e-9), r"beta1 is 0\.999999999, which may be 1"),
    (lambda: rm.Adam(beta2=1 - 1e-9), r"beta2 is 0\.999999999, which may be 1"),
    (lambda: rm.Sgd(lr=1e-50), "lr is 1e-50, which may be 0"),
    (lambda: rm.Sgd(lr=1e39), "lr is 1e.39, which may be inf"),
    (lambda: rm.Sgd(momentum=1 - 1e-9), r"momentum is 0\.999999999, which may be 1"),
    (lambda: rm.Dropout(1 - 1e-9), r"dropout_ratio is 0\.999999999, which may be 1"),
    (lambda: rm.dropout(np.ones(3), 1 - 1e-9), r"dropout_ratio is 0\.999999999, which may be 1"),
]


@pytest.mark.parametrize("make, message", BAD_ATTRIBUTES)
def test_bad_attributes(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


def test_numbers_that_may_be_small():
    """0 is allowed there, and what a device reads as 0 with it."""
    assert rm.Adam(beta1=1e-46).beta1 == rm.Sgd(momentum=1e-46).momentum == rm.Dropout(1e-46).dropout_ratio == 1e-46


def test_channel_mismatch():
    model = rm.Sequential([rm.Conv2d(channel=32)])
    model(np.zeros((1, 1, 5, 5)))
    with pytest.raises(ShapeError, match=r"3 channels, but the weights were made for 1 \(w has shape \(32, 1, 3, 3\)"):
        model(np.zeros((1, 3, 5, 5)))


BAD_INPUTS = [
    (lambda: rm.Conv2d(filter=5)(np.zeros((1, 1, 4, 9))), "smaller than the kernel"),
    (lambda: rm.Conv2d()(np.zeros((4, 4))), r"\(N, C, H, W\)"),
    (lambda: rm.Conv2d()(np.zeros((0, 1, 4, 4))), "none of them zero"),
    (lambda: rm.Conv2d(groups=2)(np.zeros((1, 3, 4, 4))), "groups"),
    (lambda: rm.MaxPool2d(filter=5)(np.zeros((1, 1, 4, 9))), "smaller than the kernel"),
    (lambda: rm.AveragePool2d()(np.zeros((4, 4))), r"\(N, C, H, W\)"),
    (lambda: rm.Dense(3)(np.zeros((1, 1, 4, 4))), "Flatten"),
    (lambda: rm.Dense(3, input_size=4)(np.zeros((1, 5))), "5 values in a row"),
    (lambda: rm.Dense(784, 10)(np.zeros((2, 784))), r"Dense\(10, 784\)"),
    (lambda: rm.softmax_cross_entropy(np.zeros((2, 3)), [0, 1, 2]), "numbers of the classes"),
    (lambda: rm.add(np.zeros(2), np.zeros(3)), "cannot be broadcast"),
    (lambda: rm.conv2d(np.zeros((1, 1, 3, 3)), np.zeros((2, 1, 3, 3)), np.zeros(2)), "needs a bias of shape"),
    (lambda: rm.dense(np.zeros((1, 3)), np.zeros((3, 2)), np.zeros(2)), "needs a bias of shape"),
    (lambda: rm.flatten(1.0), r"\(N, ...\)"),
]


@pytest.mark.parametrize("call, message", BAD_INPUTS)
def test_bad_inputs(call, message):
    with pytest.raises(ShapeError, match=message):
        call()


# Layers and models with several inputs and results.


class Mixed(rm.Layer):
    """Adds a share of the second input, if there is one."""

    def forward(self, a, b=None, *, twice=False):
        assert isinstance(a, rm.Variable) and (b is None or isinstance(b, rm.Variable))
        y = a if b is None else rm.add(a, b)
        return rm.add(y, y) if twice else y


class Siamese(rm.Model):
    """One layer for both of two inputs; gives their sum, and the first by itself."""

    def __init__(self):
        super().__init__()
        self.shared, self.mixed = rm.Dense(3), Mixed()

    def forward(self, a, b):
        a, b = self.shared(a), self.shared(b)
        return self.mixed(a, b), a


A, B = np.random.default_rng(1).normal(size=(2, 4, 5))


def test_layers_take_several_inputs_and_keywords():
    mixed, a = Mixed(), rm.Variable(A)
    np.testing.assert_array_equal(mixed(a, B).as_ndarray(), rm.add(A, B).as_ndarray())
    np.testing.assert_array_equal(mixed(A, b=a, twice=True).as_ndarray(), rm.Variable(4 * A).as_ndarray())
    assert mixed(a) is a and mixed(a, None) is a
    with pytest.raises(TypeError):
        mixed(A, B, A)
    with pytest.raises(ShapeError, match="array of numbers"):
        mixed(A, "b")


def test_models_take_several_inputs_and_train_through_all_results(capsys):
    model, optimizer = Siamese(), rm.Sgd(lr=0.1)

    def step():
        with model.train():
            both, first = model(A, B)
            loss = rm.add(rm.softmax_cross_entropy(both, T3), rm.softmax_cross_entropy(first, T3))
        loss.grad().update(optimizer)
        return float(loss)

    losses = [step() for _ in range(20)]
    assert losses[-1] < losses[0]
    model.summary([(5,), (5,)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split("  ")[0] == "Siamese" and "(N, 3), (N, 3)" in lines[1]
    assert lines[-1].split()[:2] == ["total", "18"]


T3 = np.eye(3)[[0, 1, 2, 0]]


def test_a_sequence_hands_all_results_of_a_layer_to_the_next():
    class Twice(rm.Layer):
        def forward(self, x):
            return x, x

    model = rm.Sequential([Mixed(), Twice(), Mixed()])
    np.testing.assert_allclose(model(A, B).as_ndarray(), 2 * (A + B), rtol=1e-6)
    assert rm.Sequential([Twice()])(A)[1].shape == A.shape
    both = rm.Sequential([])(A, B)
    np.testing.assert_array_equal(both[1].as_ndarray(), rm.Variable(B).as_ndarray())


def test_a_layer_without_forward_says_what_to_define():
    with pytest.raises(TypeError, match=r"forward\(self, x\)"):
        rm.Layer()(A)
