"""One operation, one name, one room in each wing; and a house in which whoever needs another looks downward."""

import ast
import configparser
import functools
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import refcnn
from refcnn import rooms
from refcnn.opencl.runtime.kernels import kernel_folder

PACKAGE = Path(refcnn.__file__).parent
TESTS = Path(__file__).parent

#: The house from the top to the ground: imports run downward, or along one floor. A module belongs to the entry that
#: names most of it.
FLOORS = (
    ("", "__main__", "bench.contestants.refcnn_process"),
    ("cli",),
    ("serve",),
    ("bench", "explain"),
    ("runs",),
    ("onnx", "onnx.exporting"),
    ("onnx.proof",),
    ("conformance", "conformance.adapters", "conformance.running", "conformance.world"),
    ("conformance.bundles",),
    ("conformance.subjects",),
    ("conformance.judging",),
    ("conformance.operations",),
    ("conformance.theory", "conformance.reports"),
    ("onnx.reading", "onnx.writing", "onnx.runtime"),
    ("onnx.metadata", "onnx.operators"),
    ("models",),
    ("fitting",),
    ("program",),
    ("layers", "optimizers"),
    ("model",),
    ("summary",),
    ("layer", "function"),
    ("variable", "stored"),
    ("parallel",),
    ("backend",),
    ("opencl", "opencl.backend"),
    ("opencl.operations",),
    ("opencl.convolution",),
    ("opencl.shared",),
    ("opencl.variants", "opencl.runtime", "reference", "data", "initializers"),
    (
        *("rooms", "numpy_protocol", "tape", "shapes", "interpolation", "attributes", "formats", "philox", "special"),
        *("npz", "files", "pages", "host_arrays"),
        "locking",
    ),
    (
        *("answering", "arguments", "display", "errors", "interruption", "machine", "mode", "own_code"),
        *("parallel.alone", "parallel.aside", "parallel.channel", "parallel.communicator", "parallel.mpi_ranks"),
        *("parallel.ranks", "parallel.reserves", "parallel.tree_sum"),
        "processes",
        *("reading", "repeating", "suggestions", "tables", "typing", "version"),
    ),
)

#: What lies beside the rooms in a wing.
BESIDE = {
    "layers": {
        "activation_in_onnx",
        "convolution",
        "gemm",
        "indexing",
        "normalization_from_onnx",
        "normalization_in_onnx",
        "normalization_over_ranks",
        "page",
        "pooling",
        "renom",
    },
    "optimizers": {"optimizer"},
}


def stems(folder, pattern="*.py"):
    return {path.stem for path in folder.glob(pattern)} - {"__init__"}


def rooms_of(wing):
    found = stems(PACKAGE / wing.replace(".", "/")) - set(rooms.PAGES)
    beside = BESIDE.get(wing, set())
    assert found >= beside, f"{beside - found} is gone from refcnn/{wing}: take it out of BESIDE"
    entries = (rooms.find(wing, operation) is not None for operation in OPERATIONS)
    return found - beside | {operation for operation, is_there in zip(OPERATIONS, entries, strict=True) if is_there}


OPERATIONS = rooms.operations()


def test_every_wing_has_every_operation():
    operations = set(OPERATIONS)
    assert rooms_of(rooms.OPENCL) == operations
    assert rooms_of(rooms.CONFORMANCE) == operations
    tests = {stem.removeprefix("test_") for stem in stems(TESTS / "operations", "test_*.py")}
    assert tests - {*rooms.PAGES, "every_operation"} == operations & stems(PACKAGE / "reference")
    layers, optimizers = rooms_of(rooms.LAYERS), rooms_of(rooms.OPTIMIZERS)
    assert layers | optimizers == operations
    assert not layers & optimizers


def test_every_kernel_belongs_to_an_operation():
    kernels = stems(kernel_folder(), "*.cl")
    texts = [path.read_text(encoding="utf-8") for path in kernel_folder().glob("*.cl")]
    included = {stem for text in texts for stem in re.findall(r'^#include "(\w+)\.cl"$', text, re.MULTILINE)}
    python = {stem for part in ("convolution", "runtime", "shared") for stem in stems(PACKAGE / "opencl" / part)}
    owners = set(OPERATIONS) | set(rooms.PAGES) | included | python
    orphans = {stem for stem in kernels - owners if not any(stem.startswith(f"{owner}_") for owner in owners)}
    assert not orphans


def modules():
    """Return the path of each of refcnn's modules by its name below refcnn, that of a package without __init__."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@functools.cache
def imported(module):
    """Return the modules of refcnn that a module imports, wherever in its text; one that it imports names from once."""
    return tuple(_imported(module))


def _imported(module):
    path = MODULES[module]
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
            base = ".".join(filter(None, base))
            for alias in node.names:
                whole = f"{base}.{alias.name}".strip(".")
                yield whole if whole in MODULES else base
        else:
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            yield from (name.partition(".")[2] for name in names if name.partition(".")[0] == "refcnn")


def floor(module):
    """Return the number of a module's floor from the top."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        for number, entries in enumerate(FLOORS):
            if ".".join(parts[:length]) in entries:
                return number
    raise AssertionError(f"refcnn.{module} has no floor: enter it in FLOORS")


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_run_downward(module):
    upward = [one for one in imported(module) if floor(one) < floor(module)]
    assert not upward, f"refcnn.{module} imports from a floor above it: {upward}"


#: Who may import from a part of the house that is a matter of its own; others reach it by the backend or by
#: refcnn.rooms, so that the judge knows nothing of what it judges, and each library is needed only by those who use it.
IMPORTED_BY = {
    "conformance": {"cli", "explain", "onnx.proof"},
    "opencl": {"backend", "bench", "cli", "explain"},
    "reference": {"conformance.operations"},
}


@pytest.mark.parametrize("part", IMPORTED_BY)
def test_no_import_runs_sideways(part):
    importing = {one for one in MODULES if not is_in(one, part) and any(is_in(other, part) for other in imported(one))}
    found = {one for one in importing if not any(is_in(one, other) for other in IMPORTED_BY[part])}
    assert not found, f"these import from refcnn.{part}, which is not for them: {found}"
    gone = {other for other in IMPORTED_BY[part] if not any(is_in(one, other) for one in importing)}
    assert not gone, f"take out of IMPORTED_BY what imports nothing from refcnn.{part}: {gone}"


def is_in(module, part):
    """Tell whether a module is a package, or lies in it."""
    return f"{module}.".startswith(f"{part}.")


#: Modules that import others by a name that they compute, which no other test of this file sees, with the reason.
IMPORTS_BY_NAME = {
    "": "sub-packages are imported when they are first used",
    "cli": "a command's module is imported when it is run",
    "conformance.subjects.shipped": "each adapter needs a library that may be absent",
    "explain.reference_copy": "the reference's lines run on arrays that note what is read",
    "own_code": "modules of users",
    "rooms": "the only lookup of operations",
}


def test_modules_are_looked_up_by_name_in_few_places():
    finding = re.compile(r"\b(import_module|__import__)\b")
    assert {module for module, path in MODULES.items() if finding.search(TEXTS[path])} == IMPORTS_BY_NAME.keys()


#: Modules and packages that name operations because they are about them, beside the rooms, with the reason.
ABOUT_OPERATIONS = {
    "conformance.adapters": "which of a library's functions each operation is",
    "explain.notation": "the names of functions in formulas",
    "explain.wording": "the names of functions in formulas",
    "layers.normalization_over_ranks": "an operation's input lies on several ranks",
    "opencl.convolution": "the variants of one operation, too many for its room",
    "": "the public names, the operations' functions among them",
    "tools.compare_commits": "results at two commits, of which the earlier may have no traits",
}

#: Where a word that is an operation's name stands for something else, or must be that name: by module, function or
#: class, and word, with the reason.
OTHER_MEANINGS = {
    ("cli.export", "command", "softmax"): "the name of an option and its argument",
    ("cli.train", "command", "split"): "the name of an argument",
    ("data", "", "one_hot"): "a public name, of a function of arrays on the host",
    ("data", "", "split"): "a public name, of a function that parts data sets",
    ("data.sizing", "", "pad"): "the name of a way to bring an image to a size",
    ("data.image_folder", "_notes", "pad"): "the name of a way to bring an image to a size",
    ("cli.train_options", "Size", "size"): "what an option takes",
    ("tools.kill_ranks", "_train", "size"): "a part of the name of an option",
    **{("interpolation", "nearest", name): "a way to round, as ONNX calls it" for name in ("ceil", "floor")},
    ("conformance.judging.comparison", "verdict", "where"): "a word of a message",
    ("conformance.running.features", "features", "size"): "the elements of an array, as in NumPy",
    ("conformance.subjects.formulas", "", "size"): "the elements of an array, as in NumPy",
    ("conformance.subjects.formulas", "Formula.__call__", "where"): "a word of a message",
    ("conformance.subjects.kernel_description", "_Reader.description", "where"): "for which cases kernels are made",
    ("opencl.runtime.own_kernels", "_Guarded.stray", "where"): "a word of a message",
    ("explain.cells", "_call_ufunc", "where"): "NumPy's name of an argument",
    ("explain.descending", "_hand_back", "add"): "what is used twice has the sum of two gradients",
    **{("explain.descending", "", name): "a word of the name of a loss" for name in ("log", "negative")},
    **{
        ("explain.descending", "with_loss", name): "the steps of a loss"
        for name in ("log", "negative", "reshape", "slice", "softmax_cross_entropy")
    },
    ("serve.gradients", "_sum", "add"): "how far the sum of two gradients is off",
    ("opencl.runtime.trial_process", "run", "where"): "a word of a message",
    **{
        (module, place, limit): "JSON Schema's name of a limit"
        for module, place, *limits in (
            ("reading", "", "minimum", "maximum"),
            ("runs.checkpoint", "", "minimum", "maximum"),
            ("runs.checkpoint", "Metrics", "minimum"),
            ("runs.configuration", "", "minimum"),
            ("runs.proofs", "", "minimum"),
            ("conformance.bundles.case_file", "", "minimum"),
            ("conformance.running.known_faults", "KnownFault", "minimum"),
        )
        for limit in limits
    },
    ("bench.plotting", "_draw", "log"): "Matplotlib's name of a scale",
    ("runs.metric_plots", "learning_rates", "log"): "Matplotlib's name of a scale",
    ("cli.train_options", "", "clip"): "part of the names of options",
    ("conformance.subjects.oclgrind", "environment", "log"): "the name of a file",
    ("tools.kernel_faults", "", "sign"): "a kind of fault",
    ("tools.kernel_faults", "_Code._operator_edits", "sign"): "a kind of fault",
    ("tools.kernel_faults", "", "tile"): "a kind of fault",
    ("tools.kernel_faults", "_Code._name_edits", "tile"): "a kind of fault",
    ("optimizers.optimizer", "Optimizer.update", "clip"): "the operation is what the option asks for",
    ("optimizers.optimizer", "_weighted_sums", "sgd"): "its velocity is the sum that is wanted",
    **{
        ("optimizers.optimizer", where, operation): "gradients are scaled by a number"
        for where, operation in (
            ("_scaled", "multiply"),
            ("_norm", "multiply"),
            ("_norm", "add"),
            ("_norm", "reduce_sum"),
        )
    },
    ("fitting.optimizers", "", "adam"): "the option's default, among names that the optimizers' cards give",
    ("layers.activation_in_onnx", "write_gelu", "tanh"): "the name of an approximation",
    ("numpy_protocol", "", "size"): "NumPy's function of that name",
    ("opencl.runtime.array", "DeviceArray", "size"): "the elements of an array, as in NumPy",
    ("opencl.runtime.memory", "_Slab", "size"): "bytes",
    **{("cli.train_options", place, "size"): "a word in an option's name" for place in ("", "Size")},
    ("cli.image_options", "", "size"): "a word in an option's name",
    ("cli.tune", "command", "size"): "a word in an option's name",
    ("numpy_protocol", "", "add"): "Python's and NumPy's name of an operator, which the operation bears too",
    **{
        ("numpy_protocol", "", operation): "the operator is the operation"
        for operation in ("divide", "matmul", "multiply", "power", "subtract")
    },
    ("variable", "Variable.__abs__", "absolute"): "the operator is the operation",
    ("variable", "Variable.__getitem__", "slice"): "the operator is the operation",
    ("variable", "Variable.__neg__", "negative"): "the operator is the operation",
    ("variable", "Variable.astype", "cast"): "the method is the operation",
    ("tape", "leaf_gradients", "add"): "gradients are summed, as the chain rule has it",
    ("variable", "Variable.max", "reduce_max"): "the method is the operation",
    ("variable", "Variable.mean", "reduce_mean"): "the method is the operation",
    ("variable", "Variable.reshape", "reshape"): "the method is the operation",
    ("variable", "Variable.sum", "reduce_sum"): "the method is the operation",
    ("variable", "Variable.transpose", "transpose"): "the method is the operation",
}


def test_shared_code_names_no_operation():
    named, about = set(), set()
    for module, path in serving_modules().items():
        entry = next((name for name in ABOUT_OPERATIONS if f"{module}.".startswith(f"{name}.")), None)
        places = set(names_of_operations(module, path))
        if entry is None:
            named |= places
        elif places:
            about.add(entry)
    found = named - OTHER_MEANINGS.keys()
    assert not found, f"make it a trait (refcnn.rooms.trait), or say in OTHER_MEANINGS what else it means: {found}"
    gone = (OTHER_MEANINGS.keys() - named) | (ABOUT_OPERATIONS.keys() - about)
    assert not gone, f"take out of OTHER_MEANINGS or ABOUT_OPERATIONS what names no operation: {gone}"


#: Modules that import rooms of operations, beside the rooms, with the reason.
NEED_ROOMS = {
    "": "the public names",
    "bench.peaks": "a device's limits are those of some operations",
    "bench.workloads": "a grid of convolutions is measured",
    "fitting.metrics": "the loss of a classifier",
    **{
        name: "networks are made of layers"
        for name in MODULES
        if name.startswith("models.") and name != "models.building"
    },
    "layers.gemm": "a function of several operations",
    "layers.normalization_from_onnx": "ONNX's normalisations have more results than the operations",
    "layers.renom": "layers under the names that ReNom has for them",
    "program": "a network is exported with a softmax behind it, if that is asked for",
}


def test_shared_code_imports_no_room():
    importing = {module for module in serving_modules().keys() & MODULES.keys() if own_rooms() & set(imported(module))}
    found = importing - NEED_ROOMS.keys()
    assert not found, f"let refcnn.rooms find the room, or say in NEED_ROOMS for what it is needed: {found}"
    assert importing == NEED_ROOMS.keys(), f"take out of NEED_ROOMS: {NEED_ROOMS.keys() - importing}"


def test_a_trait_is_the_room_s_or_else_the_default():
    assert rooms.trait(rooms.OPENCL, "dense", "FUSED") is rooms.find(rooms.OPENCL, "dense").FUSED
    assert rooms.trait(rooms.OPENCL, "softmax", "FUSED") == {}
    # Where the operation has no room in the wing the default holds too; a name that no wing has is a mistake.
    assert rooms.trait(rooms.LAYERS, "sgd", "flop")((2, 3), (2, 3), (2, 3), lr=0.1) == 0
    with pytest.raises(AttributeError, match="EXACTNESS"):
        rooms.trait(rooms.CONFORMANCE, "dense", "EXACTNESS")


@pytest.mark.parametrize("wing", [rooms.OPENCL, rooms.CONFORMANCE, rooms.LAYERS, rooms.OPTIMIZERS])
def test_rooms_say_nothing_that_nobody_asks(wing):
    """A trait that is misspelt would leave the default in force."""
    asked = set(vars(importlib.import_module(f"refcnn.{wing}"))) | ASKED[wing]
    for stem in OPERATIONS:
        path = PACKAGE.parent / rooms.path(wing, stem)
        for name in names_of_room(wing, stem) - asked - {stem}:
            others = (text for other, text in TEXTS.items() if other != path)
            assert any(re.search(rf"\b{name}\b", text) for text in others), f"{path} has {name}, for which nobody asks"


def names_of_room(wing, stem):
    """Return what a room has for others: what its module defines, or what the object on its page has."""
    room = rooms.find(wing, stem)
    if room is None or not inspect.ismodule(room):
        return {name for name in dir(room) if not name.startswith("_")}
    return public_names(Path(room.__file__))


#: What rooms have beside traits.
ASKED = {
    rooms.OPENCL: {"forward", "backward", "forward_all"},
    rooms.CONFORMANCE: {"cases", "forward_bound", "backward_bound", "masked_bound"},
    rooms.LAYERS: {"to_onnx"},
    rooms.OPTIMIZERS: set(),
}

TEXTS = {
    path: path.read_text(encoding="utf-8")
    for folder in (PACKAGE, TESTS, TESTS.parent / "tools")
    for path in folder.rglob("*.py")
}


def public_names(path):
    """Return what a module defines at its top for others: its functions, classes and constants."""
    names = set()
    for node in ast.parse(TEXTS[path]).body:
        targets = node.targets if isinstance(node, ast.Assign) else ()
        names |= {node.name} if hasattr(node, "name") else {target.id for target in targets if hasattr(target, "id")}
    return {name for name in names if not name.startswith("_")}


def test_a_name_of_an_operation_is_found_wherever_it_stands(tmp_path):
    path = tmp_path / "shared.py"
    path.write_text(
        '"""conv2d"""\nBY_NAME = {"relu": "max_pool2d"}\n'
        'class Class:\n    """dense"""\n    def method(self, name):\n        """add"""\n'
        '        return name == "sgd" or name in ("adam", f"softmax.{name}") or find("flatten+x") or "an add to say"\n'
        'LIST = "tanh power".split()\ndef function(name):\n    return name.startswith("dense_")\n'
    )
    assert set(names_of_operations("shared", path)) == {
        *(("shared", "", name) for name in ("relu", "max_pool2d", "tanh", "power")),
        ("shared", "function", "dense"),
        *(("shared", "Class.method", name) for name in ("sgd", "adam", "softmax", "flatten")),
    }


def serving_modules():
    """Return the path of each module and tool that is no room and no page, by its name."""
    tools = {f"tools.{path.stem}": path for path in (TESTS.parent / "tools").glob("*.py")}
    return tools | {module: path for module, path in MODULES.items() if module not in own_rooms()}


def own_rooms():
    """Return the names of the modules that are rooms of operations, or pages."""
    wings = (rooms.REFERENCE, rooms.OPENCL, rooms.CONFORMANCE, rooms.LAYERS, rooms.OPTIMIZERS)
    return {f"{wing}.{stem}" for wing in wings for stem in (*OPERATIONS, *rooms.PAGES)} & MODULES.keys()


def names_of_operations(module, path):
    """Yield (module, function or class, name) of the operations' names in a module's text, but for what is prose."""

    def search(node, where):
        body = getattr(node, "body", None)
        is_documented = isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node)
        for child in ast.iter_child_nodes(node):
            if is_documented and child is body[0]:
                continue
            is_named = isinstance(child, (ast.ClassDef, ast.FunctionDef))
            yield from search(child, f"{where}.{child.name}".strip(".") if is_named else where)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            words = {word.strip("_") for word in re.split(r"\W+", node.value)} - {""}
            is_prose = re.search(r"\s", node.value) and not words <= set(OPERATIONS)
            for word in () if is_prose else words & set(OPERATIONS):
                yield module, where, word

    yield from search(ast.parse(path.read_text(encoding="utf-8")), "")


@pytest.mark.parametrize("module", sorted(MODULES))
def test_what_is_imported_is_there(module):
    """Inside functions too, where a module that moved would be missed late."""
    missing = {one for one in imported(module) if one not in MODULES}
    assert not missing, f"refcnn.{module} imports what is not there: {missing}"


def test_no_circle_of_imports():
    left = {module: {one for one in imported(module) if one != module} for module in MODULES}
    while free := [module for module, others in left.items() if not others & left.keys()]:
        for module in free:
            del left[module]
    assert not left, f"these import each other in a circle, or import those that do: {sorted(left)}"


def test_the_house_has_no_empty_room():
    named = {entry for entries in FLOORS for entry in entries}
    assert named <= set(MODULES), f"{named - set(MODULES)} is gone: take it out of FLOORS"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_backends_have_one_signature(operation):
    reference, opencl = (rooms.find(wing, operation) for wing in (rooms.REFERENCE, rooms.OPENCL))
    assert parameters(opencl.forward) == parameters(reference.forward)
    is_update = operation in rooms_of(rooms.OPTIMIZERS)
    assert hasattr(opencl, "backward") == hasattr(reference, "backward") == (not is_update)
    if not is_update:
        assert parameters(opencl.backward) == parameters(reference.backward)
        assert attributes(reference.backward) == attributes(reference.forward)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_conformance_has_one_signature(operation):
    module = rooms.find(rooms.CONFORMANCE, operation)
    assert parameters(module.cases)[:2] == [("size", "small"), ("integers", False)]
    has_algorithms = hasattr(rooms.find(rooms.OPENCL, operation), "algorithms")
    algorithms = [("algorithms", None)] * has_algorithms
    assert parameters(module.forward_bound) == [
        ("inputs", inspect.Parameter.empty),
        ("attributes", inspect.Parameter.empty),
        ("errors", None),
        *algorithms,
    ]
    if operation not in rooms_of(rooms.OPTIMIZERS):
        names = ["dy", "inputs", "attributes", "needs", *(name for name, _ in algorithms)]
        assert [name for name, _ in parameters(module.backward_bound)] == names


@pytest.mark.parametrize("operation", sorted(rooms_of(rooms.OPTIMIZERS)))
def test_optimizer_gives_the_attributes_of_its_operation(operation):
    module = rooms.find(rooms.OPTIMIZERS, operation)
    classes = [entry for _, entry in inspect.getmembers(module, inspect.isclass)]
    (optimizer,) = [entry for entry in classes if getattr(entry, "operation", None) == operation]
    forward = rooms.find(rooms.REFERENCE, operation).forward
    assert set(optimizer().attributes(step=1)) == attributes(forward)
    assert positional(forward) == ["w", "g", *optimizer.slots]


def test_reference_needs_numpy_and_little_else():
    allowed = {"numpy", "math", "..shapes", "..interpolation", "..errors", "..philox", "..special"}
    allowed |= {".arithmetic", ".elementary"}
    for path in (PACKAGE / "reference").glob("*.py"):
        neighbours = {f".{operation}" for operation in OPERATIONS}
        assert imports(path) <= allowed | neighbours, path.name


@pytest.mark.parametrize(
    ("library", "rooms"),
    [("pyopencl", {"opencl"}), ("onnx", {"onnx", "conformance"}), ("onnxruntime", {"onnx", "conformance", "bench"})],
)
def test_heavy_libraries_stay_in_their_rooms(library, rooms):
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] not in rooms:
            assert library not in {name.partition(".")[0] for name in imports(path)}, path


def test_tests_are_found_without_what_an_extra_brings():
    """A test for which a library is absent is passed over when it runs; its module must be importable without."""
    extras = configparser.ConfigParser()
    extras.read(TESTS.parent / "setup.cfg")
    extras = extras["options.extras_require"]
    libraries = {name: {re.match(r"\w+", line)[0] for line in extras[name].split("\n") if line} for name in extras}
    assert {"playwright", "mpi4py", "starlette"} <= set().union(*libraries.values())
    for path in TESTS.rglob("*.py"):
        optional = set().union(*(libraries[name] for name in libraries if name not in ("test", "check")))
        if path.parent.name == "serve":
            # Whose modules are passed over as a whole: conftest.py.
            optional -= libraries["serve"]
        at_once = {name.partition(".")[0] for name in imports_at_once(path)}
        assert not at_once & optional, path


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


@functools.cache
def imports(path):
    """The modules that a file names in its import statements, relative ones with their dots."""
    return named(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def imports_at_once(path):
    """Those that it imports when it is imported itself."""
    return named(ast.parse(path.read_text(encoding="utf-8")).body)


def named(nodes):
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            dots = "." * node.level
            names |= {dots + node.module} if node.module else {dots + alias.name for alias in node.names}
    return names
