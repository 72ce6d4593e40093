"""What refcnn writes into the metadata of ONNX files, for itself and for every other program that runs them.

Each value is JSON: the names of the classes, how an image becomes the input, and what the output's numbers are.
"""

import json

from ..data import Preprocessing
from ..errors import DataError
from ..reading import COUNT, check, parse_json

CERTIFICATE_KEY = "refcnn.certificate"
CLASSES_KEY, PREPROCESSING_KEY, SCORES_KEY = "refcnn.classes", "refcnn.preprocessing", "refcnn.scores"
#: What scores of classes are: to be made probabilities by a softmax, such already, or one for each class by itself.
SCORES = ("logits", "probabilities", "independent")

#: Operators by which numbers stay what they are.
_MOVING = {"Cast", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
_ENDS = {"Softmax": "probabilities", "Sigmoid": "independent"}


def entries(classes, preprocessing, graph):
    """Return the metadata of a file, a dict of str.

    Parameters
    ----------
    classes : tuple of str or None
    preprocessing : refcnn.data.Preprocessing or None
    graph : onnx.GraphProto
    """
    found = {}
    if classes is not None:
        found[CLASSES_KEY] = json.dumps(list(classes), ensure_ascii=False)
        found[SCORES_KEY] = json.dumps(_computed(graph, graph.output[0].name))
    if preprocessing is not None:
        found[PREPROCESSING_KEY] = json.dumps(preprocessing.to_json())
    return found


def enter_certificate(model, certificate):
    """Enter the :class:`~refcnn.onnx.proof.certifying.Certificate` of a model, an onnx.ModelProto."""
    model.metadata_props.add(key=CERTIFICATE_KEY, value=json.dumps(certificate.to_json()))


def certificate(model):
    """Return what a file's metadata say of the classes that no rounding can change, a dict, or None.

    Raises
    ------
    ValueError, RecursionError
        If they hold something else under refcnn's name.
    """
    said = parse_json(_values(model).get(CERTIFICATE_KEY, "null"))
    if said is not None:
        names = ("images", "proved", "probable")
        properties = dict.fromkeys(names, COUNT)
        check(
            said, {"type": "object", "properties": properties, "required": list(names), "additionalProperties": False}
        )
    return said


def scores(model, output):
    """Return what the numbers of an output of a file are, one of :data:`SCORES`.

    The metadata tell, or else the operator that computes them.

    Raises
    ------
    ValueError, RecursionError
        If the metadata hold something else under refcnn's name.
    """
    said = parse_json(_values(model).get(SCORES_KEY, "null"))
    if said is None:
        return _computed(model.graph, output)
    check(said, {"enum": list(SCORES)})
    return said


def _computed(graph, output):
    givers = {name: node for node in graph.node for name in node.output if name}
    # As many steps as there are nodes, since a broken file may go round in a circle.
    for _ in graph.node:
        node = givers.get(output)
        if node is None or node.op_type not in _MOVING or not node.input:
            break
        output = node.input[0]
    node = givers.get(output)
    return _ENDS.get(node.op_type, SCORES[0]) if node is not None else SCORES[0]


def read(model):
    """Return the names of the classes and the preprocessing that a file's metadata hold, None where they hold none.

    Parameters
    ----------
    model : onnx.ModelProto

    Raises
    ------
    ValueError, RecursionError
        If they hold something else under refcnn's names.
    """
    values = _values(model)
    classes, fields = (parse_json(values.get(key, "null")) for key in (CLASSES_KEY, PREPROCESSING_KEY))
    if classes is not None:
        check(classes, {"type": "array", "items": {"type": "string"}})
        classes = tuple(classes)
    if fields is None:
        return classes, None
    try:
        return classes, Preprocessing.from_json(fields)
    except DataError as error:
        raise ValueError(str(error)) from None


def _values(model):
    return {entry.key: entry.value for entry in model.metadata_props}
