"""Exporting a model: its graph from the tape, checked and proved before the file takes its name."""

import contextlib
import dataclasses
import numbers
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import attributes as attribute
from ..data import Preprocessing
from ..display import is_text
from ..errors import ArgumentError, ExportError
from ..files import atomic_group, atomic_write, check_writable
from ..formats import FLOAT32
from ..mode import is_training
from ..model import Model
from ..program import OUTPUTS, for_any_batch, require_same, trace
from ..typing import ArrayLike, PathLike
from .operators import OPSETS

if TYPE_CHECKING:
    from .proof.proving import Proof

#: Protocol buffers, in which ONNX files are written, hold less than 2 GiB; the rest is for the graph itself.
_LARGEST_CONSTANTS = 2**31 - 2**24
#: Constants that a remark names.
_MOST_NAMES = 4


def export(
    model: Model,
    path: PathLike,
    input_shape: Sequence[int] | Sequence[Sequence[int]],
    *,
    classes: Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
    opset: int | None = None,
    softmax: bool = False,
    examples: int = 20,
    backends: Sequence | None = None,
    progress: Callable[[int, int], object] | None = None,
    proof: bool = True,
    proof_time: float | None = None,
    strict: bool = False,
    fold: bool = False,
    float16: bool = False,
    external_data: bool = False,
    certify: ArrayLike | None = None,
) -> "Proof":
    """Write a model as an ONNX file, after a proof that the file computes what the model does.

    The model is run in evaluation mode, and what it computes is written as
    ONNX operators with the input ``image`` (N, ...) and the output ``logits``
    or ``probabilities``, N being the batch size; several inputs have the names
    that ``forward`` gives them, several outputs are ``output_1`` and so on, or
    both are called as in the file that the model was read from. Before the file takes its
    name it passes ONNX's full check, and onnxruntime, the reference and the
    OpenCL backend run it on inputs that Hypothesis draws: each result of each
    operation must lie within a derived error bound of the exact one, the
    float64 reference's, on the inputs that the operation was given, and the
    outputs within the bound that comes of all. Operations say in
    :mod:`refcnn.conformance` how far a correct float32 result may be off.
    Beyond a probable bound of the outputs a file is suspect, which the Proof
    says. Where onnxruntime has a known fault of its own (``refcnn
    conform`` knows a list of them) the proof remarks it, and judges
    onnxruntime by all other operations.

    Parameters
    ----------
    model : Model
        If it has no parameters yet, they are made here.
    path : str or os.PathLike
        The file to write or to replace.
    input_shape : tuple of int, or sequence of such
        The shape of one example, (C, H, W) for images; for a model with several inputs that of each.
    classes : sequence of str, optional
        The names of the classes, stored in the file.
    preprocessing : refcnn.data.Preprocessing, optional
        How an image becomes the input, stored in the file.
    opset : int, optional
        The version of ONNX's operators, 13 to 22; if not given 17, or the first later one that has all that is needed.
    softmax : bool
        Whether the file's output is the softmax of the model's: probabilities in place of logits.
    examples : int
        How many inputs the proof draws.
    backends : list of str or of backends, optional
        What is held against the exact answer beside onnxruntime; as a rule the reference and the active OpenCL
        device, or else the best one.
    progress : callable, optional
        Called with (inputs judged, inputs wanted) after each.
    proof : bool
        Whether the file is proved; if not it passes ONNX's check alone.
    proof_time : float, optional
        Seconds after which the proof ends with what was judged by then; the Proof says what was not. An operation that
        is being computed is finished.
    strict : bool
        Whether a file is refused too that is within all proved bounds, but beyond a probable one.
    fold : bool
        Whether a batch normalisation is folded into the kernels and the bias of the convolution, the transposed one or
        the dense layer before it, whose result nothing else reads. What is proved of the file is proved of the folded
        program; the model's own answers must lie within what the rounding of the folded numbers accounts for.
    float16 : bool
        Whether weights are stored as float16, in half the bytes; the file computes with them in float32. Those of which
        float16 would lose more than its roundings stay in float32, and the Proof's remark names them. What is proved is
        proved of the rounded weights; how far the answers are from the model's, the Proof's ``departure`` says.
    external_data : bool
        Whether weights are written beside the file, whose own size has a limit of 2 GiB: in
        ``FILE.onnx.<16 digits>.data``, which belongs to this file alone and must lie in its folder. The data of a model
        that is replaced is removed.
    certify : array_like, (N, ...), optional
        Images, as the model takes them, of which the Proof and the file's metadata say how many have a class that no
        rounding can change. The model has one output then, a row of classes for each.

    Returns
    -------
    Proof
        What was judged and how near the bound it came; ``str()`` of it is one line. Its ``examples`` are 0 if nothing
        was.

    Raises
    ------
    ArgumentError
        If an argument is out of range, or does not fit the model's output.
    ExportError
        If the model cannot be written as one fixed graph, or the file failed its check or its proof. What stood at
        the path before is unchanged then.
    FileWriteError
        If the file cannot be written.
    ShapeError
        If the input's shape does not fit the model.
    """
    input_shapes = _check_arguments(model, input_shape, preprocessing)
    opset = _check_opset(opset)
    examples = attribute.integer("export", "examples", examples)
    fold, float16, external_data = (
        attribute.flag("export", name, value)
        for name, value in (("fold", fold), ("float16", float16), ("external_data", external_data))
    )
    if proof_time is not None:
        proof_time = attribute.number("export", "proof_time", proof_time, above=0)
    classes = _check_classes(classes)
    images = _check_images(certify, input_shapes)
    check_writable(path)

    program, shapes = _trace(model, input_shapes, softmax)
    if images is not None and [len(shapes[name]) for name in program.outputs] != [2]:
        raise ArgumentError("export: only a model with one output, a row of classes, has a certificate. Leave it out.")
    _check_outputs({name: shapes[name] for name in program.outputs}, program.constants, classes)
    _check_constants(program)
    changed = _changed(program, fold, float16, external_data)
    departing = _departing(program, changed) if proof else None

    def same(inputs):
        require_same(program, trace(model, inputs, softmax), f"a batch of {len(inputs[0])} drawn images")
        if departing is not None:
            departing.check(inputs)

    written = {
        "name": type(model).__name__,
        "opset": opset,
        "classes": classes,
        "preprocessing": preprocessing,
        "output_names": _output_names(model, program, softmax),
    }
    wanted = {
        "input_shapes": input_shapes,
        "examples": examples,
        "same": same,
        "top": preprocessing.largest_input if preprocessing is not None else 1.0,
        "backend_list": backends,
        "progress": progress,
        "seconds": proof_time,
        "strict": strict,
        "images": images,
    }
    found = _write(Path(path), changed, shapes, external_data, written, wanted if proof else None)
    if departing is not None and found.examples:
        found = dataclasses.replace(found, departure=departing.found())
    return dataclasses.replace(found, remark=found.remark + _remark(changed))


def _changed(program, fold, float16, external_data):
    """Return the program as the file is to hold it, a :class:`refcnn.onnx.writing.folding.Changed`."""
    from .writing import folding

    changed = folding.changed(program, fold, float16)
    arrays = changed.program.constants.items()
    size = sum(array.nbytes // (2 if name in changed.halves else 1) for name, array in arrays)
    if size > _LARGEST_CONSTANTS and not external_data:
        raise ExportError(
            f"the model's parameters take {size:,} bytes, but an ONNX file in one piece holds {_LARGEST_CONSTANTS:,} "
            "at most. Put them beside the file by external_data=True (--external-data), or make the model smaller."
        )
    return changed


def _departing(program, changed):
    """Return what holds the changed program against the model's own, or None if it does the same."""
    from .proof.departing import Departing

    return Departing(program, changed) if changed.off else None


def _write(path, changed, shapes, external_data, written, wanted):
    """Write a program, and return the Proof of what was written; ``wanted`` is what that needs, None if none is."""
    from . import metadata
    from .proof import proving
    from .writing import external, graph

    former = external.data_of(path)
    with (atomic_group if external_data else atomic_write)(path) as temporary:
        folder = temporary if external_data else None
        temporary = temporary / path.name if external_data else temporary
        store = external.writer(folder, path.name) if external_data else None
        proto, outputs = graph.build(changed.program, shapes, halves=changed.halves, store=store, **written)
        (version,) = proto.opset_import
        content = proto.SerializeToString(deterministic=True)
        temporary.write_bytes(content)
        _check(str(temporary) if external_data else content)
        if wanted is None:
            found = proving.Proof(0, (), version.version, {}, {}, ": no proof was wanted")
        else:
            found = proving.prove(changed.program, proto, outputs, opset=version.version, folder=folder, **wanted)
        if found.certificate is not None:
            metadata.enter_certificate(proto, found.certificate)
            temporary.write_bytes(proto.SerializeToString(deterministic=True))
    # The data of the model that stood here before; nobody reads it any more.
    for file in former - external.data_of(path):
        with contextlib.suppress(OSError):
            file.unlink()
    return found


def _remark(changed):
    if not changed.kept:
        return ""
    names = ", ".join(changed.kept[:_MOST_NAMES]) + f" and {len(changed.kept) - _MOST_NAMES} more" * (
        len(changed.kept) > _MOST_NAMES
    )
    return f" (kept in float32, since float16 would lose more of them than its roundings: {names})"


def _check_arguments(model, input_shape, preprocessing):
    if not isinstance(model, Model):
        raise ArgumentError(
            f"export: the model is {type(model).__name__}. Give a Model; put single layers into Sequential([...])."
        )
    if is_training():
        raise ArgumentError(
            "export: called inside `with model.train():`, where Dropout drops. Call it after the block."
        )
    is_of_several = isinstance(input_shape, (tuple, list)) and any(
        isinstance(one, (tuple, list)) for one in input_shape
    )
    shapes = tuple(input_shape) if is_of_several else (input_shape,)
    for shape in shapes:
        if not isinstance(shape, (tuple, list)) or not all(
            isinstance(size, numbers.Integral) and not isinstance(size, bool) and size > 0 for size in shape
        ):
            raise ArgumentError(
                f"export: input_shape is {input_shape!r}. Give the shape of one example, such as (1, 28, 28), without "
                "the batch; for several inputs that of each."
            )
    shapes = tuple(tuple(map(int, shape)) for shape in shapes)
    if preprocessing is not None and (preprocessing.shape,) != shapes:
        raise ArgumentError(
            f"export: input_shape is {input_shape}, but the preprocessing gives {preprocessing.shape}. Give both for "
            "the same images."
        )
    return shapes


def _check_images(images, input_shapes):
    if images is None:
        return None
    images = np.asarray(images)
    if (
        len(input_shapes) != 1
        or images.shape[1:] != input_shapes[0]
        or not len(images)
        or images.dtype.kind not in "fiub"
    ):
        raise ArgumentError(
            f"export: certify has shape {images.shape} and dtype {images.dtype}. Give images as the model takes them, "
            f"(N, {', '.join(map(str, input_shapes[0]))})."
        )
    return images.astype(FLOAT32.dtype)


def _output_names(model, program, softmax):
    if len(program.outputs) == 1:
        return (OUTPUTS[bool(softmax)],)
    names = getattr(model, "output_names", ())
    if len(set(names)) == len(program.outputs) and not program.variables.keys() & set(names):
        return names
    return tuple(f"output_{number}" for number in range(1, len(program.outputs) + 1))


def _check_opset(opset):
    if opset is not None and (isinstance(opset, bool) or opset not in OPSETS):
        raise ArgumentError(f"export: opset is {opset!r}. Give a number from {OPSETS[0]} to {OPSETS[-1]}.")
    return opset


def _check_classes(classes):
    if classes is None:
        return None
    if isinstance(classes, str) or not all(isinstance(name, str) for name in classes):
        raise ArgumentError(f"export: classes is {classes!r}. Give a sequence of names.")
    unfit = [name for name in classes if not is_text(name)]
    if unfit:
        raise ArgumentError(f"export: the class {unfit[0]!r} is no Unicode text, which ONNX needs. Name it otherwise.")
    return tuple(classes)


def _check_outputs(shapes, constants, classes):
    for name, shape in shapes.items():
        if shape[:1] != ("N",) and name not in constants:
            raise ExportError(
                f"the model's output has shape {shape}, whose first axis is not the batch. Give a model that returns "
                "one row for each example."
            )
    if classes is not None and list(shapes.values()) != [("N", len(classes))]:
        raise ArgumentError(
            f"export: there are {len(classes)} classes, but the model's output has shape "
            f"{' and '.join(map(str, shapes.values()))}. Give one name for each value of a row."
        )


def _check_constants(program):
    for name, array in program.constants.items():
        wrong = int(np.count_nonzero(~np.isfinite(array)))
        if wrong:
            raise ExportError(
                f"{name} holds {wrong} values of {array.size} that are NaN or infinite in float32, so the model "
                "computes nothing. Go back to a checkpoint from before training diverged, and lower the learning rate."
            )


def _trace(model, input_shapes, softmax):
    """Return a model's program, which must be one for all batch sizes, and the shapes of what it computes."""
    program = trace(model, [np.zeros((2, *shape), FLOAT32.dtype) for shape in input_shapes], softmax)
    other = trace(model, [np.ones((3, *shape), FLOAT32.dtype) for shape in input_shapes], softmax)
    program = for_any_batch(program, other)
    require_same(program, other, "a batch of 3 in place of 2")
    shapes = {name: _shape(program.variables[name], other.variables[name]) for name in program.variables}
    return program, shapes


def _shape(first, second):
    """The shape of a variable in batches of 2 and of 3: a number, "N", or None for a size that changes otherwise."""
    if len(first.shape) != len(second.shape):
        raise ExportError(
            f"the model makes an array of shape {first.shape} in a batch of 2, but {second.shape} in a batch of 3. Let "
            "the number of axes not depend on the batch."
        )
    sizes = zip(first.shape, second.shape, strict=True)
    return tuple(a if a == b else "N" if (a, b) == (2, 3) else None for a, b in sizes)


def _check(content):
    import onnx

    try:
        onnx.checker.check_model(content, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(
            f"ONNX's check refuses the file: {str(error).strip()} It was not written. The ONNX mapping of the operator "
            "named here is wrong: see to_onnx in refcnn/layers."
        ) from None
