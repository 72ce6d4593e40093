"""Changed copies of ONNX files: of their protocol buffers' messages, and of their graphs."""

import functools

import numpy as np
import onnx

from refcnn.onnx import operators
from refcnn.onnx.reading import readers
from refcnn.onnx.reading.checks import messages as messages_of

from . import mutants


def of_any(content, random):
    """Return a mutant of the one kind or the other."""
    return (of_graph if random.randrange(3) else of_messages)(content, random)


def of_messages(content, random):
    """Return a protocol buffer of ONNX with fields of any message changed, set, removed or doubled."""
    model = onnx.load_model_from_string(content)
    names = [name for node in model.graph.node for name in (*node.input, *node.output)]
    for _ in range(random.choice((1, 1, 2, 4))):
        if random.randrange(4) == 0 and model.metadata_props:
            entry = random.choice(model.metadata_props)
            try:
                entry.value = mutants.of_json(entry.value, random).decode()
            except (ValueError, RecursionError):
                # Changed before.
                entry.value = random.choice(mutants.JSON_VALUES[:-3])
            continue
        messages = list(messages_of(model))
        # Weights are many bytes of one field: their messages are as likely as the others.
        message = random.choice(messages)
        field = random.choice(message.DESCRIPTOR.fields)
        _change(message, field, random, names)
    return model.SerializeToString()


def _change(message, field, random, names):
    value = getattr(message, field.name)
    is_repeated = not isinstance(value, int | float | str | bytes) and not hasattr(value, "ListFields")
    if field.message_type is not None:
        if not is_repeated:
            message.ClearField(field.name)
        elif value:
            kind, place = random.randrange(3), random.randrange(len(value))
            if kind == 0:
                del value[place]
            elif kind == 1:
                value.add().CopyFrom(value[place])
            else:
                value[place].CopyFrom(random.choice(value))
        return
    drawn = {
        int: lambda: random.choice(mutants.INTEGERS),
        float: lambda: random.choice((0.0, float("nan"), float("inf"), -1e38)),
        str: lambda: random.choice((*names, *mutants.STRINGS)),
        bytes: lambda: b"" if is_repeated else mutants.of_bytes(value, random),
    }
    kind = {"double": float, "float": float, "string": str, "bytes": bytes}.get(
        field.type and _TYPES.get(field.type), int
    )
    try:
        if not is_repeated:
            setattr(message, field.name, drawn[kind]())
        elif value and random.randrange(3):
            value[random.randrange(len(value))] = drawn[kind]()
        else:
            value.append(drawn[kind]())
    except (ValueError, TypeError):
        # Numbers that the field does not hold, and enumerations without such a value.
        message.ClearField(field.name)


#: Numbers of protocol buffers' types that are not whole numbers.
_TYPES = {1: "double", 2: "float", 9: "string", 12: "bytes"}


def of_graph(content, random):
    """Return a model of ONNX whose graph was changed as graphs are: its nodes, names, shapes, types and constants.

    Most of these mutants are parsed, and come as far as the operators; those of :func:`of_messages` seldom do.
    """
    model = onnx.load_model_from_string(content)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        if model.graph.node:
            random.choice(_GRAPH_CHANGES)(model, random)
    return model.SerializeToString()


def _change_nodes(model, random):
    """Drop, double or move a node."""
    nodes, kind = model.graph.node, random.randrange(4)
    place = random.randrange(len(nodes))
    if kind == 0:
        del nodes[place]
    elif kind == 1:
        nodes.add().CopyFrom(nodes[place])
    elif kind == 2:
        other = random.randrange(len(nodes))
        kept = type(nodes[place])()
        kept.CopyFrom(nodes[place])
        nodes[place].CopyFrom(nodes[other])
        nodes[other].CopyFrom(kept)
    else:
        # Everything behind it reads what it read.
        node, reads = nodes[place], next(iter(nodes[place].input), "")
        for entry in model.graph.node:
            for at, name in enumerate(entry.input):
                if name in node.output:
                    entry.input[at] = reads


def _change_names(model, random):
    """Let a node read or give another tensor, which may be its own or one that is given later; or none."""
    graph = model.graph
    names = ["", "nowhere", *(name for node in graph.node for name in (*node.input, *node.output))]
    names += [entry.name for entry in (*graph.input, *graph.initializer)]
    fields = [field for node in graph.node for field in (node.input, node.output) if field]
    fields += [entries for entries in (graph.output, graph.input) if entries]
    field = random.choice(fields)
    place = random.randrange(len(field))
    if hasattr(field[place], "name"):
        field[place].name = random.choice(names)
    elif random.randrange(4):
        field[place] = random.choice(names)
    else:
        del field[place]


def _change_operator(model, random):
    node = random.choice(model.graph.node)
    if random.randrange(3):
        node.op_type = random.choice(_operators())
        return
    # An attribute that the operator may have, of any type.
    try:
        schema = operators.schema(node.op_type, max(1, model.opset_import[0].version))
    except Exception:
        # No such operator in that version.
        return
    names = sorted(schema.attributes) or ["axis"]
    node.attribute.append(_attribute(random.choice(names), random))


@functools.cache
def _operators():
    """Return the operators that are read, and some that are not."""
    names = {schema.name for schema in onnx.defs.get_all_schemas()}
    return [*sorted(name for name in names if readers.reader(name) is not None), "Loop", "NonZero", "nothing"]


def _attribute(name, random):
    values = (
        random.choice(mutants.INTEGERS),
        [random.choice(mutants.INTEGERS) for _ in range(random.randrange(5))],
        random.choice((0.0, float("nan"), float("inf"), -1e38, 1e-38)),
        [0.5, float("nan")],
        random.choice(mutants.STRINGS),
        [""],
    )
    value = random.choice(values)
    kinds = onnx.AttributeProto
    attr_type = kinds.INTS if value == [] else None
    return onnx.helper.make_attribute(name, value, attr_type=attr_type)


def _change_attribute(model, random):
    """Give an attribute that a node has other numbers, another type, or none."""
    found = [(node, place) for node in model.graph.node for place in range(len(node.attribute))]
    if not found:
        return
    node, place = random.choice(found)
    entry, kind = node.attribute[place], random.randrange(6)
    if kind == 0:
        del node.attribute[place]
    elif kind == 1:
        entry.CopyFrom(_attribute(entry.name, random))
    elif kind == 2 and entry.HasField("t"):
        _change_tensor(entry.t, random)
    elif entry.ints:
        at = random.randrange(len(entry.ints))
        if random.randrange(4):
            entry.ints[at] = random.choice((*mutants.INTEGERS, entry.ints[at] + 1, -entry.ints[at]))
        else:
            entry.ints.append(random.choice(mutants.INTEGERS))
    elif entry.HasField("i"):
        entry.i = random.choice((*mutants.INTEGERS, entry.i ^ 1, min(entry.i, 2**62) + 1))
    elif entry.HasField("f"):
        entry.f = random.choice((0.0, float("nan"), float("inf"), -1e38, -entry.f))


def _change_constant(model, random):
    if model.graph.initializer:
        place = random.randrange(len(model.graph.initializer))
        # Numbers that say shapes are few beside the weights.
        integers = [entry for entry in model.graph.initializer if entry.data_type in (6, 7)]
        entry = random.choice(integers) if integers and random.randrange(2) else model.graph.initializer[place]
        if random.randrange(8):
            _change_tensor(entry, random)
        else:
            del model.graph.initializer[place]


def _change_tensor(tensor, random):
    """Change the sizes, the type, the numbers or the place of a tensor's data, or all of them as they fit together."""
    kind = random.randrange(6)
    if kind == 0:
        tensor.data_type = random.choice((*range(-1, 27), 10**6))
    elif kind == 1 and tensor.dims:
        tensor.dims[random.randrange(len(tensor.dims))] = random.choice(mutants.INTEGERS)
    elif kind == 2:
        tensor.dims.append(random.choice((0, 1, 2, 2**40)))
    elif kind == 3:
        tensor.ClearField("raw_data")
        _change_place(tensor, random)
    else:
        try:
            array = onnx.numpy_helper.to_array(tensor)
            changed = _other_numbers(array, random)
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(changed), tensor.name))
        except Exception:
            # Changed before, or of no numbers.
            tensor.raw_data = b"\x00" * random.choice((0, 1, 8))


def _other_numbers(array, random):
    if array.dtype.kind in "iu" and array.size and random.randrange(4):
        changed, limits = np.array(array), np.iinfo(array.dtype)
        number = random.choice((*mutants.INTEGERS, 3 * 10**4))
        changed.ravel()[random.randrange(array.size)] = min(max(number, limits.min), limits.max)
        return changed
    changes = (
        lambda: array.ravel(),
        lambda: array[None],
        lambda: array[..., None],
        lambda: array.T,
        lambda: array[:0],
        lambda: array[..., :-1],
        lambda: np.zeros((10**6, 0, 10**6), array.dtype),
        lambda: np.concatenate([array, array], axis=-1),
        lambda: array.astype(random.choice(("f2", "f8", "i4", "i8", "?", "u1"))),
        lambda: np.full_like(array, random.choice((0, 1, -1)) if array.dtype.kind != "f" else np.nan),
    )
    return random.choice(changes)()


#: Where no data of a model may lie, and where there is none.
PLACES = "../secret", "/dev/zero", "/proc/self/mem", "link", "folder/../../secret", "model.onnx", "", "a\0b", "x" * 5000
PLACES += "folder", "pipe", ".", "..", "C:\\secret", "//secret", "fOlder/../link"


def _change_place(tensor, random):
    tensor.data_location = 1
    del tensor.external_data[:]
    tensor.external_data.add(key="location", value=random.choice((*PLACES, "data", "data")))
    for key in ("offset", "length"):
        if random.randrange(2):
            tensor.external_data.add(
                key=key, value=str(random.choice((*mutants.INTEGERS, "", "1e3", "-0", "9" * 5000)))
            )


def _change_declarations(model, random):
    """Change the opset, the version of the format, or what is said of an input or an output."""
    kind = random.randrange(4)
    if kind == 0 and model.opset_import:
        entry = random.choice(model.opset_import)
        entry.version = random.choice((*range(30), -1, 2**62))
    elif kind == 1:
        model.ir_version = random.choice((0, 1, 3, 4, 9, 2**40))
    else:
        entries = [*model.graph.input, *model.graph.output, *model.graph.value_info]
        if not entries:
            return
        tensor = random.choice(entries).type.tensor_type
        if kind == 2 or not tensor.shape.dim:
            tensor.elem_type = random.choice(range(27))
        else:
            random.choice(tensor.shape.dim).dim_value = random.choice(mutants.INTEGERS)


_GRAPH_CHANGES = (
    _change_nodes,
    _change_names,
    _change_names,
    _change_operator,
    _change_operator,
    _change_attribute,
    _change_attribute,
    _change_attribute,
    _change_constant,
    _change_constant,
    _change_constant,
    _change_declarations,
)
