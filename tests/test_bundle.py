"""Bundles: they reproduce a result to the bit, without refcnn, and tell a wrong one from a right one."""

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import os
import re
import runpy
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refcnn import rooms
from refcnn.conformance.bundles import bundle
from refcnn.conformance.bundles.case_file import read_case
from refcnn.conformance.judging import comparison, judge
from refcnn.conformance.subjects import finding as subjects
from refcnn.conformance.subjects import onnxruntime as onnxruntime_subject
from refcnn.conformance.theory.bounds import UNDEFINED
from refcnn.conformance.theory.strategies import Case
from refcnn.errors import ArgumentError, DataError, FileWriteError
from refcnn.formats import FLOAT32
from refcnn.opencl.runtime import finding, kernels

from .test_case_file import assert_same
from .test_layout import OPERATIONS

needs_device = pytest.mark.skipif(not finding.usable(), reason="no OpenCL device; see the README for how to get one")
ALONE = """
import runpy, sys
sys.path.insert(0, sys.argv[1])
try:
    import refcnn
except ImportError:
    pass
else:
    sys.exit("refcnn can be imported")
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
SETTINGS = {"stride": (2, 1), "padding": (1, 0, 1, 2), "dilation": (1, 2), "groups": 2}
POOLING = {"kernel": (2, 3), "stride": (2, 1), "padding": (1, 0, 0, 2)}


def normal(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


CASES = {
    "conv2d": Case((normal(2, 4, 5, 6), normal(6, 2, 3, 2), normal(1, 6, 1, 1)), SETTINGS, normal(2, 6, 3, 6)),
    "max_pool2d": Case((normal(2, 3, 6, 7),), POOLING, normal(2, 3, 3, 7)),
    "softmax": Case((normal(5, 7),), {}, normal(5, 7)),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder to import from that holds numpy, pyopencl and what those need, and nothing else."""
    folder = tmp_path_factory.mktemp("site")
    wanted, seen = ["numpy", "pyopencl", "pocl-binary-distribution"], set()
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        needed = [entry for entry in distribution.requires or () if "extra ==" not in entry]
        wanted += [re.match(r"[\w.-]+", entry).group() for entry in needed]
        for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            if not (folder / top).exists():
                (folder / top).symlink_to(distribution.locate_file(top))
    return folder


def run_alone(site, folder, *arguments):
    """Run a bundle's script in a Python that has no refcnn."""
    command = [sys.executable, "-I", "-S", "-c", ALONE, site, folder / "repro.py", *arguments]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=folder.parent, timeout=300)


def write(folder, operation, direction, variant, case, *, device=None, execute=True, change=None):
    """Write a bundle of a case; ``change`` is added to one element of the last exact answer."""
    capture = device and bundle.capture_case(device, operation, direction, variant, case, execute=execute)
    expected = bundle.expected(operation, direction, case)
    if change is not None:
        name, (exact, bound) = expected.popitem()
        exact = exact.copy()
        exact.flat[exact.size // 2] += change
        expected[name] = exact, bound
    computed = [array.get() for array in capture[1]] if capture and execute else [None] * len(expected)
    results = {name: (found, *entry) for found, (name, entry) in zip(computed, expected.items(), strict=True)}
    bundle.write_bundle(
        folder,
        operation=operation,
        direction=direction,
        variant=variant,
        case=case,
        results=results,
        device={"specification": device.name if device else "somebody:theirs"},
        capture=capture,
        message="found",
    )
    return results


def script(folder):
    return runpy.run_path(str(folder / "repro.py"))


@needs_device
@pytest.mark.parametrize(
    ("operation", "direction", "variant"),
    [
        ("conv2d", "forward", "cpu"),
        ("conv2d", "forward", "gpu"),
        ("conv2d", "backward", "cpu"),
        ("conv2d", "backward", "gpu"),
        ("max_pool2d", "forward", None),
        ("max_pool2d", "backward", None),
        ("softmax", "forward", None),
        ("softmax", "backward", None),
    ],
)
def test_a_bundle_runs_without_refcnn(tmp_path, site, operation, direction, variant):
    device = finding.best()
    write(tmp_path / "right", operation, direction, variant, CASES[operation], device=device)
    right = run_alone(site, tmp_path / "right")
    assert (right.returncode, right.stderr) == (0, "")
    assert f"{device.device_name} ({device.platform_name}, driver {device.driver_version})" in right.stdout
    assert right.stdout.count("within the bound") == len(bundle.expected(operation, direction, CASES[operation]))

    results = write(tmp_path / "wrong", operation, direction, variant, CASES[operation], device=device, change=0.5)
    wrong = run_alone(site, tmp_path / "wrong")
    assert (wrong.returncode, wrong.stderr) == (1, "")
    name, (computed, exact, bound) = list(results.items())[-1]
    place = tuple(map(int, np.unravel_index(exact.size // 2, exact.shape)))
    assert f"{name}: WRONG in 1 of {exact.size} elements; the worst is {place}:" in wrong.stdout
    for what, value in (("computed", computed[place]), ("exact", exact[place]), ("bound", bound[place])):
        assert re.search(rf"^  {what} +{re.escape(repr(float(value)))}$", wrong.stdout, re.MULTILINE)


@needs_device
def test_a_wrong_integer_is_told_without_refcnn(tmp_path, site):
    case = Case((np.array([2**53 + 1, -5]),), {"dtype": "int64"})
    exact = case.inputs[0]
    for name, computed, status in (("right", exact, 0), ("off", exact - [1, 0], 1), ("cut", exact.astype("int32"), 1)):
        results = {"y": (computed, exact, np.zeros(2))}
        described = {"operation": "cast", "direction": "forward", "variant": None, "case": case, "device": {}}
        bundle.write_bundle(tmp_path / name, results=results, **described)
        np.save(tmp_path / "y.npy", computed)
        done = run_alone(site, tmp_path / name, "--results", tmp_path / "y.npy")
        assert (done.returncode, done.stderr) == (status, "")
    assert "int64" in done.stdout and read_case(tmp_path / "off")[3].inputs[0][0] == 2**53 + 1


# What is recorded is run again as it is, on whatever device; each build of a program that no cache holds takes seconds
# on some, and test_each_device_runs_it_again meets them.
@needs_device
@pytest.mark.parametrize("operation", OPERATIONS)
@settings(max_examples=3)
@given(data=st.data())
def test_the_launches_run_again_to_the_bit(tmp_path_factory, operation, data):
    case = data.draw(judge.conformance(operation).cases("tiny"))
    variant = data.draw(st.sampled_from([None, *rooms.trait(rooms.OPENCL, operation, "VARIANTS")]))
    device = finding.best()
    for direction in ("forward", "backward") if case.dy is not None else ("forward",):
        folder = tmp_path_factory.mktemp("again") / "bundle"
        results = write(folder, operation, direction, variant, case, device=device)
        with np.load(folder / "arrays.npz") as arrays:
            again = script(folder)["replay"](device.name.removeprefix("opencl:"), dict(arrays))
        assert len(again) == len(results)
        for found, (computed, _, _) in zip(again, results.values(), strict=True):
            np.testing.assert_array_equal(found, computed)
        *called, read = read_case(folder)
        assert called == [operation, direction, variant]
        assert_same(read, case)


@needs_device
def test_a_number_without_axes_runs_again(tmp_path):
    """As of operations of numbers that are broadcast."""
    case = Case((np.float32(2)[...], np.ones(3, np.float32)), {}, np.ones(3, np.float32))
    results = write(tmp_path / "bundle", "divide", "backward", None, case, device=finding.best())
    with np.load(tmp_path / "bundle" / "arrays.npz") as arrays:
        again = script(tmp_path / "bundle")["replay"](None, dict(arrays))
    for found, (computed, _, _) in zip(again, results.values(), strict=True):
        np.testing.assert_array_equal(found, computed)


@needs_device
def test_each_device_runs_it_again(tmp_path):
    results = write(tmp_path / "bundle", "conv2d", "backward", "cpu", CASES["conv2d"], device=finding.best())
    with np.load(tmp_path / "bundle" / "arrays.npz") as file:
        arrays = dict(file)
    for device in finding.usable():
        again = script(tmp_path / "bundle")["replay"](device.name.removeprefix("opencl:"), arrays)
        for found, (_, exact, bound) in zip(again, results.values(), strict=True):
            comparison.compare(device.name, found, exact, bound)


@needs_device
def test_what_was_not_run_is_recorded_too(tmp_path, monkeypatch):
    device = finding.best()
    # What a first run makes and keeps, as tables, the later ones find.
    bundle.capture_case(device, "conv2d", "backward", "gpu", CASES["conv2d"])
    executed, _ = bundle.capture_case(device, "conv2d", "backward", "gpu", CASES["conv2d"])

    def no_kernel(*arguments):
        raise AssertionError("a kernel was asked for")

    with monkeypatch.context() as patch:
        patch.setattr(kernels, "build", no_kernel)
        recorded, _ = bundle.capture_case(device, "conv2d", "backward", "gpu", CASES["conv2d"], execute=False)
        write(tmp_path / "bundle", "conv2d", "backward", "gpu", CASES["conv2d"], device=device, execute=False)
    assert recorded.launches == executed.launches and recorded.sources == executed.sources
    with np.load(tmp_path / "bundle" / "arrays.npz") as arrays:
        again = script(tmp_path / "bundle")["replay"](None, dict(arrays))
    for found, (exact, bound) in zip(
        again, bundle.expected("conv2d", "backward", CASES["conv2d"]).values(), strict=True
    ):
        comparison.compare("run again", found, exact, bound)


@needs_device
def test_recording_ends_with_its_block_and_sees_what_was_before():
    device = finding.best()
    before = device.array(np.arange(6, dtype=np.float32))
    with pytest.raises(ZeroDivisionError), device.capture() as capture:
        y = device.empty((6,))
        device.launch(
            "relu", "relu_forward", (6,), (2,), options=("-DCHUNK=1",), x=before.reshape((2, 3)), y=y, count=6
        )
        raise ZeroDivisionError
    device.launch("relu", "relu_forward", (6,), (2,), options=("-DCHUNK=1",), x=before, y=y, count=6)
    (launch,) = capture.launches
    assert launch.arguments == [("buffer", 1), ("buffer", 0), ("int32", 6)]
    assert (launch.global_size, launch.local_size) == ((6,), (2,))
    np.testing.assert_array_equal(capture.buffers[1].contents.ravel(), np.arange(6))
    assert capture.buffers[0].contents is None
    assert capture.sources == {"relu": kernels.source("relu")}


@needs_device
def test_build_options_of_a_device_are_recorded_too(monkeypatch):
    device = finding.best()
    monkeypatch.setattr(device, "is_simulator", True)
    monkeypatch.setattr(device, "build_options", (*device.build_options, "-cl-opt-disable"))
    capture, _ = bundle.capture_case(device, "conv2d", "forward", "gpu", CASES["conv2d"], execute=False)
    options = ("-cl-denorms-are-zero", "-cl-opt-disable")
    assert all(launch.options[-2:] == options for launch in capture.launches)
    assert "-DGROUP=8" in capture.launches[0].options


@needs_device
def test_every_kind_of_argument_is_run_again(tmp_path, monkeypatch):
    (tmp_path / "kinds_for_test.cl").write_text(
        "__kernel void kinds(__global float *y, float a, uint b, int c, uchar d)\n"
        "{\n    y[0] = a;\n    y[1] = b;\n    y[2] = c;\n    y[3] = d * FACTOR;\n}\n"
    )
    monkeypatch.setattr(kernels, "kernel_folder", lambda: tmp_path)
    device = finding.best()
    with device.capture() as capture:
        y = device.empty((4,))
        arguments = {"y": y, "a": -np.inf, "b": np.uint32(2**32 - 256), "c": True, "d": 200}
        device.launch("kinds_for_test", "kinds", (1,), (1,), options=("-DFACTOR=3",), **arguments)
    bundle.write_bundle(
        tmp_path / "bundle",
        operation="dropout",
        direction="forward",
        variant=None,
        case=Case((normal(2),), {"ratio": 0.5, "seed": 2**64 - 1, "stream": 3}),
        results={"y": (y.get(), np.zeros(4), np.zeros(4))},
        device={},
        capture=(capture, [y]),
    )
    with np.load(tmp_path / "bundle" / "arrays.npz") as arrays:
        (again,) = script(tmp_path / "bundle")["replay"](None, dict(arrays))
    np.testing.assert_array_equal(again, np.array([-np.inf, 2**32 - 256, 1, 600], np.float32))


@needs_device
def test_a_fault_in_a_kernel_is_reproduced(tmp_path, site):
    write(tmp_path / "bundle", "softmax", "forward", None, CASES["softmax"], device=finding.best())
    kernel = tmp_path / "bundle" / "kernels" / "softmax.cl"
    text = kernel.read_text()
    assert "exp(" in text
    kernel.write_text(text.replace("exp(", "exp2("))
    wrong = run_alone(site, tmp_path / "bundle")
    assert wrong.returncode == 1 and "WRONG" in wrong.stdout
    kernel.write_text(text.replace("exp(", "no_such_function("))
    broken = run_alone(site, tmp_path / "bundle")
    assert broken.returncode == 1 and "softmax_forward" in broken.stdout and "no_such_function" in broken.stdout
    unknown = run_alone(site, tmp_path / "bundle", "no such device")
    assert unknown.returncode == 2 and finding.best().device_name in unknown.stdout


finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
numbers = st.one_of(st.floats(width=32), st.sampled_from([0.0, -0.0, 1.0, np.inf, -np.inf, np.nan, FLOAT32.largest]))


@given(
    st.lists(
        st.tuples(
            numbers,
            st.one_of(numbers, finite.map(lambda x: x * 1.0000001)),
            st.one_of(st.floats(0, 1), st.sampled_from([0.0, np.inf, np.nan, UNDEFINED]), st.floats(0, 1e38)),
        ),
        min_size=1,
    )
)
def test_the_script_judges_as_refcnn_does(tmp_path_factory, elements):
    computed, exact, bound = (np.array(entries) for entries in zip(*elements, strict=True))
    computed = computed.astype(np.float32)
    try:
        comparison.compare("it", computed, exact, bound)
    except comparison.ConformanceFailure:
        right = False
    else:
        right = True
    assert _judge()("it", computed, exact, bound) == right
    try:
        comparison.compare("it", computed, exact, bound, signed_zeros=True)
    except comparison.ConformanceFailure:
        right = False
    assert _judge()("it", computed, exact, bound, signed_zeros=True) == right
    assert not _judge()("it", computed.astype(np.float64), exact, bound)
    assert not _judge()("it", computed[None], exact, bound)


@functools.cache
def _judge():
    return runpy.run_path(str(bundle.SCRIPT_TEMPLATE), run_name="repro")["judge"]


def test_without_kernels_arrays_are_judged(tmp_path, site):
    write(tmp_path / "bundle", "conv2d", "backward", None, CASES["conv2d"])
    assert not (tmp_path / "bundle" / "kernels").exists() and not (tmp_path / "bundle" / "model.onnx").exists()
    nothing = run_alone(site, tmp_path / "bundle")
    assert nothing.returncode == 2 and "--results 0.npy 1.npy 2.npy" in nothing.stdout
    files = []
    for number, (exact, _) in enumerate(bundle.expected("conv2d", "backward", CASES["conv2d"]).values()):
        files.append(tmp_path / f"{number}.npy")
        np.save(files[-1], exact.astype(np.float32))
    assert run_alone(site, tmp_path / "bundle", "--results", *files).returncode == 0
    assert run_alone(site, tmp_path / "bundle", "--results", *files[:2]).returncode == 2
    np.save(files[1], np.load(files[1]) + np.float32(0.01))
    wrong = run_alone(site, tmp_path / "bundle", "--results", *files)
    assert wrong.returncode == 1 and "gradient of input 1: WRONG" in wrong.stdout


def test_a_fault_of_onnxruntime_is_run_again_there(tmp_path):
    expected = bundle.expected("conv2d", "forward", CASES["conv2d"])
    for change, status in ((0.0, 0), (0.5, 1)):
        exact, bound = expected["y"]
        bundle.write_bundle(
            tmp_path / "bundle",
            operation="conv2d",
            direction="forward",
            variant=None,
            case=CASES["conv2d"],
            results={"y": (None, exact + change, bound)},
            device={"specification": "onnxruntime:CPUExecutionProvider", "platform": "onnxruntime"},
        )
        command = [sys.executable, "repro.py"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path / "bundle", timeout=300)
        assert done.returncode == status, done.stderr
        assert "CPUExecutionProvider" in done.stdout


def test_the_model_of_a_bundle_is_what_onnxruntime_was_asked(tmp_path, monkeypatch):
    """To the byte; and what it computes is what the subject computed, to the bit."""
    asked, session = [], onnxruntime_subject.onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnxruntime_subject.onnxruntime,
        "InferenceSession",
        lambda model, *rest, **named: asked.append(model) or session(model, *rest, **named),
    )
    onnxruntime_subject._session.cache_clear()
    case = CASES["conv2d"]
    y, _ = subjects.find("onnxruntime").operation("conv2d").forward(*case.inputs, **case.attributes)
    device = {"specification": "onnxruntime:CPUExecutionProvider", "platform": "onnxruntime"}
    ((exact, bound),) = bundle.expected("conv2d", "forward", case).values()
    bundle.write_bundle(
        tmp_path / "bundle",
        operation="conv2d",
        direction="forward",
        variant=None,
        case=case,
        results={"y": (y, exact, bound)},
        device=device,
    )
    assert asked == [(tmp_path / "bundle" / "model.onnx").read_bytes()]
    with np.load(tmp_path / "bundle" / "arrays.npz") as file:
        (again,) = script(tmp_path / "bundle")["run_model"]({"device": device}, dict(file))
    np.testing.assert_array_equal(again, y)


def test_the_model_of_a_bundle_may_take_an_array_in_two_shapes(tmp_path, monkeypatch):
    def to_onnx(graph, x):
        rows = graph.node("Relu", [graph.tensor(x, shape=(-1,))])
        return graph.node("Sum", [graph.node("Reshape", [rows], shape=x.shape), graph.tensor(x)])

    monkeypatch.setattr(rooms.card("relu"), "to_onnx", to_onnx)
    case = Case((np.arange(-3, 3, dtype=np.float32).reshape(2, 3),), {})
    device = {"specification": "onnxruntime:CPUExecutionProvider", "platform": "onnxruntime"}
    write(tmp_path / "bundle", "relu", "forward", None, case)
    with np.load(tmp_path / "bundle" / "arrays.npz") as file:
        (y,) = script(tmp_path / "bundle")["run_model"]({"device": device}, dict(file))
    np.testing.assert_array_equal(y, [[-3, -2, -1], [0, 2, 4]])


def test_missing_and_altered_files_are_named(tmp_path):
    folder = tmp_path / "bundle"
    write(folder, "softmax", "forward", None, CASES["softmax"])
    read_case(folder)
    for name in ("case.json", "arrays.npz", "repro.py", "model.onnx"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content + b" ")
        with pytest.raises(DataError, match=f"altered: {name}"):
            read_case(folder)
        (folder / name).unlink()
        with pytest.raises(DataError, match=f"missing: {name}"):
            read_case(folder)
        (folder / name).write_bytes(content)
    (folder / "SHA256SUMS").write_text("")
    with pytest.raises(DataError, match="altered: arrays.npz, case.json"):
        read_case(folder)


@pytest.fixture
def resting(tmp_path):
    """A bundle beside a file of others."""
    write(tmp_path / "bundle", "softmax", "forward", None, CASES["softmax"])
    (tmp_path / "secret").write_text("secret")
    return tmp_path / "bundle"


def add_digest(folder, name, content=b"secret"):
    with open(folder / "SHA256SUMS", "a") as file:
        file.write(f"{hashlib.sha256(content).hexdigest()}  {name}\n")


@pytest.mark.parametrize(
    "name",
    ["/proc/kmsg", "/dev/zero", "../secret", "kernels/../../secret", "./case.json", "a//b", "", "..", "C:\\secret"],
)
def test_names_of_files_outside_are_not_looked_at(resting, name):
    add_digest(resting, name)
    with pytest.raises(DataError, match="SHA256SUMS"):
        read_case(resting)


@pytest.mark.parametrize(
    "line", ["secret", "0" * 64, f"{'0' * 63}  a", f"{'0' * 64} *a", f"{'0' * 64}  a\tb", "\udcff"]
)
def test_lines_that_are_no_digests(resting, line):
    with open(resting / "SHA256SUMS", "a", errors="surrogateescape") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match="SHA256SUMS"):
        read_case(resting)


@pytest.mark.skipif(sys.platform == "win32", reason="needs links and pipes of a POSIX system")
@pytest.mark.parametrize("replaced", ["case.json", "arrays.npz", "SHA256SUMS", "added"])
@pytest.mark.parametrize("kind", ["link", "link to a folder", "pipe", "device", "folder"])
def test_only_plain_files_inside_are_read(resting, replaced, kind):
    """A link to a file of the same content too: that file may be another by the next time."""
    path = resting / replaced
    content = path.read_bytes() if path.exists() else b"secret"
    path.unlink(missing_ok=True)
    outside = resting.parent / "outside"
    outside.write_bytes(content)
    if kind == "link":
        path.symlink_to(outside)
    elif kind == "link to a folder":
        outside.unlink()
        outside.mkdir()
        path.symlink_to(outside)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    if replaced == "added":
        add_digest(resting, "added", content)
    with pytest.raises(DataError, match="bundle"):
        read_case(resting)


@pytest.mark.skipif(sys.platform == "win32", reason="needs links of a POSIX system")
def test_a_link_on_the_way_is_not_followed(resting):
    (resting.parent / "outside").mkdir()
    (resting.parent / "outside" / "file").write_text("secret")
    (resting / "kernels").symlink_to(resting.parent / "outside")
    add_digest(resting, "kernels/file")
    with pytest.raises(DataError, match="kernels/file"):
        read_case(resting)


def test_files_in_folders_of_a_bundle_are_compared(resting):
    (resting / "kernels" / "more").mkdir(parents=True)
    (resting / "kernels" / "more" / "relu.cl").write_text("kernel")
    add_digest(resting, "kernels/more/relu.cl", b"kernel")
    read_case(resting)
    (resting / "kernels" / "more" / "relu.cl").write_text("altered")
    with pytest.raises(DataError, match="altered: kernels/more/relu.cl"):
        read_case(resting)


def test_a_sparse_file_of_a_terabyte_is_not_read(resting):
    with open(resting / "added", "wb") as file:
        file.truncate(2**40)
    add_digest(resting, "added")
    with pytest.raises(DataError, match="added"):
        read_case(resting)


def test_a_bundle_replaces_a_bundle_and_nothing_else(tmp_path):
    folder = tmp_path / "bundle"
    write(folder, "softmax", "backward", None, CASES["softmax"])
    write(folder, "softmax", "forward", None, dataclasses.replace(CASES["softmax"], dy=None))
    assert read_case(folder)[1] == "forward"
    assert json.loads((folder / "case.json").read_text())["message"] == "found"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(ArgumentError, match="something else stands there"):
        write(folder, "softmax", "forward", None, CASES["softmax"])
    assert (folder / "case.json").exists()
    with pytest.raises(FileWriteError, match="no_folder"):
        write(tmp_path / "no_folder" / "bundle", "softmax", "forward", None, CASES["softmax"])
