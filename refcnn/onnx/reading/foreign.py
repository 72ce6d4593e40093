"""Reading any ONNX file as a model."""

import os
from pathlib import Path

import onnx

from ...errors import DataError, UnsupportedError
from ...formats import FLOAT32
from ...reading import printable, read_plain, reading
from . import nodes
from .checks import MOST_BYTES
from .external import external_array
from .functions import inlined
from .imported import Graph, ImportedModel, computed

_WHAT, _ADVICE = "an ONNX file that can be read", "Give a whole file, or export it anew."
_MOST_BYTES = 2**31 - 1
_FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE)
#: What makes many numbers of few.
_MADE_OF_SIZES = "ConstantOfShape", "Range"


def read(source, rebatch):
    """Return the model of an ONNX file: see :func:`refcnn.onnx.load`."""
    return read_with(source, lambda model, folder: ImportedModel(*graph_of(model, folder, rebatch)))


def read_with_graph(source):
    """Return the model of an ONNX file, and its graph, an onnx.ModelProto without functions and with all data."""
    return read_with(
        source, lambda model, folder: (ImportedModel(*graph_of(model, folder, False)), whole(model, folder))
    )


def read_with(source, use):
    """Return what ``use(model, folder)`` makes of a ModelProto; whatever fails is one DataError that names the file."""
    is_path = isinstance(source, str | os.PathLike)
    with reading(source if is_path else "the model", _WHAT, DataError, _ADVICE):
        folder = Path(source).parent if is_path else None
        if isinstance(source, onnx.ModelProto):
            model = source
        else:
            model = onnx.load_model_from_string(read_plain(source, _MOST_BYTES) if is_path else source)
        try:
            return use(model, folder)
        except DataError as error:
            message = printable(str(error), nodes.MESSAGE_CHARACTERS)
            raise type(error)(f"{source}: {message}" if is_path else message) from None


def whole(model, folder):
    """Return a ModelProto without functions and with all data that lies beside it."""
    found = type(model)()
    found.CopyFrom(inlined(model))
    for entry in found.graph.initializer:
        if entry.data_location == onnx.TensorProto.EXTERNAL:
            entry.CopyFrom(onnx.numpy_helper.from_array(external_array(entry, folder), entry.name))
    return found


def graph_of(model, folder, rebatch):
    """Return the :class:`Graph` of a ModelProto; the rest as of :func:`refcnn.onnx.load`."""
    model = inlined(model)
    graph = model.graph
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    for domain in nodes.DOMAINS:
        opsets.setdefault(domain, next((opsets[other] for other in nodes.DOMAINS if other in opsets), 1))
    if graph.sparse_initializer:
        raise UnsupportedError("its constants are sparse tensors. Export it with dense ones.")
    constants = {entry.name: tensor(entry, folder) for entry in graph.initializer}
    given = [entry for entry in graph.input if entry.name not in constants]
    # From this version on what has a value in the file may be given another.
    others = [entry.name for entry in graph.input] if model.ir_version >= 4 else None
    wanted = [entry.name for entry in graph.output]
    if not wanted:
        raise DataError("it has no output.")
    _check_names(graph)
    ordered = nodes.sorted_nodes(graph, {entry.name for entry in given} | constants.keys(), wanted, opsets)
    ordered, tied = _with_constants(ordered, constants, constants.keys() - set(others or ()))
    read = {name for node in ordered for name in node.inputs} | set(wanted)
    constants = {name: value for name, value in constants.items() if name in read}
    for entry in given:
        _check_tensor(entry)
    inputs = [entry.name for entry in given]
    batch = _declared_batch(given)
    batch = None if batch is None else (rebatch, batch)
    return Graph(tuple(inputs), tuple(others or inputs), tuple(wanted), ordered, constants, tied, batch)


def _check_names(graph):
    for kind, entries in (("input", graph.input), ("output", graph.output), ("initializer", graph.initializer)):
        names = [entry.name for entry in entries]
        if not all(names):
            raise DataError(f"it has an {kind} without a name.")
        if len(set(names)) < len(names):
            twice = next(name for place, name in enumerate(names) if name in names[:place])
            raise DataError(f"it has two {kind}s of the name {twice!r}.")


def _declared_batch(given):
    """Return the first size of the first input, or None where it is free."""
    sizes = given[0].type.tensor_type.shape.dim if given else ()
    return sizes[0].dim_value if len(sizes) > 1 and sizes[0].dim_value > 0 else None


def _with_constants(ordered, constants, fixed):
    """Return the nodes but for those whose results are constants as they stand, which are entered; and what is tied.

    Running statistics are tied to nothing: PyTorch's exporter ties those of a new network, ones and zeros, to weights,
    but each layer learns its own.

    Parameters
    ----------
    ordered : list of Node
    constants : dict of str to ndarray
    fixed : set of str
        Those that cannot be given another value.
    """
    kept, aliases, tied, fixed, made = [], {}, {}, set(fixed), 0
    statistics = {name for node in ordered for name in node.buffers}
    for node in ordered:
        inputs = tuple(aliases.get(name, name) for name in node.inputs)
        is_fixed = all(name in fixed or not name for name in inputs)
        if is_fixed and _widens(node, constants):
            # Weights in float16 are parameters under their own names; an output of the graph keeps its name.
            aliases[node.outputs[0]] = inputs[0]
            constants[node.outputs[0]] = constants[inputs[0]].astype(FLOAT32.dtype)
            fixed.add(node.outputs[0])
            continue
        if not node.reader.takes_shapes or not is_fixed:
            kept.append(node if inputs == node.inputs else node.with_inputs(inputs))
            continue
        if node.op_type == "Identity" and not statistics.intersection((*inputs, *node.outputs)):
            aliases[node.outputs[0]] = inputs[0]
            tied[inputs[0]] = (*tied.get(inputs[0], ()), node.outputs[0])
        # An alias is a constant too, since an output of the graph keeps its name.
        # Of a model with many constants no more than these are looked at.
        results = computed(node.with_inputs(inputs), {name: constants[name] if name else None for name in inputs})
        made += sum(result.nbytes for result in results) if node.op_type in _MADE_OF_SIZES else 0
        if made > 2 * MOST_BYTES:
            raise DataError(f"{node}: the constants that are made from sizes up to it take {made:,} bytes.")
        constants |= dict(zip(node.outputs, results, strict=False))
        fixed.update(node.outputs)
    return kept, {name: others for name, others in tied.items() if constants[name].dtype.kind == "f"}


def _widens(node, constants):
    """Return whether a node makes floats of a constant that holds some already."""
    if node.op_type != "Cast" or node.attributes.get("to") not in _FLOATS:
        return False
    value = constants.get(node.inputs[0])
    return value is not None and value.dtype.kind == "f"


def tensor(entry, folder):
    """Return a constant as an ndarray; data beside the file is read from its own folder alone.

    Raises
    ------
    DataError
        If its data lies elsewhere, or is not of the size that its shape says.
    UnsupportedError
        If its elements are no numbers or truth values that NumPy has.
    """
    if entry.data_location == onnx.TensorProto.EXTERNAL:
        return external_array(entry, folder)
    try:
        array = onnx.numpy_helper.to_array(entry)
    except KeyError:
        raise UnsupportedError(f"the constant {entry.name!r} is of ONNX's type {entry.data_type}.") from None
    except (TypeError, ValueError) as error:
        raise DataError(f"the constant {entry.name!r} of shape {tuple(entry.dims)} is not whole: {error}.") from None
    if array.dtype.kind not in "fiub":
        raise UnsupportedError(f"the constant {entry.name!r} is of {array.dtype}. Export the model with numbers.")
    return array


def _check_tensor(entry):
    if not entry.type.HasField("tensor_type"):
        raise UnsupportedError(f"the input {entry.name!r} is no tensor. Export the model with tensors alone.")
