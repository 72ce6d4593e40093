"""Bundles: folders that show a fault to someone who has not refcnn.

A bundle holds the case (``case.json``), its arrays, exact answers and bounds
(``arrays.npz``), the launches that computed it with their kernels and build
options (``launches.json``, ``kernels/``), the ONNX model that
onnxruntime is tested with where there is one, and ``repro.py``, which runs it all again on numpy and pyopencl alone.
:func:`refcnn.conformance.bundles.case_file.read_case` reads the case back.
"""

import contextlib
import json
import math
from pathlib import Path

import numpy as np

from ... import npz
from ...backend import on_device, results_of
from ...errors import ArgumentError, FileWriteError
from ...files import atomic_folder, remedy
from ...onnx import operators
from ..judging import composition, judge
from .case_file import ARRAYS_FILE, DIGESTS_FILE, HEADER_FILE, case_arrays, digests, header

LAUNCHES_FILE, MODEL_FILE, SCRIPT_FILE, KERNELS_FOLDER = "launches.json", "model.onnx", "repro.py", "kernels"
SCRIPT_TEMPLATE = Path(__file__).with_name("repro_template.py.txt")


def capture_case(device, operation, direction, variant, case, *, execute=True):
    """Run a case on an OpenCL device and capture its launches.

    Parameters
    ----------
    device : refcnn.opencl.runtime.device.Device
    operation, direction, variant, case
        As in :func:`refcnn.conformance.bundles.case_file.write_case`.
    execute : bool
        Whether the launches also run. Without, none of the device's kernels
        is built or run: for a case that crashes or hangs the device.

    Returns
    -------
    capture : refcnn.opencl.runtime.capturing.Capture
    results : list of DeviceArray
        In the order of :func:`expected`.

    Raises
    ------
    RefcnnError
        What running the case raises.
    NoSuchResult
        If there is no gradient, or what follows cannot be applied.
    """
    backend = on_device(device)
    kernels, followers = composition.split(variant)
    implementation = composition.Composition.on(backend, backend.operation(operation), followers)
    case = composition.followed(case, followers)
    needs = judge.all_gradients(case)
    if direction == "backward" and not any(needs):
        raise composition.NoSuchResult
    small_strips = composition.has_small_strips(case.inputs[0])
    with backend.use_variant(kernels, small_strips), device.capture(execute) as capture:
        arrays = [None if entry is None else backend.array(entry) for entry in case.inputs]
        result = implementation.forward(*arrays, **case.attributes)
        if not hasattr(implementation, "backward"):
            return capture, list(result)
        y, saved = result
        if direction == "forward":
            return capture, [result.computed() for result in results_of(y)]
        gradients = implementation.backward(judge.given_gradient(backend, case), saved, needs, **case.attributes)
    return capture, [gradient for gradient, need in zip(gradients, needs, strict=True) if need]


def expected(operation, direction, case, variant=None, subject=None):
    """Return by the name of each result the exact answer and its bound, named and bounded as the judge does.

    Parameters
    ----------
    operation, direction, case, variant
        As in :func:`refcnn.conformance.bundles.case_file.write_case`.
    subject : object, optional
        What the case was run on, as in :mod:`~refcnn.conformance.subjects.finding`; the reference as a rule.

    Returns
    -------
    dict of str to (ndarray of float64, ndarray of float64)
    """
    _, followers = composition.split(variant)
    expect = judge.expect_backward if direction == "backward" else judge.expect_forward
    to_the_bit = judge.is_exact(operation, case)
    case = composition.followed(case, followers)
    subject = subject or judge.find("reference")
    return expect(operation, case, subject, to_the_bit=to_the_bit, followers=followers).entries()


def write_bundle(
    folder,
    *,
    operation,
    direction,
    variant,
    case,
    results,
    device,
    capture=None,
    message="",
    known=None,
    again=(),
    probable=(),
):
    """Write a bundle, whole or not at all.

    Parameters
    ----------
    folder : str or os.PathLike
        The folder to make; the folder around it must exist. A bundle that stands there is replaced.
    operation, direction, variant, case
        As in :func:`refcnn.conformance.bundles.case_file.write_case`.
    results : dict of str to (ndarray or None, ndarray, ndarray)
        By the name of each result: what was computed (None if nothing was),
        the exact answer, and the bound: ``ConformanceFailure.results``, or
        what :func:`expected` returns with None before.
    device : dict of str to str
        What is said of the device: ``specification``, ``name``, ``driver``...
    capture : (Capture, list of DeviceArray), optional
        As :func:`capture_case` returns it; without it the bundle has no kernels.
    message : str
        What was found.
    known : str, optional
        The identifier of the known fault that this is.
    again : sequence of ndarray
        What was computed the second time, where that is something else.
    probable : sequence of (ndarray or None)
        The probable bounds of the results, where one of them is beyond its own.

    Raises
    ------
    ArgumentError
        If something else than a bundle stands at ``folder``.
    FileWriteError
        If it cannot be written.
    """
    arrays = case_arrays(case)
    for number, (computed, exact, bound) in enumerate(results.values()):
        arrays |= {f"exact_{number}": exact, f"bound_{number}": np.broadcast_to(bound, exact.shape)}
        if isinstance(computed, np.ndarray) and computed.dtype != object:
            arrays[f"computed_{number}"] = computed
    arrays |= {f"again_{number}": entry for number, entry in enumerate(again) if isinstance(entry, np.ndarray)}
    arrays |= {f"probable_{number}": entry for number, entry in enumerate(probable) if entry is not None}
    entries = header(operation, direction, variant, case)
    entries |= {"results": list(results), "device": device, "message": message, "known": known}
    entries["signed_zeros"] = not composition.split(variant)[1] and judge.are_copies(operation, direction, case)
    texts = {HEADER_FILE: _json(entries), SCRIPT_FILE: SCRIPT_TEMPLATE.read_text(encoding="utf-8")}
    if capture is not None:
        texts[LAUNCHES_FILE] = _json(_launches(*capture, arrays))
        texts |= {f"{KERNELS_FOLDER}/{stem}.cl": text for stem, text in capture[0].sources.items()}
    model = None
    if direction == "forward" and not composition.split(variant)[1] and operators.is_mapped(operation):
        from ...onnx.writing.graph import build_alone

        model, _ = build_alone(operation, case.inputs, case.attributes)

    with _written(folder) as temporary:
        for name, text in texts.items():
            (temporary / name).parent.mkdir(exist_ok=True)
            (temporary / name).write_text(text, encoding="utf-8")
        npz.write(temporary / ARRAYS_FILE, arrays)
        if model is not None:
            (temporary / MODEL_FILE).write_bytes(model.SerializeToString(deterministic=True))
        (temporary / DIGESTS_FILE).write_text(digests(temporary), encoding="utf-8")


@contextlib.contextmanager
def _written(folder):
    """Give a temporary folder, which becomes the bundle."""
    folder = Path(folder)
    if folder.exists() and not (folder / DIGESTS_FILE).is_file():
        raise ArgumentError(f"the bundle {folder} cannot be written: something else stands there. Name another folder.")
    try:
        with atomic_folder(folder) as temporary:
            yield temporary
    except OSError as error:
        raise FileWriteError(
            f"the bundle {folder} could not be written: {error.strerror or error}. {remedy(error)}"
        ) from error


def packed(folder):
    """Return the content of a bundle's files, by their paths in its folder, for :func:`unpack` on another machine."""
    paths = (path for path in sorted(Path(folder).rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def unpack(files, folder):
    """Write the files that :func:`packed` returned to a folder, as :func:`write_bundle` does, and raise what it does.

    Parameters
    ----------
    files : dict of str to bytes
    folder : str or os.PathLike
    """
    with _written(folder) as temporary:
        for name, content in files.items():
            (temporary / name).parent.mkdir(exist_ok=True)
            (temporary / name).write_bytes(content)


def _launches(capture, results, arrays):
    """Return what ``launches.json`` holds; what buffers held at first goes to ``arrays`` if it is not there already."""
    stored = {(entry.dtype.name, entry.tobytes()): name for name, entry in reversed(arrays.items())}
    result_entries = [
        {"buffer": capture.number(array), "dtype": array.dtype.name, "shape": list(array.shape)} for array in results
    ]
    buffers = []
    for number, buffer in enumerate(capture.buffers):
        name = None
        if buffer.contents is not None:
            name = stored.setdefault((buffer.dtype.name, buffer.contents.tobytes()), f"buffer_{number}")
            arrays.setdefault(name, buffer.contents)
        buffers.append({"dtype": buffer.dtype.name, "nbytes": buffer.nbytes, "contents": name})
    device = capture.device
    return {
        "device": {
            "platform": device.platform_name,
            "version": device.platform_version,
            "name": device.device_name,
            "driver": device.driver_version,
        },
        "buffers": buffers,
        "launches": [
            {
                "file": f"{KERNELS_FOLDER}/{launch.file_stem}.cl",
                "kernel": launch.kernel_name,
                "global_size": launch.global_size,
                "local_size": launch.local_size,
                "options": launch.options,
                "arguments": [[kind, _number(value)] for kind, value in launch.arguments],
            }
            for launch in capture.launches
        ],
        "results": result_entries,
    }


def _number(value):
    """JSON has no NaN and no infinity; numpy's scalars read their names."""
    return repr(value) if isinstance(value, float) and not math.isfinite(value) else value


def _json(entries):
    """Return JSON with a line for each entry, and for each element of a list."""

    def lines(value):
        texts = [json.dumps(element, allow_nan=False) for element in value] if isinstance(value, list) else ()
        return "[\n  " + ",\n  ".join(texts) + "\n ]" if texts else json.dumps(value, allow_nan=False)

    return "{\n" + ",\n".join(f" {json.dumps(name)}: {lines(value)}" for name, value in entries.items()) + "\n}\n"
