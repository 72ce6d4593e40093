"""The profile: each launch and operation counts once."""

import collections

import numpy as np
import pytest
from click.testing import CliRunner

import refcnn as rm
from refcnn.bench import profiling, workloads
from refcnn.cli import main


def test_a_profile_counts_every_launch_and_operation_once(opencl_backend, book):
    if opencl_backend.device.is_simulator:
        pytest.skip("a simulator's times say nothing")
    workload = book.network("chapter", "training", image_shape=(1, 6, 6), batch=2)
    x, targets = np.ones((2, 1, 6, 6), np.float32), np.eye(10, dtype=np.float32)[:2]
    with rm.use_backend(opencl_backend):
        cnn, optimizer = rm.Sequential(), rm.Sgd(lr=0.01)
        cnn = workloads.models.build("chapter", (1, 6, 6), 10)

        def step():
            with cnn.train():
                loss = rm.softmax_cross_entropy(cnn(x), targets)
            loss.grad().update(optimizer)
            return loss

        float(step())
        with opencl_backend.device.profiling() as launched:
            float(step())
        found = profiling.profile(opencl_backend, step, steps=3)
    assert found.launches == len(launched) > 10
    assert sum(operation.direct_flop for operation in found.operations) == workload.flop
    assert sum(operation.flop for operation in found.operations) == workload.flop_on(opencl_backend.device)
    kernels = {name for operation in found.operations for name in operation.kernels}
    assert kernels == {f"{file_stem}.{kernel}" for file_stem, kernel, *_ in launched}
    for operation in found.operations:
        assert operation.seconds > 0 and operation.kernels
        assert (operation.label.split()[0] in ("conv2d", "dense")) == (operation.flop > 0)
        # A kernel stands under the operation for which it was launched, whoever needed the result.
        for name in operation.kernels:
            if name.startswith("conv2d"):
                assert operation.label.startswith("conv2d")
    assert 0 < found.host <= found.step
    text = "\n".join(profiling.lines(found, 100.0, 10.0))
    assert "conv2d backward" in text and "us each" in text


def test_a_profile_of_a_file_is_of_what_is_launched_for_each_input(opencl_backend, tmp_path):
    """From the third on that is what was recorded, less what depends on no input."""
    if opencl_backend.device.is_simulator:
        pytest.skip("a simulator's times say nothing")
    path = tmp_path / "small.onnx"
    with rm.use_backend(opencl_backend):
        layers = (
            rm.Conv2d(3, padding=1),
            rm.Sigmoid(),
            rm.MaxPool2d(2, stride=2),
            rm.Flatten(),
            rm.Dense(4),
            rm.Softmax(),
        )
        cnn = rm.Sequential(layers)
        cnn(np.zeros((1, 2, 6, 6), np.float32))
        rm.onnx.export(cnn, path, (2, 6, 6), proof=False)
        model, x = rm.onnx.load(path), rm.Variable(np.ones((3, 2, 6, 6), np.float32))
        for _ in range(2):
            profiling._read(model(x))
        with opencl_backend.device.profiling() as launched:
            profiling._read(model(x))
        found = profiling.profile(opencl_backend, lambda: model(x), steps=3)
    launched = collections.Counter(f"{file_stem}.{kernel}" for file_stem, kernel, *_ in launched)
    counted = collections.Counter()
    for operation in found.operations:
        for name, kernel in operation.kernels.items():
            counted[name] += kernel.launches
        assert operation.seconds > 0
    assert counted == launched and launched
    owners = {one.label.split()[0]: " ".join(one.kernels) for one in found.operations}
    assert owners.keys() == {"conv2d", "sigmoid", "max_pool2d", "dense", "softmax"}
    # Kernels that no other operation has.
    for operation, kernel in (("sigmoid", "elementwise"), ("max_pool2d", "pooling"), ("softmax", "softmax_forward")):
        assert [owner for owner, kernels in owners.items() if kernel in kernels] == [operation]


def test_a_profile_of_a_file_is_shown_for_each_batch(device, tmp_path):
    with rm.use_backend("reference"):
        cnn = rm.Sequential([rm.Conv2d(3), rm.Relu()])
        cnn(np.zeros((1, 2, 6, 6), np.float32))
        rm.onnx.export(cnn, tmp_path / "small.onnx", (2, 6, 6), proof=False)
    options = ["--device", device, "--profile", "--model", str(tmp_path / "small.onnx"), "--batch", "1", "--batch", "4"]
    result = CliRunner().invoke(main, ["bench", *options])
    assert result.exit_code == 0, result.output
    for label in ("small, batch 1, inference", "small, batch 4, inference", "conv2d forward 4x2x6x6"):
        assert label in result.output, result.output


def test_a_profile_names_the_bytes_of_inputs_and_results(opencl_backend):
    if opencl_backend.device.is_simulator:
        pytest.skip("a simulator's times say nothing")
    with rm.use_backend(opencl_backend):
        layer, optimizer = rm.Dense(5, input_size=7), rm.Sgd()
        x, t = np.ones((3, 7), np.float32), np.eye(5, dtype=np.float32)[:3]

        def step():
            with rm.Sequential([layer]).train():
                loss = rm.softmax_cross_entropy(layer(x), t)
            loss.grad().update(optimizer)
            return loss

        found = {one.label: one for one in profiling.profile(opencl_backend, step, steps=2).operations}
    forward, update = found["dense forward 3x7"], found["sgd forward of 2 parameters"]
    assert forward.bytes == 4 * (3 * 7 + 7 * 5 + 5 + 3 * 5) and forward.flop == 2 * 3 * 7 * 5
    # The images need no gradient.
    assert found["dense backward 3x5"].flop == forward.flop
    # Of w and b each, the parameter, its gradient and v are read, the parameter and v written.
    assert update.bytes == 4 * 5 * (7 * 5 + 5)
    assert update.limit(1.0, 1e-9) == update.bytes and forward.limit(1e-9, 1e9) == forward.flop
