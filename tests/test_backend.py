"""Choosing a backend: names, the environment, the fall back to the reference, lasting and passing choices."""

import os
import subprocess
import sys

import numpy as np
import pytest

import refcnn as rm
from refcnn import backend
from refcnn.errors import BackendError


@pytest.fixture(autouse=True)
def restored():
    with rm.use_backend(backend.active()):
        yield


def run(code, **environment):
    """Run Python code in a process of its own; return its completed process."""
    environment = {**{k: v for k, v in os.environ.items() if k != "REFCNN_BACKEND"}, **environment}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=120)


def test_use_backend_lasts_or_holds_for_a_block():
    rm.use_backend("reference")
    assert backend.active().name == "reference"
    with rm.use_backend("reference:float64") as active:
        assert backend.active() is active and active.dtype == np.float64
    assert backend.active().name == "reference"


def test_an_unknown_backend_leaves_the_former_one():
    rm.use_backend("reference")
    with pytest.raises(BackendError, match="reference:float64"):
        rm.use_backend("cuda")
    assert backend.active().name == "reference"


@pytest.mark.parametrize("specification", [None, 5, "", "referenc", "reference:float16", "auto:1", "opencl0", "OPENCL"])
def test_misspelt_backends(specification):
    former = backend.active()
    with pytest.raises(BackendError, match="auto, reference"):
        rm.use_backend(specification)
    assert backend.active() is former


def test_unknown_device_lists_those_present():
    with pytest.raises(BackendError) as caught:
        rm.use_backend("opencl:no-such-platform:0")
    from refcnn.opencl.runtime.finding import available

    for device in available():
        assert device.name in str(caught.value)


def test_a_device_is_one_backend_however_it_is_named():
    try:
        best = backend.find("opencl")
    except BackendError as error:
        pytest.skip(str(error))
    assert backend.find(best.name) is best
    assert backend.find(f"opencl:{best.device.platform_index}:{best.device.device_name}") is best


def test_environment_names_the_backend():
    code = "import refcnn as rm; print(rm.relu([1.0]).backend.name)"
    assert run(code, REFCNN_BACKEND="reference:float64").stdout.strip() == "reference:float64"
    failed = run(code, REFCNN_BACKEND="nonsense")
    assert failed.returncode != 0 and "nonsense" in failed.stderr


def test_auto_without_opencl_computes_on_the_reference_and_says_why():
    code = (
        "from refcnn.opencl.runtime import finding\n"
        "finding.available = lambda: []\n"
        "import refcnn as rm\n"
        "print(rm.relu([1.0]).backend.name)"
    )
    done = run(code)
    assert done.stdout.strip() == "reference"
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and "no OpenCL device was found" in lines[0] and "pip install" in lines[0]


def test_opencl_without_a_device_is_an_error():
    code = (
        "from refcnn.opencl.runtime import finding\n"
        "finding.available = lambda: []\n"
        "import refcnn as rm\n"
        "rm.use_backend('opencl')"
    )
    done = run(code)
    assert done.returncode != 0 and "no OpenCL device was found" in done.stderr


def test_an_operation_that_a_backend_lacks():
    with pytest.raises(BackendError, match="no operation 'no_such_operation'"):
        backend.find("reference").operation("no_such_operation")


def test_import_is_light():
    code = (
        "import sys, refcnn\n"
        "heavy = {'pyopencl', 'onnx', 'onnxruntime', 'matplotlib', 'sklearn', 'PIL', 'hypothesis', 'click', 'pooch'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = run(code)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_a_notebook_shows_which_backend_was_chosen():
    assert repr(rm.use_backend("reference:float64")) == "use_backend('reference:float64')"
    assert repr(backend.active()).startswith("<backend reference:float64: NumPy")
