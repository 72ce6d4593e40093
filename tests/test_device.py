"""Devices, their errors, and the matrix products they run."""

import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refcnn.conformance.subjects import finding as subjects
from refcnn.errors import ArgumentError, BackendError, DeviceMemoryError, KernelBuildError, ShapeError
from refcnn.opencl import variants
from refcnn.opencl.operations import conv2d
from refcnn.opencl.runtime import device, finding, kernels, vectors
from refcnn.opencl.shared import matrix_product

pytestmark = pytest.mark.skipif(
    not finding.usable(), reason="no usable OpenCL device; see the README for how to get one"
)

SCALE = "__kernel void scale(__global float *x, int n, float by)\n{\n    int i = get_global_id(0);\n"
SCALE_BODY = "    if (i < n)\n        x[i] *= by;\n}\n"


@pytest.fixture(params=[one.name for one in finding.usable()])
def each_device(request):
    return next(one for one in finding.usable() if one.name == request.param)


@pytest.fixture
def own_kernels(tmp_path, monkeypatch):
    """A folder of kernels for one test."""
    (tmp_path / "scale_for_test.cl").write_text(SCALE + SCALE_BODY)
    monkeypatch.setattr(kernels, "kernel_folder", lambda: tmp_path)
    return tmp_path


def test_names_and_properties(each_device):
    assert each_device.name == f"opencl:{each_device.platform_index}:{each_device.device_index}"
    assert each_device.kind in ("gpu", "accelerator", "cpu")
    assert each_device.compute_units >= 1
    assert each_device.global_memory >= each_device.largest_allocation > 2**20
    assert each_device.device_name and each_device.platform_name and each_device.driver_version
    assert each_device.opencl_version.startswith("OpenCL ")


@pytest.mark.parametrize(
    ("native", "platform_version", "name", "width"),
    [
        (16, "OpenCL 3.0 LINUX", "AMD EPYC", 16),
        (8, "OpenCL 3.0 LINUX", "AMD EPYC", 8),
        (1, "OpenCL 1.2", "Simulator", 4),
        (16, "OpenCL 3.0 PoCL 3.0-rc2", "pthread-AMD EPYC", 8),
        (16, "OpenCL 3.0 PoCL 3.1", "pthread-AMD EPYC", 16),
        (16, "OpenCL 3.0 PoCL 3.0-rc2", "pthread-Intel(R) Xeon(R)", 16),
        (4, "OpenCL 3.0 PoCL 3.0", "cortex-a57", 4),
    ],
)
def test_vectors_are_as_wide_as_registers_that_the_compiler_knows(native, platform_version, name, width):
    described = types.SimpleNamespace(platform_version=platform_version, device_name=name)
    assert vectors.vector_width(described, native) == width
    assert width in vectors.vector_widths(described, native)


def test_a_compiler_older_than_the_registers_is_not_asked_for_vectors_as_wide():
    """On AMD's first CPUs with AVX-512 that of PoCL 3.0 crashes at them, or gives a program without kernels."""
    old = types.SimpleNamespace(platform_version="OpenCL 3.0 PoCL 3.0-rc2", device_name="pthread-AMD EPYC")
    assert vectors.vector_widths(old, 16) == (4, 8)
    # Without such registers it cuts wide vectors into narrow ones.
    assert vectors.vector_widths(old, 8) == (4, 8, 16)


def test_vectors_of_another_width_can_be_forced(monkeypatch):
    one = finding.usable()[0]
    for width in vectors.VECTOR_WIDTHS:
        monkeypatch.setenv("REFCNN_VECTOR_WIDTH", str(width))
        again = device.Device(one._device, one.platform_index, one.device_index)
        assert again.vector_width == width and subjects.find(one.name).description["name"].endswith(f" {width} floats")
    monkeypatch.setenv("REFCNN_VECTOR_WIDTH", "2")
    with pytest.raises(ArgumentError, match="REFCNN_VECTOR_WIDTH is '2'.*4, 8 or 16"):
        device.Device(one._device, one.platform_index, one.device_index)


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint32, np.uint8])
def test_arrays_go_to_the_device_and_back(each_device, dtype):
    host = np.arange(2 * 3 * 5).reshape(2, 3, 5).astype(dtype)
    array = each_device.array(host.transpose(2, 0, 1))
    assert (array.shape, array.dtype, array.size, array.ndim) == ((5, 2, 3), np.dtype(dtype), 30, 3)
    assert array.nbytes == host.nbytes
    np.testing.assert_array_equal(array.get(), host.transpose(2, 0, 1))
    np.testing.assert_array_equal(array.reshape((6, -1)).get(), host.transpose(2, 0, 1).reshape(6, 5))


def test_arrays_copy_what_they_are_given(each_device):
    host = np.ones(4, dtype=np.float32)
    array = each_device.array(host)
    host[:] = 2
    copy = array.get()
    copy[:] = 3
    np.testing.assert_array_equal(array.get(), np.ones(4))


def test_a_copy_that_was_started_is_of_that_moment_or_newer(each_device, own_kernels):
    x = each_device.array(np.ones(10, dtype=np.float32))
    each_device.start_to_host(x)
    np.testing.assert_array_equal(x.reshape((2, 5)).get(), np.ones((2, 5)))
    x.get()[:] = 7
    each_device.launch(
        "scale_for_test", "scale", (10,), (8,), x=each_device.array(np.ones(10, np.float32)), n=9, by=4.0
    )
    np.testing.assert_array_equal(x.get(), np.ones(10))
    each_device.launch("scale_for_test", "scale", (10,), (8,), x=x, n=10, by=3.0)
    np.testing.assert_array_equal(x.get(), [3.0] * 10)


def test_a_started_copy_waits_for_nothing_that_is_launched_later(each_device, own_kernels, monkeypatch):
    x = each_device.array(np.ones(3, dtype=np.float32))
    x.get()
    each_device.start_to_host(x)

    class NoMoreQueue:
        """What else is asked of the queue would fail."""

    monkeypatch.setattr(each_device._connection, "queue", NoMoreQueue())
    np.testing.assert_array_equal(x.get(), np.ones(3))


def test_arrays_may_be_empty(each_device):
    for array in (each_device.empty((0, 3)), each_device.array(np.empty((0, 3), dtype=np.float32))):
        assert array.get().shape == (0, 3)
        assert array.reshape((3, 0)).shape == (3, 0)


@pytest.mark.parametrize("shape", [(7,), (-1, 4), (-1, -1), (-6, -1)])
def test_a_reshape_that_does_not_fit_is_an_error(each_device, shape):
    with pytest.raises(ShapeError, match="6 elements"):
        each_device.empty((2, 3)).reshape(shape)


def test_launch_rounds_up_and_converts_its_arguments(each_device, own_kernels):
    x = each_device.array(np.ones(10, dtype=np.float32))
    each_device.launch("scale_for_test", "scale", (10,), (8,), x=x, n=9, by=2.5)
    each_device.launch("scale_for_test", "scale", (10,), (8,), x=x, n=np.int32(9), by=np.float64(2.0))
    each_device.launch("scale_for_test", "scale", (0,), (8,), x=x, n=9, by=0.0)
    np.testing.assert_array_equal(x.get(), [5.0] * 9 + [1.0])


def test_launch_passes_build_options(each_device, own_kernels):
    (own_kernels / "set_for_test.cl").write_text("__kernel void set(__global int *x)\n{\n    x[0] = VALUE;\n}\n")
    x = each_device.empty((1,), np.int32)
    for value in (3, 4):
        options = (f"-DVALUE={value}",)
        each_device.launch("set_for_test", "set", (1,), (1,), options=options, x=x)
        assert x.get() == [value]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 9}, "scale.*lacks by"),
        ({"by": 1.0, "count": 9}, "scale.*lacks n .*no count"),
        ({"n": 9, "by": 1.0, "to": 1}, "scale.*no to"),
        ({"n": 2**31, "by": 1.0}, "n is 2147483648"),
        ({"n": "9", "by": 1.0}, "n is '9'"),
        ({"n": 7.0, "by": 1.0}, "n is 7.0"),
        ({"n": np.int64(7), "by": 1.0}, "n is .*7.*int32"),
        ({"n": 9, "by": 3}, "by is 3.*float32"),
        ({"n": 9, "by": np.int64(3)}, "by is "),
        ({"n": 9, "by": None}, "by is None"),
        ({"n": 9, "by": 1.0, "x": 1}, "x is 1.*array of float32"),
    ],
)
def test_wrong_arguments_are_errors_before_anything_runs(each_device, own_kernels, arguments, message):
    x = each_device.array(np.ones(10, np.float32))
    with pytest.raises(ArgumentError, match=message):
        each_device.launch("scale_for_test", "scale", (10,), (8,), **{"x": x, **arguments})
    with pytest.raises(ArgumentError, match=message), each_device.capture(execute=False):
        each_device.launch("scale_for_test", "scale", (10,), (8,), **{"x": x, **arguments})
    np.testing.assert_array_equal(x.get(), np.ones(10))


def test_arguments_may_come_in_any_order_and_may_change_it(each_device, own_kernels):
    x = each_device.array(np.ones(10, dtype=np.float32))
    each_device.launch("scale_for_test", "scale", (10,), (8,), n=10, by=2.0, x=x)
    each_device.launch("scale_for_test", "scale", (10,), (8,), by=2.0, x=x, n=10)
    # Of another type, and so not a size any more.
    each_device.launch("scale_for_test", "scale", (10,), (8,), by=2.0, x=x, n=np.int32(9))
    each_device.launch("scale_for_test", "scale", (10,), (8,), by=2.0, x=x, n=np.int32(8))
    np.testing.assert_array_equal(x.get(), [16.0] * 8 + [8.0, 4.0])


def test_an_array_of_another_type_is_an_error_at_later_launches_too(each_device, own_kernels):
    def scale(x):
        each_device.launch("scale_for_test", "scale", (10,), (8,), x=x, n=10, by=2.0)

    scale(each_device.array(np.ones(10, dtype=np.float32)))
    integers = each_device.array(np.ones(10, dtype=np.int32))
    with pytest.raises(ArgumentError, match="x is an array of int32"):
        scale(integers)
    np.testing.assert_array_equal(integers.get(), np.ones(10))


def test_a_kernel_is_not_given_an_array_that_it_does_not_touch(each_device, own_kernels):
    (own_kernels / "optional_for_test.cl").write_text(
        "__kernel void add(__global const float *a, __global const uchar *b, int has_b, __global float *y)\n"
        "{\n    int i = get_global_id(0);\n    y[i] = a[i] + (has_b ? b[i] : 0);\n}\n"
    )
    a, y = each_device.array(np.ones(4, np.float32)), each_device.empty((4,))
    for b in (None, each_device.array(np.full(4, 5, np.uint8)), None):
        each_device.launch("optional_for_test", "add", (4,), (4,), a=a, b=b, has_b=int(b is not None), y=y)
        np.testing.assert_array_equal(y.get(), [1.0 if b is None else 6.0] * 4)
    with pytest.raises(ArgumentError, match="None in the place of every array"):
        each_device.launch("optional_for_test", "add", (4,), (4,), a=None, b=None, has_b=0, y=None)


def test_numbers_take_the_type_that_the_kernel_names(each_device, own_kernels):
    (own_kernels / "kinds_for_test.cl").write_text(
        "__kernel void kinds(__global long *y, uint a, uchar b, long c, char d)\n"
        "{\n    y[0] = a;\n    y[1] = b;\n    y[2] = c;\n    y[3] = d;\n}\n"
    )
    y = each_device.empty((4,), np.int64)
    each_device.launch("kinds_for_test", "kinds", (1,), (1,), y=y, a=2**32 - 1, b=255, c=-(2**40), d=-128)
    np.testing.assert_array_equal(y.get(), [2**32 - 1, 255, -(2**40), -128])
    for wrong in ({"a": -1}, {"b": 256}, {"d": 128}):
        with pytest.raises(ArgumentError, match=f"{next(iter(wrong))} is "):
            each_device.launch(
                "kinds_for_test", "kinds", (1,), (1,), **{"y": y, "a": 1, "b": 1, "c": 1, "d": 1, **wrong}
            )


def test_missing_kernels_and_files_are_errors(each_device, own_kernels):
    with pytest.raises(BackendError, match="no kernel other"):
        each_device.launch("scale_for_test", "other", (1,), (1,))
    with pytest.raises(BackendError, match="no_such_file.cl"):
        each_device.launch("no_such_file", "other", (1,), (1,))


def test_an_array_of_another_device_is_an_error(own_kernels):
    devices = finding.usable()
    if len(devices) < 2:
        pytest.skip("needs two OpenCL devices")
    x = devices[0].empty((10,))
    with pytest.raises(BackendError, match=f"{devices[0].name}.*{devices[1].name}"):
        devices[1].launch("scale_for_test", "scale", (10,), (8,), x=x, n=9, by=1.0)
    with pytest.raises(BackendError):
        devices[1].to_host(x)


def test_a_kernel_that_does_not_build_is_an_error_with_the_log(each_device, own_kernels, capfd):
    (own_kernels / "bad_for_test.cl").write_text(SCALE + SCALE_BODY.replace("by", "undeclared_name"))
    with pytest.raises(KernelBuildError, match="bad_for_test.cl") as caught:
        arguments = {"x": each_device.empty((1,)), "n": 1, "by": 1.0}
        each_device.launch("bad_for_test", "scale", (1,), (1,), options=("-DA=1",), **arguments)
    assert "undeclared_name" in str(caught.value) and each_device.device_name in str(caught.value)
    assert "-DA=1" in str(caught.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("text", ["__kernel void scale(nonsense)\n", "#if (1\n", "__kernel void (", "nothing at all"])
def test_what_neither_refcnn_nor_the_compiler_can_read_is_an_error_with_the_log(each_device, own_kernels, text):
    (own_kernels / "unread_for_test.cl").write_text(text)
    arguments = {"x": each_device.empty((1,)), "n": 1, "by": np.float32(1)}
    with pytest.raises(KernelBuildError, match="The compiler says"):
        each_device.launch("unread_for_test", "scale", (1,), (1,), **arguments)
    # For its bundle the launch is noted all the same.
    with each_device.capture(execute=False) as capture:
        each_device.launch("unread_for_test", "scale", (1,), (1,), **arguments)
    (launch,) = capture.launches
    assert launch.arguments == [("buffer", 0), ("int32", 1), ("float32", 1.0)]
    assert capture.sources == {"unread_for_test": text}


def test_compiler_warnings_stay_silent(each_device, own_kernels, capfd, recwarn):
    (own_kernels / "warns_for_test.cl").write_text(SCALE + "    int unused = n + 1.5f == 2;\n    1 + 2;\n" + SCALE_BODY)
    each_device.launch("warns_for_test", "scale", (1,), (1,), x=each_device.empty((1,)), n=1, by=1.0)
    each_device.finish()
    assert capfd.readouterr().err == "" and not list(recwarn)


def test_an_array_larger_than_the_device_allows_is_a_memory_error(each_device):
    elements = each_device.largest_allocation // 4 + 1
    with pytest.raises(DeviceMemoryError, match=rf"\({elements},\)") as caught:
        each_device.empty((elements,))
    assert f"{each_device.largest_allocation / 2**20:,.1f} MiB" in str(caught.value)
    assert f"{each_device.global_memory / 2**20:,.1f} MiB" in str(caught.value)


class _FailingArena:
    """Stands for the arena of a device whose memory is full until unused buffers are given back."""

    active = 5 * 2**20

    def __init__(self, arena, helps):
        self.arena, self.helps, self.freed = arena, helps, 0

    def allocate(self, nbytes):
        if self.freed and self.helps:
            return self.arena.allocate(nbytes)
        import pyopencl as cl

        raise cl.MemoryError("allocate", cl.status_code.MEM_OBJECT_ALLOCATION_FAILURE, "full")

    def release(self):
        self.freed += 1

    def settle(self):
        pass


def test_memory_that_runs_out_is_retried_once_then_an_error(each_device, monkeypatch):
    if each_device.is_simulator:
        pytest.skip("the simulator's buffers do not come from an arena")
    arena = _FailingArena(each_device._connection.arena, helps=True)
    monkeypatch.setattr(each_device._connection, "arena", arena)
    np.testing.assert_array_equal(each_device.array(np.ones(3)).get(), [1, 1, 1])
    arena.helps, arena.freed = False, 0
    with pytest.raises(DeviceMemoryError, match=r"\(256, 1024\) asks for 1.0 MiB, 5.0 MiB"):
        each_device.empty((256, 1024))
    assert arena.freed == 1


def test_memory_that_fails_at_the_launch_is_an_error(each_device, own_kernels, monkeypatch):
    import pyopencl as cl

    x = each_device.empty((1,))

    class OutOfResources(cl.RuntimeError):
        code = cl.status_code.OUT_OF_RESOURCES

    def fail(*arguments):
        raise OutOfResources("enqueue")

    monkeypatch.setattr(cl, "enqueue_nd_range_kernel", fail)
    with pytest.raises(DeviceMemoryError, match="launching scale"):
        each_device.launch("scale_for_test", "scale", (1,), (1,), x=x, n=1, by=1.0)


def test_importing_the_package_does_not_import_pyopencl():
    code = "import sys, refcnn, refcnn.opencl, refcnn.opencl.runtime.device; sys.exit('pyopencl' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _integers(generator, shape):
    """Small enough that sums of a thousand products are exact in float32, in any order."""
    return generator.integers(-9, 10, shape).astype(np.float32)


@pytest.mark.parametrize("variant", ["cpu", "gpu"])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_product_is_exact_for_integers(variant, data):
    one = finding.best()
    draw = data.draw
    limits = {"rows": 40, "terms": 70, "columns": 150}
    rows, terms, columns = (draw(st.integers(1, most), name) for name, most in limits.items())
    chunks = draw(st.integers(1, min(terms, 3)), "chunks")
    adjacent, with_bias = draw(st.booleans(), "adjacent rows of a"), draw(st.booleans(), "bias")
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1), "seed"))
    a, b, bias = _integers(generator, (rows, terms)), _integers(generator, (terms, columns)), _integers(generator, rows)
    stride = max(columns, matrix_product.LARGEST_VECTOR)
    padded = np.zeros((terms, stride), dtype=np.float32)
    padded[:, :columns] = b
    order = generator.permutation(terms)
    c = one.array(np.full((chunks, rows, columns), np.nan, dtype=np.float32))
    with variants.use_variant(variant):
        matrix_product.product(
            one,
            one.array(a.T if adjacent else a),
            one.array(padded[order]),
            one.array((np.argsort(order) * stride).astype(np.int32)),
            c,
            matrix_product.Places(columns, 0, columns, columns, c_y=0),
            rows=rows,
            terms=terms,
            a_row=1 if adjacent else terms,
            a_term=rows if adjacent else 1,
            c_row=columns,
            chunks=chunks,
            c_chunk=rows * columns,
            bias=one.array(bias) if with_bias else None,
        )
    exact = a.astype(np.float64) @ b + (chunks * bias[:, None] if with_bias else 0)
    np.testing.assert_array_equal(c.get().astype(np.float64).sum(axis=0), exact)


@pytest.mark.parametrize("variant", ["cpu", "gpu"])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_dot_product_is_exact_for_integers(variant, data):
    one = finding.best()
    limits = {"groups": 2, "rows": 30, "columns": 60, "images": 5, "places": 300}
    groups, rows, columns, images, places = (data.draw(st.integers(1, most), name) for name, most in limits.items())
    generator = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), "seed"))
    # What lies behind the places is not read, or is of no account.
    room = places + data.draw(st.integers(0, 20), "room")
    a, b = (np.full((images, groups, count, room), np.nan, dtype=np.float32) for count in (rows, columns))
    for array in (a, b):
        array[..., :places] = _integers(generator, array[..., :places].shape)
    with variants.use_variant(variant):
        c = matrix_product.dot_product(
            one,
            one.array(a),
            one.array(b),
            one.array(np.arange(columns, dtype=np.int32) * room),
            rows=rows,
            columns=columns,
            places=places,
            images=images,
            groups=groups,
            a_row=room,
            a_group=rows * room,
            a_image=groups * rows * room,
            b_group=columns * room,
            b_image=groups * columns * room,
        )
    exact = np.einsum("ngrp,ngcp->grc", a[..., :places].astype(np.float64), b[..., :places].astype(np.float64))
    np.testing.assert_array_equal(c.get(), exact)


@pytest.mark.parametrize("variant", variants.VARIANTS)
def test_the_same_input_gives_the_same_bits(each_device, variant):
    generator = np.random.default_rng(7)
    x, w, b = (generator.standard_normal(s).astype(np.float32) for s in ((3, 4, 19, 17), (10, 4, 3, 3), (1, 10, 1, 1)))
    dy = generator.standard_normal((3, 10, 10, 9)).astype(np.float32)
    attributes = {"stride": (2, 2), "padding": (1, 1, 1, 1), "dilation": (1, 1), "groups": 1}

    def run():
        with variants.use_variant(variant):
            y, saved = conv2d.forward(*map(each_device.array, (x, w, b)), **attributes)
            gradients = conv2d.backward(each_device.array(dy), saved, (True, True, True), **attributes)
        return [array.get().tobytes() for array in (y, *gradients)]

    first = run()
    assert all(run() == first for _ in range(3))


def test_an_unknown_variant_is_an_error():
    with pytest.raises(ArgumentError, match="cpu, gpu, plain"), variants.use_variant("cuda"):
        pass


@pytest.mark.parametrize("obstacle", ["a lock whose process was killed", "no folder"])
def test_kernels_build_whatever_stands_in_the_way_of_the_cache(each_device, obstacle, tmp_path, monkeypatch):
    if obstacle == "no folder":
        (tmp_path / "cache").write_text("a file where the folder should be")
        monkeypatch.setattr("platformdirs.user_cache_dir", lambda *names, **options: str(tmp_path / "cache"))
        assert kernels._cache_folder() is False
    else:
        monkeypatch.setattr("platformdirs.user_cache_dir", lambda *names, **options: str(tmp_path))
        lock = Path(kernels._cache_folder()) / "lock"
        lock.touch()
        assert Path(kernels._cache_folder()) == lock.parent and lock.exists(), "a fresh lock has an owner"
        os.utime(lock, (0, 0))
        assert Path(kernels._cache_folder()) == lock.parent and not lock.exists()
    assert kernels.build(each_device, each_device._connection.context, "relu", ("-DCHUNK=1",)).kernel_names


def test_an_exception_of_the_cache_is_no_obstacle(each_device, monkeypatch):
    import pyopencl as cl

    build, tried = cl.Program.build, []

    def failing(self, options=(), devices=None, cache_dir=None):
        tried.append(cache_dir)
        if cache_dir is not False:
            raise KeyError("PYOPENCL_CACHE_FAILURE_FATAL")
        return build(self, options=options, devices=devices, cache_dir=False)

    monkeypatch.setattr(cl.Program, "build", failing)
    assert kernels.build(each_device, each_device._connection.context, "relu", ("-DCHUNK=1",)).kernel_names
    assert len(tried) == 2
