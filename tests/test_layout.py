"""One operation, one name, five rooms: the files that belong together are all there and speak of the same arrays."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import refcnn
from refcnn.opencl.program import kernel_folder

PACKAGE = Path(refcnn.__file__).parent
TESTS = Path(__file__).parent

#: Operations that compute nothing: they have no kernel, and no bound to be held against.
NO_ARITHMETIC = {"flatten"}

#: What each room holds beside its operations.
SHARED = {
    "reference": set(),
    "opencl": {
        "array",
        "conv2d_product",
        "device",
        "direct",
        "elementwise",
        "finding",
        "fusion",
        "icd",
        "matrix_product",
        "memory",
        "pooling",
        "program",
        "recording",
        "trial",
        "trial_process",
        "tuning",
        "variants",
        "winograd",
        "winograd_weights",
    },
    "conformance": {
        "bounds",
        "bundle",
        "case_file",
        "composition",
        "coverage",
        "html",
        "judge",
        "known_faults",
        "merge",
        "oclgrind",
        "onnxruntime_target",
        "pytest_plugin",
        "results",
        "runner",
        "strategies",
        "targets",
        "winograd",
        "worker",
    },
    "layers": {"pooling"},
    "optimizers": {"optimizer"},
}


def stems(folder, pattern="*.py"):
    return {path.stem for path in folder.glob(pattern)} - {"__init__"}


def operations_in(room):
    found = stems(PACKAGE / room)
    assert found >= SHARED[room], f"{SHARED[room] - found} is gone from refcnn/{room}: take it out of SHARED"
    return found - SHARED[room]


OPERATIONS = sorted(operations_in("reference"))


def test_every_room_has_every_operation():
    operations = set(OPERATIONS)
    assert operations_in("opencl") == operations
    assert operations_in("conformance") == operations - NO_ARITHMETIC
    assert {stem.removeprefix("test_") for stem in stems(TESTS / "operations", "test_*.py")} == operations
    layers, optimizers = operations_in("layers"), operations_in("optimizers")
    assert layers | optimizers == operations
    assert not layers & optimizers


def test_every_kernel_belongs_to_an_operation():
    kernels = stems(kernel_folder(), "*.cl")
    assert kernels >= set(OPERATIONS) - NO_ARITHMETIC
    texts = [path.read_text(encoding="utf-8") for path in kernel_folder().glob("*.cl")]
    included = {stem for text in texts for stem in re.findall(r'^#include "(\w+)\.cl"$', text, re.MULTILINE)}
    owners = set(OPERATIONS) | SHARED["opencl"] | included
    orphans = {stem for stem in kernels - owners if not any(stem.startswith(f"{owner}_") for owner in owners)}
    assert not orphans


@pytest.mark.parametrize("operation", OPERATIONS)
def test_backends_have_one_signature(operation):
    reference, opencl = (importlib.import_module(f"refcnn.{room}.{operation}") for room in ("reference", "opencl"))
    assert parameters(opencl.forward) == parameters(reference.forward)
    is_update = operation in operations_in("optimizers")
    assert hasattr(opencl, "backward") == hasattr(reference, "backward") == (not is_update)
    if not is_update:
        assert parameters(opencl.backward) == parameters(reference.backward)
        assert attributes(reference.backward) == attributes(reference.forward)


@pytest.mark.parametrize("operation", sorted(set(OPERATIONS) - NO_ARITHMETIC))
def test_conformance_has_one_signature(operation):
    module = importlib.import_module(f"refcnn.conformance.{operation}")
    assert parameters(module.cases)[:2] == [("size", "small"), ("integers", False)]
    algorithms = [("algorithms", None)] * (operation == "conv2d")
    assert parameters(module.forward_bound) == [
        ("inputs", inspect.Parameter.empty),
        ("attributes", inspect.Parameter.empty),
        ("errors", None),
        *algorithms,
    ]
    if operation not in operations_in("optimizers"):
        names = ["dy", "inputs", "attributes", "needs", *(name for name, _ in algorithms)]
        assert [name for name, _ in parameters(module.backward_bound)] == names


@pytest.mark.parametrize("operation", sorted(operations_in("optimizers")))
def test_optimizer_gives_the_attributes_of_its_operation(operation):
    module = importlib.import_module(f"refcnn.optimizers.{operation}")
    classes = [entry for _, entry in inspect.getmembers(module, inspect.isclass)]
    (optimizer,) = [entry for entry in classes if getattr(entry, "operation", None) == operation]
    forward = importlib.import_module(f"refcnn.reference.{operation}").forward
    assert set(optimizer().attributes(step=1)) == attributes(forward)
    assert positional(forward) == ["w", "g", *optimizer.slots]


def test_reference_needs_numpy_and_little_else():
    allowed = {"numpy", "..shapes", "..errors", "..philox"}
    for path in (PACKAGE / "reference").glob("*.py"):
        assert imports(path) <= allowed, path.name


@pytest.mark.parametrize(
    ("library", "rooms"),
    [("pyopencl", {"opencl"}), ("onnx", {"onnx", "conformance"}), ("onnxruntime", {"onnx", "conformance", "bench"})],
)
def test_heavy_libraries_stay_in_their_rooms(library, rooms):
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] not in rooms:
            assert library not in {name.partition(".")[0] for name in imports(path)}, path


def test_importing_refcnn_loads_no_heavy_library():
    heavy = ["pyopencl", "onnx", "onnxruntime", "matplotlib", "sklearn", "PIL", "hypothesis"]
    code = f"import sys, refcnn; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, check=True)
    assert done.stdout.strip() == "[]"


def parameters(function):
    return [(name, parameter.default) for name, parameter in inspect.signature(function).parameters.items()]


def positional(function):
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return [name for name, parameter in inspect.signature(function).parameters.items() if parameter.kind == kind]


def attributes(function):
    kind = inspect.Parameter.KEYWORD_ONLY
    return {name for name, parameter in inspect.signature(function).parameters.items() if parameter.kind == kind}


def imports(path):
    """The modules that a file names in its import statements, relative ones with their dots."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            dots = "." * node.level
            names |= {dots + node.module} if node.module else {dots + alias.name for alias in node.names}
    return names
